"""Induction broken: guesses believed, starts and conditions forgotten, laws compared in part."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import faults
from falsify import answer, rule
from faults import member, replaced
from grammar.core import BETA, LR, K
from grammar.leaves import unit

import normdsl as nd
from mutants.common import GRAM, UNDER, Mutant, kept, step
from normdsl import G, W
from normdsl.compiler.invariance import agreement, candidate_laws, induction, judgement
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import NONE, Kind
from normdsl.compiler.invariance.laws import ZERO, Law
from normdsl.compiler.invariance.rules import matrices
from normdsl.expressions.recursion import After, release


def guessed(inference: Any, recursion: Any, where: Any) -> Any:
    found = []
    with contextlib.suppress(judgement.Failure):
        for proposal in candidate_laws.candidates(inference, recursion):
            found.append(induction.Settled(proposal, NONE, ()))
    return found


original_start, original_alike = induction._start, agreement.alike
original_state = induction.judge_state


def unproved(inference: Any, recursion: Any, known: Any) -> Any:
    begun = original_start(inference, recursion, known)
    return [] if begun is None else [induction.Settled(known, *begun)]


def read_early(inference: Any, expr: Any) -> Any:
    return original_state(inference, After(expr.recursion, expr.index))


def started(inference: Any, recursion: Any, known: Any) -> Any:
    found = original_start(inference, recursion, known)
    return found and (faults.unassumed(found[0], Kind.TRANSPORTED), found[1])


def alike_up_to(**parts: Any) -> Any:
    def alike(found: Law, wanted: Law) -> Any:
        return original_alike(attrs.evolve(found, **parts), attrs.evolve(wanted, **parts))

    return alike


START = nd.eigenbasis(nd.prev(kept(GRAM)))
#: The eigenbasis of a step ago: an average in its coordinates is not turned along.
STALE = nd.prev(nd.eigenbasis(kept(GRAM)))
#: A state that starts without full rank, has it from then on, and is inverted before it changes.
SPREAD = nd.inverse(nd.output_moment)
BRACED = nd.fix(lambda s: BETA * s + SPREAD + SPREAD @ nd.inverse(s) @ SPREAD, W @ W.T)

TWO_BACK = nd.fix(lambda s: BETA * s + nd.prev(s) / 9 + G, nd.zeros_like(G))


def still_open(inference: Any, expr: Any) -> Any:
    raise judgement.Failure(expr, "the states around it have no law yet")


RECURSIONS = [
    Mutant("states around a state have no law yet", replaced(induction._supposed, still_open),
           step(nd.polar(TWO_BACK)), g.orthogonal, answer("invariant")),
    Mutant("a unit is carried from step to step", replaced(
        induction.a_step_ago, lambda group, known: known), step(nd.sign(kept(G))), g.loss_transform,
        rule),
    Mutant("what is guessed is proved", replaced(induction.settle, guessed),
           step(nd.fix(lambda s: nd.tanh(s) + G, nd.zeros_like(G))), g.loss_scale, rule),
    Mutant("bodies need not keep the law", replaced(induction.by_induction, unproved),
           step(nd.fix(lambda s: nd.tanh(s) + G, nd.zeros_like(G))), g.loss_scale, rule),
    Mutant("the last value is today's", replaced(induction.judge_state, read_early),
           step(nd.sign(G + nd.prev(G))), g.loss_transform, rule),
    Mutant("what tends to zero is zero", replaced(induction._vanishes, lambda *_: False),
           step(unit(G / nd.ema(K, BETA))), g.uniform_scale, rule),
    Mutant("no state stays at zero", replaced(induction.stays_zero, lambda *_: False),
           step(unit(G / nd.ema(K, BETA))), g.uniform_scale, rule),
    Mutant("nothing is guessed", replaced(candidate_laws.candidates, lambda *_: iter(())),
           step(nd.sign(kept(G))), g.loss_scale, answer("invariant")),
    Mutant("frames are kept from step to step", member(Law, "frames", property(lambda law: [])),
           step(STALE @ kept(STALE.T @ G)),
           g.left_orthogonal, rule),
    Mutant("frames do not grow old", member(Law, "aged", property(lambda law: law)),
           step(STALE @ kept(STALE.T @ G)),
           g.left_orthogonal, rule),
    Mutant("a constant has eigenvectors that turn", replaced(
        matrices.starts_constant, lambda *_: False),
           step(START @ nd.sign(START.T @ G)), g.left_orthogonal, answer("unknown")),
    Mutant("the identity starts transformed", replaced(induction._start, started),
           step(nd.inverse(nd.accumulate(GRAM, nd.eye_like(GRAM))) @ G), g.left_affine, rule),
    Mutant("conditions stay inside a recursion", replaced(induction._outside, lambda *_: NONE),
           step(kept(G @ nd.inverse(UNDER))), g.right_affine, rule),
    Mutant("conditions forget how a state starts", replaced(
        induction._released, lambda c, recursion: release(c.of, recursion, After)),
           step(BRACED @ G), g.left_affine, rule),
    Mutant("units need not agree", replaced(agreement.alike, alike_up_to(unit=ZERO)),
           G, g.loss_scale, rule),
    Mutant("shifts need not agree", replaced(agreement.alike, alike_up_to(offset=ZERO)),
           2 * W - LR * G, g.translation, rule),
    Mutant("indices need not agree", replaced(agreement._alike_index, lambda *_: NONE),
           G, g.affine, rule),
    Mutant("images need not agree", replaced(agreement.alike, alike_up_to(twin=None)),
           step(GRAM @ W), g.transpose, rule),
]  # fmt: skip
