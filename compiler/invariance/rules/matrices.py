"""Typing rules of matrix operations: products, inverses, roots, polar factors, eigenvectors."""

from __future__ import annotations

import attrs
import sympy

from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.coefficients import coefficient, tidy
from normdsl.compiler.invariance.conditions import NONE, Assumption, Conditions, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.initial_values import starts_constant
from normdsl.compiler.invariance.laws import (
    ANY,
    ANYTHING,
    FIXED,
    INVARIANT,
    ZERO,
    Law,
    frame,
    moved,
    words,
)
from normdsl.compiler.invariance.rules.base import Laws, Outcome, require_still, rule, within
from normdsl.compiler.invariance.unit_equations import equal
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.matrix_classes import ORTHOGONAL, SIGNS, TRIVIAL, Isometries

HALF = sympy.Rational(1, 2)
#: What every function of singular values or eigenvalues commutes with.
SPECTRAL = Isometries(ORTHOGONAL, ORTHOGONAL, TRIVIAL)


@rule.register
def _matmul(node: n.MatMul, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    plain = [index_rules.within(law.entries, TRIVIAL, "a matrix product")[1] for law in laws]
    conditions = index_rules.contract(x.cols, y.rows).union(*plain)
    unit = None if x.unit is None or y.unit is None else tidy(x.unit + y.unit)
    return [Outcome(Law(x.rows, y.cols, FIXED, unit), "a legal contraction", conditions)]


@rule.register
def _transpose(node: n.Transpose, laws: Laws, group: Group) -> list[Outcome]:
    return [Outcome(laws[0].transposed, "a transpose exchanges the indices")]


@rule.register
def _inverse(node: nodes.Inverse, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    law = Law(x.cols.dual, x.rows.dual, FIXED, None if x.unit is None else -x.unit)
    return [Outcome(law, "(P x Qᵀ)⁻¹ = Q⁻ᵀ x⁻¹ P⁻¹", _full_rank(node.arg, x))]


def _full_rank(arg: Expr, law: Law) -> Conditions:
    """Return the assumption that a pseudo-inverse is an inverse, where that matters."""
    rotated = all(ix.cls <= ORTHOGONAL for ix in (law.rows, law.cols))
    return NONE if rotated else frozenset({Assumption(Kind.FULL_RANK, arg)})


@rule.register
def _matrix_power(node: nodes.MatrixPower, laws: Laws, group: Group) -> list[Outcome]:
    x, power = laws
    if power not in (INVARIANT, ANYTHING):
        raise Refusal(f"the exponent itself moves: {power}")
    p = coefficient(node.exponent)
    if x == ANYTHING and p.is_nonzero:
        return [Outcome(ANYTHING, "a power of zero")]
    if x == ANYTHING:
        return [Outcome(INVARIANT, "a power of zero is zero or, if it is the power 0, I")]
    if x.rows != x.cols:
        raise Refusal(f"a symmetric root needs the law P S Pᵀ, and its argument is {moved(x)}")
    unit = None if x.unit is None else tidy(x.unit * p)
    if x.rows.cls <= ORTHOGONAL:
        return [Outcome(Law(x.rows, x.cols, FIXED, unit), "(P S Pᵀ)^p = P S^p Pᵀ, P orthogonal")]
    return _congruence_power(node, x, p, unit)


def _congruence_power(
    node: nodes.MatrixPower, x: Law, p: sympy.Expr, unit: sympy.Expr | None
) -> list[Outcome]:
    """Type a power of P S Pᵀ with P not orthogonal: p = ±1, or a square root and its frame."""
    rank = _full_rank(node.arg, x)
    found = []
    for value in (sympy.Integer(1), sympy.Integer(-1), HALF, -HALF):
        conditions = equal(p, value)
        if conditions is None:
            continue
        side = x.rows if value > 0 else x.rows.dual
        needed = conditions | (rank if value < 0 else NONE)
        if abs(value) == 1:
            why = "a power ±1 of P S Pᵀ is one of S, moved by P or P⁻ᵀ"
            found.append(Outcome(Law(side, side, FIXED, unit), why, needed))
        else:
            free = frame(node.arg, "frame")
            why = "a square root of P S Pᵀ is P S^½ up to a rotation"
            found.append(Outcome(Law(side, free, FIXED, unit), why, needed))
            found.append(Outcome(Law(free, side, FIXED, unit), why, needed))
    if not found:
        raise Refusal(
            f"its rows and columns are both {words(x.rows)}, and then the power {p} moves in no "
            "simple way; only the powers ±½ and ±1 do"
        )
    return found


@rule.register
def _cholesky(node: nodes.Cholesky, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "the root of zero")]
    if x.rows != x.cols:
        raise Refusal(f"a Cholesky factor needs the law P S Pᵀ, and its argument is {moved(x)}")
    unit = None if x.unit is None else sympy.expand(x.unit * HALF)
    if x.rows == FIXED:
        return [Outcome(Law(unit=unit), "a function of what does not move, up to a multiple")]
    rank: Conditions = frozenset({Assumption(Kind.FULL_RANK, node.arg)})
    if x.rows.cls.diagonal:
        free = x.rows if x.rows.cls.signed else FIXED
        why = "a diagonal keeps a triangle" + (", up to signs" if x.rows.cls.signed else "")
        return [Outcome(Law(x.rows, free, FIXED, unit), why, rank)]
    why = "a Cholesky factor of P S Pᵀ is P C up to a rotation"
    return [Outcome(Law(x.rows, frame(node, "frame"), FIXED, unit), why, rank)]


@rule.register
def _polar(node: nodes.Polar, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "the polar factor of zero")]
    x, conditions = within(x, SPECTRAL, "a polar factor")
    why = "polar(P x Qᵀ) = P polar(x) Qᵀ, P and Q orthogonal"
    return [Outcome(attrs.evolve(x, unit=ZERO), why, conditions)]


