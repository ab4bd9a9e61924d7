"""Boolean options of an optimizer, each flipped once: defects hide behind options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import attrs

from normdsl.compiler.audit.runs import Subject


def flipped(subject: Subject) -> list[Subject]:
    """Return the subject once per boolean option, with that option set the other way.

    An option that is None by default and annotated as a boolean is switched on.
    """
    return [
        attrs.evolve(
            subject,
            factory=functools.partial(subject.factory, **{name: value}),
            options=f"{name}={value}",
        )
        for name, value in _flips(subject.factory).items()
    ]


def _flips(factory: Callable[..., Any]) -> dict[str, bool]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        p.name: p.default is not True
        for p in parameters
        if p.kind in named
        and (isinstance(p.default, bool) or (p.default is None and "bool" in str(p.annotation)))
    }
