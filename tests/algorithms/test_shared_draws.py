"""Rules whose draws are one for all layers, on a model of two."""

import pytest
import torch
from torch import nn

import normdsl as nd

STEPS = 12


def layers():
    g = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64)) for s in ((2, 3), (3, 1))
    ]


def loss(values, step):
    """A smooth loss that is no quadratic, another one at each step."""
    joined = torch.cat([x.flatten() for x in values])
    return (joined**4).sum() + (joined * (step + 1)).sin().sum()


def stepped(rule, seen, **options):
    """Step a rule on two layers; `seen(opt, params, step)` looks on before and after each step."""
    params = layers()
    opt = rule(params, **options)
    for step in range(STEPS):

        def closure(step=step):
            opt.zero_grad()
            value = loss(params, step)
            value.backward()
            return value

        look = seen(opt, params, step)
        next(look)
        opt.step(closure)
        next(look, None)


def test_jaguar_measures_one_entry_of_the_model_a_step():
    beta, far, chosen = 0.75, 0.5, set()

    def seen(opt, params, step):
        before = [p.detach().clone() for p in params]
        old = [opt.state[p]["m"].clone() if p in opt.state else 0 * p.detach() for p in params]
        yield
        new = [opt.state[p]["m"] for p in params]
        ((k, *place),) = ((k, *i.tolist()) for k in (0, 1) for i in (new[k] != old[k]).nonzero())
        chosen.add((k, *place))
        e = [torch.zeros_like(x) for x in before]
        e[k][tuple(place)] = far
        ends = (loss([x + s * d for x, d in zip(before, e, strict=True)], step) for s in (1, -1))
        slope = (next(ends) - next(ends)) / (2 * far)
        expected = beta * old[k][tuple(place)] + (1 - beta) * slope
        torch.testing.assert_close(new[k][tuple(place)], expected)

    stepped(nd.algorithms.jaguar_muon, seen, beta=beta, far=far)
    assert {k for k, *_ in chosen} == {0, 1}


def test_layers_from_a_random_one_on_step():
    params, stepped = layers(), set()
    groups = [{"params": [p], "depth": depth} for p, depth in zip(params, (0.5, 1.0), strict=True)]
    opt = nd.algorithms.drop_muon_suffix(groups)
    for step in range(STEPS):
        before = [p.detach().clone() for p in params]
        opt.zero_grad()
        loss(params, step).backward()
        opt.step()
        stepped.add(tuple(not torch.equal(p, x) for p, x in zip(params, before, strict=True)))
    assert stepped == {(True, True), (False, True)}


@pytest.mark.parametrize("rule", [nd.algorithms.page_sgd])
def test_all_layers_take_the_gradient_anew_at_the_same_steps(rule):
    anew = []

    def seen(opt, params, step):
        slopes = torch.autograd.grad(loss(params, step), params)
        yield
        anew.append(
            [torch.equal(opt.state[p]["m"], g) for p, g in zip(params, slopes, strict=True)]
        )

    stepped(rule, seen, probability=0.4)
    assert {tuple(x) for x in anew[1:]} == {(True, True), (False, False)}
