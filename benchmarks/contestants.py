"""Contestants: an optimizer by name, what it competes in, and what its step has to do at least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs
from torch.nn import Parameter

from normdsl.benchmarks.floors import Work

#: Refresh of eigenbases and roots, on all sides.
REFRESH = 10


class Steps(Protocol):
    """Anything that takes a step: an optimizer, or one inside of something."""

    def step(self) -> Any:
        """Take a step."""


@attrs.frozen
class Contestant:
    """One optimizer.

    Args:
        name: who wrote it, and what it is: "torch AdamW fused". field: what it competes in.
        make: makes it of parameters and the type of their device.
        work: what a step has to do at least. refresh: how many steps are a cycle.
        polar: whether its first step from W = 0 is a multiple of the polar factor of G, so that
            all singular values should be equal.
        left_out: sets, or "set on device", it isn't measured on, and why.
        device: the type of device it runs on only, if there is one.
    """

    name: str
    field: str
    make: Callable[[list[Parameter], str], Steps]
    work: Work
    refresh: int = 1
    polar: bool = False
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    device: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is a rule of normdsl."""
        return self.name.startswith("normdsl ")

    def why_not(self, name: str, device: str) -> str | None:
        """Return why it is not measured on a set of that name, if so."""
        if self.device not in (None, device):
            return f"it needs {self.device}"
        return self.left_out.get(f"{name} on {device}", self.left_out.get(name))


@attrs.frozen
class Field:
    """What contestants compete in: those of a field are measured in turn, and compared.

    Args:
        name: of the field. reference: whose time is 1. matrices: whether it is run on the hidden
            matrices only. sets: on which sets. cycles: whether refreshes make steps differ, so that
            means are compared instead of medians.
    """

    name: str
    reference: str
    matrices: bool
    sets: tuple[str, ...]
    cycles: bool = False


FIELDS = (
    Field("entry-wise", "torch AdamW fused", False, ("gpt", "small", "gpt-124m", "gpt-0.9b")),
    Field(
        "Muon",
        "torch Muon",
        True,
        ("gpt", "wide", "square", "small", "gpt-124m", "gpt-0.9b"),
    ),
    Field("SOAP", "pytorch_optimizer SOAP", True, ("gpt", "gpt-124m"), cycles=True),
    Field("Shampoo", "pytorch_optimizer Shampoo", True, ("gpt",), cycles=True),
)
