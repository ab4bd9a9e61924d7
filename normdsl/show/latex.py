"""Expressions as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from normdsl.show.notation import Level, Notation, Piece
from normdsl.show.symbols import escaped, latex_symbol
from normdsl.source import located

_OPERATORS = {
    "|·|": r"\operatorname{abs}",
    "f": "f",
    "cos": r"\cos",
    "∇f": r"\nabla f",
    "∇²f": r"\nabla^{2} f",
    "f′": "f'",
    "∇f′": r"\nabla f'",
    "∇²f′": r"\nabla^{2} f'",
}


class Latex(Notation):
    """A LaTeX formula."""

    minus = "-"
    ellipsis = r"\dots"

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def symbol(self, name: str) -> Piece:
        if name in self.plain:
            return Piece(rf"\mathrm{{{escaped(name)}}}", Level.ATOM)
        return Piece(latex_symbol(name), Level.ATOM)

    def previous(self, name: str) -> Piece:
        return Piece(latex_symbol(f"{name}_old"), Level.ATOM)

    def ratio(self, value: Fraction) -> Piece:
        return Piece(rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}", Level.PRODUCT)

    def decimal(self, digits: str) -> Piece:
        mantissa, e, exponent = digits.partition("e")
        if not e:
            return Piece(digits, Level.ATOM)
        power = f"10^{{{int(exponent)}}}"
        return Piece(power if mantissa == "1" else rf"{mantissa} \cdot {power}", Level.PRODUCT)

    def quotient(self, top: Any, bottom: Any) -> Piece:
        return Piece(rf"\frac{{{self(top).text}}}{{{self(bottom).text}}}", Level.PRODUCT)

    def product(self, left: Any, right: Any, entrywise: bool) -> Piece:
        level = Level.ENTRYWISE if entrywise else Level.PRODUCT
        second = self.put(right, Level.POWER if entrywise else Level.PRODUCT)
        sign = r" \circ " if entrywise else r"\, "
        return Piece(self.put(left, level) + sign + second, level)

    def chain(self, left: Any, right: Any) -> Piece:
        return Piece(
            f"{self.put(left, Level.PRODUCT)}\\, {self.put(right, Level.POWER)}", Level.PRODUCT
        )

    def power(self, base: Any, exponent: Any) -> Piece:
        return Piece(f"{{{self.put(base, Level.ATOM)}}}^{{{self(exponent).text}}}", Level.POWER)

    def root(self, arg: Any) -> Piece:
        return Piece(rf"\sqrt{{{self(arg).text}}}", Level.ATOM)

    def transposed(self, arg: Any) -> Piece:
        return Piece(rf"{{{self.put(arg, Level.ATOM)}}}^{{\top}}", Level.POWER)

    def call(self, name: str, *args: Any, sub: Piece | None = None) -> Piece:
        inner = r",\, ".join(self(arg).text for arg in args)
        operator = _OPERATORS.get(name, rf"\operatorname{{{name}}}")
        lower = "" if sub is None else f"_{{{sub.text}}}"
        return Piece(rf"{operator}{lower}\!\left({inner}\right)", Level.ATOM)

    def comparison(self, left: Any, sign: str, right: Any) -> Piece:
        sign = {"<=": r"\le", ">=": r"\ge"}.get(sign, sign)
        return Piece(rf"{self(left).text} {sign} {self(right).text}", Level.SUM)

    def cases(self, chosen: Sequence[tuple[Piece, Any]], otherwise: Any) -> Piece:
        rows = [(condition.text, x) for condition, x in chosen] + [(r"\text{otherwise}", otherwise)]
        body = r" \\ ".join(f"{self(x).text} & {condition}" for condition, x in rows)
        return Piece(rf"\begin{{cases}} {body} \end{{cases}}", Level.SUM)

    def norm(self, inner: Piece, sub: str) -> Piece:
        lower = f"_{{{_subscript(sub)}}}" if sub else ""
        return Piece(rf"\left\|{inner.text}\right\|{lower}", Level.ATOM)


_SIGNS = {"∞": r"\infty ", "₂": "2", "→": r" \to ", "ℓ": r"\ell ", "_": "", " ": r"\,"}


def _subscript(sub: str) -> str:
    """Return the subscript of a norm: letters upright, signs in LaTeX."""
    upright = re.sub(r"[A-Za-z]+", lambda word: rf"\mathrm{{{word[0]}}}", sub)
    return "".join(_SIGNS.get(c, c) for c in upright).strip()


def latex(expr: Any, names: Mapping[Any, str] | None = None) -> str:
    """Return an expression (or norm) as LaTeX, without dollar signs."""
    with located(None):  # what is made for printing was written nowhere
        return Latex(names)(expr).text
