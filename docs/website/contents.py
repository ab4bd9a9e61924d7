"""Tables of contents: they are added here, since a reader of the plain files has no use for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
DECISIONS = "docs/decisions/index"
#: Chapters with their pages, in order; a star stands for what is in a folder.
CHAPTERS = {
    "Learn": ["tutorials/*"],
    "Look up": [
        "docs/api/index",
        "docs/gallery/index",
        "docs/rules",
        "docs/table",
        "docs/norms",
        "docs/scales",
        "docs/symbols",
    ],
    "Measured": ["docs/soundness", "docs/parity", "docs/reliability", "docs/speed", "docs/suites"],
    "In depth": ["docs/*"],
    "Project": ["CONTRIBUTING", "CHANGELOG", DECISIONS],
}


def chapters() -> dict[str, list[str]]:
    """Return the pages of each chapter; each is in one, and a star takes those that are left."""
    named = {page for pages in CHAPTERS.values() for page in pages}
    found = {}
    for title, pages in CHAPTERS.items():
        found[title] = [x for page in pages for x in (_inside(page, named) or [page])]
    return found


def _inside(page: str, named: set[str]) -> list[str]:
    """Return the pages that a star stands for."""
    folder, star, _ = page.partition("*")
    there = sorted(p for s in (".md", ".ipynb") for p in (ROOT / folder).glob(f"*{s}") if star)
    pages = [folder + p.stem for p in there]
    return [x for x in pages if x not in named]


def append(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the table of contents to the first page, and that of decisions to theirs."""
    if docname == app.config.root_doc:
        trees = [_tree(pages, f":caption: {x}", ":hidden:") for x, pages in chapters().items()]
        source[0] = "\n\n".join([source[0], *trees])
    if docname == DECISIONS:
        source[0] += "\n" + _tree(["*"], ":glob:", ":reversed:", ":maxdepth: 1")


def outdated(app: Sphinx, *_: object) -> list[str]:
    """Return the pages to read anew, since which pages there are may have changed."""
    return [app.config.root_doc, DECISIONS]


def _tree(pages: list[str], *options: str) -> str:
    return "\n".join(["```{toctree}", *options, "", *map(_entry, pages), "```"])


def _entry(page: str) -> str:
    """Return a page as it is listed; a tutorial by its number and name, as its title is long."""
    number, _, words = page.partition("/")[2].partition("_")
    return f"{number} {words.replace('_', ' ')} <{page}>" if number.isdigit() else page
