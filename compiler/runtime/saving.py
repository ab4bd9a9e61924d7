"""Saving: an optimizer's state as tensors, numbers and text, and back, or refused."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.lowering.program import Program, lower
from normdsl.compiler.runtime import groups
from normdsl.compiler.runtime.finite import finite
from normdsl.compiler.runtime.groups import settings
from normdsl.compiler.runtime.layout import STEP, Layout
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError, SerializationError
from normdsl.schedule import Schedule
from normdsl.serial import from_json, to_json

Group = dict[str, Any]
_PLAIN = Schedule()
#: What loading leaves as the optimizer was made.
_OWN = {"rule", "schedule", "view"}


def _json(rule: Declaration) -> str:
    return _written(rule, rule.names)


@lru_cache(maxsize=64)
def _written(rule: Declaration, names: object) -> str:
    return to_json(rule)


def written(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict with what groups say as text."""
    packed = [
        {**group, **(_as_text(group) if group.keys() >= _OWN else {})}
        for group in state_dict["param_groups"]
    ]
    return {**state_dict, "param_groups": packed}


def _as_text(group: Group) -> Group:
    said = settings(group)
    view = "natural" if said.view is None else str(said.view)
    return {"rule": _json(said.rule), "schedule": str(said.schedule), "view": view}


def require_dict(given: Any) -> None:
    """Refuse what is no state dict.

    Raises:
        SerializationError: saying what it is to have.
    """
    if not (isinstance(given, dict) and isinstance(given.get("state"), dict)):
        raise _refused("it is no dict with the keys state and param_groups")
    saved = given.get("param_groups")
    if not isinstance(saved, list) or not all(isinstance(g, dict) for g in saved):
        raise _refused("its param_groups are no list of dicts")


def fitted(live: list[Group], given: Any) -> dict[str, Any]:
    """Return a state dict with states by the names that these parameter groups have for them.

    Raises:
        SerializationError: if it is not one of an optimizer with these groups, saying what differs.
    """
    require_dict(given)
    saved, states, members = given["param_groups"], {}, list[Any]()
    if len(saved) != len(live):
        raise _refused(f"it has {len(saved)} parameter groups, and the optimizer {len(live)}")
    for k, (own, group) in enumerate(zip(live, saved, strict=True)):
        _require_members(own, group, f"its group {k}")
        names = _require_rule(own, group)
        for index, param in zip(group["params"], own["params"], strict=True):
            layout = settings(own).layout(param)
            state = _renamed(layout, given["state"].get(index), names)
            _require_state(layout, state, "rule" in group)
            states[index] = state or {}
        members += group["params"]
    if len(set(members)) < len(members) or not states.keys() >= given["state"].keys():
        raise _refused("its states are not those of its parameters, one for each")
    return {**given, "state": {k: v for k, v in states.items() if k in given["state"]}}


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


def _require_rule(live: Group, saved: Group) -> dict[str, str]:
    """Return the live names of saved states; refuse another rule, view, or illegal settings."""
    rule: Declaration = live["rule"]
    text, names = saved.get("rule", _json(rule)), dict[str, str]()
    if text != _json(rule):
        other = from_json(text)
        if other != rule:
            same = ", which is another one of this name" if other.name == rule.name else ""
            raise _refused(f"it is the state of the rule {other.name}{same}, not of {rule.name}")
        names = _names(lower(other, _PLAIN), lower(rule, _PLAIN))
    view = _as_text(live)["view"]
    if saved.get("view", view) != view:
        raise _refused(f"it saw its parameters as {saved['view']}, and this optimizer as {view}")
    try:
        said = {**live, **{key: value for key, value in saved.items() if key not in _OWN}}
        settings(said)
        groups.hyper(said)
    except NormdslError as error:
        raise _refused(f"{error.asked}: {error.why}") from error
    return names


