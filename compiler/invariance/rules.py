"""One typing rule per node: from the laws of its arguments to its own, or a refusal.

A rule returns every law that it can prove, each with the conditions it needs; a node without a rule
is an error, never a pass. `State` nodes are typed by induction, in `induction`; where weights are
transposed, every node is typed by its mirror image, in `mirror`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import attrs
import sympy

from normdsl import expr as e
from normdsl import nodes
from normdsl.classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    SIGNED_PERMUTATION,
    SIGNS,
    TRIVIAL,
    Isometries,
)
from normdsl.compiler.invariance import indices
from normdsl.compiler.invariance.conditions import (
    NONE,
    Assumption,
    Conditions,
    Kind,
)
from normdsl.compiler.invariance.exponents import equal, to_sympy
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.indices import Refusal
from normdsl.compiler.invariance.laws import (
    ANY,
    ANYTHING,
    FIXED,
    INVARIANT,
    ZERO,
    Index,
    Law,
    frame,
    words,
)
from normdsl.expr import Expr
from normdsl.graph import walk
from normdsl.norms.base import Dual, Lmo, NormOperation, Sharp, Value
from normdsl.recursion import Carry, State
from normdsl.shapes import MATRIX, SCALAR, Dim


@attrs.frozen
class Outcome:
    """A law a rule proves, the conditions it needs, and the rule's name in the proof."""

    law: Law
    why: str
    conditions: Conditions = NONE


Laws = Sequence[Law]
HALF = sympy.Rational(1, 2)
#: What every function of singular values or eigenvalues commutes with.
SPECTRAL = Isometries(ORTHOGONAL, ORTHOGONAL, TRIVIAL)


def outcomes(node: Expr, laws: Laws, group: Group) -> list[Outcome]:
    """Apply the rule of a node; only linear operations and maxima take shifted arguments.

    Raises:
        Refusal: if nothing is proved.
    """
    if not group.shift or isinstance(node, e.Add | e.Mul | e.Transpose | nodes.Maximum):
        return rule(node, laws, group)
    still = [_unshifted(law, "the operation") for law in laws]
    proved = rule(node, [law for law, _ in still], group)
    needed = NONE.union(*(c for _, c in still))
    return [attrs.evolve(o, conditions=o.conditions | needed) for o in proved]


def _unshifted(law: Law, what: str) -> tuple[Law, Conditions]:
    """Require that a law has no shift, if need be under conditions."""
    conditions = equal(law.offset, ZERO)
    if conditions is None:
        raise Refusal(f"{what} does not commute with the shift by T that its argument carries")
    return attrs.evolve(law, offset=ZERO), conditions


@singledispatch
def rule(node: Expr, laws: Laws, group: Group) -> list[Outcome]:
    """Return what is proved of `node` when its arguments have `laws`.

    Raises:
        Refusal: if nothing is.
        TypeError: if the node has no rule.
    """
    raise TypeError(f"no typing rule for the node {type(node).__name__}")


@rule.register
def _constant(node: e.Constant, laws: Laws, group: Group) -> list[Outcome]:
    if node.value == 0:
        return [Outcome(ANYTHING, "zero moves by every law")]
    if node.shape == SCALAR:
        return [Outcome(INVARIANT, "a number has no unit")]
    found = [Outcome(INVARIANT, "a constant array does not move")]
    if any(a.cls <= SIGNED_PERMUTATION for a in group.actions):
        w = group.weights
        rows, cols, entries = (
            indices.unsigned(ix) if ix.cls <= SIGNED_PERMUTATION else FIXED
            for ix in (_acting(w, node.shape.rows), _acting(w, node.shape.cols), w.entries)
        )
        found.append(Outcome(Law(rows, cols, entries), "equal entries survive permutation"))
    return found


def _acting(weights: Law, dim: Dim) -> Index:
    """Return what acts on an axis of length m or n."""
    return {Dim.M: weights.rows, Dim.N: weights.cols, Dim.ONE: FIXED}[dim]


@rule.register
def _param(node: nodes.Param, laws: Laws, group: Group) -> list[Outcome]:
    if not node.domain.loss_unit or not group.loss_unit or group.each_step:
        return [Outcome(INVARIANT, "a hyper-parameter has no unit")]
    same: Conditions = frozenset({Assumption(Kind.SAME, node)})
    along: Conditions = frozenset({Assumption(Kind.FLOOR, node)})
    moves = Law(unit=sympy.Integer(group.loss_unit))
    return [
        Outcome(INVARIANT, "the same value in both runs", same),
        Outcome(moves, "a value of the loss has its unit", along),
    ]


