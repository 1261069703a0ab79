"""One page about an annotation: a single HTML file that asks nothing of a network."""

from cytonym.view.report.page import check_extra, report

__all__ = ["check_extra", "report"]
