"""The algebra of one index: what sums, products, contractions and functions do to it."""

from __future__ import annotations

from collections.abc import Callable

import sympy

from normdsl.compiler.invariance.coefficients import tidy
from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.laws import ANY, FIXED, Index, index, without_signs, words
from normdsl.compiler.invariance.stacking import Kronecker, stacked, unstacked
from normdsl.compiler.invariance.unit_equations import equal
from normdsl.expressions.matrix_classes import GENERAL, PERMUTATION, SIGNED_PERMUTATION, MatrixClass


class Refusal(Exception):  # noqa: N818 (not an error: the answer "this rule does not apply")
    """Raised where a rule does not apply, with the reason as one sentence."""


def same(x: Index, y: Index, x_spread: bool, y_spread: bool) -> tuple[Index, Conditions]:
    """Return the index of a sum or maximum; `spread` says that a side is constant along it."""
    if x is ANY or y is ANY:
        number = y_spread if x is ANY else x_spread  # joined to an array whose law is still open
        return (ANY if number else y if x is ANY else x), NONE
    if x_spread != y_spread:
        moving = y if x_spread else x
        if moving.cls <= PERMUTATION:
            return moving, NONE
        raise Refusal(f"it joins a number with a quantity that is {words(moving)}")
    if x == y:
        return x, NONE
    acting = {(i.element, i.cls) for i in (x, y) if i != FIXED}
    if len(acting) == 1 and not any(cls.orthogonal for _, cls in acting):
        conditions = equal(x.power, y.power)
        if conditions is not None:
            return x, conditions
    raise Refusal(f"it joins a term that is {words(x)} with one that is {words(y)}")


def unsigned(ix: Index) -> Index:
    """Return what is left of an index when the signs in it are dropped."""
    if isinstance(ix.element, Kronecker):
        return _side_by_side(unsigned, ix)
    return FIXED if ix.cls.diagonal or ix == FIXED else without_signs(ix)


def entrywise(
    x: Index, degree: sympy.Expr | None, odd: bool, even: bool, spread: bool = False
) -> Index:
    """Return the index of f(x) for a function of the given homogeneity and parity."""
    if x in (ANY, FIXED) or spread:
        return x
    if isinstance(x.element, Kronecker) and x.cls.monomial:
        return _side_by_side(lambda ix: entrywise(ix, degree, odd, even), x)
    if not x.cls.monomial:
        raise Refusal(f"it looks at single entries, but its argument is {words(x)}")
    if not x.cls.orthogonal:
        if degree is None:
            raise Refusal(f"the function is not homogeneous, and its argument is {words(x)}")
        return index(x.element, x.cls, tidy(x.power * degree))
    if not x.cls.signed or odd:
        return x
    if even:
        return unsigned(x)
    raise Refusal(f"the function is neither odd nor even, and its argument is {words(x)}")


def product(x: Index, y: Index, x_spread: bool, y_spread: bool) -> Index:
    """Return the index of an entrywise product; `spread` says that a side is constant along it."""
    if ANY in (x, y):
        return ANY
    if x_spread or y_spread:
        return x if y_spread else y
    if x == y == FIXED:
        return FIXED
    if not (x.cls.monomial and y.cls.monomial):
        moving = x if not x.cls.monomial else y
        raise Refusal(f"it multiplies entry by entry, but a factor is {words(moving)}")
    if isinstance(x.element, Kronecker) and isinstance(y.element, Kronecker):
        return _side_by_side(lambda a, b: product(a, b, False, False), x, y)
    alike = x.element == y.element or FIXED in (x, y)
    if alike and x.cls.diagonal | y.cls.diagonal:
        lead = y if x == FIXED else x
        if lead.cls.orthogonal:
            return FIXED if x == y else lead
        return index(lead.element, lead.cls, tidy(x.power + y.power))
    if x.element == y.element:
        signed = x.cls.signed != y.cls.signed
        return Index(x.element, SIGNED_PERMUTATION if signed else PERMUTATION)
    raise Refusal(f"it multiplies a factor that is {words(x)} by one that is {words(y)}")


def _side_by_side(function: Callable[..., Index], *of: Index) -> Index:
    """Return the index of a function of entries in one column, by what acts on rows and columns."""
    sides = [s for s in map(unstacked, of) if s is not None]
    found = stacked(*(function(*side) for side in zip(*sides, strict=True)))
    if found is None:
        raise Refusal(f"entries in one column are {words(of[0])}, and a function of them is not")
    return found


def contract(x: Index, y: Index) -> Conditions:
    """Return the conditions under which PᵀQ = I, so that summing over the index is legal."""
    if ANY in (x, y) or x == y == FIXED:
        return NONE
    if (x.element, x.cls) == (y.element, y.cls):
        if x.cls.orthogonal:
            return NONE
        conditions = equal(x.power + y.power, sympy.Integer(0))
        if conditions is not None:
            return conditions
        if x.cls is GENERAL and x.power == y.power and abs(x.power) == 1:
            kind = "covariant" if x.power == -1 else "contravariant"
            raise Refusal(
                f"it contracts two {kind} indices of {x.element}: both factors are {words(x)}, "
                "so that nothing cancels"
            )
    raise Refusal(
        f"it sums over an index that is {words(x)} in one factor and {words(y)} in the other"
    )


def within(x: Index, largest: MatrixClass, what: object) -> tuple[Index, Conditions]:
    """Require that what acts on the index lies in a class of matrices, if need be as power 0."""
    if x is ANY or x.cls <= largest:
        return x, NONE
    vanishing = None if x.cls.orthogonal else equal(x.power, sympy.Integer(0))
    if vanishing is None:
        raise Refusal(f"{what} changes when its argument is {words(x)}")
    return FIXED, vanishing
