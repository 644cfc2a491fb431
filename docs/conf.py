"""How Sphinx makes a site of these pages: `make docs`."""

from askonce import __version__

project = "askonce"
author = "the authors of askonce"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx calls it so
release = __version__

extensions = ["myst_parser"]
# Headings of other pages can be linked, down to the third level.
myst_heading_anchors = 3
exclude_patterns = ["*.py"]
# Requests in quotation marks that go over several lines are too much for its highlighter.
suppress_warnings = ["misc.highlighting_failure"]
# A link that leads nowhere stops the build.
nitpicky = True

html_theme = "furo"
html_title = f"askonce {release}"
html_show_sphinx = False
html_copy_source = False
