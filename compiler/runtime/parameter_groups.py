"""Parameter groups: each has a rule, a schedule, a view and hyper-parameters of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any

import attrs
from torch import Tensor

from normdsl.compiler.layouts import tuples
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.layouts.keys import Group, require_others
from normdsl.compiler.layouts.layout import Layout, layout
from normdsl.compiler.layouts.stepper import Stepper, stepper
from normdsl.compiler.layouts.view import Flat, View
from normdsl.compiler.layouts.views import NAMES
from normdsl.declarations.aliases import spread
from normdsl.declarations.configured import ConfiguredRule
from normdsl.declarations.rule import Rule
from normdsl.declarations.taken import FOREIGN, SETTINGS
from normdsl.errors import HyperparameterError, kind, shown
from normdsl.expressions.nodes import Source
from normdsl.schedules.schedule import Schedule

_KINDS: dict[str, tuple[Any, str]] = {
    "rule": (Rule, 'a group steps by a declaration: {"params": …, "rule": rule}'),
    "schedule": (Schedule, "use nd.Schedule(…), or nd.exact"),
    "view": (View | None, f"use a view, nd.views.{', nd.views.'.join(NAMES)}, or None"),
    "maximize": (bool, "use True or False"),
    "seed": (int, "use a whole number of Python, int(seed)"),
}
_WHAT = {
    "rule": "a rule",
    "schedule": "a schedule",
    "view": "a view",
    "maximize": "True or False",
    "seed": "a whole number",
}
#: What groups had that were made before there was such a setting.
_ABSENT = {"seed": 0}


@attrs.frozen
class Settings:
    """The settings of a parameter group.

    Args:
        rule: its declaration. schedule: how it is computed. view: how parameters are seen; None
            for the natural view. maximize: whether the loss is maximised. seed: of random numbers.
        sized: the declaration with the lengths in it as the group sets them.
        workers: whether several workers run it.
    """

    rule: Rule
    schedule: Schedule
    view: View | None
    maximize: bool
    seed: int
    sized: Rule
    workers: bool = False

    @cached_property
    def stepper(self) -> Stepper:
        """What runs the rule, which is over one matrix."""
        return stepper(self.sized, self.schedule, self.workers)

    def each(self, params: Sequence[Tensor]) -> list[Settings]:
        """Return the settings of each parameter, with its part of a rule over several.

        Raises:
            GradientError: for shapes that do not belong to the spaces that the rule says.
        """
        count = len(self.rule.ports)
        if not count:
            return [self] * len(params)
        found: list[Settings] = []
        for first in range(0, len(params), count):
            spaces = tuples.sizes(self.rule, params[first : first + count])
            for k, p in enumerate(params[first : first + count]):
                part = self.sized.part(k, **spaces)
                view = Flat() if self.view is None and p.ndim < 2 else self.view
                found.append(attrs.evolve(self, sized=part, view=view))
        return found

    def steppers(self, params: Sequence[Tensor]) -> tuple[Stepper, ...]:
        """Return what runs the rule on parameters, each once."""
        if not self.rule.ports:
            return (self.stepper,)
        return tuple(dict.fromkeys(said.stepper for said in self.each(params)))

    @cached_property
    def reads_loss(self) -> bool:
        """Whether the rule needs the value of the loss."""
        return self.rule.reads(Source.LOSS) if self.rule.ports else self.stepper.reads_loss

    def layout(self, param: Tensor) -> Layout:
        """Return how a parameter steps.

        Raises:
            GradientError: if the rule cannot take it.
        """
        return layout(self.stepper, param, self.view)


def settings(group: Mapping[str, Any]) -> Settings:
    """Return the settings of a parameter group.

    Raises:
        HyperparameterError: if a setting is missing, or of another kind.
    """
    told = {**_ABSENT, **group}
    for name, (legal, hint) in _KINDS.items():
        if not isinstance(told.get(name, ...), legal):
            given = f"with {name} = {shown(told[name])}" if name in told else f"without {name}"
            raise HyperparameterError(
                f"use a parameter group {given}",
                why=f"{kind(told[name])} is not {_WHAT[name]}"
                if name in told
                else f"every group has one, {_WHAT[name]}",
                hint=hint,
            )
    known = {name: told[name] for name in SETTINGS}
    return Settings(**known, sized=told["rule"].sized(told))


def hyper(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a parameter group, complete and legal.

    Keys of wrappers and trainers are left alone, unless they look like a misspelled one of ours.

    Raises:
        HyperparameterError: for a near miss, a missing value or one outside its domain.
    """
    rule = group["rule"]
    said = spread(rule, {k: v for k, v in group.items() if k not in SETTINGS and k not in FOREIGN})
    own = {k: v for k, v in said.items() if k in rule.defaults}
    require_others(rule.name, tuple(rule.defaults), tuple(said.keys() - own.keys()))
    return complete(rule, own)


