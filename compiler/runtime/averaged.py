"""What a rule averages over workers, in words: of how many, what, when, and what each sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from torch import Tensor

from normdsl.compiler.layouts.layout import is_judged
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.workers import Ways
from normdsl.compiler.runtime.parameter_groups import Settings
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import WorkersMean
from normdsl.show.text import text


def averaged(said: Settings, params: Sequence[Tensor], count: int) -> Iterator[str]:
    """Yield lines on the means over workers of a group of parameters.

    Args:
        said: its settings. params: its parameters. count: how many workers there are.
    """
    rule = said.rule.name
    if not said.rule.averages:
        return
    if count == 1:
        yield (
            f"{rule} averages over workers, and this process is the only one: a mean is the value "
            "itself. On several processes, replicas= says which are workers."
        )
        return
    program = attrs.evolve(said, workers=True).stepper.program
    live = [p for p in params if is_judged(p)]
    for node in program.workers:
        sent = sum(_bytes(said, node, p) for p in live)
        yield (
            f"{rule} averages over {count} workers: {_text(program, node)}, "
            f"{_when(program, program.needed[node])}, {sent:,} bytes of each."
        )


def _bytes(said: Settings, node: WorkersMean, p: Tensor) -> int:
    """Return how large a worker's part of a mean is."""
    each = [(b, *lengths_of(node.shape, (m, n))) for b, m, n in said.layout(p).sizes]
    return sum(b * m * n for b, m, n in each) * said.stepper.dtype(p).itemsize


def _when(program: Program, ways: Ways) -> str:
    """Return at which steps a mean is taken."""
    told = [
        " and ".join(
            f"{'' if true else 'not '}{_text(program, left)} {relation.value} "
            f"{_text(program, right)}"
            for relation, left, right, true in sorted(way, key=str)
        )
        for way in ways
    ]
    return "where " + " or ".join(sorted(told)) if all(told) else "at every step"


def _text(program: Program, expr: Expr) -> str:
    return text(expr, {**program.declaration.labels, **program.names})
