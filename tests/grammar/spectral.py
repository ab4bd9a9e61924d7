"""Matrix functions: products, powers, polar factors, eigenbases, norms of singular values."""

import operator
from collections.abc import Callable

import normdsl as nd
from grammar.core import (
    BETA,
    EPS,
    Loop,
    P,
    flipped,
    leaves,
    left,
    linear,
    loops,
    make,
    matrix,
    positive,
    psd_left,
    psd_right,
    psd_stack,
    right,
    same,
    scalar,
    signed,
    stack,
    thin,
    thin_right,
    zeros,
)
from grammar.leaves import (
    COMPOSED_NORMS,
    ITERATED,
    LEAVES,
    ROTATED_NORMS,
    joined,
    multiplied,
    one_sided,
    stacked,
    two_sided,
    unit,
)
from normdsl import G, W
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr

SQUARE = (left, right)
FORMS = (psd_left, psd_right)
TWO_SIDED = (matrix, psd_left, psd_right)


def in_eigenbasis(f: Callable[[Expr], Expr]) -> Callable[[Expr, Expr, Expr], Expr]:
    """Return X ↦ Q_L f(Q_Lᵀ X Q_R) Q_Rᵀ with the eigenbases of two forms."""

    def apply(x: Expr, over: Expr, under: Expr) -> Expr:
        q, r = nd.eigenbasis(over), nd.eigenbasis(under)
        return q @ f(q.T @ x @ r) @ r.T

    return apply


def adaptive(x: Expr) -> Expr:
    """x / √(average of x²)."""
    return x / nd.sqrt(nd.ema(x * x, BETA))


def rotated(x: Expr, over: Expr, under: Expr, weights: Expr) -> Expr:
    """Return the LMO of ‖D ∘ Q_Lᵀ X Q_R‖∞ at x."""
    bases = (nd.eigenbasis(over), nd.eigenbasis(under))
    return nd.preconditioned(nd.max_entry, rotate=bases, hadamard=nd.sqrt(weights)).lmo(x)


def turned(norm: nd.Norm) -> Callable[[Expr, Expr, Expr], Expr]:
    """Return (x, l, r) ↦ the LMO at x of a norm in bases of this step and of the one before."""

    def lmo(x: Expr, over: Expr, under: Expr) -> Expr:
        q, p = nd.eigenbasis(over), nd.eigenbasis(under)
        bases = (nd.prev(q, init=nd.eye_like(q)), -(p.T @ p) @ p)
        return nd.preconditioned(norm, rotate=bases).lmo(x)

    return lmo


def outside(x: Expr, over: Expr, under: Expr) -> Expr:
    """Q sign(X) Pᵀ with the eigenbases of two forms."""
    bases = (nd.eigenbasis(over), nd.eigenbasis(under))
    return nd.outer_only(nd.max_entry, rotate=bases).lmo(x)


def mirrored(f: Callable[[Expr], Expr]) -> Callable[[Expr, Expr], Expr]:
    """Return (x, y) ↦ f(y yᵀ) x f(yᵀ y): two sides that play the same part."""
    return lambda x, y: f(y @ y.T) @ x @ f(y.T @ y)


def spanned(x: Expr) -> Expr:
    """Leading singular vectors, of what has distinct singular values where x is an LMO of G."""
    return nd.top_singular(x @ G.T @ G, 2)


def in_subspace(f: Callable[[Expr], Expr]) -> Callable[[Expr, Expr], Expr]:
    """Return (x, y) ↦ P f(Pᵀ x) with the leading singular vectors of y."""

    def apply(x: Expr, of: Expr) -> Expr:
        basis = spanned(of)
        return basis @ f(basis.T @ x)

    return apply


