"""Norms made of several norms of the same matrix, in two ways that are dual to each other.

    combined:  ‖X‖ = φ(‖X‖_1, …, ‖X‖_k)
    infimal:   ‖X‖ = min { φ(‖X_1‖_1, …, ‖X_k‖_k) : X_1 + … + X_k = X }

The dual of the φ combination is the infimal φ* combination of the dual norms, and the other way
round (Rockafellar, 1970, theorem 16.4). So the maximum of norms goes with the infimal sum.
"""

from __future__ import annotations

from functools import reduce

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.matrix_classes import Isometries, meet
from normdsl.expressions.nodes.arithmetic import add
from normdsl.norms.base import Norm
from normdsl.norms.gauges import lp
from normdsl.norms.iterated import Iterated, exponent, graph, require_steps
from normdsl.norms.vectors import Parts
from normdsl.show.notation import Notation, Piece
from normdsl.vocabulary.reductions import inner

_INFINITY = float("inf")


@attrs.frozen(repr=False)
class Combined(Norm):
    """φ(‖X‖_1, …, ‖X‖_k) with φ = ℓ∞ (maximum), ℓ1 (sum) or ℓ2; its LMO is inexact.

    The LMO has norm 1 exactly, and ⟨M, lmo(M)⟩ = −‖M‖_* up to the relative `tolerance`; what is
    computed as the dual norm is −⟨M, lmo(M)⟩.

    Args:
        parts: norms of entries or singular values, or of lengths of rows or columns, by ℓ1, ℓ2 or
            ℓ∞, or multiples of them by numbers.
        gauge: φ. steps: iterations of the LMO.

    Raises:
        DeclarationError: for other norms or gauges, fewer than two norms, or a number of steps
            that is not from 1 to 100,000.
    """

    parts: tuple[Norm, ...]
    gauge: Gauge
    steps: int = 1000

    def __attrs_post_init__(self) -> None:
        _require_several(self.parts)
        require_steps(self.steps)
        exponent(self.gauge)
        for part in self.parts:
            graph(part)

    @property
    def tolerance(self) -> float:
        return 1e-3

    @property
    def isometries(self) -> Isometries | None:
        return _shared(self.parts)

    @property
    def dual_norm(self) -> Norm:
        return Infimal(tuple(p.dual_norm for p in self.parts), self.gauge.dual)

    def define_value(self, x: Expr) -> Expr:
        return self.gauge.value(Parts(tuple(p.value(x) for p in self.parts)))

    def define_dual(self, m: Expr) -> Expr:
        return -inner(m, self.define_lmo(m))

    def define_lmo(self, m: Expr) -> Expr:
        return Iterated(m, self.parts, self.gauge, self.steps)

    def write(self, inner: Piece, n: Notation) -> Piece:
        name = {_INFINITY: "max", 1.0: "sum", 2.0: "ltwo"}[exponent(self.gauge)]
        return n.call(name, *(p.write(inner, n) for p in self.parts))


@attrs.frozen(repr=False)
class Infimal(Norm):
    """min φ(‖X_1‖_1, …, ‖X_k‖_k) over X_1 + … + X_k = X; dual and LMO in closed form.

    dual(M) = φ*(‖M‖_{1*}, …, ‖M‖_{k*}), lmo(M) = Σ a_r lmo_r(M) with a = −lmo_φ of the dual norms:
    an LMO is a subgradient of the dual norm. For φ = ℓ1 the unit ball is the convex hull of the
    balls, for φ = ℓ∞ their Minkowski sum. The value is the dual of a `Combined` norm, for parts
    that one takes, and as inexact.

    Args:
        parts: the norms. gauge: φ, an ℓp gauge.
    """

    parts: tuple[Norm, ...]
    gauge: Gauge

    def __attrs_post_init__(self) -> None:
        _require_several(self.parts)

    @property
    def isometries(self) -> Isometries | None:
        return _shared(self.parts)

    @property
    def dual_norm(self) -> Norm:
        return Combined(tuple(p.dual_norm for p in self.parts), self.gauge.dual)

    def define_value(self, x: Expr) -> Expr:
        return self.dual_norm.define_dual(x)

    def _duals(self, m: Expr) -> Parts:
        return Parts(tuple(p.dual(m) for p in self.parts))

    def define_dual(self, m: Expr) -> Expr:
        return self.gauge.dual.value(self._duals(m))

    def define_lmo(self, m: Expr) -> Expr:
        duals = self._duals(m)
        shares = duals.map(self.gauge.lmo(duals))
        return reduce(add, (-(a * p.lmo(m)) for a, p in zip(shares, self.parts, strict=True)))

    def write(self, inner: Piece, n: Notation) -> Piece:
        name = {"∞": "infmax", "1": "infsum"}.get(str(self.gauge), f"inf{self.gauge}")
        return n.call(name, *(p.write(inner, n) for p in self.parts))


def _require_several(parts: tuple[Norm, ...]) -> None:
    if len(parts) < 2 or not all(isinstance(p, Norm) for p in parts):
        raise DeclarationError(
            f"combine {len(parts)} norms",
            why="a combination has two norms or more",
            hint="use nd.max_of(nd.spectral, 2 * nd.max_entry)",
        )


def _shared(parts: tuple[Norm, ...]) -> Isometries | None:
    """Return the isometries that all norms share; None if those of one depend on values."""
    known = [p.isometries for p in parts]
    return None if None in known else reduce(meet, (k for k in known if k is not None))


def max_of(*norms: Norm) -> Combined:
    """Return the largest of several norms; its unit ball is the intersection of theirs.

    Example:
        >>> import normdsl as nd
        >>> print(nd.max_of(nd.spectral, 2 * nd.max_entry))
        max(‖X‖₂, 2 ‖X‖∞)
    """
    return Combined(norms, lp(_INFINITY))


def sum_of(*norms: Norm) -> Combined:
    """Return the sum of several norms, ‖X‖_1 + … + ‖X‖_k.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sum_of(nd.nuclear, nd.frobenius))
        sum(‖X‖_*, ‖X‖_F)
    """
    return Combined(norms, lp(1))


def l2_of(*norms: Norm) -> Combined:
    """Return the Euclidean length of several norms, (‖X‖_1² + … + ‖X‖_k²)^½.

    Example:
        >>> import normdsl as nd
        >>> print(nd.l2_of(nd.nuclear, nd.frobenius))
        ltwo(‖X‖_*, ‖X‖_F)
    """
    return Combined(norms, lp(2))


def infimal(*norms: Norm, by: Gauge | None = None) -> Infimal:
    """Return the norm of the cheapest split of X into parts, each measured by a norm of its own.

    ‖X‖ = min φ(‖X_1‖_1, …, ‖X_k‖_k) over X_1 + … + X_k = X, with φ = `by`, an ℓp gauge (default
    ℓ1): the infimal convolution of the norms, whose dual is the φ* combination of their duals.
    With by=nd.lp(float("inf")) the dual is the sum of the duals and the LMO the sum of the LMOs:
    `nd.infimal(a_1 * N_1, a_2 * N_2, by=…)` blends geometries without an inner problem.

    Example:
        >>> import normdsl as nd
        >>> norm = nd.infimal(nd.spectral, nd.max_entry)
        >>> print(norm.dual_norm)
        max(‖X‖_*, ‖X‖_ℓ1)
    """
    return Infimal(norms, lp(1) if by is None else by)
