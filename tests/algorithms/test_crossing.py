"""Eigenvalues that cross: steps are not larger than in coordinates that stay.

Directions take turns at having the largest gradient, so that the eigenvectors of averaged Gram
matrices change places, at once or over some steps. Second moments that stay behind are those of
other directions, and steps that divide by their roots are several times too large.
"""

import functools

import pytest
import torch
from pytorch_optimizer import SOAP

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import soap

SIZE, STEPS = 6, 150
TURN = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(3))).Q


def gradients(noise):
    """A bump that wanders along the diagonal, in directions that are no coordinates."""
    draw, place = torch.Generator().manual_seed(4), torch.arange(SIZE)
    for k in range(STEPS):
        bump = torch.exp(-((place - k / 25) ** 2) / 3) + 0.01
        yield TURN @ torch.diag(bump) @ TURN.T + noise * torch.randn(SIZE, SIZE, generator=draw)


def largest(make, noise):
    """The largest change of an entry after the first 20 steps, over the learning rate 1."""
    p, sizes = torch.nn.Parameter(torch.zeros(SIZE, SIZE)), []
    optimizer = make([p])
    for g in gradients(noise):
        before, p.grad = p.detach().clone(), g
        optimizer.step()
        sizes.append(float((p.detach() - before).abs().max()))
    return max(sizes[20:])


@nd.optimizer
def one_sided(lr=1.0, beta: nd.Fraction = 0.95):
    Q = nd.eigenbasis(nd.ema(G @ G.T, beta))
    g = Q.T @ nd.ema(G, 0.9)
    return W - lr * Q @ (g / (nd.sqrt(nd.ema((Q.T @ G) ** 2, beta, debias=True)) + 1e-8))


@nd.optimizer
def averaged_inside(lr=1.0, beta: nd.Fraction = 0.95):
    Q, P = nd.eigenbasis(nd.ema(G @ G.T, beta)), nd.eigenbasis(nd.ema(G.T @ G, beta))
    g = Q.T @ G @ P
    m, v = nd.ema(g, 0.9), nd.ema(g * g, beta, debias=True)
    return W - lr * Q @ (m / (nd.sqrt(v) + 1e-8)) @ P.T


@functools.cache
def in_coordinates_that_stay(right, beta, noise):
    """The same of Adam in the directions that the gradients have throughout."""
    m, v, sizes = 0.0, 0.0, []
    side = TURN if right else torch.eye(SIZE)
    for t, gradient in enumerate(gradients(noise), 1):
        g = TURN.T @ gradient @ side
        m, v = 0.9 * m + 0.1 * g, beta * v + (1 - beta) * g * g
        step = TURN @ (m / ((v / (1 - beta**t)).sqrt() + 1e-8)) @ side.T
        sizes.append(float(step.abs().max()))
    return max(sizes[20:])


@functools.cache
def of_a_code_that_permutes_its_moments(beta, noise):
    """The same of a public SOAP with an eigenbasis of every step."""
    often = {"betas": (0.95, beta), "precondition_frequency": 1}
    return largest(lambda p: SOAP(p, lr=1.0, weight_decay=0.0, **often), noise)


SCHEDULES = {
    "every step": nd.Schedule(),
    "every tenth": nd.Schedule(refresh=10),
    "QR": nd.Schedule(eigenbasis=nd.QRPower()),
    "QR, every tenth": nd.Schedule(eigenbasis=nd.QRPower(), refresh=10),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
betas = pytest.mark.parametrize("beta", [0.95, 0.995])
noises = pytest.mark.parametrize("noise", [1e-2, 1e-4])


@schedules
@betas
@noises
def test_steps_are_those_of_a_code_that_permutes_its_moments(schedule, beta, noise):
    hyper = {"lr": 1.0, "weight_decay": 0.0}
    ours = largest(lambda p: soap(p, schedule=schedule, beta2=beta, **hyper), noise)
    assert ours < 1.25 * of_a_code_that_permutes_its_moments(beta, noise)


@schedules
@betas
@pytest.mark.parametrize("rule", [one_sided, averaged_inside], ids=lambda rule: rule.name)
def test_steps_of_a_rule_of_ones_own_are_those_in_coordinates_that_stay(rule, schedule, beta):
    ours = largest(lambda p: rule(p, schedule=schedule, beta=beta), noise=1e-2)
    assert ours < 1.4 * in_coordinates_that_stay(rule is averaged_inside, beta, noise=1e-2)
