"""Parameters, and steps on random gradients."""

import torch
from torch import nn


def parameter(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(torch.randn(*shape, dtype=torch.float64, generator=generator))


def train(opt, steps=1, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        opt.step(**options)
    return opt


def moved(params, before):
    return [float((p.detach() - w).norm()) for p, w in zip(params, before, strict=True)]


def values(params):
    return [p.detach().clone() for p in params]
