"""Kept values in the optimizer: equal to a loop that caches, through resumes and late starts."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W

BETA, EPS = 0.8, 1e-3


@nd.optimizer
def shampoo(lr=0.1):
    L, R = nd.ema(G @ G.T, BETA), nd.ema(G.T @ G, BETA)
    return W - lr * nd.matrix_power(L, -1 / 4) @ G @ nd.matrix_power(R, -1 / 4)


@nd.optimizer
def soap(lr=0.1):
    Q, P = nd.eigenbasis(nd.ema(G @ G.T, BETA)), nd.eigenbasis(nd.ema(G.T @ G, BETA))
    g = Q.T @ G @ P
    v = nd.ema(g * g, BETA)
    return W - lr * Q @ (g / (nd.sqrt(v) + EPS)) @ P.T


ROTATING = nd.Schedule(eigenbasis=nd.QRPower(), refresh=3, dtype="float64")
SCHEDULES = {
    "shampoo": (shampoo, nd.Schedule(refresh=3, dtype="float64")),
    "shampoo, newton": (
        shampoo,
        nd.Schedule(root=nd.CoupledNewton(60), refresh=3, dtype="float64"),
    ),
    "soap": (soap, nd.Schedule(refresh=3, dtype="float64")),
    "soap, qr": (soap, ROTATING),
    "soap, qr at every step": (soap, nd.Schedule(eigenbasis=nd.QRPower(), dtype="float64")),
}
cases = pytest.mark.parametrize(
    ("rule", "schedule"), SCHEDULES.values(), ids=list(SCHEDULES.keys())
)


def gradients(steps, shape=(3, 3), seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=draw) for _ in range(steps)]


def inverse_root(s):
    values, vectors = torch.linalg.eigh(s)
    return vectors @ torch.diag(values.clamp_min(1e-30) ** -0.25) @ vectors.T


def rotated(s, last, schedule):
    if last is None or not schedule.eigenbasis.iterative:
        return torch.linalg.eigh(s).eigenvectors.flip(-1)
    order = torch.diag(last.T @ s @ last).argsort(descending=True)
    q, r = torch.linalg.qr(s @ last[:, order])
    return q * torch.diag(r).sign()


def literal(rule, schedule, weights, grads):
    """Return the weights after a loop that caches roots and bases, written out by hand."""
    w, L, R, v = weights.clone(), 0.0, 0.0, 0.0
    left = right = None
    for t, g in enumerate(grads, 1):
        L, R = BETA * L + (1 - BETA) * g @ g.T, BETA * R + (1 - BETA) * g.T @ g
        due = (t - 1) % schedule.refresh == 0
        if rule is shampoo:
            left, right = (inverse_root(L), inverse_root(R)) if due else (left, right)
            w = w - 0.1 * left @ g @ right
            continue
        if due:
            old = left, right
            left, right = rotated(L, left, schedule), rotated(R, right, schedule)
            if t > 1:  # second moments turn along, by squared cosines
                v = (left.T @ old[0]) ** 2 @ v @ (old[1].T @ right) ** 2
        turned = left.T @ g @ right
        v = BETA * v + (1 - BETA) * turned * turned
        w = w - 0.1 * left @ (turned / (v.sqrt() + EPS)) @ right.T
    return w


def run(opt, params, grads):
    for g in grads:
        for p in params:
            p.grad = g.clone()
        opt.step()


@cases
def test_it_is_a_loop_that_caches(rule, schedule):
    start, grads = torch.ones(3, 3, dtype=torch.float64), gradients(8)
    p = nn.Parameter(start.clone())
    run(rule([p], schedule=schedule), [p], grads)
    expected = literal(rule, schedule, start, grads)
    torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-10)
    if schedule.refresh > 1:
        every = literal(rule, nd.Schedule(eigenbasis=schedule.eigenbasis), start, grads)
        assert (every - expected).norm() > 1e-3


@cases
@pytest.mark.parametrize("before", [1, 2, 3, 4])
def test_a_resume_inside_a_period_goes_on_bit_for_bit(rule, schedule, before):
    grads = gradients(9)
    ours, theirs = (nn.Parameter(torch.ones(3, 3, dtype=torch.float64)) for _ in range(2))
    opt, resumed = (rule([p], schedule=schedule) for p in (ours, theirs))
    run(opt, [ours], grads[:before])
    run(resumed, [theirs], gradients(1, seed=9))
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    with torch.no_grad():
        theirs.copy_(ours)
    run(opt, [ours], grads[before:])
    run(resumed, [theirs], grads[before:])
    assert torch.equal(ours, theirs)


@cases
def test_parameters_keep_phases_of_their_own(rule, schedule):
    early, late = (nn.Parameter(torch.ones(3, 3, dtype=torch.float64)) for _ in range(2))
    grads, opt = gradients(9), rule([early, late], schedule=schedule)
    run(opt, [early], grads[:2])
    run(opt, [early, late], grads[2:7])
    early.grad = None
    for g in grads[7:]:
        late.grad = g.clone()
        opt.step()
    start = torch.ones(3, 3, dtype=torch.float64)
    for p, own in ((early, grads[:7]), (late, grads[2:])):
        expected = literal(rule, schedule, start, own)
        torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-10)


@cases
def test_the_pure_form_takes_the_same_steps(rule, schedule):
    grads, w = gradients(7), torch.ones(3, 3, dtype=torch.float64)
    pure = nd.functional(rule, schedule)
    state, new = pure.init(w), w
    for g in grads:
        new, state = pure.update(g, state, new)
    expected = literal(rule, schedule, w, grads)
    torch.testing.assert_close(new, expected, rtol=1e-10, atol=1e-10)


@cases
def test_a_skipped_step_does_not_count(rule, schedule):
    grads = gradients(7)
    p = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    opt = rule([p], schedule=schedule, nonfinite="skip")
    bad = torch.full((3, 3), torch.nan, dtype=torch.float64)
    run(opt, [p], [bad, *grads[:2], bad, grads[2], bad, bad, *grads[3:]])
    expected = literal(rule, schedule, torch.ones(3, 3, dtype=torch.float64), grads)
    torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-10)


@cases
def test_a_refused_step_does_not_count(rule, schedule):
    grads = gradients(7)
    p = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    opt = rule([p], schedule=schedule)
    bad = torch.full((3, 3), torch.nan, dtype=torch.float64)
    for g in (bad, *grads[:2], bad, *grads[2:]):
        try:
            run(opt, [p], [g])
        except nd.GradientError:
            assert g is bad
    expected = literal(rule, schedule, torch.ones(3, 3, dtype=torch.float64), grads)
    torch.testing.assert_close(p.detach(), expected, rtol=1e-10, atol=1e-10)


def test_a_state_from_a_schedule_that_kept_nothing_is_taken_over():
    grads = gradients(6)
    ours, theirs = (nn.Parameter(torch.ones(3, 3, dtype=torch.float64)) for _ in range(2))
    every = shampoo([ours], schedule=nd.exact)
    run(every, [ours], grads[:4])
    opt = shampoo([theirs], schedule=SCHEDULES["shampoo"][1])
    opt.load_state_dict(copy.deepcopy(every.state_dict()))
    with torch.no_grad():
        theirs.copy_(ours)
    run(every, [ours], grads[4:5])
    run(opt, [theirs], grads[4:5])
    torch.testing.assert_close(theirs, ours)
    assert int(opt.state[theirs]["step"]) == 5


def test_a_basis_that_is_a_state_is_kept_from_another_schedule():
    grads = gradients(6)
    ours, theirs = (nn.Parameter(torch.ones(3, 3, dtype=torch.float64)) for _ in range(2))
    every, opt = soap([ours], schedule=nd.exact), soap([theirs], schedule=ROTATING)
    run(every, [ours], grads[:4])
    opt.load_state_dict(copy.deepcopy(every.state_dict()))
    last = opt.state[theirs]["Q"].clone()
    run(opt, [theirs], grads[4:5])
    assert torch.equal(opt.state[theirs]["Q"], last)
    run(opt, [theirs], grads[4:6])
    assert not torch.equal(opt.state[theirs]["Q"], last)


def test_the_clock_is_read_once(monkeypatch):
    p = nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    opt, read = soap([p], schedule=ROTATING), []
    run(opt, [p], gradients(2))
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda x: read.append(x) or original(x))
    run(opt, [p], gradients(4))
    assert read == []
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    run(opt, [p], gradients(4))
    assert len(read) == 1
