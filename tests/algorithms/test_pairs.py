"""Rules over pairs of factors: beside literal loops, trained, and what they are invariant under."""

import inspect

import pytest
import torch
from references.pairs import PAIRS, SETTINGS
from taking_turns import PAIRED

import normdsl as nd

TOLERANCE = 1e-9
STEPS = 40


def factors(seed=0, m=4, r=2, n=5):
    rng = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(*shape, generator=rng, dtype=torch.float64))
        for shape in ((r, n), (m, r))
    ]


def loss(a, b):
    target = torch.linspace(-1, 1, b.shape[0] * a.shape[1], dtype=a.dtype)
    gap = b @ a - target.reshape(b.shape[0], -1)
    return gap.square().mean() + 0.1 * gap.pow(4).mean()


def test_every_rule_over_a_pair_has_a_loop():
    assert set(PAIRED) == set(PAIRS) == set(SETTINGS)


@pytest.mark.parametrize("settings", [SETTINGS, {}], ids=["settings", "defaults"])
@pytest.mark.parametrize("name", PAIRED)
def test_trajectories_equal_a_literal_loop(name, settings):
    hyper = settings.get(name, {})
    params, literal, state = factors(), [p.detach().clone() for p in factors()], {}
    opt = PAIRED[name]([tuple(params)], schedule=nd.exact, **hyper)
    for step in range(1, STEPS + 1):
        opt.zero_grad()
        loss(*params).backward()
        opt.step()
        a, b = (x.requires_grad_() for x in literal)
        ga, gb = torch.autograd.grad(loss(a, b), (a, b))
        a, b = a.detach(), b.detach()
        literal = list(PAIRS[name](a, ga, b, gb, step, state, **hyper))
    gaps = [float((p.detach() - x).norm() / x.norm()) for p, x in zip(params, literal, strict=True)]
    assert max(gaps) < TOLERANCE


@pytest.mark.parametrize("name", PAIRED)
def test_hyper_parameters_and_defaults_are_those_of_the_loop(name):
    keywords = inspect.signature(PAIRS[name]).parameters.values()
    literal = {k.name: k.default for k in keywords if k.kind is k.KEYWORD_ONLY}
    assert PAIRED[name].defaults == literal
    assert SETTINGS[name].keys() == literal.keys()


@pytest.mark.parametrize(
    ("name", "lr"),
    [
        ("scaled_gd", 0.3),
        ("alternating_scaled_gd", 0.5),
        ("scaled_adamw", 0.02),
        ("lora_muon", 0.05),
        ("lora_rite", 0.05),
    ],
)
def test_it_trains(name, lr):
    params = factors(3)
    opt = PAIRED[name](params, lr=lr)
    start = float(loss(*params).detach())
    for _ in range(60):
        opt.zero_grad()
        loss(*params).backward()
        opt.step()
    assert float(loss(*params).detach()) < 0.3 * start


@pytest.mark.parametrize("name", ["scaled_gd", "lora_muon", "lora_rite"])
def test_the_product_does_not_know_how_its_factors_are_balanced(name):
    hyper = {"damping": 0.0} if name == "scaled_gd" else {}
    mixed = torch.tensor([[3.0, 1.0], [0.5, -0.2]], dtype=torch.float64)
    ends = []
    for change in (torch.eye(2, dtype=torch.float64), mixed):
        a, b = factors(1)
        with torch.no_grad():
            a.copy_(change @ a)
            b.copy_(b @ torch.linalg.inv(change))
        opt = PAIRED[name]([(a, b)], lr=0.02, schedule=nd.exact, **hyper)
        for _ in range(10):
            opt.zero_grad()
            loss(a, b).backward()
            opt.step()
        ends.append((b @ a).detach())
    torch.testing.assert_close(*ends, rtol=1e-8, atol=1e-8)


def test_adam_on_factors_does():
    """The thesis the other way round: what is not invariant depends on the balance."""
    ends = []
    for scale in (1.0, 10.0):
        a, b = factors(1)
        with torch.no_grad():
            a.mul_(scale)
            b.div_(scale)
        opt = nd.algorithms.adam([a, b], lr=0.02)
        for _ in range(10):
            opt.zero_grad()
            loss(a, b).backward()
            opt.step()
        ends.append((b @ a).detach())
    assert float((ends[0] - ends[1]).norm() / ends[0].norm()) > 0.01
