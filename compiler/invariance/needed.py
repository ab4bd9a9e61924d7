"""What a proof's conditions come down to: no condition twice, none that no matrix meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from normdsl.compiler.invariance.conditions import SHORT, Assumption, Condition, Conditions, Kind
from normdsl.compiler.invariance.ranks import missing
from normdsl.declarations.folding import Folding
from normdsl.errors import NormdslError
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.shapes import SCALAR


def reduced(
    conditions: Conditions, zeros: Iterable[Param], names: Mapping[Expr, str]
) -> Conditions:
    """Return conditions in which no assumption on a matrix follows from another one.

    The full rank of a root, an inverse or a Cholesky factor is that of its argument. What has a
    name keeps it; what has none is written with those hyper-parameters 0 that conditions set to 0.
    """
    found: dict[tuple[Kind, Expr], Condition] = {}
    rest = set()
    for c in sorted(conditions, key=lambda c: getattr(c, "of", None) not in names):
        if not (isinstance(c, Assumption) and c.kind in SHORT):
            rest.add(c)
            continue
        for part in basis(c.kind, c.of):
            plain = without(part, zeros)
            if not plain.is_identity:
                shown = part if part in names else plain
                found.setdefault((c.kind, plain), attrs.evolve(c, of=shown))
    return frozenset({*rest, *found.values()})


def without(expr: Expr, zeros: Iterable[Param]) -> Expr:
    """Return an expression with some hyper-parameters 0, or as it is if it has no value there."""
    try:
        return Folding(dict.fromkeys(zeros, as_expr(0)))(expr)
    except NormdslError:
        return expr


def basis(kind: Kind, expr: Expr) -> Iterator[Expr]:
    """Yield the matrices whose full rank, or distinct eigenvalues, are those of an expression."""
    match expr:
        case n.Mul(left=c, right=x) | n.Mul(left=x, right=c) if c.shape == SCALAR and _nonzero(c):
            yield from basis(kind, x)
        case n.Transpose(arg=x) | nodes.Inverse(arg=x):
            yield from basis(kind, x)
        case nodes.MatrixPower(arg=x, exponent=Constant(value=p)) if p != 0:
            yield from basis(kind, x)
        case nodes.Cholesky(arg=x) if kind is Kind.FULL_RANK:
            yield from basis(kind, x)
        case n.MatMul(left=x, right=y) if kind is Kind.FULL_RANK and x.shape.square:
            yield from basis(kind, x)
            yield from basis(kind, y)
        case _:
            yield expr


def _nonzero(scalar: Expr) -> bool:
    """Return whether a scalar is known not to be 0."""
    divides = isinstance(scalar, n.Pow) and scalar.exponent.facts.high < 0
    return divides or scalar.facts.low > 0 or scalar.facts.high < 0


def unmeetable(conditions: Conditions) -> tuple[Assumption, int] | None:
    """Return an assumption that no large matrix meets, with the rank that its matrix stays below.

    The outer product of two vectors has rank 1, and never full rank.
    """
    for c in conditions:
        if isinstance(c, Assumption) and c.kind in SHORT:
            ranks = [form.rest for form in missing(c.of) if form.fixed]
            if ranks:
                return c, min(ranks)
    return None


def met(condition: Condition, given: Conditions, zeros: Iterable[Param]) -> bool:
    """Return whether a condition is among those given, in whatever form it is given."""
    if not isinstance(condition, Assumption):
        return False
    if condition.kind in given:
        return True
    told = [c.of for c in given if isinstance(c, Assumption) and c.kind is condition.kind]
    if condition.kind not in SHORT:
        return condition.of in told
    known = {without(x, zeros) for t in told for x in (t, *basis(condition.kind, t))}
    return without(condition.of, zeros) in known or condition.of in told
