"""Ways: how the processes that hold a parameter together take its step.

Matrices that lie whole on processes step where they are, those that are cut are divided. What can
be neither is gathered, and computed by all.
"""

from __future__ import annotations

import math
from typing import Any

from normdsl.compiler.layouts.holding import Holding, Unit, holding
from normdsl.compiler.layouts.layout import Layout
from normdsl.compiler.sharding.division import why_not_divided
from normdsl.compiler.sharding.owners import members
from normdsl.compiler.sharding.setting import Setting, wire_bytes


def held(layout: Layout, param: Any) -> Holding | None:
    """Return what each process has of a DTensor, if none must have all of it for its step."""
    return None if why_gathered(layout, param) else holding(layout, param)


def why_gathered(layout: Layout, param: Any) -> str:
    """Return why every process computes the step of a DTensor, as the end of a sentence."""
    found, program = holding(layout, param), layout.stepper.program
    if found is None:
        return "as what a process holds of a matrix is no part of its rows and columns"
    if any(phase.reads_hessian for phase in program.phases):
        return "as it asks for the whole Hessian"
    if steps_alone(layout, found):
        return "as it averages over workers" if program.workers else ""
    settings = dict.fromkeys(setting_of(layout, param, found, unit) for unit in found.units)
    return next(filter(None, (why_not_divided(program, x) for x in settings)), "")


def steps_alone(layout: Layout, found: Holding) -> bool:
    """Return whether each process steps the matrices that it has, and needs nothing of others."""
    return found.lies_whole and len(layout.sizes) == 1


def setting_of(
    layout: Layout, param: Any, found: Holding, unit: Unit, owner: int | None = None
) -> Setting:
    """Return for which weights the step of a matrix is divided, whoever owns it, if that is told.

    Args:
        layout: of the parameter. param: the parameter. found: what processes hold of it.
        unit: the matrix. owner: its number.
    """
    axes = frozenset(dim for dim in found.dims if dim is not None)
    replicas = math.prod(cut.count for cut in found.cuts if cut.axis is None)
    number = layout.stepper.dtype(param).itemsize
    wire = wire_bytes(layout.stepper.program.schedule, number)
    count, size = len(found.shares), unit.matrix.size
    group = 1 if owner is None else len(members(owner, count))
    return Setting(size, axes, count, replicas, number, wire, group, param.device.type)
