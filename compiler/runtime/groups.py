"""Parameter groups: each has a rule, a schedule, a view and hyper-parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from torch import Tensor

from normdsl.choice import Choice
from normdsl.compiler.runtime.batch import Stepper, stepper
from normdsl.compiler.runtime.hyper import complete
from normdsl.compiler.runtime.layout import Layout, layout
from normdsl.compiler.runtime.views import View
from normdsl.declaration import FOREIGN, SETTINGS, Declaration
from normdsl.errors import HyperparameterError
from normdsl.schedule import Schedule


@attrs.frozen
class Settings:
    """What a parameter group says.

    Args:
        rule: its declaration. schedule: how it is computed. view: how parameters are seen; None
            for the natural view. maximize: whether the loss is maximised.
    """

    rule: Declaration
    schedule: Schedule
    view: View | None
    maximize: bool

    @property
    def stepper(self) -> Stepper:
        """What runs the rule."""
        return stepper(self.rule, self.schedule)

    def layout(self, param: Tensor) -> Layout:
        """Return how a parameter steps.

        Raises:
            GradientError: if the rule cannot take it.
        """
        return layout(self.stepper, param, self.view)


def settings(group: Mapping[str, Any]) -> Settings:
    """Return what a parameter group says."""
    return Settings(*(group[name] for name in SETTINGS))


def hyper(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a parameter group, complete and legal.

    Raises:
        HyperparameterError: for an unknown key, a missing value or one outside its domain.
    """
    said = {k: v for k, v in group.items() if k not in SETTINGS and k not in FOREIGN}
    return complete(group["rule"], said)


def filled(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group with all settings and hyper-parameters, as an optimizer keeps it.

    Hyper-parameters that the optimizer was given hold for groups with its own rule; in a group
    with another rule, those left out have that rule's defaults.

    Raises:
        HyperparameterError: for an unknown key, a value outside its domain, or no rule.
    """
    given = dict(group)
    choice = given.get("rule", defaults.get("rule"))
    if isinstance(choice, Choice):
        given = {**choice.group(), **given, "rule": choice.rule}
    rule = given.get("rule", defaults.get("rule"))
    if not isinstance(rule, Declaration):
        raise HyperparameterError(
            f"add a parameter group with the rule {rule!r}",
            why="a group steps by a declaration",
            hint='give it one: {"params": …, "rule": rule}, with hyper-parameters if you like',
        )
    same = rule == defaults.get("rule")
    own = {k: v for k, v in defaults.items() if same or k in SETTINGS}
    merged = {**own, **given, "rule": rule}
    require_settings(merged)
    return {**merged, **hyper(merged)}


def line(group: Mapping[str, Any]) -> str:
    """Return a parameter group as one line of text."""
    said, count = settings(group), len(group["params"])
    title = f"{group['name']}: " if "name" in group else ""
    told = Choice(said.rule, {h.name: group[h.name] for h in said.rule.hyper}, said.view)
    up = ", maximize" if said.maximize else ""
    return f"  {title}{told}{up}, {count} parameter{'s' * (count != 1)}"


def require_settings(group: Mapping[str, Any]) -> None:
    """Refuse settings of another kind; those left out are those of the optimizer.

    Raises:
        HyperparameterError: naming the setting.
    """
    kinds = {"schedule": Schedule, "view": View | None, "maximize": bool}
    for name, kind in kinds.items():
        if name in group and not isinstance(group[name], kind):
            raise HyperparameterError(
                f"set {name}={group[name]!r}",
                why=f"{name} is {kind}",
                hint="use nd.Schedule(…), a view of nd.views, or maximize=True",
            )