def parameters(group: Mapping[str, Any]) -> Sequence[Tensor]:
    """Return the parameters of a group, which others may have replaced.

    Raises:
        HyperparameterError: for anything but a list of tensors.
    """
    params = group.get("params")
    if isinstance(params, list | tuple) and all(map(isinstance, params, repeat(Tensor))):
        return params
    raise HyperparameterError(
        f"use a parameter group with params = {str(params)[:50]}",
        why="the parameters of a group must be a list of tensors",
        hint='set group["params"] = list(model.parameters()), or use opt.add_param_group',
    )


def filled(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group with all settings and hyper-parameters, as an optimizer keeps it.

    Hyper-parameters that the optimizer was given hold for groups with its own rule; in a group
    with another rule, those left out have that rule's defaults.

    Raises:
        HyperparameterError: for an unknown key, a value outside its domain, or no rule.
    """
    given = dict(group)
    choice = given.get("rule", defaults.get("rule"))
    if isinstance(choice, ConfiguredRule):
        given = {**copied(choice.group()), **given, "rule": choice.rule}
    rule = given.get("rule", defaults.get("rule"))
    same = rule == defaults.get("rule")
    own = {k: v for k, v in defaults.items() if same or k in SETTINGS}
    merged = {**own, **_spread(rule, given), "rule": rule}
    settings(merged)
    return Group({**merged, **hyper(merged)})


def _spread(rule: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a group by their own names; a wrong rule is refused later."""
    return spread(rule, given) if isinstance(rule, Rule) else given


def common(param_groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the hyper-parameters that all groups have, with the values of the first."""
    names = [set(group["rule"].defaults) for group in param_groups]
    return {k: param_groups[0][k] for k in set.intersection(*names)} if names else {}


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with tensors of their own."""
    return {k: x.detach().clone() if isinstance(x, Tensor) else x for k, x in values.items()}


def separate(param_groups: Iterable[dict[str, Any]]) -> None:
    """Give each group tensors of its own, where several hyper-parameters are one tensor.

    A scheduler writes a tensor in place, and would change all that share it. Who has it first
    keeps it, the others get copies.
    """
    taken: set[int] = set()
    for group in param_groups:
        for h in group["rule"].hyper:
            x = group[h.name]
            if isinstance(x, Tensor):
                if id(_memory(x)) in taken:
                    x = group[h.name] = x.detach().clone()
                taken.add(id(_memory(x)))


def _memory(x: Tensor) -> Tensor:
    """Return the tensor whose memory a tensor is a view of, or itself."""
    return x if x._base is None else x._base


def listed(group: Any) -> dict[str, Any]:
    """Return a group with its parameters as a list.

    Raises:
        HyperparameterError: for anything but a group, or parameters without an order.
    """
    params = group.get("params") if isinstance(group, dict) else None
    if isinstance(params, Tensor):
        params = [params]
    if not isinstance(params, Iterable) or isinstance(params, str | set | frozenset):
        raise HyperparameterError(
            f"add the parameter group {str(group)[:50]}",
            why='a group is a dict with "params", a tensor or several in an order that is kept',
            hint='add {"params": [p, …], "lr": …}',
        )
    return {**group, "params": list(params)}


def line(group: Mapping[str, Any]) -> str:
    """Return a parameter group as one line of text."""
    said, count = settings(group), len(group["params"])
    title = f"{group['name']}: " if "name" in group else ""
    told = ConfiguredRule(said.rule, {h.name: group[h.name] for h in said.rule.hyper}, said.view)
    up = ", maximize" if said.maximize else ""
    return f"  {title}{told}{up}, {count} parameter{'s' * (count != 1)}"
