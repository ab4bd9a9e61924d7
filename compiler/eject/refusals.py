"""Refusals: what an ejected file cannot hold, said before it is written."""

from __future__ import annotations

from normdsl.compiler.layouts.view import Flat, View
from normdsl.compiler.layouts.views import Stack
from normdsl.compiler.lowering.program import Program
from normdsl.errors import DeclarationError
from normdsl.expressions.nodes import WorkersMean
from normdsl.expressions.traversal import walk


def require(program: Program, view: View | None) -> None:
    """Refuse what cannot be ejected.

    Raises:
        DeclarationError: for a rule that combines layers, averages over workers, evaluates the
            loss again, reads moments of a layer, draws random numbers or rounds by them, and for a
            view that cuts parameters into parts.
    """
    rule = program.declaration
    asked = f"eject {rule.name}"
    hint = f"use the optimizer itself, {rule.name}(params)"
    if program.layers:
        raise DeclarationError(
            asked,
            at=program.layers[0],
            why="it combines what all layers have, and an ejected step takes bucket after bucket",
            hint=hint,
        )
    if rule.averages:
        raise DeclarationError(
            asked,
            at=next(x for x in walk(rule.update) if isinstance(x, WorkersMean)),
            why="it averages over workers, and an ejected step knows of no other process",
            hint=hint,
        )
    if rule.asks:
        raise DeclarationError(
            asked,
            at=program.phases[0].asked[0],
            why="it evaluates the loss again in the middle of a step, with all weights elsewhere",
            hint=hint,
        )
    if rule.moments:
        raise DeclarationError(
            asked,
            why=f"it reads {' and '.join(rule.moments)}, which nd.capture(model) records",
            hint=hint,
        )
    if program.schedule.rounding != "nearest":
        raise DeclarationError(
            asked,
            why="its states are rounded by chance, by the names of parameters and a seed",
            hint=f'{hint}, or eject it with rounding="nearest"',
        )
    if program.draws:
        raise DeclarationError(
            asked,
            why="it draws random numbers, by the names of parameters and the seed of an optimizer",
            hint=hint,
        )
    if not isinstance(view, Flat | Stack | None):
        raise DeclarationError(
            f"{asked} with the view: {view}",
            why="an ejected step sees a parameter as one matrix, or as those of its last axes",
            hint="leave the view out, or use nd.views.flat or nd.views.stack",
        )
