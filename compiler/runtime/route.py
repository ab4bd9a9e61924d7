"""Parameter groups of a model, from a rule for each role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from torch import nn

from normdsl.choice import Choice
from normdsl.compiler.runtime.batch import stepper
from normdsl.compiler.runtime.kinds import HIDDEN, ROLES
from normdsl.compiler.runtime.layout import layout
from normdsl.compiler.runtime.roles import Assignment, assigned
from normdsl.compiler.runtime.views import View
from normdsl.declaration import Declaration
from normdsl.errors import GradientError, HyperparameterError
from normdsl.schedule import Schedule

Rule = Choice | Declaration
Override = Rule | View | str


@attrs.frozen(eq=False)
class _Place:
    """Where a parameter goes.

    Args:
        entry: the parameter. label: the name of its group, without the view.
        choice: its rule; None if its role has none. view: how it is seen.
        pattern: the override that says so, if one does.
    """

    entry: Assignment
    label: str
    choice: Choice | None
    view: View | None
    pattern: str | None = None


def routed(
    model: nn.Module, rules: Mapping[str, Rule], overrides: Mapping[str, Override] | None = None
) -> list[dict[str, Any]]:
    """Return parameter groups with a rule each, which hold every trained parameter once.

    Args:
        model: the model. rules: by role, a rule or a choice of one.
        overrides: by regular expression, a rule, a role or a view for the parameters in whose
            name it is found; the first that is found counts.

    Raises:
        HyperparameterError: for a role without a rule, a hidden rule or an override without
            parameters, and for what is no rule.
        GradientError: for a parameter that its rule cannot take.
    """
    chosen = {role: _choice(role, rule) for role, rule in rules.items()}
    told = {pattern: _override(pattern, x) for pattern, x in (overrides or {}).items()}
    entries = _assigned(model)
    places = [_place(entry, chosen, told) for entry in entries if not entry.frozen]
    _require_use(told, {x.pattern for x in places}, entries)
    _require_rules(chosen, places)
    for place in places:
        _require_legal(place)
    return _groups(places)


def _assigned(model: Any) -> list[Assignment]:
    if not isinstance(model, nn.Module):
        raise HyperparameterError(
            f"route a {type(model).__name__}",
            why="roles are found from the modules",
            hint="pass the model, not its parameters",
        )
    return assigned(model)


def _choice(where: str, rule: Any) -> Choice:
    if isinstance(rule, Choice):
        return rule
    if isinstance(rule, Declaration):
        return Choice(rule)
    raise HyperparameterError(
        f"give {where} to {str(rule)[:50]}",
        why=f"a {type(rule).__name__} is no rule",
        hint="pass a declaration, or one with some of its hyper-parameters, rule(lr=0.01)",
    )


def _override(pattern: str, told: Override) -> Choice | View | str:
    """Return an override, its rule as a choice."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise HyperparameterError(
            f"override the parameters named {pattern}",
            why=f"it is no regular expression: {error}",
            hint="escape dots and brackets with a backslash",
        ) from error
    if isinstance(told, View) or told in ROLES:
        return told
    if isinstance(told, str):
        raise HyperparameterError(
            f"give the parameters named {pattern} the role {told}",
            why="there is no such role",
            hint="roles are " + ", ".join(ROLES),
        )
    return _choice(f"the parameters named {pattern}", told)


def _place(
    entry: Assignment, rules: Mapping[str, Choice], overrides: Mapping[str, Choice | View | str]
) -> _Place:
    """Return where a parameter goes by the first override that finds it, or else by its role."""
    pattern = next((k for k in overrides if _finds(k, entry)), None)
    told = None if pattern is None else overrides[pattern]
    if isinstance(told, Choice):
        return _Place(entry, f"/{pattern}/", told, told.view or entry.view, pattern)
    role = told if isinstance(told, str) else entry.role
    choice = rules.get(role)
    general = None if choice is None else choice.view
    view = told if isinstance(told, View) else general or entry.view
    return _Place(entry, role, choice, view, pattern)


def _finds(pattern: str, entry: Assignment) -> bool:
    return any(re.search(pattern, name) for name in entry.names)


def _require_use(
    overrides: Iterable[str], used: set[str | None], entries: Iterable[Assignment]
) -> None:
    """Refuse an override that no trained parameter follows."""
    for pattern in overrides:
        if pattern not in used:
            found = [x for x in entries if _finds(pattern, x)]
            frozen = all(x.frozen for x in found)
            why = "those it finds are frozen" if frozen else "earlier patterns take all it finds"
            raise HyperparameterError(
                f"override the parameters named {pattern}",
                why=why if found else "it is found in no name",
                hint="print nd.roles(model) for the names; the first pattern that is found counts",
            )


def _require_rules(rules: Mapping[str, Choice], places: Iterable[_Place]) -> None:
    """Refuse a role that has parameters and no rule, and a hidden rule without parameters."""
    needed: dict[str, list[str]] = {}
    for place in places:
        if place.choice is None:
            needed.setdefault(place.label, []).append(place.entry.name)
    for role, names in needed.items():
        raise HyperparameterError(
            f"route {len(names)} parameters without a rule for the role {role}",
            why=f"these have it: {', '.join(names)}",
            hint=f"pass {role}=…, or overrides; print nd.roles(model)",
        )
    if HIDDEN in rules and all(place.label != HIDDEN for place in places):
        raise HyperparameterError(
            f"route hidden parameters to {rules[HIDDEN]}",
            why="the model has none, so that the rule would take no parameter",
            hint='print nd.roles(model), and give a parameter the role with overrides={"…": '
            '"hidden"}',
        )


def _require_legal(place: _Place) -> None:
    """Refuse a parameter that its rule cannot take, by name."""
    entry, choice = place.entry, place.choice
    assert choice is not None
    try:
        layout(stepper(choice.rule, choice.schedule or Schedule()), entry.param, place.view)
    except GradientError as error:
        raise GradientError(
            f"route {entry.name}, a {place.label} of shape {tuple(entry.param.shape)}, to {choice}",
            why=error.why,
            hint=f'give it another rule, role or view: overrides={{"{re.escape(entry.name)}": …}}',
        ) from error


def _groups(places: Iterable[_Place]) -> list[dict[str, Any]]:
    """Return one group for each label, rule and view, in the order of the model."""
    found: dict[tuple[str, int, View | None], dict[str, Any]] = {}
    for x in places:
        assert x.choice is not None
        name = x.label if x.view is None else f"{x.label} ({x.view})"
        told = {} if x.view is None else {"view": x.view}
        empty = {"params": [], "name": name, **x.choice.group(), **told}
        group = found.setdefault((x.label, id(x.choice), x.view), empty)
        group["params"].append((x.entry.name, x.entry.param))
    return list(found.values())
