"""Keys of parameter groups: ours, those that stand for several, those of others, and typos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from normdsl.declarations.aliases import BETAS, members
from normdsl.declarations.taken import SETTINGS
from normdsl.errors import HyperparameterError
from normdsl.near import nearest, plain

#: Options of an optimizer that hold for all its groups.
_WHOLE = ("nonfinite", "capture", "capturable", "differentiable", "replicas")


class Group(dict[str, Any]):
    """A parameter group, in which `betas` stands for beta1, beta2, …, which alone are stored.

    Schedulers read and write `group["betas"]`; whichever name is written last holds.
    """

    def __missing__(self, key: str) -> Any:
        names = self._members(key)
        if not names:
            raise KeyError(key)
        return tuple(self[name] for name in names)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or bool(self._members(key))

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or a default."""
        return self[key] if key in self else default  # noqa: SIM401 (dict.get knows no aliases)

    def __setitem__(self, key: str, value: Any) -> None:
        names = self._members(key)
        if names and isinstance(value, Sequence) and len(value) == len(names):
            for name, each in zip(names, value, strict=True):
                super().__setitem__(name, each)
        else:
            super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, which is set to a default if it has none."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several keys."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def copy(self) -> Group:
        """Return a group with the same keys and values."""
        return Group(self)

    def _members(self, key: object) -> tuple[str, ...]:
        """Return what a key stands for, if that is not itself."""
        return members(self.keys()) if key == BETAS else ()


def require_others(rule: str, names: tuple[str, ...], keys: tuple[str, ...]) -> None:
    """Refuse keys that look like a misspelled one of ours; all others belong to other packages.

    Args:
        rule: whose group it is. names: its hyper-parameters. keys: those that are not ours.

    Raises:
        HyperparameterError: naming the key that was meant.
    """
    for key in keys:
        meant = _meant(key, names)
        if meant is not None:
            raise HyperparameterError(
                f"set {key!r} of {rule} in a parameter group",
                why="neither the rule nor a group has anything of that name"
                if key not in _WHOLE
                else "it is an option of an optimizer, not of a group",
                hint=f"did you mean {meant}? The hyper-parameters are {', '.join(names)}; "
                "a key of your own needs a name that looks like none of them"
                if key not in _WHOLE
                else f"pass it beside the groups: rule(groups, {key}=…)",
            )


@lru_cache(maxsize=4096)
def _meant(key: object, names: tuple[str, ...]) -> str | None:
    """Return the name of ours that a key misspells; None for a name of another package.

    A name with further words is another one: lr_mult, weight_decay_mult, initial_lr. One that only
    goes on, lrate, epsilon, is not.
    """
    if not isinstance(key, str):
        return None
    if key in _WHOLE:
        return key
    longer = [name for name in names if plain(key).startswith(plain(name)) and "_" not in key]
    words = [word for word in key.lower().split("_") if word]
    for name in names:
        parts = name.split("_")
        inside = any(words[k : k + len(parts)] == parts for k in range(len(words)))
        if inside and len(words) > len(parts):
            return None
    return nearest(key, (*names, *SETTINGS), alike=0.8) or next(iter(longer), None)
