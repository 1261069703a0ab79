"""The site: every page of the repository, the tutorials run, names in the code linked to it.

The source folder is the root of the repository, so that links between README, CONTRIBUTING and
these pages hold on a code host and on the site alike.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_site"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CYTONYM_CACHE", str(HERE.parent / "site" / "cache"))

import cytonym  # noqa: E402

project = "cytonym"
author = "The cytonym developers"
project_copyright = author
version = release = cytonym.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "code_pages",
    "contents",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/tutorials/*.md"]

myst_heading_anchors = 3
myst_enable_extensions = ["html_image"]
smartquotes = False  # "--labels" is no dash

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "warn"  # a tutorial that warns is a warning of the build, which ends it

autodoc_typehints = "none"  # signatures name the arguments; the docstrings say what they are
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "sphinx_book_theme"
html_title = f"cytonym {version}"
html_theme_options = {
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "use_download_button": False,
}
html_show_sourcelink = False
html_copy_source = False
