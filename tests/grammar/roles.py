"""Grammars whose kinds are roles, so that most of what they make is invariant."""

import operator
from collections.abc import Callable

import normdsl as nd
from grammar.core import (
    EPS,
    Loop,
    P,
    dual,
    leaves,
    left,
    linear,
    make,
    metric_left,
    metric_right,
    number,
    primal,
    same,
    second,
    signed,
    still,
    zeros,
)
from grammar.leaves import (
    NORMS,
    ROTATED_NORMS,
    first,
    multiplied,
    one_sided,
    stacked,
    two_sided,
    weighted,
)
from normdsl import G, W
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr

TWO_SIDED = (dual, metric_left, metric_right)


def coupled(norm: nd.Norm) -> Callable[[Expr], Expr]:
    """Return x ↦ the LMO of ‖L^½ X R^½‖ at x, with L and R each estimated in the other's metric."""

    def lmo(x: Expr) -> Expr:
        left, right = nd.fix(
            lambda s, r: (s + x @ nd.inverse(r) @ x.T, r + x.T @ nd.inverse(s) @ x),
            (nd.eye_like(x @ x.T), nd.eye_like(x.T @ x)),
        )
        return two_sided(norm)(x, left, right)

    return lmo


def times(norm: nd.Norm) -> Callable[[Expr, Expr, Expr, Expr], Expr]:
    """Return (c, x, l, r) ↦ the LMO of |c| ‖l^½ X r^½‖ at x."""
    return lambda c, x, over, under: two_sided(nd.abs(c) * norm)(x, over, under)


def natural(x: Expr, y: Expr) -> Expr:
    """Return what a metric of all entries, gathered from x, makes of y."""
    column = nd.vec(x)
    metric = nd.accumulate(column @ column.T, nd.eye_like(column @ column.T))
    return nd.unvec(nd.inverse(metric) @ nd.vec(y))


def by_cholesky(x: Expr, over: Expr) -> Expr:
    """C⁻ᵀ polar(C⁻¹ x) with C Cᵀ the form."""
    root = nd.inverse(nd.cholesky(over))
    return root.T @ nd.polar(root @ x)


def scaled(x: Expr, squares: Expr) -> Expr:
    """Return the sharp operator of ‖v^½ ∘ X‖₂ at x."""
    return nd.preconditioned(nd.spectral, hadamard=nd.sqrt(squares)).sharp(x)


#: Kinds are roles under W = A W̃ B: contractions join a primal with a dual index.
AFFINE = [
    *leaves(primal, W),
    *leaves(dual, G),
    *leaves(number, 1, nd.loss, nd.inner(G, W), nd.t, EPS),
    *leaves(metric_left, G @ G.T),
    *leaves(metric_right, G.T @ G),
    *linear(primal, dual, number, metric_left, metric_right),
    *signed(primal, dual, number),
    *(make(s, operator.mul, number, s) for s in (primal, dual, number)),
    *same((number,), nd.tanh, nd.sign, nd.reciprocal, lambda x: x * x, nd.abs),
    *(make(s, lambda c, x, y: nd.where(c > 0, x, y), number, s, s) for s in (primal, dual)),
    make(number, nd.inner, primal, dual),
    make(number, lambda x, y: nd.inner(x, y) / nd.sqrt(nd.inner(x, y) ** 2), primal, dual),
    make(number, lambda x, y: nd.spectral.value(x @ y.T @ x @ y.T @ x), primal, dual),
    make(primal, lambda x, y, z: x @ y.T @ z, primal, dual, primal),
    make(dual, lambda x, y, z: x @ y.T @ z, dual, primal, dual),
    make(primal, lambda x, s, r: nd.inverse(s) @ x @ nd.inverse(r), *TWO_SIDED),
    make(primal, lambda s, x: nd.inverse(s) @ x, metric_left, dual),
    make(primal, lambda x, r: x @ nd.inverse(r), dual, metric_right),
    make(dual, lambda s, x, r: s @ x @ r, metric_left, primal, metric_right),
    make(metric_left, lambda x: x @ x.T, dual),
    make(metric_right, lambda x: x.T @ x, dual),
    make(metric_left, lambda x, r: x @ nd.inverse(r) @ x.T, dual, metric_right),
    make(metric_right, lambda x, s: x.T @ nd.inverse(s) @ x, dual, metric_left),
    *(make(primal, two_sided(n, e), *TWO_SIDED) for n in ROTATED_NORMS for e in (0.5, P)),
    *(make(primal, one_sided(norm), dual, metric_left) for norm in ROTATED_NORMS),
    make(primal, by_cholesky, dual, metric_left),
    make(primal, natural, dual, dual),
    *(make(primal, coupled(norm), dual) for norm in ROTATED_NORMS),
    *(make(primal, times(n), number, *TWO_SIDED) for n in ROTATED_NORMS),
    *leaves(primal, first(W)),
    Loop(primal, (zeros(primal),), (primal,)),
    Loop(primal, (W, as_expr(0)), (primal, number)),
    Loop(dual, (zeros(dual),), (dual,)),
    Loop(metric_left, (zeros(left),), (metric_left,)),
    Loop(metric_left, (nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)), (metric_left, metric_right)),
    Loop(metric_right, (nd.eye_like(G.T @ G), nd.eye_like(G @ G.T)), (metric_right, metric_left)),
]

