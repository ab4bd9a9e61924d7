"""One step of a program on a batch of equal-shaped parameters: views, dtypes, refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.lowering import refresh
from normdsl.compiler.lowering.derive import Singular
from normdsl.compiler.lowering.program import Program, lower
from normdsl.declaration import Declaration
from normdsl.errors import FactorisationError, GradientError
from normdsl.expr import MatMul, Transpose
from normdsl.graph import walk
from normdsl.nodes import (
    Cholesky,
    Eigenbasis,
    Eye,
    Inverse,
    MatrixPower,
    Polar,
    Reducer,
    Source,
    Stream,
)
from normdsl.norms.iterated import Iterated
from normdsl.schedule import Schedule

_MATRIX_NODES = (
    MatMul
    | Transpose
    | MatrixPower
    | Cholesky
    | Inverse
    | Polar
    | Singular
    | Iterated
    | Eigenbasis
    | Eye
)


#: Scalars of all layers, and what a batch contributed to them, by the names the code has for them.
Known = dict[str, tuple[Tensor, ...]]


@attrs.frozen(eq=False)
class Inputs:
    """What a batch of equal-shaped parameters steps from.

    Args:
        params: the parameters. grads: their gradients.
        states: per state of the rule, its value for each parameter.
        clocks: step index of each parameter, scalars, from 1.
        loss: value of the loss, if known. hyper: the hyper-parameters.
        moments: per moment of the layer that the rule reads, its value for each parameter.
        phase: what to do with values kept between steps, see `lowering.refresh`.
    """

    params: Sequence[Tensor]
    grads: Sequence[Tensor]
    states: Sequence[Sequence[Tensor]]
    clocks: Sequence[Tensor]
    loss: Tensor | None
    hyper: Mapping[str, Any]
    moments: Mapping[str, Sequence[Tensor]] = MappingProxyType({})
    phase: int = refresh.FIRST


@attrs.frozen(eq=False)
class Stepper:
    """Runs a program on batches.

    Args:
        program: the lowered declaration.
        run: its step, compiled if the schedule says so. surveys: its surveys, likewise.
        matrix_only: whether it uses matrix operations, which vectors do not have.
        reads_loss: whether it needs the value of the loss.
    """

    program: Program
    run: Any
    surveys: tuple[Any, ...]
    matrix_only: bool
    reads_loss: bool

    def view(self, x: Tensor) -> Tensor:
        """Return a parameter (or gradient, or state) as a matrix.

        Vectors become columns and higher orders are flattened behind the first axis, which is
        legal for rules without matrix operations only, and for those that read a layer's moments:
        a convolution then is the matrix that is applied to its patches.

        Raises:
            GradientError: if the rule has them and the tensor is no matrix.
        """
        if x.ndim == 2:
            return x
        if self.matrix_only and not (x.ndim > 2 and self.program.declaration.moments):
            raise GradientError(
                f"apply {self.program.declaration.name} to a parameter of shape {tuple(x.shape)}",
                why="the rule multiplies or factors matrices, and this parameter has "
                f"{x.ndim} axes, not 2",
                hint="give vectors and convolutions to another rule in an optimizer of their own, "
                "or reshape the parameter to a matrix",
            )
        return x.reshape(x.shape[0] if x.ndim else 1, -1)

    def dtype(self, param: Tensor) -> torch.dtype:
        """Return the dtype a parameter's step is computed and its state kept in."""
        name = self.program.schedule.dtype
        if name is not None:
            found = getattr(torch, name)
            assert isinstance(found, torch.dtype)
            return found
        return torch.promote_types(param.dtype, torch.float32)

    def require(self, param: Tensor, grad: Tensor | None = None) -> None:
        """Refuse a parameter or gradient that the rule cannot take.

        Raises:
            GradientError: for complex, integer or sparse tensors, or shapes that do not match.
        """
        name = self.program.declaration.name
        if not param.is_floating_point():
            raise GradientError(
                f"apply {name} to a parameter of dtype {param.dtype}",
                why="rules are over the real numbers",
                hint="use torch.view_as_real of a complex parameter as the leaf tensor",
            )
        if grad is None:
            return
        if grad.layout is not torch.strided:
            raise GradientError(
                f"apply {name} to a gradient of layout {grad.layout}",
                why="norms and factorisations need every entry",
                hint="use sparse=False in the embedding",
            )
        if grad.shape != param.shape:
            raise GradientError(
                f"apply {name} to a parameter of shape {tuple(param.shape)}",
                why=f"its gradient has shape {tuple(grad.shape)}",
                hint="pass the gradient of this parameter",
            )

    @property
    def keeps(self) -> bool:
        """Whether values are kept between steps, so that `phase` matters."""
        return self.program.phase is not None

    def phase(self, done: int) -> int:
        """Return what the step after `done` steps does with kept values."""
        return refresh.phase(done, self.program.schedule.refresh)

    def init(self, params: Sequence[Tensor], hyper: Mapping[str, Any]) -> list[Tensor]:
        """Return the initial states of a batch of equal-shaped parameters."""
        W = torch.stack([self.view(p).to(self.dtype(p)) for p in params])
        return [s.contiguous() for s in self.program.init(W, **hyper)]

    def layers(self, batches: Sequence[Inputs]) -> list[Known]:
        """Return, for each batch, what the step combines over all layers, and its own part of it.

        Layers are the parameters of all these batches.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        if not batches:
            return []
        nothing: Known = {"layers": (), "own": ()} if self.program.layers else {}
        known = [dict(nothing) for _ in batches]
        for node, survey in zip(self.program.layers, self.surveys, strict=True):
            each = [
                self._each(self._called(survey, batch, found)[0], batch)
                for batch, found in zip(batches, known, strict=True)
            ]
            total = _joined(each, node.reducer)
            for found, x in zip(known, each, strict=True):
                found["layers"] += (total.to(x).reshape(1, 1, 1),)
                found["own"] += (x,)
        return known

    def step(
        self, batch: Inputs, known: Known | None = None
    ) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return the new parameters and states of a batch.

        Args:
            batch: what it steps from.
            known: what `layers` returned for it.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        new, *after = self._called(self.run, batch, known or {})
        weights = [
            x.reshape(p.shape).to(p.dtype) for x, p in zip(new.unbind(), batch.params, strict=True)
        ]
        spread = [
            torch.as_tensor(s, dtype=new.dtype, device=new.device).expand(
                len(weights), *f.lengths((new.shape[-2], new.shape[-1]))
            )
            for f, s in zip(self.program.fields, after, strict=True)
        ]
        return weights, [list(s.unbind()) for s in spread]

    def _each(self, scalar: Any, batch: Inputs) -> Tensor:
        """Return a scalar for each parameter of a batch, also one that is the same for all."""
        first = batch.params[0]
        known = torch.as_tensor(scalar, dtype=self.dtype(first), device=first.device)
        return known.reshape(-1, 1, 1).expand(len(batch.params), 1, 1)

    def _called(self, function: Any, batch: Inputs, known: Known) -> Any:
        """Call an emitted function on a batch, stacked."""
        dtype = self.dtype(batch.params[0])
        W = _stacked([self.view(p) for p in batch.params]).to(dtype)
        G = _stacked([self.view(g) for g in batch.grads]).to(dtype)
        t = _stacked(batch.clocks).reshape(-1, 1, 1)
        loss, count = batch.loss, len(batch.params)
        value = (
            None if loss is None else loss.to(W.device, dtype).reshape(1, 1, 1).expand(count, 1, 1)
        )
        told: dict[str, Any] = {name: _stacked(x).to(W) for name, x in batch.moments.items()}
        if self.program.phase:
            told[self.program.phase] = batch.phase
        try:
            return function(
                W, G, *map(_stacked, batch.states), t=t, loss=value, **told, **known, **batch.hyper
            )
        except LinAlgError as error:
            raise FactorisationError(
                f"take a step of {self.program.declaration.name}",
                why=f"a factorisation failed ({error}); nothing was changed",
                hint="look for overflow in the weights or states: lower the learning rate",
            ) from error


def as_loss(value: Any) -> Tensor | None:
    """Return a loss as a tensor, a number in double precision."""
    if value is None or isinstance(value, Tensor):
        return value
    return torch.as_tensor(value, dtype=torch.float64)


def _joined(each: Sequence[Tensor], reducer: Reducer) -> Tensor:
    """Return the sum or maximum of what batches contribute, in the widest of their dtypes."""
    joined = torch.cat([x.to(each[0].device).flatten() for x in each])
    return joined.sum() if reducer is Reducer.SUM else joined.amax()


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))


@lru_cache(maxsize=256)
def stepper(declaration: Declaration, schedule: Schedule) -> Stepper:
    """Return the stepper of a declaration under a schedule."""
    program = lower(declaration, schedule)
    everything = {x for root in program.graph for x in walk(root)}
    matrix_only = any(isinstance(x, _MATRIX_NODES) for x in everything)
    reads_loss = any(isinstance(x, Stream) and x.source is Source.LOSS for x in everything)
    run, *surveys = (
        torch.compile(f, fullgraph=True) if schedule.compile else f
        for f in (program.step, *program.surveys)
    )
    return Stepper(program, run, tuple(surveys), matrix_only, reads_loss)
