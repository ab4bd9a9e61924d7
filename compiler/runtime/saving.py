"""Saving: an optimizer's state as tensors, numbers and text, and back, or refused."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.nonfinite import finite, has_values
from normdsl.compiler.layouts import shards
from normdsl.compiler.layouts.layout import OFFSET, STEP, Layout
from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.parameter_groups import Settings, settings
from normdsl.declarations.rule import Rule, remembered
from normdsl.declarations.serial import read, to_json
from normdsl.declarations.taken import FOREIGN
from normdsl.errors import GradientError, NormdslError, SerializationError
from normdsl.norms.layers import anonymous
from normdsl.schedules.schedule import Schedule

Group = dict[str, Any]
_PLAIN = Schedule()
#: What loading leaves as the optimizer was made.
_OWN = {"rule", "schedule", "view"}


@remembered(maxsize=64)
def _json(rule: Rule) -> str:
    return to_json(rule)


def written(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict with the settings of groups as text."""
    packed = [
        {**_named(group), **(_as_text(group) if group.keys() >= _OWN else {})}
        for group in state_dict["param_groups"]
    ]
    return {**state_dict, "param_groups": packed}


def _named(group: Group) -> Group:
    """Return a group without names, if parameters were added or removed and theirs were not."""
    fits = len(group.get("param_names", ())) == len(group["params"])
    return group if fits else {k: v for k, v in group.items() if k != "param_names"}


def _as_text(group: Group) -> Group:
    said = settings(group)
    view = "natural" if said.view is None else str(said.view)
    return {"rule": _json(said.rule), "schedule": str(said.schedule), "view": view}


def require_dict(given: Any) -> None:
    """Refuse anything but a state dict.

    Raises:
        SerializationError: with what a state dict has.
    """
    if not (isinstance(given, dict) and isinstance(given.get("state"), dict)):
        raise _refused("it is no dict with the keys state and param_groups")
    saved = given.get("param_groups")
    if not isinstance(saved, list) or not all(isinstance(g, dict) for g in saved):
        raise _refused("its param_groups are no list of dicts")


def fitted(live: list[Group], given: Any) -> dict[str, Any]:
    """Return a state dict with states by the names that these parameter groups have for them.

    Raises:
        SerializationError: if it is not that of an optimizer with these groups, with the
            difference.
    """
    require_dict(given)
    saved, states, members = given["param_groups"], {}, list[Any]()
    if len(saved) != len(live):
        raise _refused(f"it has {len(saved)} parameter groups, and the optimizer {len(live)}")
    for k, (own, group) in enumerate(zip(live, saved, strict=True)):
        _require_members(own, group, f"its group {k}")
        names, lengths = _require_rule(own, group), _lengths(own["rule"], group)
        each = settings({**own, **lengths}).each(own["params"])
        for index, param, said in zip(group["params"], own["params"], each, strict=True):
            if given["state"].get(index):
                layout = _layout(said, param)
                state = _renamed(layout, given["state"][index], names)
                _require_state(layout, state, "rule" in group)
                states[index] = state
        members += group["params"]
    # Others may keep what belongs to no parameter, under names.
    rest = {k: v for k, v in given["state"].items() if k not in members}
    if len(set(members)) < len(members) or any(map(_is_parameters, rest, rest.values())):
        raise _refused("its states are not those of its parameters, one for each")
    return {**given, "state": {**states, **rest}}


def _lengths(rule: Rule, saved: Group) -> Group:
    """Return the ranks of a saved group, which are taken over: its states are as long."""
    return {h.name: saved[h.name] for h in rule.hyper if h.domain.length and h.name in saved}


def _is_parameters(key: Any, state: Any) -> bool:
    """Return whether what is saved under a key is the state of a parameter."""
    return isinstance(key, int) or (isinstance(state, dict) and STEP in state)


def _layout(said: Settings, param: Tensor) -> Layout:
    try:
        return said.layout(param)
    except GradientError as error:
        raise _refused(f"it has a state of a parameter that takes none: {error.why}") from error