#: Kinds are roles under W = S ∘ W̃: dimensional analysis, entry by entry.
SCALE = [
    *leaves(primal, W),
    *leaves(dual, G),
    *leaves(still, G * W, nd.sign(G)),
    *leaves(second, G * G),
    *leaves(number, 1, nd.loss, nd.inner(G, W), nd.t, EPS),
    *linear(primal, dual, still, second, number),
    *signed(primal, dual, still, number),
    *same((still, number), nd.tanh, nd.sign, nd.reciprocal, lambda x: x * x, nd.abs, nd.exp),
    *(make(s, nd.maximum, s, s) for s in (primal, dual, still, second)),
    *(make(s, lambda c, x: nd.where(c > 0, x, 3 * x), number, s) for s in (primal, dual)),
    *(
        make(s, lambda c, x: nd.where(c <= 0, x, 2 * x), c, s)
        for c, s in ((primal, dual), (dual, primal), (still, second))
    ),
    *(make(s, operator.mul, number, s) for s in (primal, dual, still, number)),
    *(make(s, operator.mul, still, s) for s in (primal, dual, still)),
    *same((primal, dual, second), nd.abs),
    make(primal, nd.reciprocal, dual),
    make(primal, lambda x, v: x * nd.reciprocal(v), dual, second),
    make(primal, lambda x, v: x / (nd.sqrt(v) + EPS), still, second),
    make(primal, lambda v: v**-0.5, second),
    make(primal, lambda x, v: x * v**-P, dual, second),
    make(dual, nd.reciprocal, primal),
    make(dual, lambda x, v: x * v, primal, second),
    make(second, lambda x: x * x, dual),
    make(second, lambda x: nd.abs(x) ** 2, dual),
    make(still, operator.mul, primal, dual),
    make(still, lambda x, v: x / nd.sqrt(v), dual, second),
    *(make(still, nd.sign, s) for s in (primal, dual)),
    *(make(still, f, still) for n in NORMS for f in (n.lmo, n.sharp)),
    *(make(still, lambda x, f=f: x / f(x), still) for f in (nd.frobenius.value, nd.spectral.dual)),
    make(number, nd.inner, primal, dual),
    *(make(number, f, still) for f in (nd.sum, nd.max, nd.spectral.value, nd.max_entry.dual)),
    *(make(primal, weighted(n, e), dual, second) for n in NORMS for e in (0.5, 0.5, P)),
    *(make(still, f(n), number, still) for n in NORMS for f in (multiplied, stacked)),
    *leaves(primal, first(W)),
    Loop(still, (zeros(still), as_expr(0)), (still, number)),
    make(primal, scaled, dual, second),
    make(primal, natural, dual, dual),
    make(still, lambda x, y: nd.unvec(nd.vec(x) * nd.vec(y)), primal, dual),
    Loop(primal, (zeros(primal),), (primal,)),
    Loop(second, (zeros(second),), (second,)),
    Loop(still, (zeros(still), zeros(second)), (still, second)),
    Loop(primal, (W,), (primal,)),
]
