"""Sphinx configuration; `make docs` builds with every warning an error and every reference checked."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "specflow"
author = "The specflow authors"
project_copyright = author
release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "lifecycle_table"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = "specflow"
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
# The standard library and the frameworks are not built here, and the build reads nothing from the network.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(?!specflow).*",
    )
]
