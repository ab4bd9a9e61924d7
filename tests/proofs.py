"""Proof lines put to the test: both sides of every law, evaluated at a random group element.

Laws hold for any streams, so the streams here are random: W̃_t and G̃_t are drawn, W_t and G_t are
what the group makes of them, and every expression is evaluated on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import attrs
import numpy as np
import sympy
import torch
from torch import Tensor

from normdsl.compiler.invariance.conditions import Assumption
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, Frame, Law
from normdsl.compiler.invariance.mirror import Mirror
from normdsl.compiler.invariance.unit_equations import OLD
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts import tasks
from normdsl.compiler.verdicts.ask import Ask
from normdsl.compiler.verdicts.elements import Element, draw
from normdsl.compiler.verdicts.probe import Probe
from normdsl.declaration import Declaration
from normdsl.expressions.nodes import Source

STEPS = 4
TOLERANCE = 1e-8


def hyper_values(verdict: Verdict) -> dict[str, float]:
    """Return hyper-parameters that meet the verdict's equations, otherwise generic ones."""
    values = {h.name: 0.3 if h.domain.high <= 1 else 0.2 for h in verdict.declaration.hyper}
    values |= {h.name: 0.0 for h in verdict.declaration.hyper if h.domain.loss_unit}
    for c in verdict.conditions:
        if not isinstance(c, Assumption):
            name, value = c.args
            values[str(name)] = float(value)
    return values


def discrepancies(verdict: Verdict, shape=(3, 4), seeds=(0,)) -> list[tuple[str, float]]:
    """Return, per proof line and seed, how far the two sides of its law are apart in the end."""
    lines = [line for line in verdict.proof if line.law != ANYTHING]
    found = sorted({v for line in lines for v in line.law.varying}, key=lambda v: v.name)
    probe = Probe(verdict.declaration, [*(line.expr for line in lines), *(v.expr for v in found)])
    return [x for seed in seeds for x in gaps(verdict, lines, found, probe, shape, seed)]


def gaps(verdict, lines, found, probe, shape, seed) -> Iterator[tuple[str, float]]:
    """Yield them for one seed; `found` are the numbers that laws read, which vary by the step."""
    hyper, group = hyper_values(verdict), verdict.group
    element = draw(group, shape, seed)
    twin = random_streams(shape[::-1] if group.swap else shape, seed)
    at = [element.at(k) if group.each_step else element for k in range(STEPS)]
    original = [transported(group, e, *streams) for e, streams in zip(at, twin, strict=True)]
    start = probe.start(original[0][0], hyper)
    history = probe.run(original, start, hyper)
    theirs = twin_values(verdict, lines, probe, start, element, twin, hyper)
    values = {v.name: float(history[-1 - v.age][len(lines) + k]) for k, v in enumerate(found)}
    hyper = {**hyper, **values, OLD.name: np.log(at[-2].c) / np.log(at[-1].c)}
    for line, a, b in zip(lines, history[-1], theirs, strict=False):
        yield f"{line.formula} : {line.moves}", gap(at[-1], valued(line.law, hyper), a, b)


def twin_values(verdict, lines, probe, start, element, streams, hyper) -> list[Tensor]:
    """Return what the lines (or their mirror images) are worth in the other run, at its end."""
    if verdict.group.swap:
        rule = verdict.declaration
        mirrored = Declaration("mirrored", rule.hyper, Mirror()(rule.update))
        other = Probe(mirrored, [line.law.twin for line in lines])
        return other.run(streams, other.start(streams[0][0], hyper), hyper)[-1]
    laws = {line.expr: line.law.begun for line in lines}
    twin_start = [
        element.undo(valued(laws[s.after], hyper), x) if moved(verdict, s) else own
        for s, x, own in zip(probe.slots, start, probe.start(streams[0][0], hyper), strict=True)
    ]
    return probe.run(streams, twin_start, hyper)[-1]