@rule.register
def _eigenbasis(node: nodes.Eigenbasis, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == INVARIANT:
        return [Outcome(INVARIANT, "a function of what does not move")]
    distinct: Conditions = frozenset({Assumption(Kind.DISTINCT, node.arg)})
    if x.rows == x.cols == FIXED:
        return [Outcome(INVARIANT, "a multiple has the same eigenvectors", distinct)]
    if x.rows != x.cols:
        raise Refusal(f"an eigenbasis needs the law P S Pᵀ, and its argument is {moved(x)}")
    x, conditions = within(x, SPECTRAL, "an eigenbasis")
    if starts_constant(node.arg):
        raise Refusal("its argument starts as a constant, whose eigenvectors do not move")
    signs = frame(node.arg, "signs", SIGNS)
    why = "eigenvectors turn with P, up to sign"
    return [Outcome(Law(x.rows, signs), why, conditions | distinct)]


@rule.register
def _eigenvalues(node: nodes.Eigenvalues, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "the eigenvalues of zero")]
    if x.rows != x.cols:
        raise Refusal(f"eigenvalues need the law P S Pᵀ, and its argument is {moved(x)}")
    x, conditions = within(x, SPECTRAL, "a function of eigenvalues")
    return [Outcome(Law(unit=x.unit), "P S Pᵀ has the eigenvalues of S", conditions)]


@rule.register
def _upper_triangle(node: nodes.UpperTriangle, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == ANYTHING:
        return [Outcome(ANYTHING, "a triangle of zeros")]
    if not all(ix is ANY or ix == FIXED or ix.cls.diagonal for ix in (x.rows, x.cols)):
        raise Refusal(f"a triangle is kept by diagonals alone, and its argument is {moved(x)}")
    return [Outcome(x, "triu(D x E) = D triu(x) E, D and E diagonal")]


@rule.register
def _singular_lmo(node: nodes.SingularLmo, laws: Laws, group: Group) -> list[Outcome]:
    require_still(laws[1:], "the gauge")
    if laws[0] == ANYTHING:
        return [Outcome(ANYTHING, "the LMO at zero")]
    x, conditions = within(laws[0], SPECTRAL, "a function of singular values")
    why = "U f(σ) Vᵀ turns with P and Q, and f has degree 0"
    return [Outcome(attrs.evolve(x, unit=ZERO), why, conditions)]


@rule.register
def _singular_norm(node: nodes.SingularNorm, laws: Laws, group: Group) -> list[Outcome]:
    require_still(laws[1:], "the gauge")
    if laws[0] == ANYTHING:
        return [Outcome(ANYTHING, "the norm of zero")]
    x, conditions = within(laws[0], SPECTRAL, "a norm of singular values")
    return [Outcome(Law(unit=x.unit), "singular values ignore rotations", conditions)]
