"""What rules read besides gradients: moments of layers, the loss, what all layers add up to.

So that tests over all rules can run those too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import normdsl as nd
from normdsl.expressions.nodes import Asked, Reducer, Source

_SIDE = {"input_moment": 1, "output_moment": 0}


def moments(rule: nd.Declaration, shape: tuple[int, int], seed: int = 0, batch: tuple = ()):
    """Return random moments of layers with weights of `shape`, those the rule reads."""
    return {name: definite(shape[_SIDE[name]], seed + k, batch)
            for k, name in enumerate(rule.moments)}  # fmt: skip


def definite(size: int, seed: int = 0, batch: tuple = ()) -> Tensor:
    """Return random positive definite matrices."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*batch, 2 * size, size, generator=generator, dtype=torch.float64)
    return x.mT @ x / size


def loss_of(rule: nd.Declaration, value: float = 1.5) -> dict[str, Tensor]:
    """Return the argument `loss=` of a step, if the rule reads it."""
    return {"loss": torch.tensor(value)} if rule.reads(Source.LOSS) else {}


def take_step(opt, rule: nd.Declaration, value: float = 1.5):
    """Take a step from the gradients that are there, and from a loss, if the rule reads it.

    A rule that asks is given a quadratic loss that has these gradients at the weights.
    """
    if not rule.asks:
        return opt.step(**loss_of(rule, value))
    params = [p for group in opt.param_groups for p in group["params"] if p.grad is not None]
    loss = quadratic([p.grad for p in params], params, value)

    def closure():
        opt.zero_grad()
        found = loss(params)
        found.backward(create_graph=True)
        return found

    return opt.step(closure, fresh=closure)


def quadratic(grads, params, value: float = 1.5):
    """Return the loss c + Σ ⟨g, w − w₀⟩ + ½ ‖w − w₀‖², a function of trees like `params`."""
    slopes, starts = ([x.detach().clone() for x in tree_leaves(tree)] for tree in (grads, params))

    def loss(moved):
        gaps = [w - start for w, start in zip(tree_leaves(moved), starts, strict=True)]
        pairs = zip(slopes, gaps, strict=True)
        pairs = [(g, nd.outputs(gap)) for g, gap in pairs]
        found = torch.stack([(g * gap).sum() + (gap * gap).sum() / 2 for g, gap in pairs]).sum()
        # A number of Python, added under forward differentiation, has a tangent in float64.
        return found + torch.full_like(found, value)

    return loss


def objective_of(rule: nd.Declaration, grads, params) -> dict:
    """Return the losses as arguments of an update, if the rule asks for them."""
    names = ("objective", "fresh_objective") if rule.asks else ()
    return {name: quadratic(grads, params) for name in names}


def layers_of(program, *args, **told):
    """Return what a lowered step is told of layers, if its batch is all of them, and of workers.

    There is one worker, which the means are of.

    What it asks of the loss is answered by something that has the right shape.
    """
    known = {"layers": (), "own": ()} if program.layers else {}
    known |= {"workers": (), "alone": ()} if program.workers else {}
    asked = [q for phase in program.phases for q in phase.asked]
    if asked:
        matrix, number = args[1] + 1, args[1].mean((-2, -1), keepdim=True)
        column = matrix.flatten(1).unsqueeze(2)
        shapes = {Asked.LOSS: number, Asked.HESSIAN: column @ column.mT}
        known["answers"] = tuple(shapes.get(q.asked, matrix) for q in asked)
    for node, survey in zip(program.joined, program.surveys, strict=True):
        (own,) = survey(*args, **told, **known)
        if node not in program.layers:
            known |= {key: (*known[key], own) for key in ("workers", "alone")}
            continue
        total = own.sum() if node.reducer is Reducer.SUM else own.amax()
        known["layers"] += (total.reshape(1, 1, 1),)
        known["own"] += (own,)
    return known


class Given:
    """Stands in for a capture: hands out the moments it is given, by parameter."""

    def __init__(self) -> None:
        self.values: dict[Tensor, dict[str, Tensor]] = {}

    def moments(self, weight: Tensor):
        return self.values.get(weight)

    def clear(self, weights) -> None:
        for weight in weights:
            self.values.pop(weight, None)


def capturing(rule: nd.Declaration, model: nn.Module):
    """Return the option that makes a rule read the layers of a model, if it reads any."""
    return {"capture": nd.capture(model)} if rule.moments else {}


def drawn_of(program, weights):
    """Return what a step of matrices takes its random numbers from, if it draws any."""
    if not program.draws:
        return {}
    batch, rows, cols = weights.shape
    stream = torch.arange(batch, device=weights.device).reshape(-1, 1, 1)
    places = torch.arange(rows * cols, device=weights.device).reshape(1, rows, cols)
    return {"stream": stream, "places": places}
