"""Expressions as plain Unicode text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from normdsl.show.notation import Level, Notation, Piece
from normdsl.show.symbols import unicode_symbol
from normdsl.source import located

_SUPERSCRIPTS = str.maketrans("-0123456789/T", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᐟᵀ")
_HALVES = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾"}


class Text(Notation):
    """One line of Unicode: β₁ m + (1 − β₁) G."""

    minus = "−"
    ellipsis = "…"

    def brackets(self, text: str) -> str:
        return f"({text})"

    def symbol(self, name: str) -> Piece:
        return Piece(name if name in self.plain else unicode_symbol(name), Level.ATOM)

    def previous(self, name: str) -> Piece:
        return Piece(unicode_symbol(f"{name}_old"), Level.ATOM)

    def ratio(self, value: Fraction) -> Piece:
        if value in _HALVES:
            return Piece(_HALVES[value], Level.ATOM)
        return Piece(f"{value.numerator}/{value.denominator}", Level.PRODUCT)

    def decimal(self, digits: str) -> Piece:
        return Piece(digits, Level.ATOM)

    def quotient(self, top: Any, bottom: Any) -> Piece:
        written = f"{self.put(top, Level.PRODUCT)} / {self.put(bottom, Level.POWER)}"
        return Piece(written, Level.ENTRYWISE)

    def product(self, left: Any, right: Any, entrywise: bool) -> Piece:
        level = Level.ENTRYWISE if entrywise else Level.PRODUCT
        second = self.put(right, Level.POWER if entrywise else Level.PRODUCT)
        return Piece(self.put(left, level) + (" ∘ " if entrywise else " ") + second, level)

    def chain(self, left: Any, right: Any) -> Piece:
        return Piece(
            f"{self.put(left, Level.PRODUCT)} {self.put(right, Level.POWER)}", Level.PRODUCT
        )

    def power(self, base: Any, exponent: Any) -> Piece:
        raw = self(exponent).text
        plain = raw.replace("−", "-").replace("½", "1/2").replace("¼", "1/4").replace("¾", "3/4")
        simple = all(c in "-0123456789/" for c in plain)
        mark = plain.translate(_SUPERSCRIPTS) if simple else "^" + self.put(exponent, Level.ATOM)
        return Piece(self.put(base, Level.ATOM) + mark, Level.POWER)

    def root(self, arg: Any) -> Piece:
        return Piece("√" + self.put(arg, Level.ATOM), Level.POWER)

    def transposed(self, arg: Any) -> Piece:
        return Piece(self.put(arg, Level.ATOM) + "ᵀ", Level.POWER)

    def call(self, name: str, *args: Any, sub: Piece | None = None) -> Piece:
        inner = ", ".join(self.put(arg, Level.SUM) for arg in args)
        return Piece(f"{name}{'' if sub is None else f'[{sub.text}]'}({inner})", Level.ATOM)

    def comparison(self, left: Any, sign: str, right: Any) -> Piece:
        sign = {"<=": "≤", ">=": "≥"}.get(sign, sign)
        return Piece(f"{self(left).text} {sign} {self(right).text}", Level.SUM)

    def cases(self, chosen: Sequence[tuple[Piece, Any]], otherwise: Any) -> Piece:
        for condition, x in reversed(chosen):
            otherwise = self.call("where", condition, x, otherwise)
        return self(otherwise)

    def norm(self, inner: Piece, sub: str) -> Piece:
        return Piece(f"‖{inner.text}‖{sub}", Level.ATOM)


#: The width that texts are wrapped to.
WIDTH = 100


def wrapped(line: str, width: int = WIDTH, further: int = 4) -> list[str]:
    """Return a line cut at spaces into lines of a width, the later ones indented further."""
    indent = " " * (len(line) - len(line.lstrip(" ")) + further)
    cut = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return cut or [line]


def text(expr: Any, names: Mapping[Any, str] | None = None) -> str:
    """Return an expression (or norm) as one line of Unicode text."""
    with located(None):  # what is made for printing was written nowhere
        return Text(names)(expr).text
