"""Ambient: precision settings of the process, which must not change what a step computes.

A trainer calls `step` inside autocast, a script asks for TensorFloat-32 products: both are meant
for the model. Here they are put aside, and put back as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
Undo = Callable[[], object]

#: Types of devices that have an autocast.
_CAST = tuple(
    name
    for name in ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "ipu", "xla", "privateuseone")
    if torch.amp.is_autocast_available(name)
)
#: Where torch says, backend by backend, how float32 products are computed; from torch 2.9 on.
_PRODUCTS = (("cuda", "matmul"), ("mkldnn", "matmul"))
_precision = getattr(torch._C, "_get_fp32_precision_getter", None)
#: Flags of products in half precision, with what they are in a fresh process.
_FLAGS = tuple(
    (name, read, fresh)
    for name, fresh in (
        ("allow_fp16_accumulation", False),
        ("allow_fp16_reduced_precision_reduction", True),
        ("allow_bf16_reduced_precision_reduction", True),
    )
    if (read := getattr(torch._C, f"_get_cublas_{name}", None)) is not None
)


def as_scheduled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that computes what its schedule says, whatever the process is set to.

    Inside, autocast is off on all devices, products of float32 matrices are those of float32, and
    reductions of half precision as torch begins with. Default dtypes and devices need no care, as
    every tensor is made with its own; nor does the deterministic mode, as all that is called is
    deterministic. While torch traces the function, autocast alone is off: how products of a graph
    are computed is decided when it runs.
    """

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            on = [name for name in _CAST if torch.is_autocast_enabled(name)]
            return _traced(on, lambda: function(*args, **kwargs))
        with Plain():
            return function(*args, **kwargs)

    return guarded


def _traced(types: Sequence[str], call: Callable[[], R]) -> R:
    """Call a function without the autocast of these types of devices, as torch can trace it."""
    if not types:
        return call()
    with torch.autocast(types[0], enabled=False):
        return _traced(types[1:], call)


class Plain:
    """Inside, precisions are those of a fresh process; afterwards those of this one again."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []
        self._before: Plain | None = None

    def __enter__(self) -> None:
        self._before = _ACTIVE.get()
        _ACTIVE.set(self)
        for name in _CAST if torch._C._is_any_autocast_enabled() else ():
            if torch.is_autocast_enabled(name):
                torch.set_autocast_enabled(name, False)
                self._undo.append(partial(torch.set_autocast_enabled, name, True))
        for name, read, fresh in _FLAGS:
            now = read()
            if now not in (fresh, (fresh, True)):
                self._undo.append(partial(setattr, torch.backends.cuda.matmul, name, now))
                setattr(torch.backends.cuda.matmul, name, fresh)
        if _precision is None:
            self._raise_legacy()
        elif any(_precision(*product) not in ("none", "ieee") for product in _PRODUCTS):
            self._raise_products()
            self._raise_legacy()

    def __exit__(self, *_: object) -> None:
        while self._undo:
            self._undo.pop()()
        _ACTIVE.set(self._before)

    def _raise_products(self) -> None:
        for product in _PRODUCTS:
            self._undo.append(partial(_set_precision, *product, _said(*product)))
            _set_precision(*product, "ieee")

    def _raise_legacy(self) -> None:
        before = torch.get_float32_matmul_precision()
        if before != "highest":
            self._undo.append(partial(torch.set_float32_matmul_precision, before))
            torch.set_float32_matmul_precision("highest")


#: What put precisions aside, in this thread.
_ACTIVE: ContextVar[Plain | None] = ContextVar("active", default=None)


@contextmanager
def as_found() -> Iterator[None]:
    """Inside, precisions are those of the process: for the user's code that a step calls."""
    active = _ACTIVE.get()
    if active is None:
        yield
        return
    active.__exit__()
    try:
        yield
    finally:
        active.__enter__()


def _set_precision(backend: str, operation: str, value: str) -> None:
    torch._C._set_fp32_precision_setter(backend, operation, value)


def _said(backend: str, operation: str) -> str:
    """Return a setting as it was made, "none" where torch reports what its parent setting is."""
    assert _precision is not None
    reported = str(_precision(backend, operation))
    if backend == "generic":
        return reported
    parent = ("generic" if operation == "all" else backend, "all")
    before = _said(*parent)
    _set_precision(*parent, "tf32" if reported == "ieee" else "ieee")
    follows = _precision(backend, operation) != reported
    _set_precision(*parent, before)
    return "none" if follows else reported


@contextmanager
def apart() -> Iterator[None]:
    """Run an experiment of our own, on the CPU, as in a fresh process."""
    dtype, strict = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    with Plain(), _on_the_cpu():
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.use_deterministic_algorithms(strict, warn_only=warns)


def _on_the_cpu() -> AbstractContextManager[Any]:
    """Return what makes the CPU the default device, which costs a little at each call of torch."""
    usual = torch.get_default_device().type == "cpu"
    return nullcontext() if usual else torch.device("cpu")
