"""An optimizer under test: three parameters, what its rule reads, and copies of all it holds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from moments import Given, loss_of, moments
from torch import Tensor, nn

import normdsl as nd
from normdsl.cli.find import shipped

#: Two of one shape, which step as one batch, and one of another.
SHAPES = ((4, 6), (4, 6), (6, 3))
NAMES = ("adamw", "lion", "muon", "scion", "shampoo", "soap", "kl_shampoo", "muadam_sania",
         "polyak_muadam_sania", "kfac")  # fmt: skip
RULES = {name: shipped()[name] for name in NAMES}
#: Rules with other options than the defaults, by another name.
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"{name}, eps = 0": {"eps": 0.0} for name in ("adamw", "muadam_sania")},
    "muon, polynomials": {"schedule": nd.Schedule(polar=nd.polar_express(8))},
    "muon, Gram polynomials": {"schedule": nd.Schedule(polar=nd.polar_express(8).on_gram())},
}
STEPS = 3


def gradients(step: int, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[Tensor]:
    """Return the gradients of a step, the same ones each time, in double precision."""
    g = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


@attrs.frozen(eq=False)
class Subject:
    """An optimizer and its parameters.

    Args:
        rule: what it was made of. params: its parameters. opt: the optimizer.
        given: stands in for a capture, if the rule reads moments.
    """

    rule: nd.Declaration
    params: list[nn.Parameter]
    opt: torch.optim.Optimizer
    given: Given

    def step(self, grads: Sequence[Tensor | None], loss: float = 1.5, **changed: Tensor) -> None:
        """Take a step; `changed` replaces moments of the first parameter."""
        for k, (p, g) in enumerate(zip(self.params, grads, strict=True)):
            p.grad = None if g is None else g.to(p.dtype)
            known = moments(self.rule, tuple(p.shape), seed=k)
            known = {name: x.float() for name, x in known.items()}
            self.given.values[p] = {**known, **(changed if k == 0 and known else {})}
        self.opt.step(**loss_of(self.rule, loss))

    def held(self) -> list[Tensor]:
        """Return copies of all weights and states, in a fixed order."""
        states = [
            self.opt.state[p][key] for p in self.params for key in sorted(self.opt.state.get(p, {}))
        ]
        return [x.detach().clone() for x in (*self.params, *states)]

    def of(self, index: int) -> list[Tensor]:
        """Return copies of the weights and states of one parameter."""
        p = self.params[index]
        states = self.opt.state.get(p, {})
        return [x.detach().clone() for x in (p, *(states[key] for key in sorted(states)))]

    def groups(self) -> list[dict]:
        """Return what the parameter groups say besides their parameters."""
        return [
            copy.copy({k: v for k, v in group.items() if k != "params"})
            for group in self.opt.param_groups
        ]


def subject(
    name: str,
    dtype: torch.dtype = torch.float32,
    nonfinite: str = "raise",
    shapes: Sequence[tuple[int, int]] = SHAPES,
    start: float = 1.0,
    steps: int = STEPS,
) -> Subject:
    """Return an optimizer that has taken a few steps.

    Args:
        name: of the rule, or of one in `VARIANTS`. dtype, shapes: of the parameters.
        nonfinite: as for any optimizer. start: what random first weights are multiplied by.
        steps: how many it has taken.
    """
    rule, given = RULES[name.partition(",")[0]], Given()
    params = [nn.Parameter((start * w).to(dtype)) for w in gradients(-1, shapes)]
    capture = {"capture": given} if rule.moments else {}
    made = Subject(
        rule, params, rule(params, nonfinite=nonfinite, **capture, **VARIANTS.get(name, {})), given
    )
    for k in range(steps):
        made.step(gradients(k, shapes))
    return made


def same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Return whether copies are bit for bit the same."""
    return len(one) == len(other) and all(map(_same_bits, one, other))


def _same_bits(x: Tensor, y: Tensor) -> bool:
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    return torch.equal(x.reshape(-1).view(torch.uint8), y.reshape(-1).view(torch.uint8))


def finite(values: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(x).all()) for x in values)
