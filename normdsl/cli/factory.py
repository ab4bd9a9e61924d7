"""Finding an optimizer to audit: a dotted Python name, or a rule of normdsl."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from normdsl.cli.find import find
from normdsl.errors import NormdslError, kind

Factory = Callable[..., Any]


def factory(name: str, settings: Sequence[str] = ()) -> Factory:
    """Return the optimizer called `name`, with settings such as `lr=0.1` bound.

    Raises:
        NormdslError: if nothing has that name, or a setting is not name=value.
    """
    found = imported(name) or find(name)
    bound = dict(_setting(text) for text in settings)
    return functools.partial(found, **bound) if bound else found


def imported(name: str) -> Factory | None:
    """Return what a dotted name such as `package.module.Class` stands for; None if it has no dot.

    Raises:
        NormdslError: if the module cannot be imported, lacks the name, or holds no callable there.
    """
    module, dot, attribute = name.rpartition(".")
    if not dot or ":" in name:
        return None
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise NormdslError(
            f"import {name!r}",
            why=f"{type(error).__name__}: {error}",
            hint="write package.module.Class of an installed package, or a rule of `normdsl list`",
        ) from error
    if not callable(found):
        raise NormdslError(
            f"audit {name!r}",
            why=f"it is {kind(found)}, and cannot be called on parameters",
            hint="name a class, or a function that returns a torch.optim.Optimizer",
        )
    return found  # type: ignore[no-any-return]


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise NormdslError(f"set {text!r}", why="it is not name=value", hint="write --set lr=0.1")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
