"""What runs are made on: a start, a loss, and the moments of a layer for rules that read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import attrs
import numpy as np
import torch
from torch import Tensor

from normdsl.compiler.evaluations.outputs import outputs
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.verdicts.elements import Element
from normdsl.compiler.verdicts.jointly import Packing, packing
from normdsl.declarations.rule import Rule
from normdsl.expressions.streams import MOMENTS

#: The loss at a step, as a function of the weights.
Loss = Callable[[Tensor, int], Tensor]
#: The moments of the layer at a step, by name, as a function of the weights.
Moments = Callable[[Tensor, int], dict[str, Tensor]]


def no_moments(w: Tensor, step: int) -> dict[str, Tensor]:
    """Return the moments of weights that belong to no layer: none."""
    return {}


#: The second sample of a step is that of a step so much later: after any that a run has.
SECOND = 10_000


@attrs.frozen(eq=False)
class Task:
    """A problem to run a rule on.

    Args:
        start: W_0. loss: the loss at each step. moments: of the layer, by name.
        packing: how the entries of several parameters stand in one row, for a rule over these.
    """

    start: Tensor
    loss: Loss
    moments: Moments = no_moments
    packing: Packing | None = None

    def at(self, step: int) -> Callable[[Tensor], Tensor]:
        """Return the loss at a step, as a function of the weights."""
        return lambda w: self.loss(w, step)

    def sized(self, weights: float, gradients: float) -> Task:
        """Return the problem with larger or smaller weights and gradients: s g f(W / s)."""
        if weights == gradients == 1:
            return self

        def loss(w: Tensor, step: int) -> Tensor:
            return weights * gradients * self.loss(w / weights, step)

        def moments(w: Tensor, step: int) -> dict[str, Tensor]:
            steeper = {"output_moment": gradients**2}
            seen = self.moments(w / weights, step)
            return {name: x * steeper.get(name, 1.0) for name, x in seen.items()}

        return Task(weights * self.start, loss, moments, self.packing)

    def reparametrised(self, group: Group, element: Element) -> Task:
        """Return the twin: W̃ = ρ(g)⁻¹ W, f̃ with f = c^loss f̃ or φ_t(f̃), and the layer it makes."""
        factor = float(element.c**group.loss_unit)

        def changed(value: Tensor, step: int) -> Tensor:
            step %= SECOND
            if group.each_step:
                return torch.pow(value, 1 + 0.3 * step) / factor - 3 * (step + 1)
            return value / factor

        def loss(w: Tensor, step: int) -> Tensor:
            return changed(self.loss(element.move(group, w), step), step)

        def moments(w: Tensor, step: int) -> dict[str, Tensor]:
            at = element.move(group, w)
            seen = self.moments(at, step)
            if not seen:
                return {}
            slope = torch.func.grad(lambda value: changed(value, step))(self.loss(at, step))
            steeper = {"output_moment": (slope * factor) ** 2}
            return {
                name: x * steeper.get(name, 1.0)
                for name, x in transported(group, element.undo, seen).items()
            }

        return Task(element.back(group, self.start), loss, moments, self.packing)


def transported(
    group: Group, move: Callable[..., Tensor], seen: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the moments of the other run: each moved by its law, and by the name it has there."""
    found = {}
    for source, name in MOMENTS.items():
        law = group.law(source)
        if name in seen and law is not None:
            there = getattr(law.twin, "source", source)
            found[MOMENTS[there]] = move(law, seen[name])
    return found


def problem(shape: tuple[int, int], seed: int) -> tuple[Tensor, Loss]:
    """Return a start and a smooth convex loss without symmetries: coupled squares and quartics."""
    rng = np.random.default_rng([seed, 1])

    def normal(*size: int) -> Tensor:
        return torch.as_tensor(rng.standard_normal(size), dtype=torch.float64)

    m, n = shape
    start, target = normal(m, n), normal(m, n)
    left, right, weights = normal(m, m), normal(n, n), normal(m, n)

    def loss(w: Tensor, step: int = 0) -> Tensor:
        gap = w - target
        squares = outputs(left @ gap @ right).square().sum() / (m * n)
        return 1 + squares + outputs((weights * gap).square()).square().sum() / 20

    return start, loss


def layered(shape: tuple[int, int], seed: int) -> Task:
    """Return a linear layer in front of losses without symmetries, on a fresh batch at every step.

    f(W) = 1 + mean_i ℓ_i(W x_i), ℓ_i(y) = ‖B (y − y_i)‖² / m + Σ (b_i ∘ (y − y_i))⁴ / 20, with more
    samples than rows and columns, so that E[x xᵀ] and E[g gᵀ] have full rank.
    """
    (m, n), count = shape, 2 * max(shape) + 2
    start, mixing = _normal((seed, 2), m, n), _normal((seed, 3), m, m)

    @cache
    def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
        wide = _normal((seed, 4, step), 2 * m + n, count)
        return wide[:n], wide[n : n + m], wide[n + m :]

    def at_outputs(y: Tensor, step: int) -> Tensor:
        _, targets, weights = batch(step)
        gap = y - targets
        return (
            1
            + (mixing @ gap).square().sum() / (m * count)
            + ((weights * gap).pow(4).sum() / (20 * count))
        )

    def loss(w: Tensor, step: int = 0) -> Tensor:
        return at_outputs(outputs(w @ batch(step)[0]), step)

    def moments(w: Tensor, step: int = 0) -> dict[str, Tensor]:
        x = batch(step)[0]
        g = count * torch.func.grad(lambda y: at_outputs(y, step))(w @ x)
        return {"input_moment": x @ x.mT / count, "output_moment": g @ g.mT / count}

    return Task(start, loss, moments)


def task(rule: Rule, shape: tuple[int, int], seed: int) -> Task:
    """Return the problem for a rule: with a layer, if it reads one's moments."""
    if rule.ports:
        packed = packing(rule.ports, shape)
        return Task(*problem((1, packed.total), seed), packing=packed)
    return layered(shape, seed) if rule.moments else Task(*problem(shape, seed))


def _normal(seed: tuple[int, ...], *size: int) -> Tensor:
    return torch.as_tensor(np.random.default_rng(list(seed)).standard_normal(size))
