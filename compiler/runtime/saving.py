"""Saving: an optimizer's state as tensors, numbers and text, and back, or refused."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.runtime import groups
from normdsl.compiler.runtime.finite import finite
from normdsl.compiler.runtime.groups import settings
from normdsl.compiler.runtime.layout import STEP, Layout
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError, SerializationError
from normdsl.serial import from_json, to_json

Group = dict[str, Any]
#: What loading leaves as the optimizer was made.
_OWN = ("rule", "schedule", "view")


@lru_cache(maxsize=64)
def _json(rule: Declaration) -> str:
    return to_json(rule)


def written(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict with what groups say as text."""
    packed = [{**group, **_as_text(group)} for group in state_dict["param_groups"]]
    return {**state_dict, "param_groups": packed}


def _as_text(group: Group) -> Group:
    said = settings(group)
    view = "natural" if said.view is None else str(said.view)
    return {"rule": _json(said.rule), "schedule": str(said.schedule), "view": view}


def require_fits(live: list[Group], given: Any) -> None:
    """Refuse a state dict that is not one of an optimizer with these parameter groups.

    Raises:
        SerializationError: saying what differs.
    """
    if not (isinstance(given, dict) and isinstance(given.get("state"), dict)):
        raise _refused("it is no dict with the keys state and param_groups")
    saved = given.get("param_groups")
    if not isinstance(saved, list) or not all(isinstance(g, dict) for g in saved):
        raise _refused("its param_groups are no list of dicts")
    if len(saved) != len(live):
        raise _refused(f"it has {len(saved)} parameter groups, and the optimizer {len(live)}")
    for k, (own, group) in enumerate(zip(live, saved, strict=True)):
        members = group.get("params")
        named = isinstance(members, list) and all(isinstance(x, int | str) for x in members)
        if not named or len(members) != len(own["params"]):
            raise _refused(f"its group {k} is not of {len(own['params'])} parameters")
        _require_rule(own, group)
        for index, param in zip(members, own["params"], strict=True):
            _require_state(settings(own).layout(param), given["state"].get(index))


def _require_rule(live: Group, saved: Group) -> None:
    """Refuse a group of another rule, another view, or illegal hyper-parameters."""
    rule: Declaration = live["rule"]
    text = saved.get("rule", _json(rule))
    if text != _json(rule):
        other = from_json(text)
        if other != rule:
            raise _refused(f"it is the state of the rule {other.name}, not of this {rule.name}")
    view = _as_text(live)["view"]
    if saved.get("view", view) != view:
        raise _refused(f"it saw its parameters as {saved['view']}, and this optimizer as {view}")
    try:
        groups.hyper({**live, **{h.name: saved[h.name] for h in rule.hyper if h.name in saved}})
    except NormdslError as error:
        raise _refused(f"{error.asked}: {error.why}") from error


def _require_state(layout: Layout, state: Any) -> None:
    """Refuse a state that lacks something, or has it in another size."""
    if not state:
        return
    rule = layout.stepper.program.declaration.name
    if not isinstance(state, dict) or STEP not in state:
        raise _refused(f"a state of {rule} lacks its {STEP}")
    for field in layout.required:
        for key, shape in layout.stored(field).items():
            _require_slot(rule, key, shape, state.get(key))
    if not isinstance(state[STEP], Tensor | int | float):
        raise _refused(f"{STEP} is a {type(state[STEP]).__name__}, not a count")
    step = torch.as_tensor(state[STEP])
    if step.numel() != 1 or not bool(
        finite(step) & (step >= 0).all() & (step == step.round()).all()
    ):
        raise _refused(f"{STEP} is {_described(step)}, not a count")


def _require_slot(rule: str, key: str, shape: tuple[int, ...], value: Any) -> None:
    if not isinstance(value, Tensor):
        raise _refused(f"a state of {rule} lacks {key}")
    # Before groups said their rule, states were kept as the matrices they are seen as.
    if value.numel() != math.prod(shape) or not value.is_floating_point():
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
