"""Norms of tensors and in pictures: where the language calls what stands above it, if asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr


def of(function: Callable[[Expr], Expr], x: Any) -> Any:
    """Return a function of a norm as an expression; for a torch tensor, its values.

    A norm is as long as it is not asked for numbers a formula, and needs no torch. The compiler
    that gives the numbers is above, and is loaded as `normdsl` itself loads what is used of it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return function(as_expr(x))
    return import_module("normdsl.compiler.runtime.values").values(function, x)


def drawn(norm: Any, **options: Any) -> Any:
    """Return the picture of a norm."""
    return import_module("normdsl.plot").ball(norm, **options)
