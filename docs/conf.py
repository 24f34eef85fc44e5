"""How the documentation is built: Markdown by MyST, reference from docstrings, dressed by furo."""

from importlib.metadata import version as installed_version
from typing import Any

import riverrun
import riverrun.testing

project = "riverrun"
author = "The riverrun developers"
copyright = author
version = release = installed_version("riverrun")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"riverrun {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
# Names of other projects have no page here to link to; ours must.
nitpick_ignore_regex = [(r"py:.*", r"(?!riverrun\b).*")]

PUBLIC = {name: f"{module.__name__}.{name}" for module in (riverrun.testing, riverrun) for name in module.__all__}


def public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """A link for `riverrun.model.job.JobRow` to `riverrun.JobRow`; for what is not public, its name alone."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("riverrun."):
        return None
    public = PUBLIC.get(target.rpartition(".")[2])
    if public is None or public == target:
        return contnode
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, "obj", public, node, contnode
    )


def setup(app: Any) -> None:
    app.connect("missing-reference", public_name)
