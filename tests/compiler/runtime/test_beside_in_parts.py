"""Rules that read moments of layers, or other parameters, of parameters that are held in parts."""

from contextlib import nullcontext

import pytest
import torch
from in_parts import cut, same, wholes
from moments import moments
from ranks import on_ranks
from taking_turns import PAIRED
from torch import nn
from torch.distributed.tensor import Shard

import normdsl as nd
from normdsl.algorithms import kfac

SHAPES = ((6, 4), (9, 4), (6, 4))
_GENERATOR = torch.Generator().manual_seed(0)


def drawn(shape):
    return torch.randn(shape, generator=_GENERATOR, dtype=torch.float64)


DRAWN = [list(map(drawn, SHAPES)) for _ in range(4)]
PAIRS = [[drawn((2, 6)), drawn((5, 2)), drawn((2, 6)), drawn((5, 2))] for _ in range(4)]


class Told:
    """Moments of layers that need no layers."""

    def __init__(self, params):
        self._numbers = {p: k for k, p in enumerate(params)}
        self.paused = nullcontext

    def moments(self, param):
        return moments(kfac, tuple(param.shape), seed=10 * self._numbers[param])

    def clear(self, params=None):
        """Keep all."""


def stepped(rule, place, values, **options):
    params = [nn.Parameter(place(k, x)) for k, x in enumerate(values[0])]
    opt = rule(params, replicas=True, **options)
    if rule is kfac:
        opt._capture = Told(params)
    for each in values[1:]:
        for k, (p, g) in enumerate(zip(params, each, strict=True)):
            p.grad = place(k, g)
        opt.step()
    return params, str(opt.explain())


def compared(rule, dims, values, **options):
    """Return what all ranks say, once their weights are those of one process."""

    def body(_):
        mesh = [cut((3,), [Shard(dim)]) for dim in dims]
        params, told = stepped(rule, lambda k, x: mesh[k % len(dims)](x), values, **options)
        return wholes(params), told

    expected, _ = stepped(rule, lambda _, x: x.clone(), values, **options)
    found = on_ranks(3, body)
    same([x for x, _ in found], expected, 1e-9)
    return [told for _, told in found]


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize(
    "options", [{}, {"nonfinite": "skip"}, {"schedule": nd.Schedule(refresh=2)}]
)
def test_moments_of_layers_are_whole_on_all_and_cross_nowhere(dim, options):
    for told in compared(kfac, [dim], DRAWN, **options):
        assert "divided among 3 processes" in told
        assert "gathered" not in told


@pytest.mark.parametrize("rule", PAIRED.values(), ids=PAIRED)
def test_other_parameters_are_read_whole_where_their_axes_are_not_cut(rule):
    for told in compared(rule, [1, 0], PAIRS):  # r × n by columns, m × r by rows
        assert "divided among 3 processes" in told
        assert "gathered" not in told


@pytest.mark.parametrize("name", ["lora_rite", "lora_muon"])
def test_a_step_that_reads_what_is_cut_with_it_is_gathered(name):
    for told in compared(PAIRED[name], [0, 1], PAIRS):
        assert "as it reads other parameters that have an axis which is cut" in told