def _require_members(live: Group, saved: Group, title: str) -> None:
    """Refuse a group of other parameters, as far as their number and names tell."""
    members, count = saved.get("params"), len(live["params"])
    fits = isinstance(members, list) and len(members) == count
    if not fits or not all(isinstance(x, int | str) for x in members or ()):
        raise _refused(f"{title} is not of {count} parameters")
    names, known = saved.get("param_names"), live.get("param_names")
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names is not None and not (texts and len(names) == count):
        raise _refused(f"{title} has not a name for each parameter")
    if names and known and names != known and sorted(names) == sorted(known):
        raise _refused(f"{title} has its parameters in another order, by their names")


@attrs.frozen
class Renaming:
    """How states of a rule are called here that was saved with other names for them.

    Args:
        names: what they are called here. owned: all that the rule may have had there.
    """

    names: Mapping[str, str] = MappingProxyType({})
    owned: frozenset[str] = frozenset({STEP, OFFSET})


def _require_rule(live: Group, saved: Group) -> Renaming:
    """Return the live names of saved states; refuse another rule, view, or illegal settings."""
    rule: Rule = live["rule"]
    if "rule" not in saved and saved.keys() - live.keys() - FOREIGN:
        raise _refused(f"its groups have {', '.join(sorted(saved.keys() - live.keys()))}")
    text, names = saved.get("rule", _json(rule)), Renaming()
    if text != _json(rule):
        other, own = _anonymous(read(text, type(rule))), _anonymous(rule)
        if other != own:
            same = ", which is another one of this name" if other.name == rule.name else ""
            raise _refused(f"it is the state of the rule {other.name}{same}, not of {rule.name}")
        pairs = zip(other.parts, own.parts, strict=True)
        found = [_renaming(lower(x, _PLAIN), lower(y, _PLAIN)) for x, y in pairs]
        names = Renaming(
            {old: new for x in found for old, new in x.names.items()},
            frozenset(name for x in found for name in x.owned),
        )
    view = _as_text(live)["view"]
    if saved.get("view", view) != view:
        raise _refused(f"it saw its parameters as {saved['view']}, and this optimizer as {view}")
    try:
        said = {**live, **{key: value for key, value in saved.items() if key not in _OWN}}
        settings(said)
        parameter_groups.hyper(said)
    except NormdslError as error:
        raise _refused(f"{error.asked}: {error.why}") from error
    return names


def _anonymous(rule: Rule) -> Rule:
    """Return a rule without names of what layers share, which say nothing of its states."""
    names = tuple((name, anonymous(x)) for name, x in rule.names)
    return attrs.evolve(rule, update=anonymous(rule.update), names=names)


def _renaming(theirs: Program, ours: Program) -> Renaming:
    """Return the names that states of one program have in another of an equal rule."""
    called = dict(zip(ours.after, ours.states, strict=True))
    pairs = zip(theirs.after, theirs.states, strict=True)
    names = {field.name: called[after].name for after, field in pairs}
    return Renaming(names, theirs.owned | {STEP, OFFSET})


def _renamed(layout: Layout, state: Any, how: Renaming) -> Any:
    """Return a state under the names it has here; what was kept to save time is left out then."""
    if not how.names or not isinstance(state, dict):
        return state
    keys = {STEP: STEP} | {k: k for k in state if str(k).partition("[")[0] not in how.owned}
    for old, new in how.names.items():
        field = next(f for f in layout.required if f.name == new)
        keys |= {key.replace(new, old, 1): key for key in layout.stored(field)}
    return {keys[key]: value for key, value in state.items() if key in keys}


def _require_state(layout: Layout, state: Any, native: bool) -> None:
    """Refuse a state that lacks something, or has it in another shape."""
    rule = layout.stepper.program.declaration.name
    if isinstance(state, dict) and not layout.own(state) and native:
        return  # what others keep, of a parameter that has not stepped
    if not isinstance(state, dict) or STEP not in state:
        raise _refused(f"a state of {rule} lacks its {STEP}")
    for field in layout.fields:
        optional = field not in layout.required
        for key, shape in layout.stored(field).items():
            if not (optional and key not in state):
                _require_slot(rule, key, shape, state.get(key), native)
    for key in _counts(layout):
        if key in state:
            _require_count(key, state[key])


