"""Draws: one for each entry, for each layer, or for all layers of a model."""

import pytest
import torch
from properties import refuses
from torch import nn

import normdsl as nd
from normdsl import G, W


def moved(rule, steps, shapes=((2, 3), (4,), (3, 3))):
    """Return the mean of what each step adds to each layer."""
    params = [nn.Parameter(torch.zeros(*s, dtype=torch.float64)) for s in shapes]
    opt, found = rule(params), []
    for _ in range(steps):
        before = [p.detach().clone() for p in params]
        for p in params:
            p.grad = torch.ones_like(p)
        opt.step()
        found.append([float((p.detach() - x).mean()) for p, x in zip(params, before, strict=True)])
    return torch.tensor(found)


def rule(x):
    return nd.Declaration("rule", (), W + x * G)


def test_a_number_over_layers_is_one_for_all_and_uniform():
    found = moved(rule(nd.uniform(over="layers")), 400)
    torch.testing.assert_close(found, found[:, :1].expand_as(found), rtol=0, atol=1e-9)
    u = found[:, 0].sort().values
    assert (u - torch.linspace(0, 1, 400)).abs().max() < 1.63 / 20  # Kolmogorov-Smirnov, 1 %


def test_a_number_of_each_layer_is_not_that_of_another():
    found = moved(rule(nd.uniform()), 3)
    assert (found[:, 0] != found[:, 1]).all()
    assert moved(rule(nd.uniform(key=1)), 3)[0, 0] != found[0, 0]


def test_a_coin_over_layers_falls_the_same_way_for_all():
    found = moved(rule(nd.mask(0.3, over="layers")), 200)
    assert set(found.round().flatten().tolist()) == {0, 1}
    assert (found == found[:, :1]).all()
    assert abs(float(found[:, 0].mean()) - 0.3) < 0.1


def test_rules_of_one_optimizer_share_a_number():
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    one, two = (rule(c * nd.uniform(over="layers")) for c in (1, 2))
    opt = nd.route(model, one, overrides={"bias": two})
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    opt.step()
    torch.testing.assert_close(2 * model.weight[:, 0], model.bias)


def test_entries_are_drawn_each():
    assert nd.uniform_like(G).shape == G.shape
    found = moved(rule(nd.where(nd.uniform_like(G) < 0.25, 4, 0)), 200)
    assert abs(float(found.mean()) - 1) < 0.2


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: nd.uniform(over="layer"), "did you mean layers?"),
        (lambda: nd.mask(0.5, nd.rows, over="layers"), "a single number"),
        (lambda: nd.mask(0.5, over="workers"), "one for each layer"),
    ],
)
def test_other_ways_to_share_are_refused(make, what):
    with refuses(nd.DeclarationError, what):
        make()
