"""One step of a program on a batch of matrices of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.runtime.compiled import Compiled
from normdsl.compiler.runtime.dividing import Divisors
from normdsl.compiler.runtime.inputs import Inputs, Known, on_the_host
from normdsl.declarations.rule import Rule, remembered
from normdsl.errors import FactorisationError, GradientError, HyperparameterError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import (
    Across,
    Source,
    Stream,
)
from normdsl.expressions.nodes.products import Transpose
from normdsl.expressions.recursion import Before
from normdsl.expressions.shapes import Dim
from normdsl.expressions.traversal import walk
from normdsl.near import did_you_mean
from normdsl.schedules.schedule import Schedule


@attrs.frozen(eq=False)
class Stepper:
    """Runs a program on batches.

    Args:
        program: the lowered declaration.
        run: its arrays, compiled if the schedule says so. renew: what computes kept values.
        surveys: its surveys, likewise.
        matrix_only: whether an entry of it depends on rows or columns, which vectors do not have.
        entrywise: whether an entry depends on its own past alone, so that all may be one vector.
        divisors: what it divides by, which may make infinite numbers of usual ones.
        reads_loss: whether it needs the value of the loss.
        reads_sizes: whether it needs the numbers of rows and columns.
        moments: names of the layer's moments that it needs.
        passed: for the new weights and each state, whether it may be an old tensor passed on.
    """

    program: Program
    run: Any
    renew: Any
    surveys: tuple[Any, ...]
    matrix_only: bool
    entrywise: bool
    divisors: Divisors
    reads_loss: bool
    reads_sizes: bool
    moments: tuple[str, ...]
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

    def init(
        self, weights: Tensor, hyper: Mapping[str, Any], drawn: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Return the initial states of matrices b × m × n, in the dtype of the computation.

        Args:
            weights: the matrices. hyper: the hyper-parameters.
            drawn: the `stream` and `places` of random numbers, if the rule draws any.
        """
        given = {**self._hyper(hyper), **(drawn if self.program.draws else {})}
        return [s.contiguous() for s in self.program.init(weights, **given)]

    def survey(self, node: Across, batch: Inputs, known: Known) -> Tensor:
        """Return what each matrix of a batch contributes to a scalar of all layers, count × 1 × 1.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        survey = self.surveys[self.program.layers.index(node)]
        kept = (batch.kept or ()) if node in self.program.waiting else ()
        hyper = self._hyper(batch.hyper)
        t = batch.t.to(self.dtype(batch.weights))
        scalar = self._called(survey, batch, known, *kept, t=t, **hyper)[0]
        first = batch.weights
        seen = torch.as_tensor(scalar, dtype=self.dtype(first), device=first.device)
        return seen.reshape(-1, 1, 1).expand(batch.count, 1, 1)

    def step(
        self, batch: Inputs, known: Known | None = None, *, reuse: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Return new weights and states of a batch, in memory of their own or expanded.

        Args:
            batch: what it steps from.
            known: what `across_layers.shared` returned for it.
            reuse: whether what is new may take the memory of the batch's weights and states.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        batch = self.renewed(batch, known or {})
        told = self._told(batch, reuse)
        new, *after = self._called(self.run, batch, known or {}, *(batch.kept or ()), **told)
        lengths = [new.shape[-2:], *(f.lengths(new.shape[-2:]) for f in self.program.fields)]
        found = []
        for x, size, passed in zip([new, *after], lengths, self.passed, strict=True):
            whole = torch.as_tensor(x, dtype=new.dtype, device=new.device)
            whole = whole.expand(batch.count, *size)
            found.append(whole.clone() if passed else whole)
        return found[0], found[1:]

    def valued(self, function: Any, batch: Inputs, fed: Sequence[Tensor]) -> list[Tensor]:
        """Return what the matrix operations of a step in stages make.

        Args:
            function: `Stages.value`. batch: what it steps from. fed: what they read.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        batch = self.renewed(batch, {})
        told = self._told(batch, reuse=True)
        return list(self._called(function, batch, {}, *(batch.kept or ()), *fed, **told))

    def renewed(self, batch: Inputs, known: Known) -> Inputs:
        """Return a batch with its kept values, computed anew where they are due.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        if not self.keeps or batch.kept is not None:
            return batch
        kept = [batch.states[k].to(self.dtype(batch.weights)) for k in self.program.homes]
        if batch.phase:
            new = self.due(batch, known)
            if batch.due is not None:
                first, last = batch.due.start, batch.due.stop
                new = [torch.cat([x[:first], y, x[last:]]) for x, y in zip(kept, new, strict=True)]
            kept = new
        return batch._replace(kept=kept)

    def due(self, batch: Inputs, known: Known) -> list[Tensor]:
        """Return kept values of those matrices that are due, and what turns along with them."""
        if batch.due is not None:
            own = {"own": tuple(_rows(x, batch.due) for x in known.get("own", ()))}
            batch, known = batch.part(batch.due), {**known, **own} if known else known
        assert self.program.phase is not None, "there are kept values"
        told = {self.program.phase: batch.phase}
        new = self._called(self.renew, batch, known, **told, **self._numbers(batch))
        rows, cols = batch.weights.shape[-2:]
        sizes = [self.program.fields[k].lengths((rows, cols)) for k in self.program.homes]
        return [x.expand(batch.count, *size) for x, size in zip(new, sizes, strict=True)]

    def _told(self, batch: Inputs, reuse: bool) -> dict[str, Any]:
        """Return the numbers of a step, and whether it may write where its states are."""
        told, name = dict(self._numbers(batch)), self.program.reuse
        return told | {name: True} if name and reuse and not self.program.schedule.compile else told

    def _numbers(self, batch: Inputs) -> Mapping[str, Any]:
        """Return what a step computes once for all entries of a batch."""
        numbers, dtype = batch.numbers, self.dtype(batch.weights)
        if numbers is None:
            numbers = self.numbers(batch.weights.to(dtype), batch.t, batch.hyper)
        if not self.program.schedule.compile:
            return numbers
        return {name: _scalar(x, dtype) for name, x in numbers.items()}

    def numbers(self, like: Tensor, t: Tensor, hyper: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a step computes once for all entries, by name.

        Args:
            like: a batch of matrices of the size, dtype and device of the computation.
            t: step index from 1. hyper: the hyper-parameters.

        Raises:
            GradientError: if there is no such number, as after a division by zero.
        """
        try:
            return self.program.numbers(like, t=t.to(like.dtype), **hyper)
        except ArithmeticError as error:
            raise self._no_number(like, error) from error

    def _called(
        self, function: Any, batch: Inputs, known: Known, *kept: Tensor, **given: Any
    ) -> Any:
        """Call an emitted function on a batch."""
        dtype, loss = self.dtype(batch.weights), batch.loss
        W, G = batch.weights.to(dtype), batch.grads.to(dtype)
        if loss is not None:
            loss = loss.to(W.device, dtype).reshape(1, 1, 1).expand(batch.count, 1, 1)
        told: dict[str, Any] = {name: x.to(W) for name, x in batch.moments.items()}
        if self.program.draws:
            told |= {"stream": batch.stream, "places": batch.places}
        states = [x.to(dtype) for x in batch.states]
        try:
            return function(W, G, *states, *kept, loss=loss, **told, **known, **given)
        except LinAlgError as error:
            raise FactorisationError(
                f"take a step of {self.program.declaration.name}",
                why=f"a factorisation failed ({error})",
                hint="look for overflow in the weights or states: lower the learning rate",
            ) from error
        except ArithmeticError as error:
            raise self._no_number(W, error) from error

    def _no_number(self, like: Tensor, error: ArithmeticError) -> GradientError:
        return GradientError(
            f"take a step of {self.program.declaration.name}",
            why=f"its hyper-parameters and the shape of W, {tuple(like.shape[-2:])}, make no "
            f"number ({error}); nothing was changed",
            hint="keep them away from where the rule divides by zero or overflows",
        )

    def _hyper(self, hyper: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return hyper-parameters as compiled code takes them: tensors, whose values it ignores.

        What is on the host stays there, in double precision, wherever the parameters are.
        """
        if not self.program.schedule.compile:
            return hyper
        return {k: on_the_host(v) for k, v in hyper.items()}


def _rows(own: Tensor, which: slice) -> Tensor:
    """Return what some of the matrices contributed to a scalar; a placeholder as it is."""
    return own[which] if own.ndim else own


def _scalar(number: float | Tensor, dtype: torch.dtype) -> Tensor:
    """Return a number as compiled code takes it, which then does not depend on its value."""
    if isinstance(number, Tensor):
        return number.to(dtype)
    return torch.tensor(number, dtype=dtype, device="cpu")


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
def stepper(declaration: Rule, schedule: Schedule) -> Stepper:
    """Return the stepper of a declaration under a schedule.

    Raises:
        HyperparameterError: if the schedule names a state that the rule has not.
    """
    program = lower(declaration, schedule)
    _require_slots(program)
    everything = {x for root in program.graph for x in walk(root)}
    matrix_only = any(x.footprint.needs_matrix for x in everything)
    read = {x.source for x in everything if isinstance(x, Stream)}
    reads_sizes = bool({Source.ROWS, Source.COLS} & read)
    alone = all(x.footprint is Footprint.OWN for x in everything)
    native = all(f.dims == (Dim.M, Dim.N) for f in program.fields)
    entrywise = alone and native and not (reads_sizes or program.draws or declaration.moments)
    functions: list[Any] = [program.arrays, program.renew, *program.surveys]
    if schedule.compile:
        functions = [f and Compiled(f) for f in functions]
    run, renew, *surveys = functions
    passed = [_passes_on(root) for root in program.graph]
    passed += [False] * len(program.kept)
    return Stepper(
        program,
        run,
        renew,
        tuple(surveys),
        matrix_only,
        entrywise,
        Divisors(everything),
        Source.LOSS in read,
        reads_sizes,
        declaration.moments,
        tuple(passed),
    )


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
