"""HTML that objects show themselves by in notebooks: a title, sentences, code, parts to unfold.

Colours are inherited from the page, so that all is readable on light and on dark ones; those that
are set (`normdsl.show.colours`) have the same contrast on both.
"""

from __future__ import annotations

import html
from collections.abc import Iterable


def title(text: str) -> str:
    """Return a text in bold, on a line of its own."""
    return f"<div style='font-weight:600'>{html.escape(text)}</div>"


def paragraph(text: str) -> str:
    """Return a sentence or several."""
    return f"<div>{html.escape(text)}</div>" if text else ""


def preformatted(text: str) -> str:
    """Return a text in which columns and lines matter; a long line scrolls."""
    style = "overflow-x:auto;line-height:1.4;margin:0.3em 0"
    return f"<pre style='{style}'>{html.escape(text)}</pre>"


def folded(summary: str, inside: str, unfolded: bool = False) -> str:
    """Return HTML that a click on its summary unfolds.

    Args:
        summary: what is seen, as text. inside: the HTML. unfolded: whether it begins so.
    """
    is_open = " open" if unfolded else ""
    return f"<details{is_open}><summary>{html.escape(summary)}</summary>{inside}</details>"


def mathematics(latex: Iterable[str]) -> str:
    """Return displayed formulas, each a LaTeX text without dollar signs."""
    return "".join(f"<div>$$\\displaystyle {formula}$$</div>" for formula in latex)
