"""What a refused step says: which parameter, which step, which line."""

import pytest
import torch
from properties import assert_four_parts
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def step(model, opt, spoilt=None):
    opt.zero_grad()
    model(torch.ones(5, 3)).sum().backward()
    if spoilt is not None:
        spoilt.grad.fill_(float("nan"))
    opt.step()


def test_a_gradient_is_named_with_its_step():
    model = net()
    opt = adamw(model.named_parameters())
    step(model, opt)
    with pytest.raises(nd.GradientError) as refused:
        step(model, opt, model[1].weight)
    assert refused.value.asked == "take step 2 of adamw"
    assert "the gradient of 1.weight (2, 4) is NaN or infinite" in refused.value.why


def test_a_route_knows_names_and_parameters_alone_have_shapes():
    model = net()
    with pytest.raises(nd.GradientError, match=r"of 0\.weight \(4, 3\)"):
        step(model, nd.route(model, nd.algorithms.muon), model[0].weight)
    model = net()
    with pytest.raises(nd.GradientError, match=r"of a parameter of shape \(4, 3\) is NaN"):
        step(model, adamw(model.parameters()), model[0].weight)


def test_a_result_is_named_with_the_line_of_the_rule():
    @nd.optimizer
    def grows(lr=1.0):
        return W - lr * nd.exp(nd.abs(G))

    model = net()
    opt = grows(model.named_parameters())
    step(model, opt)
    with torch.no_grad():
        model[0].weight.mul_(1e10)
    for p in model.parameters():
        p.grad = torch.full_like(p, 500.0)
    with pytest.raises(nd.GradientError) as refused:
        opt.step()
    told = refused.value
    assert_four_parts(told)
    assert told.asked == "take step 2 of grows"
    assert "for 0.weight (4, 3)" in told.why
    assert str(told.at).startswith("W − η exp(abs(G))")
    assert told.at.where.text == "return W - lr * nd.exp(nd.abs(G))"
