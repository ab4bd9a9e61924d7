"""K-FAC against a literal loop over layers, and its invariance where a network shows it."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl.algorithms import kfac

STEPS, HYPER = 20, {"lr": 0.1, "beta": 0.9, "damping": 0.01}
TOLERANCE = 1e-9


def mlp():
    torch.manual_seed(0)
    layers = nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 3, bias=False)
    return nn.Sequential(*layers).double(), torch.randn(30, 6).double()


def convnet():
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
    layers = conv, nn.Tanh(), nn.Flatten(), nn.Linear(36, 3, bias=False)
    return nn.Sequential(*layers).double(), torch.randn(20, 2, 6, 6).double()


def targets(x):
    return torch.randint(0, 3, (len(x),), generator=torch.Generator().manual_seed(1))


def batches(x, step):
    """Return another half of the data at every step."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))
    chosen = order[: len(x) // 2]
    return x[chosen], targets(x)[chosen]


def train(model, x, opt, steps=range(STEPS)):
    for step in steps:
        opt.zero_grad()
        inputs, labels = batches(x, step)
        nn.functional.cross_entropy(model(inputs), labels).backward()
        opt.step()
    return [p.detach().clone() for p in model.parameters()]


# The reference: weights as a list, forward and backward passes written out, one sample at a time.


def rows_of_mlp(weights, x, label):
    """Return per layer the inputs and output gradients of one sample, a row per position."""
    first, second = weights
    h = torch.tanh(first @ x)
    last = torch.softmax(second @ h, 0) - nn.functional.one_hot(label, 3)
    return [(x[None], ((second.T @ last) * (1 - h**2))[None]), (h[None], last[None])]


def rows_of_convnet(weights, x, label):
    kernel, second = weights
    wide = torch.zeros(2, 8, 8, dtype=x.dtype)
    wide[:, 1:7, 1:7] = x
    places = [(i, j) for i in (0, 2, 4) for j in (0, 2, 4)]
    cut = torch.stack([wide[:, i : i + 3, j : j + 3].reshape(-1) for i, j in places])
    h = torch.tanh(cut @ kernel.reshape(4, -1).T)
    flat = h.T.reshape(-1)
    last = torch.softmax(second @ flat, 0) - nn.functional.one_hot(label, 3)
    inside = (second.T @ last).reshape(4, 9).T * (1 - h**2)
    return [(cut, inside), (flat[None], last[None])]


def reference(model, x, rows, lr, beta, damping):
    """S̄, Ā averages with weight min(1 − 1/t, β); W ← W − lr (S̄ + λ_S I)⁻¹ G (Ā + λ_A I)⁻¹."""
    weights = [p.detach().clone() for p in model.parameters()]
    averages = [(0.0, 0.0) for _ in weights]
    for t in range(1, STEPS + 1):
        rate = min(1 - 1 / t, beta)
        samples = [rows(weights, *sample) for sample in zip(*batches(x, t - 1), strict=True)]
        for k, w in enumerate(weights):
            each = [sample[k] for sample in samples]
            A = sum(a.T @ a for a, _ in each) / len(each)
            S = sum(g.T @ g / len(g) for _, g in each) / len(each)
            G = sum(g.T @ a for a, g in each) / len(each)
            A, S = (rate * old + (1 - rate) * new
                    for old, new in zip(averages[k], (A, S), strict=True))  # fmt: skip
            averages[k] = A, S
            pi = ((A.trace() / len(A)) / (S.trace() / len(S))) ** 0.5
            left = S + damping**0.5 / pi * torch.eye(len(S), dtype=S.dtype)
            right = A + pi * damping**0.5 * torch.eye(len(A), dtype=A.dtype)
            step = torch.linalg.solve(left, G) @ torch.linalg.inv(right)
            weights[k] = w - lr * step.reshape(w.shape)
    return weights


NETWORKS = [(mlp, rows_of_mlp), (convnet, rows_of_convnet)]


@pytest.mark.parametrize(("network", "rows"), NETWORKS, ids=["mlp", "convnet"])
def test_training_equals_a_literal_loop(network, rows):
    model, x = network()
    expected = reference(model, x, rows, **HYPER)
    before = nn.functional.cross_entropy(model(x), targets(x))
    found = train(model, x, kfac(model.parameters(), capture=nd.capture(model), **HYPER))
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= TOLERANCE * theirs.norm()
    assert nn.functional.cross_entropy(model(x), targets(x)) < 0.7 * before


@pytest.mark.parametrize("network", [mlp, convnet])
def test_a_run_resumed_from_a_state_dict_goes_on_the_same(network):
    (model, x), (twin, _) = network(), network()
    opt = kfac(model.parameters(), capture=nd.capture(model), **HYPER)
    train(model, x, opt, range(5))
    saved = copy.deepcopy((model.state_dict(), opt.state_dict()))
    expected = train(model, x, opt, range(5, 10))
    twin.load_state_dict(saved[0])
    resumed = kfac(twin.parameters(), capture=nd.capture(twin), lr=9.0)
    resumed.load_state_dict(saved[1])
    found = train(twin, x, resumed, range(5, 10))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_refused_step_changes_nothing():
    model, x = mlp()
    capture = nd.capture(model)
    opt = kfac(model.parameters(), capture=capture, **HYPER)
    weights = train(model, x, opt, range(3))
    state = copy.deepcopy(opt.state_dict())
    model(x * torch.inf).sum().backward()
    with pytest.raises(nd.GradientError, match="nothing was changed"):
        opt.step()
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    for k, entry in opt.state_dict()["state"].items():
        assert all(torch.equal(v, state["state"][k][name]) for name, v in entry.items())
    opt.zero_grad()
    capture.clear()
    train(model, x, opt, range(3, 4))


def test_a_layer_that_is_not_captured_is_named_and_nothing_changes():
    model, x = mlp()
    capture = nd.capture(model[0])
    opt = kfac(model.parameters(), capture=capture, **HYPER)
    start = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(nd.GradientError, match=r"shape \(3, 8\) has a gradient, but the capture"):
        train(model, x, opt, range(1))
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), start, strict=True))


