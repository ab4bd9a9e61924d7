"""Proof lines put to the test: both sides of every law, evaluated at a random group element.

Laws hold for any streams, so the streams here are random: W̃_t and G̃_t are drawn, W_t and G_t are
what the group makes of them, and every expression is evaluated on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy
import torch
from torch import Tensor

from normdsl.compiler.invariance.conditions import Assumption
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import ANYTHING, FIXED, Frame, Law
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.lowering.derive import Derivation
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.program import _closed, _lengths, lower
from normdsl.compiler.simulate import Element, draw
from normdsl.declaration import Declaration
from normdsl.expr import Expr
from normdsl.nodes import Source
from normdsl.recursion import Before
from normdsl.schedule import exact

STEPS = 4
TOLERANCE = 1e-8


class Probe:
    """Evaluates expressions over random streams, with the states they need."""

    def __init__(self, declaration: Declaration, exprs: Sequence[Expr]) -> None:
        derive = Derivation()
        graph = [derive(x) for x in exprs]
        self.slots = _closed(derive)
        after = [derive(s.after) for s in self.slots]
        inputs = {s.before: f"s{k}_old" for k, s in enumerate(self.slots)}
        emitter = Emitter({}, inputs, exact)
        names = [h.name for h in declaration.hyper]
        emitter.reserve(names)
        outputs = [emitter(x).text for x in [*after, *graph]]
        lines = [*_lengths(emitter.lines, outputs), *emitter.lines]
        lines.append(f"return [{', '.join(outputs)}]")
        args = ", ".join(["W", "G", *inputs.values(), "*", "t", "loss", *names])
        namespace: dict[str, object] = {"torch": torch, **emitter.kernels}
        exec(f"def probe({args}):\n    " + "\n    ".join(lines), namespace)
        self.probe = namespace["probe"]
        self.declaration = declaration

    def start(self, shape: tuple[int, int], hyper: Mapping[str, float]) -> list[Tensor]:
        by_slot = dict(zip(self._keys(), self._initial(shape, hyper), strict=True))
        return [by_slot[s.before] for s in self.slots]

    def _keys(self) -> list[Before]:
        derive = Derivation()
        derive(self.declaration.update)
        place = {x: k for k, x in enumerate(self.declaration.labels)}
        found = sorted(_closed(derive), key=lambda s: place.get(s.after, len(place)))
        return [s.before for s in found]

    def _initial(self, shape: tuple[int, int], hyper: Mapping[str, float]) -> list[Tensor]:
        W = torch.zeros((1, *shape), dtype=torch.float64)
        return [s[0] for s in lower(self.declaration, exact).init(W, **hyper)]

    def run(self, streams, states, hyper) -> list[list[Tensor]]:
        history = []
        for step, (W, G, loss) in enumerate(streams):
            t = torch.full((1, 1), step + 1.0, dtype=torch.float64)
            values = self.probe(W, G, *states, t=t, loss=loss, **hyper)
            states = values[: len(states)]
            history.append([torch.as_tensor(v, dtype=torch.float64) for v in values[len(states) :]])
        return history


def hyper_values(verdict: Verdict) -> dict[str, float]:
    """Return hyper-parameters that meet the verdict's equations, otherwise generic ones."""
    values = {h.name: 0.3 if h.domain.high <= 1 else 0.2 for h in verdict.declaration.hyper}
    for c in verdict.conditions:
        if not isinstance(c, Assumption):
            name, value = c.args
            values[str(name)] = float(value)
    return values


def discrepancies(verdict: Verdict, shape=(3, 4), seed: int = 0) -> list[tuple[str, float]]:
    """Return, per proof line, how far the two sides of its law are apart at the last step."""
    lines = [line for line in verdict.proof if line.law != ANYTHING]
    probe = Probe(verdict.declaration, [line.expr for line in lines])
    hyper, group = hyper_values(verdict), verdict.group
    element = draw(group, shape, seed)
    twin = random_streams(shape, seed)
    original = [transported(group, element, w, g, value) for w, g, value in twin]
    start = probe.start(shape, hyper)
    laws = {line.expr: line.law for line in lines}
    twin_start = [
        settled(element, laws[s.after], x, back=True) if moved(verdict, s) else x
        for s, x in zip(probe.slots, start, strict=True)
    ]
    ours = probe.run(original, start, hyper)[-1]
    theirs = probe.run(twin, twin_start, hyper)[-1]
    return [
        (f"{line.formula} : {line.moves}", gap(element, line.law, a, b))
        for line, a, b in zip(lines, ours, theirs, strict=True)
    ]


def moved(verdict: Verdict, slot) -> bool:
    """Return whether the verdict assumes that the state starts transformed."""
    return any(isinstance(c, Assumption) and c.of == slot.after for c in verdict.conditions)


def random_streams(shape: tuple[int, int], seed: int):
    rng = np.random.default_rng([seed, 7])
    return [
        (
            torch.as_tensor(rng.standard_normal(shape)),
            torch.as_tensor(rng.standard_normal(shape)),
            torch.as_tensor(rng.uniform(1, 2, (1, 1))),
        )
        for _ in range(STEPS)
    ]


def transported(group: Group, element: Element, w: Tensor, g: Tensor, loss: Tensor):
    return (
        element.act(group.law(Source.WEIGHTS), w),
        element.act(group.law(Source.GRADIENT), g),
        element.act(group.law(Source.LOSS), loss),
    )


def settled(element: Element, law: Law, x: Tensor, back: bool = False) -> Tensor:
    """Act by a law, with 1 for exponents that the proof leaves free."""
    free = dict.fromkeys(sympy.sympify(law.unit).free_symbols, 1)
    law = Law(law.rows, law.cols, law.entries, sympy.sympify(law.unit).subs(free))
    return element.undo(law, x) if back else element.act(law, x)


def gap(element: Element, law: Law, x: Tensor, twin: Tensor) -> float:
    """Return the relative distance of x from what the law makes of its twin; frames are free."""
    places = [(law.rows, "rows"), (law.cols, "cols")]
    free = [name for ix, name in places if isinstance(ix.element, Frame)]
    plain = Law(
        FIXED if "rows" in free else law.rows,
        FIXED if "cols" in free else law.cols,
        law.entries,
        law.unit,
    )
    mapped = settled(element, plain, twin)
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
    for seed in range(2):
        wrong = [(line, d) for line, d in discrepancies(verdict, shape, seed) if not d < TOLERANCE]
        assert not wrong, f"{verdict!r}: {wrong}"
