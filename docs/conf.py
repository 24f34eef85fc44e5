"""How the documentation is built: Markdown by MyST, reference from docstrings, dressed by furo."""

import re
from importlib.metadata import version as installed_version
from typing import Any

import riverrun
import riverrun.testing

project = "riverrun"
author = "The riverrun developers"
copyright = author
version = release = installed_version("riverrun")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"riverrun {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
# Names of other projects have no page here to link to; ours must.
nitpick_ignore_regex = [(r"py:.*", r"(?!riverrun\b).*")]

PUBLIC = {
    name: f"{module.__name__}.{name}"
    for module in (riverrun.testing, riverrun)
    for name in module.__all__
}


def public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """A link for `riverrun.model.job.JobRow` to `riverrun.JobRow`; what is not public stays a name.

    Docstrings say `riverrun migrate-up` too, which is no name at all.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith(("riverrun.", "riverrun ")):
        return None
    public = PUBLIC.get(target.rpartition(".")[2])
    if public is None or public == target:
        return contnode
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contnode)


def prepare(*given: Any) -> None:
    """The one section that our docstrings have gets its heading; code that is indented, its block."""
    lines = given[-1]
    text = re.sub(r"(?m)^Example:$", ".. rubric:: Example\n", "\n".join(lines))
    lines[:] = re.sub(r"(?m)^(\S.*)\n\n(?=    )", r"\1\n\n::\n\n", text).split("\n")


def shorten(*given: Any) -> tuple[str, None] | None:
    """No signature for a class with fifty options: each is described below it."""
    signature = given[-2]
    return ("(**options)", None) if "<factory>" in (signature or "") else None


def setup(app: Any) -> None:
    app.connect("missing-reference", public_name)
    app.connect("autodoc-process-docstring", prepare)
    app.connect("autodoc-process-signature", shorten)
