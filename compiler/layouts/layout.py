"""Layout: where a rule's states of a parameter are kept, in its own shape where they have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from normdsl.compiler.layouts.flattened import flattened_by, lost
from normdsl.compiler.layouts.shards import is_settled, is_sharded
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.layouts.view import Flat, View
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.sharding.boxes import Box
from normdsl.errors import GradientError
from normdsl.expressions.shapes import Dim

#: Key of the step count in a parameter's state.
STEP = "step"
#: Key of what says at which steps its kept values are computed, if it has any.
OFFSET = "refresh_offset"
#: Key of which process owns a matrix that several hold, and has states that the others lack.
OWNER = "owner"
#: Keys of whole numbers in a parameter's state.
COUNTS = (STEP, OFFSET, OWNER)


@attrs.frozen
class Layout:
    """How one parameter steps under one rule.

    A state of shape m×n has the parameter's own shape, however it is viewed; another one is kept
    as b × … (without b for a single matrix), under a key per piece if the view has several.

    Args:
        stepper: the rule. view: how the parameter is seen. shape: its shape, complex as pairs.
        whole: of a part of a parameter, in which matrices of one size lie whole, how that steps.
        share: which box the part is.
    """

    stepper: Stepper
    view: View
    shape: tuple[int, ...]
    whole: Layout | None = None
    share: Box | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The states of the rule."""
        return self.stepper.program.fields

    @property
    def required(self) -> tuple[Field, ...]:
        """The states without which a step cannot go on; others are values kept to save time."""
        return self.stepper.program.states

    @property
    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Count, rows and columns of the matrices of each piece."""
        return self.view.sizes(self.shape)

    @property
    def owned(self) -> tuple[int, ...]:
        """The shape of what says who owns its matrices, where processes hold them together."""
        count = sum(b for b, _, _ in self.sizes)
        return () if count == 1 else (count,)

    def stored(self, field: Field) -> dict[str, tuple[int, ...]]:
        """Return the keys and shapes under which a state is kept."""
        if is_native(field):
            return {field.name: self.shape}
        if self.whole is None:
            return self.kept(field, [b for b, _, _ in self.sizes])
        return self.whole.kept(field, [b for b, _, _ in self.sizes])

    def kept(self, field: Field, counts: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Return the keys and shapes of a state of some matrices of each piece, not of its shape.

        Args:
            field: the state. counts: how many matrices there are of each piece.
        """
        cut: list[tuple[int, ...]] = []
        for count, (b, m, n) in zip(counts, self.sizes, strict=True):
            size = field.lengths((m, n))
            cut.append((count, *size) if b > 1 else size if count else (0, 0))
        if len(cut) == 1:
            return {field.name: cut[0]}
        return {f"{field.name}[{k}]": s for k, s in enumerate(cut)}

    def owns(self, key: object) -> bool:
        """Return whether a key of a parameter's state is one of the rule's, under any schedule.

        What wrappers and hooks keep under other keys is theirs.
        """
        name = key.partition("[")[0] if isinstance(key, str) else None
        return name in COUNTS or name in self.stepper.program.owned

    def own(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rule's part of a parameter's state."""
        return {key: value for key, value in state.items() if self.owns(key)}

    def begins(self, state: Mapping[str, Any], device: torch.device) -> bool:
        """Return whether something is missing in a parameter's state, as before its first step.

        Raises:
            GradientError: if something has another shape, as under another view, or is on another
                device, or if a key of the rule's was taken by others before the first step.
        """
        stored = [pair for field in self.fields for pair in self.stored(field).items()]
        for key, shape in (*stored, (STEP, ()), (OFFSET, ()), (OWNER, self.owned)):
            if key in state and not _is_elsewhere(state, key):
                self._require_slot(key, shape, state[key], device)
        needed = [key for field in self.required for key in self.stored(field)]
        taken = [key for key in (STEP, *needed) if key in state]
        if 0 < len(taken) <= len(needed):
            raise GradientError(
                f"step a parameter of shape {self.shape} for the first time",
                why=f"its state has {', '.join(taken)} already, but not all that the rule keeps "
                f"there: {', '.join((STEP, *needed))}",
                hint="keep what is yours under another key; to start anew, del opt.state[p]",
            )
        return not taken or any(key not in state for key, _ in stored)

    def _require_slot(
        self, key: str, shape: tuple[int, ...], value: Any, device: torch.device
    ) -> None:
        """Refuse a state of another shape, on another device, or that is not a tensor."""
        told = f"step a parameter of shape {self.shape} seen as: {self.view}"
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if found != shape:
            raise GradientError(
                told,
                why=f"its state {key} has shape {found}, not {shape}"
                if isinstance(value, Tensor)
                else f"its state {key} is a {found}, not a tensor of shape {shape}",
                hint="keep the view of a group as it was when its parameters first stepped, and "
                "what is yours under another key; of another size, start anew: del opt.state[p]",
            )
        if key not in COUNTS and value.device != device:
            raise GradientError(
                told,
                why=f"its state {key} is on {value.device}, and the parameter on {device}",
                hint="move the state after the model: opt.load_state_dict(opt.state_dict())",
            )

    def read(self, state: Mapping[str, Tensor], field: Field) -> list[Tensor]:
        """Return a state for the matrices of each piece."""
        if is_native(field):
            return self.view.pieces(state[field.name])
        keys = self.stored(field)
        return [
            state[key].reshape(b, *field.lengths((m, n)))
            for key, (b, m, n) in zip(keys, self.sizes, strict=True)
        ]

    def write(self, field: Field, pieces: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return what is kept of a state, from its values for the matrices of each piece."""
        if is_native(field):
            return {field.name: self.view.join(pieces, self.shape)}
        stored = self.stored(field).items()
        return {key: x.reshape(size) for (key, size), x in zip(stored, pieces, strict=True)}


def _is_elsewhere(state: Mapping[str, Any], key: str) -> bool:
    """Return whether a state is that of the matrices which a process owns, or holds parts of."""
    return OWNER in state and key not in COUNTS and not is_sharded(state[key])


def is_native(field: Field) -> bool:
    """Return whether a state has the rows and columns of the weights."""
    return field.dims == (Dim.M, Dim.N)


def real(x: Tensor) -> Tensor:
    """Return a tensor over the real numbers: of a complex one the pairs of real and imaginary."""
    x = x.resolve_conj().resolve_neg()
    return torch.view_as_real(x) if x.is_complex() else x


def _is_shared(param: Tensor) -> bool:
    """Return whether torch cannot write a tensor."""
    strided = param.layout is torch.strided
    sizes = zip(param.shape, param.stride(), strict=True) if strided else ()
    return param.is_inference() or any(size > 1 and step == 0 for size, step in sizes)


@lru_cache(maxsize=4096)
def _layout(stepper: Stepper, view: View, shape: tuple[int, ...]) -> Layout:
    layout = Layout(stepper, view, shape)
    view.sizes(shape)
    return layout


def layout(stepper: Stepper, param: Tensor, view: View | None = None) -> Layout:
    """Return how a parameter steps, seen by a view; None is the natural view.

    Raises:
        GradientError: for a parameter that the rule cannot take, or not by this view.
    """
    require(stepper, param, view)
    return _layout(stepper, view or Flat(), tuple(real(param).shape))


def is_judged(param: Tensor) -> bool:
    """Return whether a parameter can be judged, and must be, before it has a gradient.

    One that needs none may be of any kind; one of a lazy module has no shape yet.
    """
    return param.requires_grad and not is_lazy(param)


def require(stepper: Stepper, param: Tensor, view: View | None = None) -> None:
    """Refuse a parameter that a rule cannot take, or that cannot be written.

    Raises:
        GradientError: as `require_kind` does, and for memory that entries share, or an inference
            tensor.
    """
    require_kind(stepper, param, view)
    if _is_shared(param):
        raise _refused(
            stepper,
            f"shape {tuple(param.shape)}",
            "it cannot be written: entries share memory (expand), or it is an inference tensor",
            "clone it: torch.nn.Parameter(p.detach().clone())",
        )


def require_kind(stepper: Stepper, param: Tensor, view: View | None = None) -> None:
    """Refuse a kind of parameter that a rule cannot take.

    Raises:
        GradientError: for what is nested or sparse; for integers, and numbers of 8 bits or less;
            for complex numbers, if the rule knows matrices or their size (a complex matrix is not
            the real one of twice the columns); for a tensor of another order than 2 that has no
            view, if the rule knows matrices; for a part of a vector that a wrapper has made, if
            the rule is not entry-wise.
    """
    if param.is_nested or param.layout is not torch.strided:
        raise _refused(
            stepper,
            f"layout {param.layout}{', nested' if param.is_nested else ''}",
            "norms and factorisations need every entry, in rows and columns",
            "use a dense tensor: param.to_dense(), or one parameter for each of those nested",
        )
    if not stepper.entrywise and flattened_by(param):
        raise _refused(stepper, f"shape {tuple(param.shape)}, flattened", *lost(param))
    if is_sharded(param) and not is_settled(param):
        raise _refused(
            stepper,
            f"shape {tuple(param.shape)}, a sum over processes",
            "no process holds an entry of it, only a term (the placement Partial)",
            "redistribute it to Shard or Replicate before it becomes a parameter",
        )
    if param.is_complex() and (stepper.matrix_only or stepper.reads_sizes):
        raise _refused(
            stepper,
            f"dtype {param.dtype}",
            "the rule knows matrices or their size, and a complex matrix is not a real one",
            "give complex parameters to an entrywise rule, which takes real and imaginary "
            "parts as entries, in an optimizer or a parameter group of their own",
        )
    if not (param.is_floating_point() or param.is_complex()) or param.dtype.itemsize < 2:
        small = ", and 8 bits round most steps away" if param.is_floating_point() else ""
        raise _refused(
            stepper,
            f"dtype {param.dtype}",
            f"rules are over the real numbers{small}",
            "keep such weights frozen (requires_grad=False), or train a copy in bfloat16 or wider",
        )
    if stepper.moments and not isinstance(view, Flat | None):
        raise GradientError(
            f"apply {stepper.program.declaration.name} with the view: {view}",
            why="moments are those of a layer, whose weight is one matrix",
            hint="leave the view out",
        )
    natural = param.ndim == 2 or not stepper.matrix_only
    if view is None and not natural and not (stepper.moments and param.ndim > 2):
        raise _refused(
            stepper,
            f"shape {tuple(param.shape)}",
            "the rule multiplies or factors matrices, and this parameter has "
            f"{param.ndim} {'axis' if param.ndim == 1 else 'axes'}, not 2",
            "use nd.route(model, …), which sees convolutions as matrices and gives vectors to "
            "another rule; or say how it is seen: view=nd.views.flat (out × in·k·k), "
            "view=nd.views.stack (a batch of matrices)",
        )


def _refused(stepper: Stepper, what: str, why: str, hint: str) -> GradientError:
    rule = stepper.program.declaration.name
    return GradientError(f"apply {rule} to a parameter of {what}", why=why, hint=hint)
