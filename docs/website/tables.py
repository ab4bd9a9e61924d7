"""Tables with many columns are as wide as their text, and scrolled; others fit their page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: From how many columns on a page is too narrow for all of them.
MANY = 6


def widen(_: Sphinx, doctree: nodes.document) -> None:
    """Mark the tables that have many columns, for the style sheet."""
    for group in doctree.findall(nodes.tgroup):
        if group["cols"] >= MANY:
            group.parent["classes"].append("wide")