SPECTRAL = [
    *LEAVES,
    *linear(matrix, left, right, scalar, positive(scalar), *FORMS),
    *signed(matrix, left, right, scalar),
    *same((matrix, left), nd.polar),
    *same(SQUARE, nd.inverse, lambda x: x.T, lambda x: x @ x),
    *same(FORMS, nd.inverse, *(lambda x, e=e: nd.matrix_power(x, e) for e in (0.5, -0.5, -P))),
    *same(FORMS, lambda x: nd.matrix_power(x, -0.25), lambda x: x + EPS * nd.eye_like(x)),
    *same(FORMS, lambda x: nd.accumulate(x, EPS * nd.eye_like(x))),
    *(make(s, lambda x: x, psd) for s, psd in zip(SQUARE, FORMS, strict=True)),
    *(make(s, nd.eigenbasis, psd) for s, psd in zip(SQUARE, FORMS, strict=True)),
    *(make(s, nd.cholesky, psd) for s, psd in zip(SQUARE, FORMS, strict=True)),
    *(make(s, operator.mul, scalar, s) for s in (matrix, left, right, scalar)),
    *(make(s, operator.truediv, s, positive(scalar)) for s in (matrix, left, right, *FORMS)),
    *(make(matrix, unit, matrix) for _ in range(3)),
    make(matrix, operator.matmul, left, matrix),
    make(matrix, operator.matmul, matrix, right),
    make(matrix, lambda x, y, z: x @ y.T @ z, matrix, matrix, matrix),
    make(left, lambda x, y: x @ y.T, matrix, matrix),
    make(right, lambda x, y: x.T @ y, matrix, matrix),
    make(flipped, lambda x: x.T, matrix),
    make(matrix, lambda x: x.T, flipped),
    make(psd_left, lambda x: x @ x.T, matrix),
    make(psd_right, lambda x: x.T @ x, matrix),
    make(psd_left, lambda x, r: x @ r @ x.T, matrix, psd_right),
    make(psd_right, lambda x, s: x.T @ s @ x, matrix, psd_left),
    *(make(scalar, nd.inner, s, s) for s in (matrix, left)),
    make(positive(scalar), nd.abs, scalar),
    make(positive(scalar), lambda x: nd.sqrt(nd.inner(x, x)), matrix),
    *same((positive(scalar),), nd.sqrt, lambda x: x**P, nd.reciprocal, lambda x: x + EPS),
    make(scalar, lambda x: x, positive(scalar)),
    *(make(positive(scalar), f, matrix) for n in ROTATED_NORMS for f in (n.value, n.dual)),
    make(positive(scalar), lambda x: nodes.SingularNorm(x, nd.lp(3)), matrix),
    make(matrix, lambda x: nodes.SingularLmo(x, nd.lp(3)), matrix),
    make(matrix, ITERATED.lmo, matrix),
    make(matrix, lambda x: ITERATED.lmo(x).definition, matrix),
    *(make(matrix, f, matrix) for n in COMPOSED_NORMS for f in (n.lmo, n.sharp)),
    make(positive(scalar), lambda x: nd.sum(x, over="layers"), positive(scalar)),
    *(make(matrix, f, matrix) for n in ROTATED_NORMS for f in (n.lmo, n.sharp)),
    *(make(matrix, two_sided(n, e), *TWO_SIDED) for n in ROTATED_NORMS for e in (0.5, 0.25)),
    *(make(matrix, one_sided(n), matrix, psd_left) for n in ROTATED_NORMS),
    *(make(matrix, in_eigenbasis(f), *TWO_SIDED) for f in (nd.sign, nd.tanh, adaptive)),
    make(matrix, rotated, *TWO_SIDED, positive(matrix)),
    make(matrix, outside, *TWO_SIDED),
    *(make(matrix, turned(n), *TWO_SIDED) for n in (nd.spectral, nd.max_entry)),
    *(make(matrix, f(n), scalar, matrix) for n in ROTATED_NORMS for f in (multiplied, stacked)),
    make(matrix, joined(nd.spectral, nd.schatten(3)), scalar, matrix),
    *(
        make(matrix, mirrored(f), matrix, matrix)
        for f in (
            lambda s: nd.matrix_power(s, -0.25),
            lambda s: nd.matrix_power(nd.ema(s, BETA), -P),
            lambda s: nd.inverse(nd.accumulate(s, EPS * nd.eye_like(s))),
            lambda s: s + nd.eye_like(s),
        )
    ),
    *same(SQUARE, nd.triu),
    *(make(positive(scalar), lambda x: nd.max(nd.eigenvalues(x)), psd) for psd in FORMS),
    make(matrix, lambda x, s: nd.diag(nd.eigenvalues(s)) @ x, matrix, psd_left),
    make(matrix, lambda x, s: x @ nd.diag(nd.diagonal(s)), matrix, psd_right),
    make(left, lambda s: nd.eigenbasis(s) @ nd.diag(nd.sqrt(nd.eigenvalues(s))), psd_left),
    *leaves(stack, nd.vec(G)),
    *leaves(psd_stack, nd.vec(G) @ nd.vec(G).T),
    make(matrix, nd.unvec, stack),
    make(stack, nd.vec, matrix),
    make(stack, operator.matmul, psd_stack, stack),
    make(psd_stack, lambda x: x @ x.T, stack),
    *same(
        (psd_stack,),
        lambda x: nd.accumulate(x, EPS * nd.eye_like(x)),
        *(lambda x, e=e: nd.matrix_power(x, e) for e in (0.5, -0.5)),
    ),
    *same((thin, thin_right), nd.qr),
    make(thin, operator.matmul, matrix, thin_right),
    make(thin_right, lambda x, y: x.T @ y, matrix, thin),
    make(thin, spanned, matrix),
    make(thin, lambda x: nd.selection(nd.sum(nd.abs(x), over="cols"), 2), matrix),
    make(matrix, lambda x: x @ nd.dct_basis(nd.cols), matrix),
    make(matrix, lambda x, y: x @ y.T, thin, thin_right),
    make(matrix, lambda p, x: p @ p.T @ x, thin, matrix),
    *(make(matrix, in_subspace(f), matrix, matrix) for f in (nd.sign, adaptive)),
    Loop(thin_right, (nd.qr(W.T @ nd.top_singular(W, 2)),), (thin_right,), fed=False),
    *loops(matrix, left, psd_left),
    Loop(psd_left, (nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)), (psd_left, psd_right)),
    Loop(matrix, (zeros(matrix), zeros(scalar)), (matrix, positive(scalar))),
    Loop(psd_left, (W @ W.T,), (psd_left,)),
]
