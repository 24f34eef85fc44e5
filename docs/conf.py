"""How the documentation is built: Markdown by MyST, reference from docstrings, dressed by furo."""

from importlib.metadata import version as installed_version

project = "riverrun"
author = "The riverrun developers"
copyright = author
version = release = installed_version("riverrun")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"riverrun {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Names of other projects have no page here to link to; ours must.
nitpick_ignore_regex = [(r"py:.*", r"(?!riverrun\b).*")]
