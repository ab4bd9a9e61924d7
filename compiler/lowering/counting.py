"""Counting: the operations of a call on meta tensors, which have shapes and no data.

Matrix products are counted by torch's own counter, factorisations by published counts (`flops`),
all else entry by entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from normdsl.compiler.lowering.flops import FACTORISATIONS

aten = torch.ops.aten

_PRODUCTS = frozenset({aten.mm, aten.bmm, aten.addmm, aten.baddbmm})
#: Operations that touch no entry.
_NOTHING = frozenset(
    {aten._unsafe_view, aten.empty, aten.empty_like, aten.new_empty, aten._linalg_check_errors}
)
#: Operations that compute nothing: they make entries or move them.
_MOVES = frozenset(
    {"arange", "cat", "clone", "constant_pad_nd", "copy_", "eye", "flip"}
    | {"full", "full_like", "gather", "index", "index_select", "new_full"}
    | {"new_zeros", "ones", "ones_like", "repeat_interleave", "scalar_tensor", "stack"}
    | {"_to_copy", "zeros", "zeros_like"}
)


@attrs.frozen
class Tally:
    """Operations in matrix products, in factorisations, and entry by entry; bytes moved."""

    products: int = 0
    factorisations: int = 0
    entrywise: int = 0
    moved: int = 0

    def plus(self, other: Tally, times: int = 1) -> Tally:
        """Return this and `times` another."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Tally(*(x + times * y for x, y in pairs))


def tally(call: Callable[[], object]) -> Tally:
    """Count the operations of a call.

    Raises:
        TypeError: for an operation of linear algebra without a formula.
    """
    rest, counter = _Rest(), FlopCounterMode(display=False, custom_mapping=FACTORISATIONS)
    with torch.no_grad(), _ValuesAlone(), rest, counter:  # `rest` sees what composites are made of
        call()
    heavy = counter.get_flop_counts().get("Global", {})
    factorisations = sum(n for packet, n in heavy.items() if packet in FACTORISATIONS)
    products = sum(heavy.values()) - factorisations
    return Tally(products, factorisations, rest.entrywise, rest.moved)


def shortened(function: Callable[..., Any], correction: list[Tally]) -> Callable[..., Any]:
    """Return an emitted function whose kernels with a number of steps take one and two of them.

    Every step costs the same, so what the others cost is known, and appended to `correction`.
    """
    assert isinstance(function, FunctionType)

    def short(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            *operands, steps = args
            results: list[Any] = []

            def run() -> None:
                results.append(kernel(*operands, len(results) + 1))

            one, two = tally(run), tally(run)
            seen = one.plus(two)  # by whoever counts this call
            correction.append(one.plus(two.plus(one, -1), steps - 1).plus(seen, -1))
            return results[-1]

        return called

    known = {name: short(x) if _has_steps(x) else x for name, x in function.__globals__.items()}
    made = FunctionType(function.__code__, known)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _has_steps(kernel: object) -> bool:
    return isinstance(kernel, FunctionType) and [*inspect.signature(kernel).parameters][-1:] == [
        "steps"
    ]


class _ValuesAlone(TorchFunctionMode):
    """Singular values without vectors, which torch asks for while operations are recorded."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.linalg.svdvals:
            return aten._linalg_svd(args[0], False, False)[1]
        return func(*args, **(kwargs or {}))


class _Rest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all operations, and the entries of those that have no formula."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entrywise = self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and func.overloadpacket not in _NOTHING:
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
            self.moved += sum(x.numel() * x.itemsize for x in tensors)
            self.entrywise += _entries(func.overloadpacket, tensors)
        return out


def _entries(operation: Any, tensors: list[Tensor]) -> int:
    """Return the longest of an operation's operands and results, if it is an entrywise one."""
    name = operation.__name__
    if name in _MOVES or operation in _PRODUCTS or operation in FACTORISATIONS:
        return 0
    if "linalg" in name and operation is not aten.linalg_vector_norm:
        raise TypeError(f"no count of operations for {name}")
    return max((x.numel() for x in tensors), default=0)
