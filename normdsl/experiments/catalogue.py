"""The experiments there are, by name."""

from __future__ import annotations

from collections.abc import Callable

from normdsl.errors import NormdslError
from normdsl.experiments.charlm import charlm
from normdsl.experiments.experiment import Experiment
from normdsl.experiments.lora import lora
from normdsl.experiments.scale import scale
from normdsl.near import did_you_mean

EXPERIMENTS: dict[str, Callable[..., Experiment]] = {"scale": scale, "charlm": charlm, "lora": lora}


def named(name: str) -> Callable[..., Experiment]:
    """Return what makes the experiment of a name, of steps and seeds.

    Raises:
        NormdslError: if there is none of that name.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    raise NormdslError(
        f"reproduce {name!r}",
        why="there is no experiment of that name",
        hint=did_you_mean(name, EXPERIMENTS, "there are"),
    )