def _counts(layout: Layout) -> tuple[str, ...]:
    """Return the keys of a state that are whole numbers."""
    return (STEP, OFFSET) if layout.stepper.keeps else (STEP,)


def _require_count(key: str, value: Any) -> None:
    """Refuse anything but a whole number that is not negative."""
    if not isinstance(value, Tensor | int | float):
        raise _refused(f"{key} is a {type(value).__name__}, not a count")
    count = _number(value)
    if count.numel() != 1 or (has_values(count) and not _is_count(count.item())):
        raise _refused(f"{key} is {_described(count)}, not a count")


def _number(value: Tensor | float) -> Tensor:
    """Return a number as a tensor, where it is."""
    return value if isinstance(value, Tensor) else torch.tensor(value, device="cpu")


def _is_count(value: float | bool | complex) -> bool:
    """Return whether a number is a count that fits into the integers of torch."""
    return isinstance(value, int | float) and 0 <= value < 2**63 and value == int(value)


def _require_slot(rule: str, key: str, shape: tuple[int, ...], value: Any, native: bool) -> None:
    if not isinstance(value, Tensor):
        unknown = "" if native else ", which the version that saved it did not keep"
        raise _refused(f"a state of {rule} lacks {key}{unknown}")
    # Older versions, whose groups had no rule, kept states as the matrices they are seen as.
    matrix = (shape[0] if shape else 1, math.prod(shape[1:]))
    legal = tuple(value.shape) == shape or (not native and tuple(value.shape) == matrix)
    if not legal or not value.is_floating_point():
        raise _refused(f"{key} is {_described(value)}, and was to have the shape {shape}")
    part = shards.local(value)
    if has_values(part) and not bool(shards.agreed(finite(part), shards.meshes_of([value]))):
        raise _refused(f"{key} is NaN or infinite")


def restored(live: list[Group], loaded: list[Group], given: dict[str, Any]) -> dict[str, Any]:
    """Return what the optimizer holds after loading a state dict that fits.

    Args:
        live: its groups. loaded: the groups to come. given: the state dict.
    """
    state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
    for own, new, saved in zip(live, loaded, given["param_groups"], strict=True):
        new.update({key: own[key] for key in own if key in _OWN or key not in new})
        each = settings(new).each(own["params"])
        for index, param, said in zip(saved["params"], own["params"], each, strict=True):
            told = given["state"].get(index)
            if told:
                state[param] = _placed(said.layout(param), param, told)
    parameter_groups.separate(loaded)
    members = {index for saved in given["param_groups"] for index in saved["params"]}
    others = {k: deepcopy(v) for k, v in given["state"].items() if k not in members}
    return {"state": defaultdict(dict, {**state, **others}), "param_groups": loaded}


def _placed(layout: Layout, param: Tensor, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of a saved state on the parameter's device, in the dtypes of the schedule.

    What others keep there stays as it is, on the parameter's device.
    """
    state = {k: _copied(x, param.device) for k, x in told.items() if not layout.owns(k)}
    if STEP not in told:
        return state
    for key in [x for x in _counts(layout) if x in told]:
        state[key] = _number(told[key]).to(torch.int64).to(param.device, copy=True).reshape(())
    for field in layout.fields:
        dtype = layout.stepper.kept_dtype(field, param)
        stored = layout.stored(field)
        # Values kept between steps may be missing, under another schedule: they are computed anew.
        if all(key in told for key in stored):
            for key, shape in stored.items():
                state[key] = told[key].to(param.device, dtype, copy=True).reshape(shape)
    return state


def _copied(value: Any, device: torch.device) -> Any:
    return value.to(device, copy=True) if isinstance(value, Tensor) else deepcopy(value)


def _described(value: Tensor) -> str:
    return f"a tensor of shape {tuple(value.shape)}, {value.dtype}"


def _refused(why: str) -> SerializationError:
    return SerializationError(
        "load the state of an optimizer",
        why=why,
        hint="build the optimizer with the rule, groups and parameters that it was saved with; "
        "nothing was changed",
    )
