"""Rewriting: identities of linear algebra by which two rules are shown to be equal.

An identity takes a node and returns an equal one with the matrices that must have full rank for
that, or None. Its docstring is the identity, as proofs tell it. They are not applied where a step
is computed: what is equal in exact arithmetic need not be as good in floating point.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import attrs

from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.domains import Domain
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import EXP, Apply, Inner, Inverse, MatrixPower, Unvec, Vec
from normdsl.expressions.nodes.arithmetic import Pow
from normdsl.expressions.nodes.constants import Constant, as_expr, is_constant
from normdsl.expressions.shapes import SCALAR, Dim
from normdsl.expressions.traversal import Equivalent
from normdsl.vocabulary.matrices import inverse, unvec, vec
from normdsl.vocabulary.reductions import inner

#: An equal expression, and what must have full rank for that.
Found = tuple[Expr, tuple[Expr, ...]]
Identity = Callable[[Expr], Found | None]


def linear_stacking(node: Expr) -> Found | None:
    """Entries in one column are linear: vec(c X + Y) = c vec(X) + vec(Y), and so for unvec."""
    if not isinstance(node, Vec | Unvec):
        return None
    stack = vec if isinstance(node, Vec) else unvec
    number, array = multiple(node.arg)
    if not is_constant(number, 1):
        return number * stack(array), ()
    parts = terms(node.arg)
    return (reduce(n.add, map(stack, parts)), ()) if len(parts) > 1 else None


def stacked_inner_product(node: Expr) -> Found | None:
    """Inner products of entries in one column: ⟨X, unvec(v)⟩ = ⟨vec(X), v⟩."""
    if not (isinstance(node, Inner) and node.whole):
        return None
    sides = multiple(node.left), multiple(node.right)
    if not any(isinstance(array, Unvec) for _, array in sides):
        return None
    (a, x), (b, y) = sides
    return a * b * inner(vec(x), vec(y)), ()


def inverse_of_a_multiple(node: Expr) -> Found | None:
    """The inverse of a multiple: (c S)⁻¹ = S⁻¹ / c for c ≠ 0."""
    arg = inverted(node)
    number, array = (as_expr(1), node) if arg is None else multiple(arg)
    if arg is None or is_constant(number, 1):
        return None
    return number**-1 * inverse(array), () if positive(number) else (arg,)


def sherman_morrison(node: Expr) -> Found | None:
    """Sherman and Morrison's formula: (S + b u uᵀ)⁻¹ u = S⁻¹ u / (1 + b uᵀ S⁻¹ u)."""
    arg = inverted(node.left) if isinstance(node, n.MatMul) else None
    if arg is None or not isinstance(node, n.MatMul):
        return None
    times, u = multiple(node.right)
    if u.shape.cols is not Dim.ONE:
        return None
    parts = terms(arg)
    for k, part in enumerate(parts):
        b, square = multiple(part)
        rest = parts[:k] + parts[k + 1 :]
        if rest and square == n.matmul(u, n.transpose(u)):
            matrix = reduce(n.add, rest)
            along = n.matmul(inverse(matrix), u)
            return times * (1 + b * inner(u, along)) ** -1 * along, (matrix, arg)
    return None


IDENTITIES: tuple[Identity, ...] = (
    linear_stacking,
    stacked_inner_product,
    sherman_morrison,
    inverse_of_a_multiple,
)


@attrs.frozen
class Rewritten:
    """One use of an identity: `before` = `after`.

    Args:
        identity: in words and as a formula. before: what was replaced. after: by what.
        full_rank: the matrices that must have full rank for that.
    """

    identity: str
    before: Expr
    after: Expr
    full_rank: tuple[Expr, ...]


class Rewriting(Equivalent):
    """Applies `IDENTITIES` until none applies, and notes in `used` what it did."""

    def __init__(self) -> None:
        super().__init__()
        self.used: list[Rewritten] = []

    def _visit(self, expr: Expr) -> Expr:
        node = self._rebuilt(expr)
        for identity in IDENTITIES:
            found = identity(node)
            if found is not None:
                after, full_rank = found
                told = (identity.__doc__ or "").rstrip(".")
                self.used.append(Rewritten(told, node, after, full_rank))
                return self(after)
        return node


def inverted(node: Expr) -> Expr | None:
    """Return S of S⁻¹, otherwise None."""
    match node:
        case Inverse(arg=x):
            return x
        case MatrixPower(arg=x, exponent=p) if is_constant(p, -1):
            return x
    return None


def terms(expr: Expr) -> list[Expr]:
    """Return the terms of a sum of arrays of one shape."""
    if isinstance(expr, n.Add) and expr.left.shape == expr.right.shape:
        return terms(expr.left) + terms(expr.right)
    return [expr]


def multiple(expr: Expr) -> tuple[Expr, Expr]:
    """Return c and X of an array c X, its numbers pulled out of products and transposes."""
    one: Expr = as_expr(1)
    if expr.shape == SCALAR:
        return one, expr
    match expr:
        case n.Mul(left=x, right=y) if SCALAR in (x.shape, y.shape):
            number, array = (x, y) if x.shape == SCALAR else (y, x)
            inside, array = multiple(array)
            return number * inside, array
        case n.MatMul(left=x, right=y):
            (a, x), (b, y) = multiple(x), multiple(y)
            return a * b, n.matmul(x, y)
        case n.Transpose(arg=x):
            number, array = multiple(x)
            return number, n.transpose(array)
    return one, expr


def positive(expr: Expr) -> bool:
    """Return whether a number is known to be above 0, and not merely no less."""
    match expr:
        case Constant(value=value):
            return value > 0
        case nodes.Param(domain=Domain(low=low, low_open=above)):
            return low > 0 or (low == 0 and above)
        case Apply(function=f) if f == EXP:
            return True
        case n.Mul(left=x, right=y):
            return positive(x) and positive(y)
        case n.Add(left=x, right=y):
            ends = (x, y), (y, x)
            return any(positive(a) and (positive(b) or b.facts.nonnegative) for a, b in ends)
        case Pow(base=x):
            return positive(x)
    return expr.facts.low > 0
