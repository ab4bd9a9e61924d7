"""A step of many parameters: what fails, fails alone, or with those it is joined to."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, shampoo


def parameters(*shapes, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(s, generator=g)) for s in shapes]


def struck(params, scale):
    """Give gradients, the first times a scale."""
    for k, p in enumerate(params):
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(k))
    params[0].grad *= scale


@pytest.mark.parametrize("shapes", [((3, 3), (3, 3), (3, 3)), ((3, 3), (4, 3), (2, 5))])
def test_a_factorisation_that_fails_skips_its_own_parameter(shapes):
    params, twins = parameters(*shapes), parameters(*shapes)
    opt, alone = shampoo(params, nonfinite="skip"), shampoo(twins[1:])
    start = params[0].detach().clone()
    struck(params, 1e30)
    struck(twins, 1.0)
    opt.step()
    alone.step()
    assert torch.equal(params[0], start)
    assert opt.state[params[0]]["step"] == 0
    for p, q in zip(params[1:], twins[1:], strict=True):
        torch.testing.assert_close(p, q)
    struck(params, 1.0)
    opt.step()
    assert opt.state[params[0]]["step"] == 1
    assert not torch.equal(params[0], start)


@nd.optimizer
def clipped(lr=0.1, beta=0.5):
    return W - lr * nd.ema(nd.clip(G, 1.0, over="layers"), beta)


def after(value):
    """Return what moved, and the clocks, after a step beside a gradient full of a value."""
    params = parameters((2, 2), (3, 2), (2,))
    opt = clipped(params[:2], nonfinite="skip")
    opt.add_param_group({"params": params[2], "rule": adamw})
    before = [p.detach().clone() for p in params]
    struck(params, 1.0)
    params[0].grad.fill_(value)
    opt.step()
    moved = [not torch.equal(p, b) for p, b in zip(params, before, strict=True)]
    return moved, [int(opt.state[p]["step"]) for p in params]


def test_a_layer_without_a_finite_gradient_is_left_out_of_what_layers_share():
    assert after(torch.nan) == ([False, True, True], [0, 1, 1])
    params, twins = parameters((2, 2), (3, 2)), parameters((2, 2), (3, 2))
    opt, other = clipped(params, nonfinite="skip"), clipped(twins)
    for scale in (1.0, torch.nan, 1.0):
        struck(params, scale)
        struck(twins, scale)
        twins[0].grad = None if scale != 1.0 else twins[0].grad
        opt.step()
        other.step()
    assert all(torch.equal(p, q) for p, q in zip(params, twins, strict=True))


def test_if_what_layers_share_overflows_none_of_them_steps():
    assert after(3e38) == ([False, False, True], [0, 0, 1])
    params = parameters((2, 2), (3, 2))
    opt = clipped(params)
    struck(params, 1.0)
    params[0].grad.fill_(3e38)
    with pytest.raises(nd.GradientError, match="NaN or infinite"):
        opt.step()
    assert not opt.state


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda lr, k: W - G * (lr**k / lr), {"lr": 0.0}),
        (lambda lr, k: W - G * (lr**k / lr), {"lr": 10.0, "k": 1e9}),
        (lambda lr, k: W - G * (lr * k / (nd.rows - 2)), {}),
    ],
    ids=["division by a rate of zero", "overflow", "division by a length"],
)
def test_numbers_that_do_not_exist_are_refused_in_words(make, options):
    @nd.optimizer
    def odd(lr=0.1, k=2.0):
        return make(lr, k)

    params = parameters((2, 2))
    before = params[0].detach().clone()
    opt = odd(params, **options)
    struck(params, 1.0)
    with pytest.raises(nd.GradientError, match="make no number"):
        opt.step()
    assert torch.equal(params[0], before)
    assert not opt.state


def test_a_step_of_finite_values_to_others_is_skipped():
    """The gradient is finite; what it makes of the state and the weights is not."""

    @nd.optimizer
    def divides(lr=0.1):
        return W - lr * nd.ema(1 / G, 0.9)

    first, second = parameters((2, 3), (2, 3))
    start = first.detach().clone()
    opt = divides([first, second], nonfinite="skip")
    first.grad, second.grad = torch.zeros(2, 3), torch.ones(2, 3)
    opt.step()
    assert torch.equal(first, start)
    assert all(torch.isfinite(x).all() for x in opt.state[first].values())
    assert [int(opt.state[p]["step"]) for p in (first, second)] == [0, 1]