@rule.register
def _draw(node: nodes.Draw, laws: Laws, group: Group) -> list[Outcome]:
    """Type random numbers: the same in both runs, or moved where their distribution allows it."""
    w = group.weights
    rows, cols = _acting(w, node.shape.rows), _acting(w, node.shape.cols)
    entries = w.entries if node.shape == MATRIX else FIXED
    if rows == cols == entries == FIXED:
        return [Outcome(INVARIANT, "the same draw in both runs")]
    same: Conditions = frozenset({Assumption(Kind.SAME, node)})
    moved: Conditions = frozenset({Assumption(Kind.MOVED_DRAW, node)})
    found = [Outcome(INVARIANT, "the same draw in both runs", same)]
    normal = node.distribution is nodes.Distribution.NORMAL
    largest = ORTHOGONAL if normal else SIGNED_PERMUTATION
    if rows.cls <= largest and cols.cls <= largest and entries.cls <= SIGNED_PERMUTATION:
        found.append(Outcome(Law(rows, cols, entries), "its distribution does not move", moved))
    return found


@rule.register
def _stream(node: nodes.Stream, laws: Laws, group: Group) -> list[Outcome]:
    law = group.law(node.source)
    if law is None:
        raise Refusal(f"the {node.source.value} goes through an unknown function at every step")
    return [Outcome(law, f"how {node.source.value} moves in this group")]


@rule.register
def _eye(node: nodes.Eye, laws: Laws, group: Group) -> list[Outcome]:
    acting = _acting(group.weights, node.dim)
    found = [Outcome(INVARIANT, "the identity does not move")]
    if acting != FIXED:
        pairs = {(acting, acting.dual), (acting.dual, acting)}
        found += [Outcome(Law(p, q), "P I P⁻¹ = I") for p, q in sorted(pairs, key=str)]
    return found


@rule.register
def _add(node: e.Add, laws: Laws, group: Group) -> list[Outcome]:
    if e.negated(node.right) == node.left or e.negated(node.left) == node.right:
        return [Outcome(ANYTHING, "x − x is zero")]
    law, conditions = _joined(node, laws)
    shift = sympy.expand(laws[0].offset + laws[1].offset)
    return [Outcome(attrs.evolve(law, offset=shift), "a sum of terms that move alike", conditions)]


@rule.register
def _maximum(node: nodes.Maximum, laws: Laws, group: Group) -> list[Outcome]:
    law, conditions = _joined(node, laws)
    for ix in (law.rows, law.cols, law.entries):
        if ix is not ANY and (not ix.cls.monomial or ix.cls.signed):
            raise Refusal(f"it compares entries, but its arguments are {words(ix)}")
    shifted = equal(laws[0].offset, laws[1].offset)
    if shifted is None:
        raise Refusal("it compares two terms that are shifted differently")
    law = attrs.evolve(law, offset=laws[0].offset)
    return [Outcome(law, "a maximum of terms that move alike", conditions | shifted)]


def _joined(node: e.Add | nodes.Maximum, laws: Laws) -> tuple[Law, Conditions]:
    """Return the common law of two terms that are joined entry by entry."""
    x, y = laws
    if ANYTHING in (x, y):
        return (y if x == ANYTHING else x), NONE
    spread = _spread(node.left, node.right)
    rows, one = indices.same(x.rows, y.rows, *spread[0])
    cols, two = indices.same(x.cols, y.cols, *spread[1])
    entries, three = indices.same(x.entries, y.entries, *spread[2])
    four = equal(x.unit, y.unit)
    if four is None:
        raise Refusal(f"it joins a term that is {_scaled(x)} with one that is {_scaled(y)}")
    unit = y.unit if x.unit is None or x.unit.free_symbols else x.unit
    return Law(rows, cols, entries, unit), one | two | three | four


def _scaled(law: Law) -> str:
    """Return what the scalar unit does to a value, in words."""
    if law.unit in (ZERO, None):
        return "left alone"
    return "multiplied by c" + ("" if law.unit == 1 else f"^({law.unit})")


def _spread(x: Expr, y: Expr) -> list[tuple[bool, bool]]:
    """Return, for rows, columns and entries, which of x and y is broadcast along it."""
    pairs = [(x.shape.rows, y.shape.rows), (x.shape.cols, y.shape.cols)]
    axes = [
        (a is Dim.ONE and b is not Dim.ONE, b is Dim.ONE and a is not Dim.ONE) for a, b in pairs
    ]
    scalar = (x.shape == SCALAR != y.shape, y.shape == SCALAR != x.shape)
    return [*axes, scalar]


