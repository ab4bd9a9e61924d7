"""Normal forms with fractions: denominators up to factors that are not zero, which cancel."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from normdsl.compiler.invariance.expansion import LONGEST, Expanded
from normdsl.compiler.invariance.forms import Form
from normdsl.compiler.invariance.rewriting import multiple, positive
from normdsl.compiler.invariance.terms import Scalars, Terms, added, collected, multiplied, order
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import SIGN, Apply
from normdsl.expressions.shapes import SCALAR

#: The highest power of a sum that is multiplied out.
_HIGHEST = 3


class Fractions(Expanded):
    """Computes normal forms in which 1/(c x + c y) is c⁻¹ (x + y)⁻¹, for numbers c ≠ 0.

    Args:
        invertible: matrices that have an inverse; numbers in front of them are not zero.
    """

    def __init__(self, invertible: Iterable[Expr] = ()) -> None:
        super().__init__({})
        self._nonzero: set[Form] = set()
        for matrix in invertible:
            found = self.terms(multiple(matrix)[0])
            if len(found) == 1:
                self._nonzero |= {form for scalars, _ in found for form, _ in scalars}

    def again(self) -> Fractions:
        """Return a fresh one that knows from the start which numbers are not zero."""
        fresh = Fractions()
        fresh._nonzero |= self._nonzero
        fresh._positive |= self._positive
        return fresh

    def terms(self, expr: Expr) -> Terms:
        """Return the terms of an expression, whose factors that are not zero are cancelled."""
        if expr not in self._terms:
            found = super().terms(expr)
            each = [{(self._cancelled(s), word): c} for (s, word), c in found.items()]
            self._terms[expr] = added(each)
        return self._terms[expr]

    def _cancelled(self, scalars: Scalars) -> Scalars:
        total: dict[Form, int] = {}
        for form, k in scalars:
            if form in self._nonzero:
                total[form] = total.get(form, 0) + k
        kept = [(form, k) for form, k in scalars if form not in self._nonzero]
        kept += [(form, k) for form, k in total.items() if k]
        return tuple(sorted(kept, key=lambda x: (x[0].digest, x[1])))

    def _letter(self, expr: Expr) -> Terms:
        found = super()._letter(expr)
        if expr.shape == SCALAR and positive(expr):
            letters = {form for scalars, _ in found for form, _ in scalars}
            self._nonzero |= letters
            self._positive |= letters
        return found

    def _expand(self, expr: Expr) -> Terms:
        if isinstance(expr, Apply) and expr.function == SIGN:
            return self._of_degree_zero(expr, self.terms(expr.arg))
        return super()._expand(expr)

    def _power(self, expr: Expr, base: Terms, p: Fraction) -> Terms:
        """Return a whole power of a sum as well."""
        if len(base) < 2 or p.denominator != 1 or not -LONGEST <= p <= _HIGHEST:
            return super()._power(expr, base, p)
        if p > 0:
            return multiplied(base, self._power(expr, base, p - 1)) if p > 1 else base
        shared = self._shared(base)
        plain = multiplied(base, {(tuple((f, -k) for f, k in shared), ()): Fraction(1)})
        plain = added({(self._cancelled(s), word): c} for (s, word), c in plain.items())
        lead = plain[min(plain, key=order)]
        monic = {key: c / lead for key, c in plain.items()}
        divisor = Form("Divisor", (collected(monic),), None, True, True)
        outside = tuple((f, k * int(p)) for f, k in shared)
        return {((*outside, (divisor, -int(p))), ()): lead ** int(p)}

    def _shared(self, total: Terms) -> list[tuple[Form, int]]:
        """Return the largest powers of factors that are not zero which divide all terms."""
        each = [dict(scalars) for scalars, _ in total]
        factors = {form for own in each for form in own if form in self._nonzero}
        least = {form: min(own.get(form, 0) for own in each) for form in factors}
        return [(form, k) for form, k in least.items() if k]
