"""Symmetry of square matrices, as far as the way they are written shows it.

X + Xᵀ, X Xᵀ, A S Aᵀ and D X Dᵀ with a diagonal D are symmetric, however long the sums and products
are and in whatever order terms, scalars and factors stand.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from normdsl.expressions.expr import Expr, Factor
from normdsl.expressions.facts import Facts
from normdsl.expressions.signs import sign_of
from normdsl.expressions.structure import notes

#: Longer sums and products are not looked through.
_LONGEST = 16


def mutually_symmetric(x: Expr, y: Expr) -> bool:
    """Return whether x ∘ y, and what else treats them alike, is symmetric: both are, or x = yᵀ."""
    return (x.facts.symmetric and y.facts.symmetric) or (x.shape.square and _mirrored(x, y))


def balanced(expr: Expr) -> bool:
    """Return whether the transpose of a sum has the same terms as the sum itself, X + Xᵀ."""
    terms = [x for x in _terms(expr) if not x.facts.symmetric]
    return len(terms) <= _LONGEST and _paired(terms, terms)


def congruence(expr: Expr) -> Facts | None:
    """Return the facts of S if a product is A S Aᵀ with a symmetric S, of I if it is A Aᵀ."""
    chain = _Chain.of(expr)
    half, odd = divmod(len(chain.factors), 2)
    mirrored = len(chain.factors) <= _LONGEST and all(
        _alike(chain.factors[i], chain.factors[-1 - i]) for i in range(half)
    )
    if not mirrored:
        return None
    centre = chain.factors[half] if odd else None
    if centre is None:
        definite = True
    elif centre.diagonal:
        definite = centre.entries.facts.nonnegative
    elif centre.entries.facts.symmetric:
        definite = centre.entries.facts.psd
    else:
        return None
    return Facts(symmetric=True, psd=definite and sign_of(chain.scalars) > 0)


@lru_cache(maxsize=1 << 12)  # shared parts of deep expressions are compared once
def _mirrored(x: Expr, y: Expr) -> bool:
    """Return whether x is yᵀ, as far as their operations show, however the two are written."""
    if x.shape != y.shape.transposed:
        return False
    if x == y.T or y == x.T:
        return True
    if x.terms and y.terms:
        terms, others = _terms(x), _terms(y)
        return len(terms) == len(others) <= _LONGEST and _paired(terms, others)
    if x.factors and y.factors:
        a, b = x.factors
        c, d = y.factors
        straight = _mirrored(a, c) and _mirrored(b, d)
        return straight or (_mirrored(a, d) and _mirrored(b, c))
    if type(x) is type(y) and x.commutes_with_transpose and notes(x, Expr) == notes(y, Expr):
        return all(map(_mirrored, x.children, y.children))
    return _Chain.of(x).mirrors(_Chain.of(y))


def _alike(x: Factor, y: Factor) -> bool:
    """Return whether a factor is the transpose of another one."""
    if x.diagonal or y.diagonal:
        return x == y
    return _mirrored(x.entries, y.entries)


def _paired(terms: list[Expr], others: list[Expr]) -> bool:
    """Return whether each of the terms is the transpose of another one of the others."""
    left = list(others)
    for term in terms:
        partner = next((x for x in left if _mirrored(term, x)), None)
        if partner is None:
            return False
        left.remove(partner)
    return not left


def _terms(expr: Expr) -> list[Expr]:
    """Return the terms of a sum, in order; the rest of one that is too long stays one."""
    found: list[Expr] = []
    stack = [expr]
    while stack:
        top = stack.pop()
        if top.terms and len(found) + len(stack) <= _LONGEST:
            stack += reversed(top.terms)
        else:
            found.append(top)
    return found


@attrs.frozen
class _Chain:
    """A matrix product: its factors in order, and the scalars among them.

    Of a long one, only the first factors are read.
    """

    factors: tuple[Factor, ...]
    scalars: tuple[Expr, ...]

    @classmethod
    def of(cls, expr: Expr) -> _Chain:
        """Return the factors of an expression; of what is no product, itself."""
        found: list[Factor] = []
        scalars: list[Expr] = []
        stack = [Factor(expr)]
        while stack and len(found) <= _LONGEST:
            top = stack.pop()
            split = None if top.diagonal else top.entries.as_product
            if split is None:
                found.append(top)
            else:
                scalars += split.scalars
                stack += reversed(split.factors)
        return cls(tuple(found), tuple(scalars))

    def mirrors(self, other: _Chain) -> bool:
        """Return whether it is the other one read backwards."""
        return (
            1 < len(self.factors) == len(other.factors) <= _LONGEST
            and sorted(map(hash, self.scalars)) == sorted(map(hash, other.scalars))
            and all(map(_alike, self.factors, reversed(other.factors)))
        )
