"""Finiteness: whether a step may be taken, and the error if not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.utils import get_total_norm

from normdsl.compiler.layouts import shards
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError
from normdsl.show.text import text
from normdsl.source import Where


def finite(*values: Tensor | None) -> Tensor:
    """Return whether tensors are finite, as a tensor on the device of the first."""
    known = [v for v in values if v is not None]
    device = known[0].device
    return torch.stack([torch.isfinite(largest(v)).to(device) for v in known]).all()


def has_values(x: Tensor) -> bool:
    """Return whether a tensor has values to read; meta and fake tensors have sizes alone."""
    return not (x.is_meta or isinstance(x, FakeTensor))


def magnitude(values: Sequence[Tensor], meshes: Sequence[Any] = ()) -> float:
    """Return the largest magnitude of an entry, NaN if there is one: one synchronisation.

    What has no values counts as zero: a step of such tensors finds shapes, dtypes and costs.

    Args:
        values: the tensors. meshes: of processes that must all know the same; each has its own
            values, and a NaN of one is infinite for all.
    """
    told = [v for v in values if v.numel() and has_values(v)]
    if not told and not meshes:
        return 0.0
    if len(told) == 1:  # as of native code, which measures all it takes
        size = largest(told[0])
    else:
        size = get_total_norm(told, math.inf) if told else torch.zeros((), device="cpu")
    return float(shards.largest(size, meshes))


def lengths(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return ‖x‖_F of each of several tensors of one device and dtype, at least in float32."""
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    return torch._foreach_norm(list(tensors), 2, dtype=dtype)


def trace(x: Tensor) -> Tensor:
    """Return ‖x‖_F², at least in float32, in the way that is cheap on CPUs."""
    flat = x.reshape(-1).to(torch.promote_types(x.dtype, torch.float32))
    return torch.dot(flat, flat)


def rows_finite(x: Tensor) -> Tensor:
    """Return for each index of the first axis whether all entries are finite."""
    return torch.isfinite(x).reshape(x.shape[0], -1).all(1)


def all_finite(values: Sequence[Tensor], meshes: Sequence[Any] = ()) -> bool:
    """Return whether tensors are finite: one synchronisation, however many there are."""
    return math.isfinite(magnitude(values, meshes))


def all_true(flags: Sequence[Tensor], meshes: Sequence[Any] = ()) -> bool:
    """Return whether all are true, read from the device at once; those without values are."""
    told = [x.all() for x in flags if has_values(x)]
    if not told:
        return True
    every = told[0]
    if len(told) > 1:
        every = torch.stack([x.to(every.device) for x in told]).all()
    return bool(shards.agreed(every, meshes))


def largest(x: Tensor) -> Tensor:
    """Return the largest magnitude of an entry, NaN if there is one; 0 if there is no entry."""
    return torch.linalg.vector_norm(x, torch.inf) if x.numel() else x.sum()


@attrs.frozen(eq=False)
class Subject:
    """Whose step it is, for messages.

    Args:
        rule: the rule. shape: of the parameter. name: of the parameter, if it has one.
        step: which step it is, if that is known.
    """

    rule: Rule
    shape: tuple[int, ...]
    name: str | None = None
    step: int | None = None

    @property
    def parameter(self) -> str:
        """The parameter, by its name or as one of a shape."""
        named = "a parameter of shape" if self.name is None else self.name
        return f"{named} {self.shape}"

    @property
    def asked(self) -> str:
        """What was asked for."""
        which = "a step" if self.step is None else f"step {self.step}"
        return f"take {which} of {self.rule.name}"


@attrs.frozen
class Line:
    """The formula of new weights with its line, for `at` of an error.

    Args:
        formula: as text. where: its line.
    """

    formula: str
    where: Where | None

    def __str__(self) -> str:
        return self.formula


def blame(
    subject: Subject,
    loss: Tensor | None,
    given: Mapping[str, Tensor],
    meshes: Sequence[Any] = (),
) -> None:
    """Refuse a step made from something that is not finite.

    Args:
        subject: whose step it is. loss: the loss, if the rule reads it.
        given: what the step is made from, by name: gradient, value, captured moments.
        meshes: of processes that all refuse what is not finite on one of them.


    Raises:
        GradientError: for the first that is not finite.
    """
    for what, value in given.items():
        with_loss = loss if what == "gradient" else None
        if not bool(shards.agreed(finite(value, with_loss), meshes)):
            moments = what not in ("gradient", "value")
            raise GradientError(
                subject.asked,
                why=f"the {what} of {subject.parameter}"
                f"{', or the loss,' if what == 'gradient' and loss is not None else ''} is NaN or "
                "infinite; nothing was changed",
                hint='find its cause, lower the learning rate, or pass nonfinite="skip"'
                + ("; then capture.clear()" if moments else ""),
            )


def refuse_result(subject: Subject, written: bool = False) -> GradientError:
    """Return the error for a step from finite values to others, at the rule's last line.

    Args:
        subject: whose step it is. written: whether the step was taken.
    """
    fate = (
        "; the step was taken"
        if written
        else ", although the gradient is finite; nothing was changed"
    )
    rule = subject.rule
    return GradientError(
        subject.asked,
        at=Line(text(rule.update, rule.labels), rule.update.where),
        why=f"its new value or state for {subject.parameter} is NaN or infinite{fate}",
        hint="a division by zero: use nd.reciprocal(x), which is 0 at 0, or add an eps; "
        "or an overflow: lower the learning rate"
        + (", go back to a checkpoint, and make the optimizer with judged=True" if written else ""),
    )
