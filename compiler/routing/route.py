"""Parameter groups of a model, from a rule for each role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from torch import nn

from normdsl.compiler.layouts.layout import layout
from normdsl.compiler.layouts.stepper import stepper
from normdsl.compiler.layouts.view import View
from normdsl.compiler.routing.kinds import HIDDEN, ROLES
from normdsl.compiler.routing.overrides import (
    AnyRule,
    Checked,
    Override,
    as_choice,
    checked,
    first,
    require_use,
)
from normdsl.compiler.routing.roles import Assignment, assigned
from normdsl.compiler.routing.together import together
from normdsl.compiler.runtime.parameter_groups import copied
from normdsl.declarations.configured import ConfiguredRule
from normdsl.errors import GradientError, HyperparameterError, kind
from normdsl.schedules.schedule import Schedule


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
    choice: ConfiguredRule | None
    view: View | None
    pattern: str | None = None


def routed(
    model: nn.Module,
    rules: Mapping[str, AnyRule],
    overrides: Mapping[str, Override] | None = None,
    pairs: AnyRule | None = None,
) -> list[dict[str, Any]]:
    """Return parameter groups with a rule each, which hold every trained parameter once.

    Args:
        model: the model. rules: by role, a rule or a choice of one.
        overrides: by regular expression, a rule, a role or a view for the parameters in whose
            name it is found; the first that is found counts.
        pairs: a rule over several parameters, for those it takes at once; roles hold for the rest.

    Raises:
        HyperparameterError: for a role without a rule, a hidden rule or an override without
            parameters, or for anything that is not a rule.
        GradientError: for a parameter that its rule cannot take.
    """
    chosen = {role: as_choice(role, rule) for role, rule in rules.items()}
    told = checked(overrides or {})
    entries = _assigned(model)
    paired, entries = _paired(entries, None if pairs is None else as_choice("pairs", pairs))
    places = [_place(entry, chosen, told) for entry in entries if not entry.frozen]
    require_use(told, {x.pattern for x in places}, entries)
    _require_rules(chosen, places)
    for place in places:
        _require_legal(place)
    return [*paired, *_groups(places)]


def _paired(
    entries: list[Assignment], choice: ConfiguredRule | None
) -> tuple[list[dict[str, Any]], list[Assignment]]:
    """Return the group of what a rule over several parameters takes, and the other parameters."""
    if choice is None:
        return [], entries
    trained = [(x.name, x.param) for x in entries if not x.frozen]
    params = [named for each in together(choice.rule, trained) for named in each]
    taken = {name for name, _ in params}
    group = {"params": params, "name": "pairs", **copied(choice.group())}
    return [group], [x for x in entries if x.name not in taken]


def _assigned(model: Any) -> list[Assignment]:
    if not isinstance(model, nn.Module):
        raise HyperparameterError(
            f"route {kind(model)}",
            why="which rule a parameter gets is read off the modules of a model",
            hint="pass the model, not its parameters",
        )
    return assigned(model)


def _place(entry: Assignment, rules: Mapping[str, ConfiguredRule], overrides: Checked) -> _Place:
    """Return where a parameter goes by the first override that finds it, or else by its role."""
    pattern = first(overrides, entry)
    told = None if pattern is None else overrides[pattern]
    if isinstance(told, ConfiguredRule):
        return _Place(entry, f"/{pattern}/", told, told.view or entry.view, pattern)
    role = told if isinstance(told, str) else entry.role
    choice = rules.get(role)
    general = None if choice is None else choice.view
    view = told if isinstance(told, View) else general or entry.view
    return _Place(entry, role, choice, view, pattern)


def _require_rules(rules: Mapping[str, ConfiguredRule], places: Iterable[_Place]) -> None:
    """Refuse a role that has parameters and no rule, and a hidden rule without parameters."""
    needed: dict[str, list[str]] = {}
    for place in places:
        if place.choice is None:
            needed.setdefault(place.label, []).append(place.entry.name)
    roles = [role for role in ROLES if role in needed]
    if roles:
        listed = "; ".join(f"{role}: {_some(needed[role])}" for role in roles)
        raise HyperparameterError(
            f"route a model without a rule for {' and '.join(roles)}",
            why=f"parameters have these roles: {listed}",
            hint=f"pass {', '.join(f'{role}=…' for role in roles)}; print nd.roles(model)",
        )
    if HIDDEN in rules and all(place.label != HIDDEN for place in places):
        raise HyperparameterError(
            f"route hidden parameters to {rules[HIDDEN]}",
            why="the model has none, so that the rule would take no parameter",
            hint='print nd.roles(model), and give a parameter the role with overrides={"…": '
            '"hidden"}',
        )


def _some(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _require_legal(place: _Place) -> None:
    """Refuse a parameter that its rule cannot take, by name."""
    entry, choice = place.entry, place.choice
    assert choice is not None
    try:
        layout(stepper(choice.rule, Schedule()), entry.param, place.view)
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
        empty = {"params": [], "name": name, **copied(x.choice.group()), **told}
        group = found.setdefault((x.label, id(x.choice), x.view), empty)
        group["params"].append((x.entry.name, x.entry.param))
    return list(found.values())
