"""Exponents and decisions broken: equations not asked for, domains ignored."""

from __future__ import annotations

from typing import Any

import attrs
import sympy
from falsify import answer, rule
from faults import replaced
from grammar.core import BETA, DECAY, EPS, LR, K, P

import normdsl as nd
from mutants.common import NO, NOISE, Mutant, kept, step
from normdsl import G, W, t
from normdsl.compiler.invariance import coefficients, conditions, judgement, prove, unit_equations
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import NONE
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr

original_equal, original_roots = unit_equations.equal, unit_equations.solutions
original_without, original_prune = unit_equations.without_unknowns, judgement.prune


def doubled_roots(*args: Any) -> Any:
    return [{x: 2 * root for x, root in found.items()} for found in original_roots(*args)]


def unasked(found: Any) -> Any:
    needed, chosen = original_without(found)
    return frozenset(c for c in needed if isinstance(c, conditions.Assumption)), chosen


def sign_of(param: Any) -> Any:
    return sympy.Symbol(param.name, positive=True)


def added(expr: Expr) -> Any:
    """Read products as sums."""
    match expr:
        case n.Constant(value=value):
            return sympy.Rational(value.numerator, value.denominator)
        case nodes.Param():
            return unit_equations.symbol(expr)
        case n.Add(left=x, right=y) | n.Mul(left=x, right=y):
            return added(x) + added(y)


ROOT = step(nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G))
CONSTANT = nd.fix(lambda s: s, nd.zeros_like(G) + 1)
FLOORED = step(G / (nd.abs(G) + EPS))

EXPONENTS = [
    Mutant("p ≥ 0 is read as p > 0", replaced(unit_equations.symbol, sign_of),
           step(nd.sign(G) * nd.abs(G) ** P), g.loss_scale, answer("invariant if p = 0")),
    Mutant("products are read as sums", replaced(coefficients.coefficient, added),
           nd.abs(G) ** (3 * P), g.loss_scale),
    Mutant("coefficients are those of the step before", replaced(coefficients.aged, lambda x: x),
           nd.ema(W, BETA, debias=True) - LR * G, g.translation, answer("invariant")),
    Mutant("an equation at t = 1 is one at every step", replaced(coefficients.at_every_step,
           lambda gap: [gap.subs(coefficients.coefficient(t), 1)]), W / t - LR * G,
           g.translation, rule),
    Mutant("starts have the law of later steps", replaced(coefficients.begun, coefficients.aged),
           nd.accumulate(W) / t - LR * G, g.translation, answer("invariant")),
    Mutant("a limit passes for a value", replaced(unit_equations.is_zero, lambda param: sympy.Eq(
        unit_equations.symbol(param), 0)), step(G / (nd.abs(G) + K)), g.loss_scale,
        answer("invariant in the limit k → 0, where continuous")),
    Mutant("the step before passes for this one", replaced(unit_equations._apart_in_the_past,
           lambda gap: [gap.subs(unit_equations.OLD, 1)]), nd.prev(G) + G, g.loss_transform),
    Mutant("nothing need vanish at every step", replaced(unit_equations.apart, lambda gap: []),
           W / t - LR * G, g.translation, rule),
    Mutant("all exponents agree", replaced(unit_equations.equal, lambda *_: NONE),
           G + G * G, g.loss_scale),
    Mutant("the step before had today's unit", replaced(
        unit_equations._whatever_else, lambda gap: NONE), step(nd.sign(kept(G))),
        g.loss_transform, rule),
    Mutant("roots are doubled", replaced(unit_equations.solutions, doubled_roots),
           ROOT, g.scale, rule),
    Mutant("equations are not asked for", replaced(unit_equations.without_unknowns, unasked),
           ROOT, g.scale, rule),
    Mutant("contradictions are consistent", replaced(unit_equations.consistent, lambda _: True),
           step(nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G)
                + nd.preconditioned(nd.spectral, hadamard=nd.abs(G) ** P).lmo(G)), g.scale,
           answer(NO)),
    Mutant("contradictions hold at zero", replaced(unit_equations._hold_at_zero, lambda _: True),
           step(nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G)
                + nd.preconditioned(nd.spectral, hadamard=nd.abs(G) ** P).lmo(G)), g.scale,
           answer(NO)),
    Mutant("unknown exponents pass for hyper-parameters",
           replaced(unit_equations.on_unknowns, lambda _: False),
           step(nd.sign(nd.maximum(nd.reciprocal(G), CONSTANT))), g.loss_scale,
           answer("invariant if s₁ starts multiplied by c^(-1)")),
]  # fmt: skip


def unconditional(judgements: Any) -> Any:
    return tuple(attrs.evolve(j, conditions=NONE) for j in original_prune(judgements))


DECISIONS = [
    Mutant("domains exclude nothing", replaced(prove.possible, lambda *_: True),
           step(G * nd.abs(G) ** -BETA), g.loss_scale, answer(NO)),
    Mutant("no step may be left", replaced(prove.leaves_a_step, lambda *_: True),
           W - EPS * G, g.scale, answer(NO)),
    Mutant("idle hyper-parameters may vanish", replaced(
        prove.idle_parameters, lambda _: frozenset()), W - EPS * (G + DECAY * W), g.translation,
        answer("invariant if decay = 0")),
    Mutant("conditions are forgotten", replaced(judgement.prune, unconditional),
           FLOORED, g.loss_scale, rule),
    Mutant("a draw is the same and moved", replaced(conditions.coupled, lambda _: True),
           step(G * nd.inner(NOISE, NOISE) + nd.sign(nd.sum(nd.sign(NOISE))) * NOISE),
           g.orthogonal, answer(NO)),
]  # fmt: skip