@rule.register
def _mul(node: e.Mul, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    spread = _spread(node.left, node.right)
    rows = indices.product(x.rows, y.rows, *spread[0])
    cols = indices.product(x.cols, y.cols, *spread[1])
    entries = indices.product(x.entries, y.entries, *spread[2])
    unit = None if x.unit is None or y.unit is None else sympy.expand(x.unit + y.unit)
    scalar = SCALAR in (node.left.shape, node.right.shape)
    why = "a multiple by a number" if scalar else "a product adds exponents"
    shift, conditions = _shift_of_product(node, x, y)
    return [Outcome(Law(rows, cols, entries, unit, shift), why, conditions)]


def _shift_of_product(node: e.Mul, x: Law, y: Law) -> tuple[sympy.Expr, Conditions]:
    """Return the shift of a product: only a multiple by a known number carries one over."""
    if x.offset == y.offset == ZERO:
        return ZERO, NONE
    for factor, own, other in ((node.left, x, y), (node.right, y, x)):
        number = to_sympy(factor)
        if number is not None and own.offset == ZERO:
            return sympy.expand(number * other.offset), NONE
    _, one = _unshifted(x, "a product")
    _, two = _unshifted(y, "a product")
    return ZERO, one | two


@rule.register
def _pow(node: e.Pow, laws: Laws, group: Group) -> list[Outcome]:
    base, exponent = laws
    if exponent not in (INVARIANT, ANYTHING):
        raise Refusal(f"the exponent itself moves: {exponent}")
    if base == INVARIANT:
        return [Outcome(INVARIANT, "a function of what does not move")]
    if base == ANYTHING:
        return [_at_zero(vanishes=_positive(node.exponent), what="a power")]
    p = to_sympy(node.exponent)
    odd, even = (p is not None and p.is_odd is True), (p is not None and p.is_even is True)
    return [Outcome(_entrywise(base, p, odd, even), f"a power multiplies exponents by {p}")]


@rule.register
def _apply(node: nodes.Apply, laws: Laws, group: Group) -> list[Outcome]:
    f = node.function
    degree = None if f.degree is None else sympy.Integer(f.degree)
    if laws[0] == ANYTHING:
        return [_at_zero(vanishes=f.odd or f == nodes.ABS, what=f.name)]
    law = _entrywise(laws[0], degree, f.odd, f.even)
    why = f"{f.name} is {'odd' if f.odd else 'even' if f.even else 'neither odd nor even'}"
    return [Outcome(law, why + ("" if degree is None else f", of degree {degree}"))]


def _at_zero(vanishes: bool, what: str) -> Outcome:
    """Return what is known of a function of an array of zeros: zeros, or equal entries."""
    if vanishes:
        return Outcome(ANYTHING, f"{what} of zero is zero")
    return Outcome(INVARIANT, f"{what} of zero is a constant array")


def _positive(exponent: Expr) -> bool:
    """Return whether an exponent is known to be above zero."""
    p = to_sympy(exponent)
    return p is not None and bool(p.is_positive)


def _entrywise(x: Law, degree: sympy.Expr | None, odd: bool, even: bool) -> Law:
    """Return the law of f(x) for a function applied entry by entry."""
    rows, cols, entries = (
        indices.entrywise(ix, degree, odd, even) for ix in (x.rows, x.cols, x.entries)
    )
    if x.unit is None or x.unit == 0:
        return Law(rows, cols, entries, x.unit)
    if degree is None:
        raise Refusal(f"the function is not homogeneous, and its argument is {_scaled(x)}")
    return Law(rows, cols, entries, sympy.expand(x.unit * degree))


@rule.register
def _matmul(node: e.MatMul, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    plain = [indices.within(law.entries, TRIVIAL, "a matrix product")[1] for law in laws]
    conditions = indices.contract(x.cols, y.rows).union(*plain)
    unit = None if x.unit is None or y.unit is None else sympy.expand(x.unit + y.unit)
    return [Outcome(Law(x.rows, y.cols, FIXED, unit), "a legal contraction", conditions)]


@rule.register
def _transpose(node: e.Transpose, laws: Laws, group: Group) -> list[Outcome]:
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
    p = to_sympy(node.exponent)
    if power != INVARIANT or p is None:
        raise Refusal("the exponent of a matrix power must be a number or a hyper-parameter")
    if x == ANYTHING:
        return [Outcome(ANYTHING, "a power of zero")]
    if x.rows != x.cols:
        raise Refusal(f"a symmetric root needs the law P S Pᵀ, and its argument moves as {x}")
    unit = None if x.unit is None else sympy.expand(x.unit * p)
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
        raise Refusal(f"a Cholesky factor needs the law P S Pᵀ, and its argument moves as {x}")
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
    x, conditions = _within(x, SPECTRAL, "a polar factor")
    why = "polar(P x Qᵀ) = P polar(x) Qᵀ, P and Q orthogonal"
    return [Outcome(attrs.evolve(x, unit=ZERO), why, conditions)]


def _within(x: Law, allowed: Isometries, what: str) -> tuple[Law, Conditions]:
    """Require that a law acts within given classes, if need be under conditions."""
    rows, one = indices.within(x.rows, allowed.rows, what)
    cols, two = indices.within(x.cols, allowed.cols, what)
    entries, three = indices.within(x.entries, allowed.entries, what)
    return Law(rows, cols, entries, x.unit), one | two | three


@rule.register
def _eigenbasis(node: nodes.Eigenbasis, laws: Laws, group: Group) -> list[Outcome]:
    x = laws[0]
    if x == INVARIANT:
        return [Outcome(INVARIANT, "a function of what does not move")]
    if not any(isinstance(v, nodes.Stream | State | Carry) for v in walk(node.arg)):
        raise Refusal("a constant matrix has eigenvectors that do not move with the weights")
    distinct: Conditions = frozenset({Assumption(Kind.DISTINCT, node.arg)})
    if x.rows == x.cols == FIXED:
        return [Outcome(INVARIANT, "a multiple has the same eigenvectors", distinct)]
    if x.rows != x.cols:
        raise Refusal(f"an eigenbasis needs the law P S Pᵀ, and its argument moves as {x}")
    x, conditions = _within(x, SPECTRAL, "an eigenbasis")
    signs = frame(node.arg, "signs", SIGNS)
    why = "eigenvectors turn with P, up to sign"
    return [Outcome(Law(x.rows, signs), why, conditions | distinct)]


@rule.register
def _inner(node: nodes.Inner, laws: Laws, group: Group) -> list[Outcome]:
    x, y = laws
    if ANYTHING in (x, y):
        return [Outcome(ANYTHING, "zero times anything")]
    unit = None if x.unit is None or y.unit is None else sympy.expand(x.unit + y.unit)
    summed = ((x.rows, y.rows, node.over_rows), (x.cols, y.cols, node.over_cols))
    conditions = NONE.union(*(indices.contract(a, b) for a, b, over in summed if over))
    if node.whole:
        conditions |= indices.contract(x.entries, y.entries)
        return [Outcome(Law(unit=unit), "a full contraction", conditions)]
    if x.entries.cls.diagonal and y.entries.cls.diagonal:
        conditions |= indices.contract(x.entries, y.entries)
    else:
        plain = [indices.within(law.entries, TRIVIAL, "a sum over one axis")[1] for law in laws]
        conditions = conditions.union(*plain)
    rows, cols = (FIXED if over else indices.product(a, b, False, False) for a, b, over in summed)
    return [Outcome(Law(rows, cols, FIXED, unit), "a contraction of one index", conditions)]


@rule.register
def _reduce(node: nodes.Reduce, laws: Laws, group: Group) -> list[Outcome]:
    x, what = laws[0], f"a {node.reducer.value} over entries"
    if x == ANYTHING:
        return [Outcome(ANYTHING, f"{what} of zero")]
    allowed = Isometries(
        PERMUTATION if node.over_rows else GENERAL,
        PERMUTATION if node.over_cols else GENERAL,
        PERMUTATION if node.over_rows and node.over_cols else TRIVIAL,
    )
    x, conditions = _within(x, allowed, what)
    rows, cols = (FIXED if node.over_rows else x.rows), (FIXED if node.over_cols else x.cols)
    if node.reducer is nodes.Reducer.MAX:
        _require_unsigned(rows, cols)
    return [Outcome(Law(rows, cols, FIXED, x.unit), f"{what} ignores their order", conditions)]


def _require_unsigned(*kept: Index) -> None:
    for ix in kept:
        if ix is not ANY and (ix.cls.signed or not ix.cls.monomial):
            raise Refusal(f"it compares entries, but its argument is {words(ix)}")


@rule.register
def _schatten(node: nodes.SchattenNorm, laws: Laws, group: Group) -> list[Outcome]:
    if laws[0] == ANYTHING:
        return [Outcome(ANYTHING, "the norm of zero")]
    x, conditions = _within(laws[0], SPECTRAL, "a Schatten norm")
    return [Outcome(Law(unit=x.unit), "singular values ignore rotations", conditions)]


@rule.register
def _norm_operation(node: NormOperation, laws: Laws, group: Group) -> list[Outcome]:
    """Type an operation of a norm by the norm's isometries: the law must act within them."""
    x, isometries = laws[-1], node.norm.isometries
    assert isometries is not None, "norms without isometries are typed by their definition"
    if x == ANYTHING:
        return [Outcome(ANYTHING, "a norm operation on zero")]
    what = f"the norm {node.norm}"
    x, conditions = _within(x, isometries, what)
    why = f"{what} is preserved by it"
    match node:
        case Lmo():
            return [Outcome(attrs.evolve(x, unit=ZERO), why + "; an LMO has degree 0", conditions)]
        case Sharp():
            return [Outcome(x, why + "; sharp has degree 1", conditions)]
        case Dual() | Value():
            return [Outcome(Law(unit=x.unit), why, conditions)]
        case _:
            raise TypeError(f"no typing rule for the norm operation {type(node).__name__}")
