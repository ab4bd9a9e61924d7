"""Overrides of a route: regular expressions for names, and what holds for the parameters found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from normdsl.compiler.layouts.view import View
from normdsl.compiler.routing.kinds import ROLES
from normdsl.compiler.routing.roles import Assignment
from normdsl.compiler.runtime.parameter_groups import settings
from normdsl.declarations.configured import ConfiguredRule
from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError, kind
from normdsl.near import did_you_mean
from normdsl.schedules.schedule import Schedule

AnyRule = ConfiguredRule | Rule
#: A rule, a role or a view.
Override = AnyRule | View | str
#: By pattern, a checked override.
Checked = Mapping[str, ConfiguredRule | View | str]
#: Settings of a group whose choice leaves them out.
_DEFAULTS = {"schedule": Schedule(), "view": None, "maximize": False}


def checked(overrides: Mapping[str, Override]) -> Checked:
    """Return overrides with their rules as choices.

    Raises:
        HyperparameterError: if they are not a mapping from regular expressions to rules, roles or
            views.
    """
    if not isinstance(overrides, Mapping):
        raise HyperparameterError(
            f"route with the overrides {str(overrides)[:50]}",
            why=f"{kind(overrides)} does not say what holds for which names",
            hint='map patterns to rules, roles or views: overrides={"qkv": nd.views.heads(3)}',
        )
    return {pattern: _checked(pattern, told) for pattern, told in overrides.items()}


def as_choice(where: str, rule: Any) -> ConfiguredRule:
    """Return a rule as a choice.

    Raises:
        HyperparameterError: if it is not a rule, or its view or schedule is not one; `where` says
            for which parameters it was given.
    """
    if isinstance(rule, ConfiguredRule):
        settings({**_DEFAULTS, **rule.group()})
        return rule
    if isinstance(rule, Rule):
        return ConfiguredRule(rule)
    raise HyperparameterError(
        f"give {where} to {str(rule)[:50]}",
        why=f"{kind(rule)} is not a rule",
        hint="pass a rule itself, or one with some of its hyper-parameters, rule(lr=0.01)",
    )


def first(overrides: Checked, entry: Assignment) -> str | None:
    """Return the first pattern that is found in a name of a parameter."""
    return next((pattern for pattern in overrides if _finds(pattern, entry)), None)


def require_use(overrides: Checked, used: set[str | None], entries: Iterable[Assignment]) -> None:
    """Refuse an override that no trained parameter follows.

    Raises:
        HyperparameterError: saying why none does.
    """
    for pattern in overrides:
        if pattern not in used:
            found = [x for x in entries if _finds(pattern, x)]
            frozen = all(x.frozen for x in found)
            why = "those it finds are frozen" if frozen else "earlier patterns take all it finds"
            raise HyperparameterError(
                f"override the parameters named {pattern}",
                why=why if found else "no parameter's name contains it",
                hint="print nd.roles(model) for the names; the first pattern that is found counts",
            )


def _finds(pattern: str, entry: Assignment) -> bool:
    return any(re.search(pattern, name) for name in entry.names)


def _checked(pattern: str, told: Override) -> ConfiguredRule | View | str:
    try:
        re.search(pattern, "")  # a pattern of bytes compiles, and finds no text
    except (re.error, TypeError) as error:
        raise HyperparameterError(
            f"override the parameters named {pattern}",
            why=f"it is not a regular expression for text: {error}",
            hint="write a pattern as text, with a backslash before dots and brackets",
        ) from error
    if isinstance(told, View) or (isinstance(told, str) and told in ROLES):
        return told
    if isinstance(told, str):
        raise HyperparameterError(
            f"give the parameters named {pattern} the role {told}",
            why="there is no such role",
            hint=did_you_mean(told, ROLES, "the roles are"),
        )
    return as_choice(f"the parameters named {pattern}", told)
