"""Points beside the weights: evaluated in their place, put back bit by bit, saved and restored."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W, t
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.runtime.evaluation import WEIGHTS
from normdsl.errors import DeclarationError, GradientError

X = torch.linspace(-1, 1, 60).reshape(10, 6).sin()
Y = torch.arange(10) % 3


@nd.optimizer
def schedule_free(lr=0.3, beta: nd.Fraction = 0.9):
    z = nd.accumulate(-lr * G, W)
    x = nd.fix(lambda x: x + (z - x) / t, W)
    return nd.step((1 - beta) * z + beta * x, evaluate=x)


@nd.optimizer
def behind(lr=0.3):
    return nd.step(W - lr * G, evaluate=W - lr / 2 * G)


def trained(rule, steps=4, dtype=torch.float32, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    optimizer = rule(net.parameters(), **options)
    take(net, optimizer, steps)
    return net, optimizer


def take(net, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        dtype = next(net.parameters()).dtype
        nn.functional.cross_entropy(net(X.to(dtype)), Y).backward()
        optimizer.step()


def values(net):
    return [p.detach().clone() for p in net.parameters()]


def equal(some, others):
    return all(map(torch.equal, some, others))


def test_the_points_are_those_of_a_literal_loop():
    net, optimizer = trained(schedule_free, steps=0)
    z = x = values(net)
    for step in range(1, 5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), Y).backward()
        z = [a - 0.3 * p.grad for a, p in zip(z, net.parameters(), strict=True)]
        optimizer.step()
        x = [a + (b - a) / step for a, b in zip(x, z, strict=True)]
    for p, a, b in zip(net.parameters(), z, x, strict=True):
        torch.testing.assert_close(p.detach(), 0.1 * a + 0.9 * b, rtol=1e-5, atol=1e-7)
    optimizer.eval()
    for p, b in zip(net.parameters(), x, strict=True):
        torch.testing.assert_close(p.detach(), b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rule", [schedule_free, behind], ids=lambda r: r.name)
def test_weights_come_back_bit_by_bit(rule, dtype):
    (net, optimizer), (other, usual) = (trained(rule, dtype=dtype) for _ in range(2))
    before = values(net)
    optimizer.eval()
    points = values(net)
    optimizer.eval()
    assert equal(points, values(net))
    assert not equal(points, before)
    optimizer.train()
    optimizer.train()
    assert equal(values(net), before)
    take(net, optimizer, 2)
    take(other, usual, 2)
    assert equal(values(net), values(other))
    assert not any(WEIGHTS in own for own in optimizer.state.values())


def test_a_step_from_the_points_is_refused():
    net, optimizer = trained(behind)
    optimizer.eval()
    points = values(net)
    with pytest.raises(GradientError, match=r"opt\.train\(\)"):
        take(net, optimizer, 1)
    assert equal(values(net), points)


def test_what_is_saved_at_the_points_goes_on_from_the_weights():
    net, optimizer = trained(schedule_free)
    optimizer.eval()
    saved, model = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(net.state_dict())
    optimizer.train()
    take(net, optimizer, 2)
    other, later = trained(schedule_free, steps=1)
    other.load_state_dict(model)
    later.load_state_dict(saved)
    with pytest.raises(GradientError, match=r"opt\.train\(\)"):
        take(other, later, 1)
    later.train()
    take(other, later, 2)
    assert equal(values(net), values(other))


def test_rules_without_a_point_stay_at_their_weights():
    net, optimizer = trained(nd.algorithms.adam)
    before = values(net)
    optimizer.eval()
    assert equal(values(net), before)
    take(net, optimizer, 1)
    fresh, unused = trained(schedule_free, steps=0)
    start = values(fresh)
    unused.eval()
    assert equal(values(fresh), start)
    take(fresh, unused, 1)


def test_the_point_is_checked_as_the_weights_are():
    assert schedule_free.check("translation").answer == "invariant"
    assert schedule_free.check("orthogonal").answer == "invariant"

    @nd.optimizer
    def late(lr=0.1):
        new = W - lr * G
        return nd.step(new, evaluate=nd.ema(new, 0.5))

    @nd.optimizer
    def rough(lr=0.1):
        return nd.step(W - lr * G, evaluate=W - lr * nd.sign(G))

    assert late.check(g.translation).answer.startswith("invariant if")
    verdict = rough.check(g.orthogonal)
    assert verdict.answer == "not invariant"  # the weights are, and the witness shows the points
    assert nd.optimizer(lambda lr=0.1: W - lr * G).check(g.orthogonal).answer == "invariant"


def test_a_point_stands_beside_the_result_alone():
    with pytest.raises(DeclarationError, match="not computed with"):
        nd.optimizer(lambda lr=0.1: 2 * nd.step(W - lr * G, evaluate=W))
    with pytest.raises(DeclarationError, match="already has a point"):
        nd.step(nd.step(W - G, evaluate=W), evaluate=W)
    with pytest.raises(DeclarationError, match="the point must be an m×n expression"):
        nd.step(W - G, evaluate=G @ G.T)


def test_a_rule_shows_its_point():
    assert str(schedule_free).splitlines()[-1] == "  evaluate ← x"
    assert "\\mathrm{evaluate}" in schedule_free._repr_latex_()
    assert nd.from_json(nd.to_json(schedule_free)) == schedule_free
    assert schedule_free.evaluate is not None
    assert nd.algorithms.adam.evaluate is None
