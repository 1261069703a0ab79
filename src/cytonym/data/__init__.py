"""Data sets in, rows out: read, inspect, align, simulate. The only place that knows AnnData."""
