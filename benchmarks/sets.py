"""Sets of parameters: the shapes of which a step is timed."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import torch
from torch.nn import Parameter

from normdsl.errors import NormdslError
from normdsl.near import did_you_mean

Shape = tuple[int, ...]


@attrs.frozen
class Set:
    """Shapes of the parameters of a model.

    Args:
        name: how it is asked for. what: in words.
        hidden: shapes of the hidden matrices, which matrix rules are for.
        rest: of embeddings and vectors, which entry-wise rules have as well.
        cuda: whether it is for GPUs: on a CPU its steps take seconds each.
    """

    name: str
    what: str
    hidden: tuple[Shape, ...]
    rest: tuple[Shape, ...] = ()
    cuda: bool = False

    def shapes(self, matrices: bool) -> tuple[Shape, ...]:
        """Return the shapes of the hidden matrices, or of everything."""
        return self.hidden if matrices else self.rest + self.hidden


def _gpt(d: int, layers: int) -> tuple[Shape, ...]:
    """Return the four matrices of each layer: queries to values, output, and up and down."""
    return ((3 * d, d), (d, d), (4 * d, d), (d, 4 * d)) * layers


def _beside(d: int, vocabulary: int, context: int, norms: int) -> tuple[Shape, ...]:
    """Return a tied embedding, positions, and the vectors of norms."""
    return ((vocabulary, d), (context, d), *[(d,)] * norms)


SETS = (
    Set(
        "gpt",
        "GPT of 14 M parameters: d = 384, 6 layers, vocabulary 8192",
        _gpt(384, 6),
        _beside(384, 8192, 512, 26),
    ),
    Set(
        "small",
        "200 matrices 64 × 64 and 200 vectors of length 64",
        ((64, 64),) * 200,
        ((64,),) * 200,
    ),
    Set(
        "wide",
        "4 matrices 512 × 2048 and 4 of 2048 × 512",
        ((512, 2048),) * 4 + ((2048, 512),) * 4,
    ),
    Set("square", "4 matrices 1024 × 1024", ((1024, 1024),) * 4),
    Set(
        "gpt-124m",
        "GPT of 124 M parameters: d = 768, 12 layers, vocabulary 50304",
        _gpt(768, 12),
        _beside(768, 50304, 1024, 48),
        cuda=True,
    ),
    Set(
        "gpt-0.9b",
        "GPT of 0.9 B parameters: d = 2048, 16 layers, vocabulary 50304",
        _gpt(2048, 16),
        _beside(2048, 50304, 1024, 64),
        cuda=True,
    ),
)
BY_NAME = {s.name: s for s in SETS}
#: What is measured if nothing is asked for: on a GPU the sets of seconds there, and the launches.
DEFAULT = {
    "cpu": ("gpt", "small", "wide", "square"),
    "cuda": ("gpt-124m", "small", "gpt-0.9b"),
}


def chosen(names: Iterable[str], device: str) -> tuple[Set, ...]:
    """Return sets by their names; those of the device for none, or for "all".

    Raises:
        NormdslError: for an unknown name, or a set that is too large for a CPU.
    """
    names = tuple(names)
    if not names or "all" in names:
        names = DEFAULT[device]
    for name in names:
        if name not in BY_NAME:
            raise NormdslError(
                f"measure the set {name!r}",
                why="there is no set of that name",
                hint=did_you_mean(name, ("all", *BY_NAME), "the sets are"),
            )
        if BY_NAME[name].cuda and device == "cpu":
            raise NormdslError(
                f"measure the set {name!r} on a CPU",
                why="its steps take seconds each there",
                hint="use --device cuda, or one of " + ", ".join(DEFAULT["cpu"]),
            )
    return tuple(BY_NAME[name] for name in names)


def parameters(shapes: Iterable[Shape], device: str) -> list[Parameter]:
    """Return random weights, the same ones for everybody."""
    draw = torch.Generator(device).manual_seed(0)
    return [Parameter(torch.randn(s, generator=draw, device=device) * 0.02) for s in shapes]


def give_gradients(params: Iterable[Parameter]) -> None:
    """Give new gradients in new memory, as a backward pass after `zero_grad()` does."""
    for p in params:
        p.grad = torch.randn_like(p)
