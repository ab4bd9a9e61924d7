"""From a schedule's method to its kernel, the code of its arguments, and the helpers it calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType

from normdsl.compiler.kernels import (
    automatic,
    combined,
    draws,
    entrywise,
    frames,
    halley,
    inverses,
    iterative,
    newton_schulz,
    polar,
    polynomials,
    products,
    singular,
    sums,
    symmetric,
    zolotarev,
)
from normdsl.compiler.lowering.links import Link
from normdsl.schedules.methods import Method

Kernel = Callable[..., object]
#: Where kernels are looked up.
MODULES = (
    entrywise,
    polar,
    products,
    newton_schulz,
    polynomials,
    inverses,
    halley,
    zolotarev,
    symmetric,
    iterative,
    automatic,
    singular,
    frames,
    combined,
    draws,
    sums,
)
_NAMES = {module.__name__ for module in MODULES}


def kernel(method: Method, role: str) -> Kernel:
    """Return the function that a method names for a role."""
    return named(method.kernels[role])


def named(name: str) -> Kernel:
    """Return the function of a name."""
    found: Kernel = next(vars(module)[name] for module in MODULES if name in vars(module))
    return found


def arguments(function: Kernel, method: Method | Link, operands: int) -> Iterator[tuple[str, str]]:
    """Yield name and code of the arguments after the operands: the fields of those names."""
    for name in list(inspect.signature(function).parameters)[operands:]:
        value = getattr(method, name)
        if name == "dtype":
            yield name, f"torch.{value}" if value else "W.dtype"
        else:
            told = _steps if isinstance(value, tuple) else repr
            yield name, told(value)


def _steps(steps: tuple[tuple[float, float, float], ...]) -> str:
    """Return the code of a tuple of steps, short where they are all the same."""
    if len(set(steps)) == 1:
        return f"({_step(steps[0])},) * {len(steps)}"
    return "(" + "".join(f"\n        {_step(step)}," for step in steps) + "\n    )"


def _step(step: tuple[float, ...]) -> str:
    """Return the code of some numbers, of whatever subclass of float they are."""
    return f"({', '.join(repr(float(x)) for x in step)})"


def with_helpers(function: Kernel) -> Iterator[Kernel]:
    """Yield the functions of the kernels' modules that a kernel calls, then the kernel."""
    assert isinstance(function, FunctionType)
    codes = [function.__code__]
    for code in codes:  # the bodies of comprehensions and lambdas too
        codes += [c for c in code.co_consts if inspect.iscode(c)]
    for name in dict.fromkeys(name for code in codes for name in code.co_names):
        found = function.__globals__.get(name)
        if isinstance(found, FunctionType) and found.__module__ in _NAMES and found is not function:
            yield from with_helpers(found)
    yield function


def kernel_names() -> set[str]:
    """Return the names that variables in emitted code must leave alone."""
    return {name for module in MODULES for name in vars(module)}