def moved(verdict: Verdict, slot) -> bool:
    """Return whether the verdict assumes that the state starts transformed."""
    return any(isinstance(c, Assumption) and c.of == slot.after for c in verdict.conditions)


def random_streams(shape: tuple[int, int], seed: int):
    rng, other = np.random.default_rng([seed, 7]), np.random.default_rng([seed, 8])

    def definite(size: int) -> Tensor:
        rows = torch.as_tensor(other.standard_normal((2 * size, size)))
        return rows.mT @ rows

    _, loss = tasks.problem(shape, seed)
    return [
        (
            torch.as_tensor(rng.standard_normal(shape)),
            torch.as_tensor(rng.standard_normal(shape)),
            torch.as_tensor(rng.uniform(1, 2, (1, 1))),
            {
                "input_moment": definite(shape[1]),
                "output_moment": definite(shape[0]),
                "ask": Ask(partial(loss, step=step), lambda w: loss(w, 0) + loss(w**2, 0)),
            },
        )
        for step in range(STEPS)
    ]


def transported(group: Group, element: Element, w: Tensor, g: Tensor, loss: Tensor, seen):
    value = group.law(Source.LOSS)
    return (
        element.act(group.law(Source.WEIGHTS), w),
        element.act(group.law(Source.GRADIENT), g),
        loss**element.c if value is None else element.act(value, loss),
        {**tasks.transported(group, element.act, seen), "ask": moved_ask(group, element, seen)},
    )


def moved_ask(group: Group, element: Element, seen) -> Ask:
    """Return what answers in the original run: f(W) = c f̃(ρ⁻¹ W)."""

    def moved(loss):
        return lambda w: element.c**group.loss_unit * loss(element.undo(group.weights, w))

    return Ask(moved(seen["ask"].loss), moved(seen["ask"].second))


def valued(law: Law, hyper: Mapping[str, float]) -> Law:
    """Return a law with numbers for hyper-parameters, and 1 for exponents the proof leaves free."""

    def number(x):
        x = sympy.sympify(x)
        return x.subs({s: sympy.nsimplify(hyper.get(s.name, 1)) for s in x.free_symbols})

    places = {
        name: attrs.evolve(ix, power=number(ix.power))
        for name in ("rows", "cols", "entries")
        if (ix := getattr(law, name)) not in (FIXED, ANY)
    }
    return attrs.evolve(law, unit=number(law.unit), offset=number(law.offset), **places)


def gap(element: Element, law: Law, x: Tensor, twin: Tensor) -> float:
    """Return the relative distance of x from what the law makes of its twin; frames are free."""
    places = [(law.rows, "rows"), (law.cols, "cols")]
    free = [name for ix, name in places if isinstance(ix.element, Frame)]
    plain = attrs.evolve(
        law,
        rows=FIXED if "rows" in free else law.rows,
        cols=FIXED if "cols" in free else law.cols,
    )
    mapped = element.act(plain, twin)
    size = float(x.norm() + mapped.norm()) or 1.0
    if any(ix.cls.diagonal for ix, name in places if name in free):
        return float((x.abs() - mapped.abs()).norm()) / size
    if len(free) == 2:
        values = torch.linalg.svdvals(x) - torch.linalg.svdvals(mapped)
        return float(values.norm()) / size
    if free == ["rows"]:
        return float((x.mT @ x - mapped.mT @ mapped).norm()) / size**2
    if free == ["cols"]:
        return float((x @ x.mT - mapped @ mapped.mT).norm()) / size**2
    return float((x - mapped).norm()) / size


def assert_proof_holds(verdict: Verdict, shape=(3, 4)) -> None:
    """Assert every line of a verdict's proof at a random group element."""
    assert verdict.proof, f"{verdict!r} has no proof"
    found = discrepancies(verdict, shape, seeds=range(2))
    wrong = [(line, d) for line, d in found if not d < TOLERANCE]
    assert not wrong, f"{verdict!r}: {wrong}"
