"""Fast falsifiers of the checker: what it claims, put to numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
import draws
import judging
import proofs
import runs
import torch
from programs import declared

from normdsl import G, W
from normdsl import sum as total
from normdsl.compiler.invariance.conditions import Condition
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.verdict import Status, Verdict, proof_lines
from normdsl.compiler.verdicts.check import check
from normdsl.compiler.verdicts.elements import draw
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import WorkersMean
from normdsl.expressions.shapes import MATRIX

#: Returns the claims about an expression, in a group, that numbers contradict.
Falsifier = Callable[[Expr, Group], list[str]]
SHAPES = ((3, 4), (4, 3))


def laws(expr: Expr, group: Group) -> list[str]:
    """Return the proof lines of an expression's laws that fail at a random group element."""
    carrier = declared(W + G + (expr if expr.shape == MATRIX else total(expr) * G))
    try:
        judgements = Inference(group).judge(expr)
    except Failure:
        return []
    found = []
    for j in judgements:
        lines = tuple(proof_lines(j, carrier.labels))
        claim = Verdict(carrier, group, Status.CONDITIONAL, tuple(j.conditions), lines)
        found += wrong_lines(claim)
    return found


def wrong_lines(verdict: Verdict) -> list[str]:
    """Return the lines of a proof that are off, wherever its assumptions hold."""
    if not verdict.proof or not known(verdict.conditions):
        return []
    hyper, found = proofs.hyper_values(verdict), []
    lines = (attrs.evolve(x, law=runs.valued(x.law, hyper)) for x in verdict.proof)
    verdict = attrs.evolve(verdict, proof=tuple(lines))
    for shape in SHAPES:
        if hold(verdict, shape):
            try:
                gaps = proofs.discrepancies(verdict, shape)
            except RuntimeError as error:
                return [f"a law does not even fit the shape: {error}"]
            found += [line for line, gap in gaps if not gap < proofs.TOLERANCE]
    return found


def known(conditions: Iterable[Condition]) -> bool:
    """Return whether numbers can be made to meet conditions."""
    return all(getattr(c, "kind", runs.MET[0]) in runs.MET for c in conditions)


def hold(verdict: Verdict, shape: tuple[int, int]) -> bool:
    """Return whether full rank and distinct eigenvalues, where assumed, hold of random streams."""
    found = [c for c in runs.assumptions(verdict) if c.kind in runs.HOLDS]
    if not found:
        return True
    hyper = proofs.hyper_values(verdict)
    probe = proofs.Probe(verdict.declaration, [c.of for c in found])
    streams = proofs.random_streams(shape, 0)
    history = probe.run(streams, probe.start(streams[0][0], hyper), hyper)
    return all(runs.HOLDS[c.kind](x) for row in history for c, x in zip(found, row, strict=True))


def rule(update: Expr, group: Group) -> list[str]:
    """Return what is wrong with the verdict on a rule: lines of its proof, or runs that part."""
    verdict = check(declared(update), group, witnesses=False)
    if verdict.status not in (Status.INVARIANT, Status.CONDITIONAL):
        return []
    outcome, drift = judging.settle(*draws.still(verdict))
    parted = outcome is judging.Outcome.DISAGREEMENT
    return wrong_lines(verdict) + ([f"{verdict.answer}, drift {drift:.2g}"] if parted else [])


def several(expr: WorkersMean, group: Group) -> list[str]:
    """Return the laws of a mean over workers that three of them, all moved alike, contradict."""
    try:
        judgements = Inference(group).judge(expr)
    except Failure:
        return []
    shape, element = SHAPES[0], draw(group, SHAPES[0], 0)
    probe = proofs.Probe(declared(W + G), [expr.arg])
    means = []
    for worker in range(3):
        # Of a transform of the loss, each worker has the slope at its own.
        own = attrs.evolve(element, c=element.c * (1 + worker * group.each_step))
        twin = proofs.random_streams(shape, worker)
        ours = [proofs.transported(group, own, *streams) for streams in twin]
        both = [probe.run(x, probe.start(x[0][0], {}), {})[-1][0] for x in (ours, twin)]
        means.append(torch.stack(both))
    x, there = torch.stack(means).mean(0)
    laws = (proofs.valued(j.law, {}) for j in judgements)
    return [str(law) for law in laws if not proofs.gap(element, law, x, there) < proofs.TOLERANCE]


def answer(expected: str) -> Falsifier:
    """Return a falsifier that knows the answer."""

    def compare(update: Expr, group: Group) -> list[str]:
        found = check(declared(update), group, witnesses=False).answer
        return [] if found == expected else [found]

    return compare
