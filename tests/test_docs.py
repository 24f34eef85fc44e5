"""The documentation leaves nothing out: no public name, and no Python that is not run."""

import re
from pathlib import Path

import pytest

import riverrun
import riverrun.testing

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
DOCUMENTED = re.compile(
    r"^\.\. auto(?:class|data|exception|function):: (riverrun[\w.]+)", re.MULTILINE
)
FENCE = re.compile(r"^ *```(.+)$", re.MULTILINE)
FENCES = {"python", "text", "ini", "{toctree}", "{eval-rst}"}
"""`python` is run. Any other spelling of it would be shown and not be run."""
NOT_OURS = {"riverrun.UNSET"}


def test_the_reference_has_every_public_name() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    documented = [name for page in pages for name in DOCUMENTED.findall(page)]
    modules = (riverrun, riverrun.testing)
    public = {f"{module.__name__}.{name}" for module in modules for name in module.__all__}
    assert public - {*documented} == NOT_OURS
    assert len(documented) == len({*documented})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_python_on_a_page_is_marked_so_that_it_is_run(page: Path) -> None:
    assert {*FENCE.findall(page.read_text(encoding="utf-8"))} <= FENCES


def test_python_stands_only_where_it_is_run() -> None:
    for page in PAGES:
        if "python" in FENCE.findall(page.read_text(encoding="utf-8")):
            assert page.parent in (DOCS, DOCS / "guides")


def test_every_guide_is_in_the_index() -> None:
    index = (DOCS / "guides" / "index.md").read_text(encoding="utf-8")
    names = {page.name for page in (DOCS / "guides").glob("*.md")} - {"index.md"}
    assert names <= {*re.findall(r"\(([\w-]+\.md)\)", index)}
