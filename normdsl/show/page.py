"""HTML that objects show themselves by in notebooks: a title, sentences, code, parts to unfold.

Colours are inherited from the page, so that all is readable on light and on dark ones; those that
are set (`normdsl.show.colours`) have the same contrast on both.
"""

from __future__ import annotations

import html

from normdsl.show.colours import Tone


def title(text: str, answer: str = "", tone: Tone = Tone.OPEN) -> str:
    """Return a text in bold, on a line of its own, with an answer in the colour of its tone."""
    told = f" <span style='color:{tone.page}'>{html.escape(answer)}</span>" if answer else ""
    return f"<div style='font-weight:600'>{html.escape(text)}{told}</div>"


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


class Shown:
    """An object that shows itself by its text: at a prompt as it is, in a notebook as HTML.

    A class with more to show than its text, a table or a picture, has a `_repr_html_` of its own.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return preformatted(str(self))
