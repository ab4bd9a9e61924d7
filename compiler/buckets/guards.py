"""Guards: what a plan rests on of parameters and gradients, and whether it still holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch._C import _DisableTorchDispatch
from torch._C._dynamo.guards import TensorGuards
from torch.autograd.graph import increment_version

from normdsl.compiler.native import look


class Guards(ABC):
    """Looks at parameters and gradients before each step.

    Attributes:
        places: addresses of the entries of weights and of gradients, int64, 2 × parameters, when
            they last fitted; None where those who need them ask the tensors.
        written: whether weights were written since `note`, or it was never called.
    """

    places: Tensor | None = None
    written: bool = True

    @abstractmethod
    def hold(self) -> bool:
        """Return whether types, layouts, dtypes, devices, shapes and strides are as planned."""

    @abstractmethod
    def note(self) -> None:
        """Note how weights are, by which it is known that others wrote them."""

    @abstractmethod
    def wrote(self, first: int, last: int) -> None:
        """Tell torch that native code wrote some of the weights, as its own operations do.

        A graph that saved weights then refuses a backward pass, whose gradients would be wrong.
        """


class Tensors(Guards):
    """Compares tensors of any kind by what torch has for code that it has compiled.

    Modes that see what is dispatched, which stand in the keys that it compares, are put aside. A
    gradient that is one tensor for two parameters never fits, so that such a step is planned anew
    each time.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self._params = params
        self._versions: list[int] | None = None
        free = {"dynamic_dims_sizes": None, "dynamic_dims_strides": None}
        with _DisableTorchDispatch():
            self._guards = TensorGuards(*self._now(), **free)

    def _now(self) -> list[Tensor | None]:
        return [*self._params, *[p.grad for p in self._params]]

    def hold(self) -> bool:
        now = [p._version for p in self._params]
        self.written = now != self._versions
        with _DisableTorchDispatch():
            return self._guards.check(*self._now())

    def note(self) -> None:
        self._versions = [p._version for p in self._params]

    def wrote(self, first: int, last: int) -> None:
        increment_version(self._params[first:last])


class Plain(Guards):
    """Looks at plain tensors by native code, which has their addresses as well.

    Raises:
        OSError: if it cannot be compiled.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self._look = look.Look(params)
        self.places = self._look.places

    def hold(self) -> bool:
        holds = self._look.holds()
        self.written = self._look.written
        return holds

    def note(self) -> None:
        self._look.note()

    def wrote(self, first: int, last: int) -> None:
        self._look.wrote(first, last)


def guards(params: Sequence[Tensor], native: bool) -> Guards:
    """Return guards of parameters with their gradients as they are.

    Args:
        params: the parameters, each with a gradient. native: whether native code steps any of them.
    """
    plain = native and all(map(_is_plain, params)) and look.refusal() is None
    return Plain(params) if plain else Tensors(params)


def _is_plain(param: Tensor) -> bool:
    return all(
        x is not None
        and type(x) in (Tensor, torch.nn.Parameter)
        and x.layout is torch.strided
        and not (x.is_conj() or x.is_neg() or x.is_inference() or x.is_meta)
        for x in (param, param.grad)
    )
