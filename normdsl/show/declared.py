"""A declaration as lines of mathematics: one per name its author gave, then the new weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from normdsl.show.latex import Latex
from normdsl.show.notation import Notation
from normdsl.show.symbols import latex_symbol, unicode_symbol
from normdsl.show.text import Text

if TYPE_CHECKING:
    from normdsl.declaration import Declaration


def _lines(declaration: Declaration, notation: Notation) -> Iterator[tuple[str, str]]:
    for expr, name in notation.names.items():
        yield name, notation.define(expr).text
    yield "W", notation.define(declaration.update).text


def declared_text(declaration: Declaration) -> str:
    """Return the declaration as Unicode text."""
    head = ", ".join(_setting(h.name, h.default) for h in declaration.hyper)
    rows = list(_lines(declaration, Text(declaration.labels)))
    width = max(len(unicode_symbol(name)) for name, _ in rows)
    body = [f"  {unicode_symbol(name):<{width}} ← {formula}" for name, formula in rows]
    return "\n".join([f"{declaration.name}({head})", *body])


def _setting(name: str, default: float | None) -> str:
    symbol = unicode_symbol(name)
    shown = name if symbol == name else f"{symbol}: {name}"
    return shown if default is None else f"{shown} = {default:g}"


def declared_latex(declaration: Declaration) -> str:
    """Return the declaration as a LaTeX display, one aligned line per definition."""
    rows = [
        rf"{latex_symbol(name)} &\leftarrow {formula}"
        for name, formula in _lines(declaration, Latex(declaration.labels))
    ]
    return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"