def test_a_layer_in_other_coordinates_trains_alike_without_damping():
    """W = A W̃ B in a network: x̃ = B x goes in, A ỹ comes out; captured, not simulated."""
    torch.manual_seed(0)
    plain = nn.Linear(4, 3, bias=False).double()
    A, B = (torch.randn(k, k).double() + 2 * torch.eye(k).double() for k in (3, 4))
    moved = nn.Linear(4, 3, bias=False).double()
    moved.weight.data = torch.linalg.inv(A) @ plain.weight.data @ torch.linalg.inv(B)
    x, y = torch.randn(40, 4).double(), torch.randn(40, 3).double()
    for damping, alike in ((0.0, True), (0.1, False)):
        runs = []
        for start, inputs, out in ((plain, x, torch.eye(3).double()), (moved, x @ B.T, A)):
            layer = copy.deepcopy(start)
            with nd.capture(layer) as capture:
                opt = kfac(layer.parameters(), capture=capture, lr=0.1, damping=damping)
                for _ in range(5):
                    opt.zero_grad()
                    (layer(inputs) @ out.T - y).pow(4).sum(1).mean().backward()
                    opt.step()
            runs.append(layer.weight.detach())
        gap = (runs[0] - A @ runs[1] @ B).norm() / (runs[0] - plain.weight).norm()
        assert bool(gap < 1e-9) is alike


def test_a_dead_layer_stays_and_breaks_nothing():
    """Without a gradient at its outputs its moment is 0, and so is its step."""
    model, x = mlp()
    model[2].weight.data.zero_()
    capture = nd.capture(model)
    opt = kfac(model.parameters(), capture=capture, **HYPER)
    start = model[0].weight.detach().clone()
    train(model, x, opt, range(1))
    assert torch.equal(model[0].weight, start)
    assert model[2].weight.norm() > 0
