"""What is probably not meant, although it is a rule: warnings when it is declared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from normdsl.declarations.directions import ascent
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslWarning, told
from normdsl.expressions.nodes import Param
from normdsl.expressions.traversal import walk
from normdsl.show.text import text


def advise(function: Callable[..., Any], rule: Rule) -> None:
    """Warn of hyper-parameters without an effect and of steps up the gradient, at the function."""
    code = function.__code__
    for message in (*_unused(rule), *_upward(rule)):
        warnings.warn_explicit(message, NormdslWarning, code.co_filename, code.co_firstlineno)


def _unused(rule: Rule) -> Iterator[str]:
    used = {x.name for x in walk(rule.update) if isinstance(x, Param)}
    for h in rule.hyper:
        if h.name not in used:
            yield told(
                f"declare {rule.name}",
                why=f"its hyper-parameter {h.name} has no effect on the new weights",
                hint=f"use {h.name} in the formula, or remove the argument",
            )


def _upward(rule: Rule) -> Iterator[str]:
    term = ascent(rule.update)
    if term is not None:
        yield told(
            f"declare {rule.name}",
            at=text(term, rule.labels),
            where=term.where,
            why="it goes up the gradient: lmo(M) = argmin ⟨M, X⟩ goes down and is added, "
            "sharp(M) and polar(M) go up and are subtracted",
            hint="write W + lr * norm.lmo(m), or W - lr * norm.sharp(m)",
        )
