"""One step of many parameters: gathered, computed, judged, and written only if it may be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.runtime import draws
from normdsl.compiler.runtime.across_layers import shared
from normdsl.compiler.runtime.batch import Inputs
from normdsl.compiler.runtime.layout import STEP, Layout, real
from normdsl.compiler.runtime.nonfinite import all_finite, blame, finite, refuse_result
from normdsl.errors import FactorisationError, GradientError

#: Parameters with more entries step alone: copying them together costs more than it saves.
STACKED_UP_TO = 2**16


@attrs.frozen(eq=False)
class Part:
    """A parameter in a step: its matrices, piece by piece, as the rule sees them.

    Args:
        param: the parameter. layout: how it steps. hyper: its hyper-parameters.
        loss: the loss, if the rule reads it. moments: of its layer, by name, if it reads those.
        state: its state before the step, complete. grad: its gradient, negated to maximise.
        phase: what is done with kept values.
        given: whether all of this is finite, if a step that is not is skipped; a tensor.
        origin: where its random numbers start, if the rule draws any.
    """

    param: Tensor
    layout: Layout
    hyper: Mapping[str, Any]
    loss: Tensor | None
    moments: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    grad: Tensor
    phase: int
    given: Tensor | None = None
    origin: Tensor | None = None

    @property
    def joins(self) -> bool:
        """Whether the step combines scalars of all layers."""
        return bool(self.layout.stepper.program.layers)

    @property
    def kind(self) -> tuple[object, ...]:
        """What parameters have in common whose matrices may be stacked; large ones step alone."""
        p = self.param
        alone = id(p) if p.numel() > STACKED_UP_TO else None
        types = (p.dtype, p.device, self.grad.dtype)
        return (self.layout.stepper, id(self.hyper), alone, *types, self.phase)

    @property
    def made_from(self) -> dict[str, Tensor]:
        """What the step is made from, by name."""
        return {"gradient": self.grad, **self.moments, "value": self.param}

    @property
    def where(self) -> tuple[str, tuple[int, ...]]:
        """Name of the rule and shape of the parameter, for messages."""
        return self.layout.stepper.program.declaration.name, tuple(self.param.shape)

    def guarded(self) -> Part:
        """Return the part with what is not finite set to zero, and whether anything was."""
        ok = finite(self.grad, *self.moments.values(), self.loss)
        moments = {name: torch.where(ok, x, 0) for name, x in self.moments.items()}
        grad = torch.where(ok, self.grad, 0)
        return attrs.evolve(self, given=ok, grad=grad, moments=moments)


@attrs.frozen(eq=False)
class Change:
    """What a step makes of a parameter.

    Args:
        part: from what. weight: its new value. state: its new state.
        shared: the scalars of all layers that it was computed with.
    """

    part: Part
    weight: Tensor
    state: Mapping[str, Tensor]
    shared: tuple[Tensor, ...] = ()

    @property
    def value(self) -> Tensor:
        """The new value, complex if the parameter is."""
        is_complex = self.part.param.is_complex()
        return torch.view_as_complex(self.weight.contiguous()) if is_complex else self.weight

    @property
    def values(self) -> list[Tensor]:
        """All numbers that are new; the step count is finite."""
        return [self.weight, *(x for k, x in self.state.items() if k != STEP), *self.shared]

    @property
    def guard(self) -> Tensor:
        """Whether everything that the step is made from is finite, as a tensor."""
        assert self.part.given is not None
        return self.part.given

    @property
    def legal(self) -> Tensor:
        """Whether everything old and new is finite, as a tensor."""
        return self.guard & finite(*self.values)

    def kept_where(self, ok: Tensor) -> Change:
        """Return the change, or the old values if `ok` is false; a tensor."""
        ok, old = ok.to(self.weight.device), self.part.state
        weight = torch.where(ok, self.weight, real(self.part.param))
        chosen = {key: torch.where(ok, new, old[key]) for key, new in self.state.items()}
        return Change(self.part, weight, chosen)

    def write(self, state: dict[str, Tensor]) -> None:
        """Write the new values over the old ones, in place where there are any.

        Values that another schedule kept in the state are out of date now, and removed; entries of
        other packages stay.
        """
        for key in [k for k in state.keys() - self.state.keys() if self.part.layout.owns(k)]:
            del state[key]
        self.part.param.copy_(self.value)
        for key, new in self.state.items():
            if key not in state:
                state[key] = _home(self.part, new)
            state[key].copy_(new)


def _home(part: Part, new: Tensor) -> Tensor:
    """Return memory for a state, laid out as the parameter if it has its shape."""
    like = real(part.param)
    kept = like if like.shape == new.shape else new.contiguous()
    return torch.empty_like(kept, dtype=new.dtype, device=new.device, requires_grad=False)


def changes(parts: Sequence[Part]) -> list[Change]:
    """Return what a step makes of parameters; changes nothing.

    Raises:
        FactorisationError: if a factorisation fails, or a GradientError naming what is not finite.
    """
    try:
        return [_change(part, new) for part, new in _new(parts)]
    except FactorisationError:
        for part in parts:
            blame(*part.where, part.loss, part.made_from)
        raise


def finite_changes(parts: Sequence[Part]) -> list[Change]:
    """Return what a step makes of parameters, and the old values where it is not finite.

    Nothing is read on the host, unless a factorisation fails: then parameters step one by one.
    Parameters that join layers go together: those whose gradient is not finite are left out of
    what is joined, as if they had none; if anything else is not, all keep their values.
    """
    guarded = [part.guarded() for part in parts]
    made = _attempted([part for part in guarded if not part.joins])
    chosen = [c.kept_where(c.legal) for c in made]
    joined = _attempted([part for part in guarded if part.joins])
    if joined:
        device = joined[0].guard.device
        together = torch.stack([(c.legal | ~c.guard).to(device) for c in joined]).all()
        chosen += [c.kept_where(c.legal & together.to(c.guard.device)) for c in joined]
    return chosen


def _attempted(parts: Sequence[Part]) -> list[Change]:
    """Return changes; those of parts, or of parts that are joined, that fail are NaN."""
    try:
        return [_change(part, new) for part, new in _new(parts)]
    except FactorisationError:
        if len(parts) > 1 and not parts[0].joins:
            return [change for part in parts for change in _attempted([part])]
        return [
            Change(part, torch.full_like(real(part.param), torch.nan), part.state) for part in parts
        ]


def require_finite(made: list[Change]) -> list[Change]:
    """Return changes, unless anything old or new is not finite: one synchronisation.

    Raises:
        GradientError: naming the first that is not.
    """
    checked = [[c.part.grad, *c.part.moments.values(), *c.values] for c in made]
    loss = [c.part.loss for c in made if c.part.loss is not None][:1]
    if all_finite([x for values in checked for x in values] + loss):
        return made
    for change in made:
        blame(*change.part.where, change.part.loss, change.part.made_from)
    raise refuse_result(*next(c.part.where for c in made if not all_finite(c.values)))


Piece = tuple[Part, int]
New = tuple[Tensor, list[Tensor], tuple[Tensor, ...]]


def _new(parts: Sequence[Part]) -> list[tuple[Part, list[New]]]:
    """Return the new values of the pieces of each part."""
    batches = _batches(parts)
    steppers = [pieces[0][0].layout.stepper for pieces in batches]
    together = list(zip(steppers, map(_inputs, batches), strict=True))
    found: dict[Piece, New] = {}
    for pieces, (stepper, inputs), known in zip(batches, together, shared(together), strict=True):
        weights, states = stepper.step(inputs, known)
        for i, piece in enumerate(pieces):
            found[piece] = weights[i], [column[i] for column in states], known.get("layers", ())
    return [(part, [found[part, k] for k in range(len(part.layout.sizes))]) for part in parts]


def _batches(parts: Iterable[Part]) -> list[list[Piece]]:
    """Return pieces grouped so that they can be stacked: equal sizes, whatever their views."""
    found: dict[tuple[object, ...], list[Piece]] = defaultdict(list)
    for part in parts:
        for k, size in enumerate(part.layout.sizes):
            found[size, *part.kind].append((part, k))
    return list(found.values())


def _inputs(pieces: Sequence[Piece]) -> Inputs:
    """Return what pieces of one size step from."""
    first = pieces[0][0]
    seen = [(part.layout, part, k) for part, k in pieces]
    given = [part.given for part, _ in pieces if part.given is not None]
    drawn = [(part, part.origin, k) for part, k in pieces if part.origin is not None]
    return Inputs(
        [layout.view.pieces(real(part.param))[k] for layout, part, k in seen],
        [layout.view.pieces(real(part.grad))[k] for layout, part, k in seen],
        [[x.read(part.state, field)[k] for x, part, k in seen] for field in first.layout.fields],
        [part.state[STEP] + 1 for part, _ in pieces],
        first.loss,
        first.hyper,
        {name: [part.moments[name].unsqueeze(0) for part, _ in pieces] for name in first.moments},
        first.phase,
        given or None,
        [draws.stream(origin, part.state[STEP] + 1) for part, origin, _ in drawn],
        [draws.places(part.layout, part.param)[k] for part, _, k in drawn],
    )


def _change(part: Part, new: Sequence[New]) -> Change:
    """Return the change of a parameter from the new values of its pieces."""
    layout, param = part.layout, real(part.param)
    weight = layout.view.join([w for w, *_ in new], layout.shape).to(param.dtype)
    state = {STEP: part.state[STEP] + 1}
    for i, field in enumerate(layout.fields):
        dtype = layout.stepper.kept_dtype(field, part.param)
        kept = layout.write(field, [states[i] for _, states, _ in new])
        state.update({key: x.to(dtype) for key, x in kept.items()})
    return Change(part, weight, state, new[0][2])


def started(
    layout: Layout, param: Tensor, hyper: Mapping[str, Any], origin: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the state of a parameter before its first step.

    Args:
        layout: how it steps. param: the parameter. hyper: its hyper-parameters.
        origin: where its random numbers start, if the rule draws any.
    """
    stepper = layout.stepper
    state = {STEP: torch.zeros((), dtype=torch.int64, device=param.device)}
    seen = layout.view.pieces(real(param))
    drawn: list[dict[str, Tensor]] = [{} for _ in seen]
    if origin is not None:
        stream = draws.stream(origin, state[STEP]).reshape(1, 1, 1)
        drawn = [{"stream": stream, "places": x} for x in draws.places(layout, param)]
    starts = [
        stepper.init(w.to(stepper.dtype(param)), hyper, x) for w, x in zip(seen, drawn, strict=True)
    ]
    for i, field in enumerate(layout.fields):
        kept = layout.write(field, [start[i] for start in starts])
        dtype = stepper.kept_dtype(field, param)
        state.update({key: x.to(dtype) for key, x in kept.items()})
    return state


def require_gradient(rule: str, param: Tensor, grad: Tensor) -> None:
    """Refuse a gradient that a step cannot be made from.

    Raises:
        GradientError: for a nested or sparse gradient, one of another shape, or of numbers that are
            no derivative of the parameter's.
    """
    if grad.is_nested or grad.layout is not torch.strided:
        raise GradientError(
            f"apply {rule} to a gradient of layout {grad.layout}",
            why="norms and factorisations need every entry",
            hint="use sparse=False in the embedding",
        )
    if grad.shape != param.shape:
        raise GradientError(
            f"apply {rule} to a parameter of shape {tuple(param.shape)}",
            why=f"its gradient has shape {tuple(grad.shape)}",
            hint="pass the gradient of this parameter",
        )
    real = grad.is_floating_point() and not param.is_complex() and grad.dtype.itemsize > 1
    if not real and not (grad.is_complex() and param.is_complex()):
        raise GradientError(
            f"apply {rule} to a parameter of dtype {param.dtype}",
            why=f"its gradient has dtype {grad.dtype}",
            hint="pass a gradient of real numbers of 16 bits at least, and a complex one for a "
            "complex parameter",
        )
