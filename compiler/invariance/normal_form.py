"""Normal forms: two expressions with equal forms have equal values, however they were written.

Norms are replaced by their definitions, sums and products are sorted, chains of matrix products are
flat with their numbers in front, transposes are pushed inwards, and the states of a recursion are
ordered by shape.
"""

from __future__ import annotations

import functools

from normdsl.compiler.invariance.forms import Form, by_digest, flipped, joined
from normdsl.compiler.invariance.pushing import pushed
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import After, Carry, Recursion, State, free_carries
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.structure import content_fields, fingerprint
from normdsl.expressions.traversal import Pass
from normdsl.norms.base import NormOperation
from normdsl.norms.iterated import Iterated


def normal_form(expr: Expr) -> Form:
    """Return the normal form of an expression."""
    return Normal({})(expr)


class Normal(Pass[Form]):
    """Computes normal forms; `places` are the positions of the states of enclosing recursions."""

    def __init__(self, places: dict[Carry, int]) -> None:
        super().__init__()
        self._places = places

    def _visit(self, expr: Expr) -> Form:
        match expr:
            case NormOperation():
                return self(expr.definition)
            case State():
                return self._state(expr)
            case Carry():
                place = (expr.level, self._places.get(expr, expr.index), str(expr.dims))
                return Form("Carry", (), place, expr.facts.symmetric, expr.shape == SCALAR)
            case n.Add() | n.Mul() | nodes.Maximum():
                return joined(type(expr).__name__, map(self, expr.children))
            case n.MatMul():
                return chain(self(expr.left), self(expr.right))
            case n.Transpose(arg=x):
                return _chained(flipped(self(x)))
            case nodes.Inner(left=x, right=y) if expr.whole:
                return _inner(self(x), self(y))
            case nodes.Inner(left=x, right=y):
                product = joined("Mul", (self(x), self(y)))
                return reduced(nodes.Reducer.SUM, product, expr.over_rows, expr.over_cols)
            case nodes.SingularNorm(arg=x, gauge=gauge):
                return Form("SingularNorm", (_upright(self(x)),), gauge, True, True)
            case Iterated(arg=x, parts=parts, gauge=gauge, steps=steps):
                note = (tuple(sorted(map(fingerprint, parts))), gauge, steps)
                return Form("Iterated", (self(x),), note)
            case nodes.Reduce(reducer=r, arg=x):
                return reduced(r, self(x), expr.over_rows, expr.over_cols)
            case _:
                return self._plain(expr)

    def _plain(self, expr: Expr) -> Form:
        scalar = expr.shape == SCALAR
        values = (getattr(expr, name) for name in content_fields(type(expr)))
        note = tuple(v for v in values if not isinstance(v, Expr))
        parts = tuple(map(self, expr.children))
        kind = type(expr).__name__
        commutes = expr.commutes_with_transpose
        still = scalar or expr.facts.symmetric or (commutes and all(x.still for x in parts))
        return Form(kind, parts, note, still, scalar, commutes)

    def _state(self, expr: State) -> Form:
        recursion: Recursion = expr.recursion
        if isinstance(expr, After) and expr.recursion.forgetful(expr.index):
            return self(recursion.bodies[expr.index])
        shapes = [str(x.shape) for x in recursion.inits]
        order = sorted(_needed(recursion, expr.index), key=shapes.__getitem__)
        carries = {recursion.carry(i): k for k, i in enumerate(order)}
        inner = type(self)({**self._places, **carries})
        parts = [self(recursion.inits[i]) for i in order]
        parts += [inner(recursion.bodies[i]) for i in order]
        note = (type(expr).__name__, recursion.level, order.index(expr.index))
        scalar = expr.shape == SCALAR
        return Form("State", tuple(parts), note, scalar or expr.facts.symmetric, scalar)


def _needed(recursion: Recursion, index: int) -> list[int]:
    """Return the states that the new value of one of them depends on, itself included."""
    carries = {recursion.carry(i): i for i in range(len(recursion.inits))}
    found, stack = {index}, [index]
    while stack:
        read = {carries[c] for c in free_carries(recursion.bodies[stack.pop()]) if c in carries}
        stack += read - found
        found |= read
    return sorted(found)


def chain(left: Form, right: Form) -> Form:
    """Return a matrix product: one flat chain, its numbers in front."""
    numbers: list[Form] = []
    factors: list[Form] = []
    for side in (left, right):
        parts = side.parts if side.kind == "Mul" else (side,)
        numbers += [x for x in parts if x.scalar]
        arrays = [x for x in parts if not x.scalar]
        array = arrays[0] if len(arrays) == 1 else joined("Mul", arrays)
        factors += array.parts if array.kind == "MatMul" else [array]
    factors = [x for x in factors if x.kind != "Eye"] or factors[:1]
    if len(factors) == 1:
        return joined("Mul", [*numbers, factors[0]]) if numbers else factors[0]
    factors = pushed(factors)
    mirrored = [flipped(x) for x in reversed(factors)]
    product = Form("MatMul", tuple(factors), None, mirrored == factors)
    return joined("Mul", [*numbers, product]) if numbers else product


def _chained(form: Form) -> Form:
    """Return a form in whose products functions of X Xᵀ are moved as in one that was written so."""
    if form.kind == "Mul":
        return joined("Mul", map(_chained, form.parts))
    return functools.reduce(chain, form.parts) if form.kind == "MatMul" else form


def _upright(form: Form) -> Form:
    """Return a form or its transpose, whichever comes first."""
    return min(form, flipped(form), key=by_digest)


def _inner(x: Form, y: Form) -> Form:
    pairs = [sorted(pair, key=by_digest) for pair in ((x, y), (flipped(x), flipped(y)))]
    first = min(pairs, key=lambda pair: [p.digest for p in pair])
    return Form("Inner", tuple(first), None, True, True)


def reduced(reducer: nodes.Reducer, x: Form, rows: bool, cols: bool) -> Form:
    """Return a sum or maximum over axes."""
    upright = _upright(x)
    if rows and cols:
        return Form("Reduce", (upright,), (reducer.value, True, True), True, True)
    if upright == x:
        return Form("Reduce", (x,), (reducer.value, rows, cols))
    return Form("Transpose", (Form("Reduce", (upright,), (reducer.value, cols, rows)),))


def occurring(form: Form) -> set[Form]:
    """Return all parts of a form, itself included."""
    found: set[Form] = set()
    stack = [form]
    while stack:
        top = stack.pop()
        if top not in found:
            found.add(top)
            stack.extend(top.parts)
    return found
