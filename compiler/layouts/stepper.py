"""Stepper: a rule under a schedule, with what the runtime needs to know of it.

Plans are made of these facts; `running` calls the functions.
"""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.layouts.compiled import Compiled
from normdsl.compiler.layouts.dividing import Divisors
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.lowering.transposable import transposable
from normdsl.declarations.rule import Rule, remembered
from normdsl.errors import HyperparameterError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Polar, Source, Stream
from normdsl.expressions.nodes.products import Transpose
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import Dim
from normdsl.expressions.traversal import walk
from normdsl.near import did_you_mean
from normdsl.schedules.methods import Automatic
from normdsl.schedules.schedule import Schedule


@attrs.frozen(eq=False)
class Stepper:
    """A rule under a schedule.

    Args:
        program: the lowered declaration.
        run: its arrays, compiled if the schedule says so. renew: what computes kept values.
        surveys: its surveys, likewise. points: what says where evaluations of the loss are.
        matrix_only: whether an entry of it depends on rows or columns, which vectors do not have.
        entrywise: whether an entry depends on its own past alone, so that all may be one vector.
        divisors: what it divides by, which may make infinite numbers of usual ones.
        reads_gradient: whether it needs the gradient at the weights.
        reads_loss: whether it needs the value of the loss.
        reads_sizes: whether it needs the numbers of rows and columns.
        moments: names of the layer's moments that it needs.
        transposes: whether matrices may stand in a batch transposed, and that saves calls: the step
            commutes with transposition, and products by the automatic method are most of it.
        passed: for the new weights and each state, whether it may be an old tensor passed on.
    """

    program: Program
    run: Any
    renew: Any
    surveys: tuple[Any, ...]
    points: tuple[Any, ...]
    matrix_only: bool
    entrywise: bool
    divisors: Divisors
    reads_gradient: bool
    reads_loss: bool
    reads_sizes: bool
    moments: tuple[str, ...]
    transposes: bool
    passed: tuple[bool, ...]

    def dtype(self, param: Tensor) -> torch.dtype:
        """Return the dtype a parameter's step is computed in."""
        name = self.program.schedule.dtype
        if name is not None:
            return _dtype(name)
        real = param.dtype.to_real() if param.is_complex() else param.dtype
        return torch.promote_types(real, torch.float32)

    def kept_dtype(self, field: Field, param: Tensor) -> torch.dtype:
        """Return the dtype in which a parameter's state is kept between steps."""
        name = self.program.schedule.kept_dtype(field.name, field.turns)
        return self.dtype(param) if name is None else _dtype(name)

    @property
    def draws(self) -> bool:
        """Whether random numbers are drawn, by the rule or to round its states."""
        return self.program.draws or self.rounds

    @property
    def is_told(self) -> bool:
        """Whether a step is told of other layers or workers, or of the loss at other points."""
        return bool(self.program.joined or self.program.phases)

    @property
    def joins(self) -> bool:
        """Whether parameters step together or not at all: what they share, or read of others."""
        return bool(self.program.layers) or self.reads_others

    @property
    def reads_others(self) -> bool:
        """Whether it reads other parameters."""
        return bool(self.program.declaration.neighbours)

    @property
    def rounds(self) -> bool:
        """Whether states are rounded by chance."""
        return self.program.schedule.rounding == "stochastic"

    @property
    def seconds(self) -> float | None:
        """How long the first call of the compiled step took; None if it is not compiled."""
        return self.run.seconds if isinstance(self.run, Compiled) else None

    @property
    def keeps(self) -> bool:
        """Whether values are kept between steps, so that `phase` matters."""
        return self.program.phase is not None

    def place(self, offset: int) -> int:
        """Return the place of an offset in the period of refreshes."""
        return offset % self.program.schedule.refresh


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    assert isinstance(found, torch.dtype)
    return found


def _passes_on(root: Expr) -> bool:
    """Return whether the value of an expression may be an old tensor, or a view of one."""
    while isinstance(root, Transpose):
        root = root.arg
    return isinstance(root, Before | Stream)


@remembered(maxsize=256)
def stepper(declaration: Rule, schedule: Schedule, workers: bool = False) -> Stepper:
    """Return the stepper of a declaration under a schedule.

    Args:
        declaration: the rule. schedule: how it is computed.
        workers: whether several workers run it; else a mean over workers is that of one.

    Raises:
        HyperparameterError: if the schedule names a state that the rule has not.
    """
    program = lower(declaration, schedule, workers)
    _require_slots(program)
    _require_fresh_points(program)
    everything = {x for root in program.graph for x in walk(root)}
    matrix_only = any(x.footprint.needs_matrix for x in everything)
    read = {x.source for x in everything if isinstance(x, Stream)}
    reads_sizes = bool({Source.ROWS, Source.COLS} & read)
    alone = all(x.footprint is Footprint.OWN for x in everything)
    native = all(f.dims == (Dim.M, Dim.N) for f in program.fields)
    entrywise = alone and native and not (reads_sizes or program.draws or declaration.asides)
    functions: list[Any] = [program.arrays, program.renew, *program.surveys, *program.points]
    if schedule.compile:
        functions = [f and Compiled(f) for f in functions]
    run, renew, *rest = functions
    surveys, points = rest[: len(program.surveys)], rest[len(program.surveys) :]
    passed = [_passes_on(root) for root in program.graph]
    passed += [False] * len(program.kept)
    return Stepper(
        program,
        run,
        renew,
        tuple(surveys),
        tuple(points),
        matrix_only,
        entrywise,
        Divisors(everything),
        Source.GRADIENT in read,
        Source.LOSS in read,
        reads_sizes,
        declaration.moments,
        any(isinstance(x, Polar) for x in everything) and _transposes(program),
        tuple(passed),
    )


def _require_fresh_points(program: Program) -> None:
    """Refuse values kept between steps that answers decide, where points depend on such values."""
    points = [x for phase in program.phases for x in (phase.point, *phase.directions)]
    if program.waits(points) and program.answers_in(program.renewed):
        raise HyperparameterError(
            f"keep values of {program.declaration.name} between steps",
            why="some of them depend on what the loss answers at points that others decide, and "
            "all are computed at once",
            hint="leave out refresh=… and iterative eigenbases",
        )


def _transposes(program: Program) -> bool:
    """Return whether matrices may stand transposed; random bits belong to entries in order."""
    schedule = program.schedule
    usual = schedule.polar == Automatic() and schedule.rounding == "nearest"
    return usual and not schedule.compile and transposable(program)


def _require_slots(program: Program) -> None:
    known = [f.name for f in program.fields]
    for name in program.schedule.state_names:
        if name not in known:
            raise HyperparameterError(
                f"schedule a dtype for the state {name!r} of {program.declaration.name}",
                why="the rule has no state of that name",
                hint=f"{did_you_mean(name, known, 'its states are')}; a schedule for one rule "
                "among several is given to the rule, rule(schedule=…)",
            )
