"""What values come from, told wrongly: something that varies passes for the same in both runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
from falsify import Falsifier, answer, rule
from faults import Fault, member, replaced
from grammar.core import FLOOR, K

import normdsl as nd
from mutants.common import NO, NOISE, Mutant, step
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import mirror, rules
from normdsl.compiler.invariance.groups import Group
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import Carry, State
from normdsl.expressions.structure import rebuild
from normdsl.expressions.traversal import walk
from normdsl.norms import Scaled
from normdsl.norms.base import Lmo, Norm


def fresh(expr: Expr) -> Expr:
    """Return an equal expression whose every node was built anew, under the fault."""
    done: dict[Expr, Expr] = {}
    for node in walk(expr):
        done[node] = attrs.evolve(rebuild(node, Expr, done.__getitem__))
    return done[expr]


def anew(falsifier: Falsifier) -> Falsifier:
    """Return a falsifier that builds what it looks at itself: nodes keep their origins."""

    def look(expr: Expr, group: Group) -> list[str]:
        return falsifier(fresh(expr), group)

    return look


def from_nowhere(cls: type) -> Fault:
    """Return the fault of nodes that say they come from nothing."""
    return member(cls, "_infer_origins", lambda self: Origin.NOTHING)


def told_apart() -> Fault:
    """Return the fault of norms that are said to be the same in both runs, whatever is in them."""
    faults = (
        member(Norm, "varies", False),
        member(Scaled, "isometries", property(lambda norm: norm.base.isometries)),
    )

    @contextmanager
    def put() -> Iterator[Any]:
        with ExitStack() as stack:
            yield [stack.enter_context(fault.put()) for fault in faults]

    return Fault(Norm, put)


def carried() -> Expr:
    """A sum of LMOs of a norm whose factor is carried along."""

    def body(s: Expr, m: Expr) -> tuple[Expr, Expr]:
        return s + nd.frobenius.value(G), m / 2 + (s * nd.max_entry).lmo(G)

    sums: Expr = nd.fix(body, (0, nd.zeros_like(G)))[1]
    return sums


@attrs.frozen
class Weighed(nd.Gauge):
    """weight · Σ |x_i|."""

    weight: Expr

    @property
    def dual(self) -> nd.Gauge:
        return self

    def value(self, v: Any) -> Expr:
        return self.weight * v.total(nd.abs)

    def lmo(self, v: Any) -> Any:
        return lambda x: -nd.sign(x) / self.weight

    def label(self, kind: str) -> str:
        return "_w"


LENGTH = nd.frobenius.value(G)
TOTAL = nd.fix(lambda s: s + LENGTH, 0)
FLOORED = G / FLOOR + (nd.abs(FLOOR) * nd.max_entry).lmo(G)

ORIGINS = [
    Mutant("a carried factor is the same in both runs", from_nowhere(Carry),
           step(carried()), g.loss_scale, anew(rule)),
    Mutant("a drawn factor moves with no draw", from_nowhere(nodes.Draw),
           step((nd.abs(nd.sum(NOISE)) * nd.max_entry).lmo(G) - NOISE), g.sign_flips, anew(rule)),
    Mutant("a state is the same in both runs", from_nowhere(State),
           step((TOTAL * nd.spectral).lmo(G)), g.loss_scale, anew(rule)),
    Mutant("a stream is the same in both runs", from_nowhere(nodes.Stream),
           step((LENGTH * nd.spectral).lmo(G)), g.loss_scale, anew(rule)),
    Mutant("values of the loss have no unit", from_nowhere(nodes.Param),
           step(FLOORED), g.loss_scale, anew(answer(NO))),
    Mutant("what layers share comes from nowhere", from_nowhere(nodes.Across),
           step((nd.sum(LENGTH, over="layers") * nd.spectral).lmo(G)), g.loss_scale, anew(rule)),
    Mutant("norms are the same in both runs", told_apart(),
           step((LENGTH * nd.spectral).lmo(G)), g.loss_scale, rule),
    Mutant("norms in a norm are the same in both runs", told_apart(),
           step(nd.infimal(LENGTH * nd.spectral, nd.nuclear, by=nd.lp(2)).lmo(G)), g.loss_scale,
           rule),
    Mutant("a start made of W need not move", from_nowhere(nodes.Stream),
           step(G + nd.fix(lambda s: s, W) / 8), g.translation, anew(answer(NO))),
    Mutant("a gauge of singular values may move",
           replaced(rules.base.require_still, lambda *_: None),
           step(nodes.SingularLmo(G, Weighed(LENGTH))), g.loss_scale, rule),
    Mutant("nothing jumps at zero", member(Lmo, "jumps_with", ()),
           step((K * nd.max_entry).lmo(G) + G), g.orthogonal, answer(NO)),
    Mutant("a draw before the first step is no draw", replaced(mirror.begun, lambda *_: ()),
           step(nd.polar(G) + nd.fix(lambda s: s, NOISE)), g.transpose,
           answer("invariant in law")),
]  # fmt: skip
