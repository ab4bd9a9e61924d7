"""Copies of a model that train at once, each with a learning rate of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.utils._pytree import tree_leaves, tree_map

from normdsl.algorithms.adam import adamw
from normdsl.compiler.runtime.functional import Functional
from normdsl.declaration import Declaration
from normdsl.expressions.nodes import Source
from normdsl.training.run import Loss, Task

#: How many gradients at the first weights the size of a first step is taken from.
_PROBED = 5
#: The rate of that step: so small that a bound on steps, if there is one, has no effect.
_TINY = 1e-9
#: A copy whose loss is that many times the first one has diverged.
_FAR = 1e4
Params = dict[str, Tensor]


class Copies:
    """Copies of a model, each trained by the same rule with a rate of its own.

    Matrices step by the rule; other parameters by AdamW at its own rate.
    """

    def __init__(self, rule: Declaration, task: Task) -> None:
        self.task = task
        self._model = _Evaluated(task.model)
        self._rule, self._others = Functional(rule), Functional(adamw)
        named = dict(self._model.named_parameters())
        self._first = {k: p.detach().clone() for k, p in named.items()}
        self._matrices = [k for k, p in named.items() if p.ndim == 2]

    def scale(self) -> float:
        """Return the rate at which a first step changes the weights by as much as they are.

        Of the root mean square over all entries, after some gradients at the first weights, in
        float64; NaN where it does not change them.
        """
        params = {k: self._first[k].double() for k in self._matrices}
        state = self._rule.init(params)
        moved = params
        for loss_of in islice(self.task.losses(), _PROBED):
            slopes, loss = self._slopes(self._first, loss_of)
            grads = {k: slopes[k].double() for k in self._matrices}
            moved, state = self._stepped(params, grads, state, _TINY, loss.double(), loss_of)
        change = sum(float((moved[k] - p).square().sum()) for k, p in params.items())
        size = sum(float(p.square().sum()) for p in params.values())
        if not (change > 0 and math.isfinite(change) and size > 0):
            return math.nan
        return _TINY * math.sqrt(size / change)

    def train(self, rates: Sequence[float], steps: int) -> list[float]:
        """Return the loss at the end for each rate; the model is left with the best one's weights.

        Rates fall to zero along a line. The loss is the mean of the last tenth of the steps, of
        five at least.
        """
        copies = len(rates)
        lr = torch.tensor(rates)
        params = {k: p.expand(copies, *p.shape).clone() for k, p in self._first.items()}
        start = params
        matrices, rest = self._split(params)
        beside = vmap(self._others.init)(rest) if rest else {}
        state: Any = (vmap(self._rule.init)(matrices), beside)
        alive = torch.ones(copies, dtype=torch.bool)
        seen: list[Tensor] = []
        for k, loss_of in zip(range(steps), self.task.losses(), strict=False):
            slopes, losses = vmap(lambda p, f=loss_of: self._slopes(p, f))(params)
            seen.append(losses)
            new = self._all_stepped(params, slopes, state, lr * (1 - k / steps), losses, loss_of)
            alive = alive & (losses < _FAR * (1 + seen[0])) & _finite(new)
            if not alive.any():
                break
            # A copy that diverged stays where it began, since kernels refuse what is not finite.
            params = {name: _kept(alive, x, start[name]) for name, x in new[0].items()}
            state = tree_map(partial(_or_zero, alive), new[1])
        return self._ended(torch.stack(seen), alive, params)

    def _ended(self, seen: Tensor, alive: Tensor, params: Params) -> list[float]:
        tail = seen[-max(5, len(seen) // 10) :].mean(0)
        ends = torch.where(alive & tail.isfinite(), tail, math.inf)
        best = int(ends.argmin())
        with torch.no_grad():
            for name, p in self._model.named_parameters():
                p.copy_(params[name][best])
        return ends.tolist()

    def _slopes(self, params: Params, loss_of: Loss) -> tuple[Params, Tensor]:
        found: tuple[Params, Tensor] = grad_and_value(self._loss(loss_of))(params)
        return found

    def _loss(self, loss_of: Loss) -> Callable[[Params], Tensor]:
        return lambda p: functional_call(self._model, p, (loss_of,))

    def _split(self, params: Params) -> tuple[Params, Params]:
        rest = {k: p for k, p in params.items() if k not in self._matrices}
        return {k: params[k] for k in self._matrices}, rest

    def _stepped(
        self,
        params: Params,
        grads: Params,
        state: Any,
        lr: Any,
        loss: Tensor,
        loss_of: Loss,
    ) -> tuple[Params, Any]:
        """Take a step of the rule on the matrices."""
        told: dict[str, Any] = {"loss": loss} if self._rule.declaration.reads(Source.LOSS) else {}
        if self._rule.declaration.asks:
            rest = self._split(self._first)[1]
            whole = self._loss(loss_of)
            told["objective"] = lambda p: whole({k: x.float() for k, x in p.items()} | rest)
        return self._rule.update(grads, state, params, lr=lr, **told)

    def _all_stepped(
        self, params: Any, slopes: Any, state: Any, lr: Tensor, losses: Tensor, loss_of: Loss
    ) -> Any:
        """Take a step of all copies: new parameters, and new states."""
        matrices, rest = self._split(params)
        grads, others = self._split(slopes)
        own = vmap(lambda p, g, s, r, f: self._stepped(p, g, s, r, f, loss_of))
        moved, after = own(matrices, grads, state[0], lr, losses)
        if not rest:
            return moved, (after, {})
        left, beside = vmap(self._others.update)(others, state[1], rest)
        return moved | left, (after, beside)


class _Evaluated(nn.Module):
    """A model whose `forward` is to call a loss that reads it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss: Loss) -> Tensor:
        """Return the loss."""
        return loss()


def _finite(trees: Any) -> Tensor:
    """Return which copies are finite in every number."""
    leaves = [x for x in tree_leaves(trees) if x.is_floating_point()]
    return torch.stack([x.flatten(1).sum(1).isfinite() for x in leaves]).all(0)


def _or_zero(alive: Tensor, new: Tensor) -> Tensor:
    return _kept(alive, new, torch.zeros_like(new))


def _kept(alive: Tensor, new: Tensor, otherwise: Tensor) -> Tensor:
    return torch.where(alive.view(-1, *[1] * (new.ndim - 1)), new, otherwise)