def _names(theirs: Program, ours: Program) -> dict[str, str]:
    """Return the names that states of one program have in another of an equal rule."""
    called = dict(zip(ours.graph[1:], ours.fields, strict=False))
    pairs = zip(theirs.graph[1:], theirs.fields, strict=False)
    return {field.name: called[after].name for after, field in pairs}


def _renamed(layout: Layout, state: Any, names: Mapping[str, str]) -> Any:
    """Return a state under the names it has here; what was kept to save time is left out then."""
    if not names or not isinstance(state, dict):
        return state
    keys = {STEP: STEP}
    for old, new in names.items():
        field = next(f for f in layout.required if f.name == new)
        keys |= {key.replace(new, old, 1): key for key in layout.stored(field)}
    return {keys[key]: value for key, value in state.items() if key in keys}


def _require_state(layout: Layout, state: Any, native: bool) -> None:
    """Refuse a state that lacks something, or has it in another shape."""
    if not state and isinstance(state, dict | None):
        return
    rule = layout.stepper.program.declaration.name
    if not isinstance(state, dict) or STEP not in state:
        raise _refused(f"a state of {rule} lacks its {STEP}")
    for field in layout.fields:
        optional = field not in layout.required
        for key, shape in layout.stored(field).items():
            if not (optional and key not in state):
                _require_slot(rule, key, shape, state.get(key), native)
    if not isinstance(state[STEP], Tensor | int | float):
        raise _refused(f"{STEP} is a {type(state[STEP]).__name__}, not a count")
    step = torch.as_tensor(state[STEP], dtype=torch.float64)
    whole = finite(step) & (step >= 0).all() & (step == step.round()).all()
    if step.numel() != 1 or not bool(whole):
        raise _refused(f"{STEP} is {_described(step)}, not a count")


def _require_slot(rule: str, key: str, shape: tuple[int, ...], value: Any, native: bool) -> None:
    if not isinstance(value, Tensor):
        unknown = "" if native else ", which the version that saved it did not keep"
        raise _refused(f"a state of {rule} lacks {key}{unknown}")
    # Before groups said their rule, states were kept as the matrices they are seen as.
    matrix = (shape[0] if shape else 1, math.prod(shape[1:]))
    legal = tuple(value.shape) == shape or (not native and tuple(value.shape) == matrix)
    if not legal or not value.is_floating_point():
        raise _refused(f"{key} is {_described(value)}, and was to have the shape {shape}")
    if not bool(finite(value)):
        raise _refused(f"{key} is NaN or infinite")


def restored(live: list[Group], loaded: list[Group], given: dict[str, Any]) -> dict[str, Any]:
    """Return what the optimizer holds after loading a state dict that fits.

    Args:
        live: its groups. loaded: the groups to come. given: the state dict.
    """
    state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
    for own, new, saved in zip(live, loaded, given["param_groups"], strict=True):
        new.update({key: own[key] for key in own if key in _OWN or key not in new})
        for index, param in zip(saved["params"], own["params"], strict=True):
            told = given["state"].get(index)
            if told:
                state[param] = _placed(settings(own).layout(param), param, told)
    return {"state": state, "param_groups": loaded}


def _placed(layout: Layout, param: Tensor, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of a saved state on the parameter's device, in the dtypes of the schedule."""
    clock = torch.as_tensor(told[STEP], dtype=torch.float64, device=param.device)
    state = {STEP: clock.reshape(()).clone()}
    for field in layout.fields:
        dtype = layout.stepper.kept_dtype(field, param)
        stored = layout.stored(field)
        # Values kept between steps may be missing, under another schedule: they are computed anew.
        if all(key in told for key in stored):
            for key, shape in stored.items():
                state[key] = told[key].to(param.device, dtype, copy=True).reshape(shape)
    return state


def _described(value: Tensor) -> str:
    return f"a tensor of shape {tuple(value.shape)}, {value.dtype}"


def _refused(why: str) -> SerializationError:
    return SerializationError(
        "load the state of an optimizer",
        why=why,
        hint="build the optimizer with the rule, groups and parameters that it was saved with; "
        "nothing was changed",
    )
