"""Rules that evaluate the loss again, of parameters held in parts: points and answers are parts."""

import math

import pytest
import torch
from in_parts import cut, same, wholes
from ranks import on_ranks
from taking_turns import SINGLE
from torch import nn
from torch.distributed.tensor import Replicate, Shard

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.layouts.stepper import stepper

#: Products with a Hessian are those of all processes' samples by differences alone.
SCHEDULE = nd.Schedule(hessian=nd.Differences())
#: Even and uneven parts; a row, which lies whole on one process; two of one shape.
SHAPES = ((4, 4), (9, 4), (1, 4), (9, 4))
_GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = [torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in SHAPES]
TARGETS = [torch.randn(s, generator=_GENERATOR, dtype=torch.float64) for s in SHAPES]
#: Rules that ask for the loss again. Products with a Gauss-Newton matrix are those of the sample of
#: one process, and refused here.
ASKING = {x: r for x, r in SINGLE.items() if stepper(r, SCHEDULE).program.phases}
del ASKING["gauss_newton_cg"]
#: How processes hold parameters: each rule has one of these in turn.
WAYS = [
    ((3,), [Shard(0)]),
    ((2,), [Shard(1)]),
    ((4,), [Shard(0)]),
    ((2, 2), [Replicate(), Shard(0)]),
]
#: Rules that ask for the whole Hessian.
WHOLE = ("exact_newton",)


@nd.optimizer
def ahead_of_spectral(lr=0.1, momentum=0.9):
    """The gradient where a whole matrix says, and a momentum of what it is there."""
    ahead = nd.gradient(at=W + lr * nd.spectral.lmo(G))
    return W + lr * nd.spectral.lmo(nd.ema(ahead, momentum))


def run(rule, place, steps=3, **options):
    params = [nn.Parameter(place(x)) for x in WEIGHTS]
    targets = [place(x) for x in TARGETS]
    opt = rule(params, schedule=SCHEDULE, replicas=True, **options)

    def closure(scale=1.0):
        opt.zero_grad()
        value = 0
        for p, t in zip(params, targets, strict=True):
            value = value + scale * (p - t).square().sum() + (p - t).pow(4).sum() / 20
        value.backward()
        return value

    for _ in range(steps):
        opt.step(closure, fresh=lambda: closure(1.5))
    return params, str(opt.explain())


def compared(rule, sizes, placements, tolerance, **options):
    """Return what all ranks say, once their weights are those of one process."""

    def body(_):
        params, told = run(rule, cut(sizes, placements), **options)
        return wholes(params), told

    expected, _ = run(rule, torch.clone, **options)
    assert not all(map(torch.equal, WEIGHTS, expected))
    found = on_ranks(math.prod(sizes), body)
    scale = max(1.0, *(float(x.detach().abs().max()) for x in expected))
    same([[x / scale for x in each] for each, _ in found], [x / scale for x in expected], tolerance)
    return [told for _, told in found]


@pytest.mark.parametrize("name", ASKING)
def test_a_rule_that_asks_again_steps_as_in_one_process(name):
    way = WAYS[list(ASKING).index(name) % len(WAYS)]
    for told in compared(ASKING[name], *way, 1e-8):
        assert ("gathered" in told) is (name in WHOLE)
        assert ("as it asks for the whole Hessian" in told) is (name in WHOLE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [{}, {"nonfinite": "skip"}, {"maximize": True, "lr": 0.01}])
def test_a_point_may_need_whole_matrices(way, options):
    for told in compared(ahead_of_spectral, *way, 1e-10, **options):
        assert "polar at the owner" in told
