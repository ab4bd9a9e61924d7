"""Random draws put to runs: each is held still, so that a run and its twin can be given the same.

What a proof says of draws is a coupling: each is the same in both runs, or moved by the group
element. It holds for every draw, so also where it is kept in a state. (A draw that a state starts
with cannot be kept so, and is left to theory.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache

import attrs
import torch
from torch import Tensor

from normdsl.compiler.invariance.conditions import Assumption, Condition
from normdsl.compiler.invariance.laws import INVARIANT, Law
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.declaration import Declaration
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import UNKNOWN
from normdsl.expressions.nodes import Distribution, Draw
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import After, Carry, Recursion, State
from normdsl.expressions.traversal import replace, walk

#: The level of the recursions that stand for draws, above those of all programs.
_LEVEL = 99


def drawn(declaration: Declaration) -> list[Draw]:
    """Return the draws of a rule, but for those that a state starts with."""
    everything = walk(declaration.update)
    starts = {x for s in everything if isinstance(s, State) for x in _starts(s.recursion)}
    return [x for x in everything if isinstance(x, Draw) and x not in starts]


def _starts(recursion: Recursion) -> Iterator[Expr]:
    return (x for init in recursion.inits for x in walk(init))


def held(draw: Draw) -> After:
    """Return the state that keeps the values of a draw."""
    kind = list(Distribution).index(draw.distribution)
    start = Constant(Fraction(2 + kind + 2 * draw.key), draw.dims)
    body = Carry(_LEVEL, 0, draw.dims, UNKNOWN)
    return After(Recursion((start,), (body,), _LEVEL, (UNKNOWN,)), 0, where=None)


@cache
def _table(declaration: Declaration) -> dict[Draw, After]:
    return {draw: held(draw) for draw in drawn(declaration)}


def still(verdict: Verdict) -> tuple[Verdict, dict[str, Law]]:
    """Return a verdict on the rule with its draws held still, and their laws by the proof."""
    declaration = verdict.declaration
    if Origin.CHANCE not in declaration.update.origins:
        return verdict, {}
    table = _table(declaration)
    update = replace(declaration.update, table)
    names = tuple((name, replace(x, table)) for name, x in declaration.names)
    frozen = attrs.evolve(declaration, update=update, names=names)
    lines = tuple(attrs.evolve(x, expr=replace(x.expr, table)) for x in verdict.proof)
    conditions = tuple(_about(c, table) for c in verdict.conditions)
    moved = attrs.evolve(verdict, declaration=frozen, proof=lines, conditions=conditions)
    known = {x.expr: x.law for x in verdict.proof if isinstance(x.expr, Draw)}
    return moved, {frozen.labels[s]: known.get(d, INVARIANT) for d, s in table.items()}


def _about(condition: Condition, table: Mapping[Draw, After]) -> Condition:
    if not isinstance(condition, Assumption):
        return condition
    return attrs.evolve(condition, of=replace(condition.of, table))


def held_names(declaration: Declaration) -> list[str]:
    """Return the names of the states that stand for draws, in order."""
    names: dict[Expr, str] = dict(declaration.labels)
    found = (x for x in names if isinstance(x, State) and x.recursion.level == _LEVEL)
    return sorted(names[x] for x in found)


def values(declaration: Declaration, starts: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return random numbers for the states that stand for draws, in place of their starts."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name in held_names(declaration):
        start = starts[name]
        normal = torch.randn(start.shape, generator=generator, dtype=start.dtype)
        signs = start.flatten()[0] % 2 == 1
        result[name] = normal.sign() if signs else normal
    return result
