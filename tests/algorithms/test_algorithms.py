"""Every shipped rule against torch.optim or a literal loop; ten lines; JSON; display."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import normdsl as nd
from normdsl import algorithms as a
from normdsl.cli.find import shipped

STEPS, TOLERANCE = 50, 1e-10
SHAPES = [(4, 4), (7, 3), (3, 7), (1, 5), (5, 1)]
JORDAN = nd.Schedule(polar=nd.jordan(), dtype="float64")


def gradients(shape, seed=0):
    """Gradients of an ill-conditioned quadratic with noise, as a function of the weights."""
    rng = np.random.default_rng(seed)
    scale = torch.as_tensor(10 ** rng.uniform(-2, 1, shape))
    noise = torch.as_tensor(rng.standard_normal((STEPS, *shape)))

    def grad(w, step):
        return scale * w + 0.1 * noise[step]

    return torch.as_tensor(rng.standard_normal(shape)), grad


def run_optimizer(make, shape):
    start, grad = gradients(shape)
    p = torch.nn.Parameter(start.clone())
    optimizer = make([p])
    path = []
    for step in range(STEPS):
        p.grad = grad(p.detach(), step)
        optimizer.step()
        path.append(p.detach().clone())
    return path


def run_loop(rule, shape):
    """Run a literal loop: rule(w, g, t, state) returns the new weights and changes its dict."""
    w, grad = gradients(shape)
    path, state = [], {}
    for step in range(STEPS):
        w = rule(w, grad(w, step), step + 1, state)
        path.append(w)
    return path


def assert_equal_paths(ours, theirs):
    for step, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        assert torch.isfinite(y).all()
        assert (x - y).norm() <= TOLERANCE * y.norm(), f"step {step}"


TORCH = [
    (a.sgd, torch.optim.SGD, {"lr": 0.01, "weight_decay": 0.1}, {}),
    (
        a.sgd_momentum,
        torch.optim.SGD,
        {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
        {},
    ),
    (a.adam, torch.optim.Adam, {"lr": 0.01, "eps": 1e-3}, {}),
    (a.adamw, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}, {}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("rule", "peer", "hyper", "extra"), TORCH, ids=lambda x: str(x)[:12])
def test_trajectories_equal_torch(rule, peer, hyper, extra, shape):
    ours = run_optimizer(lambda p: rule(p, **hyper), shape)
    theirs = run_optimizer(lambda p: peer(p, **hyper, **extra), shape)
    assert_equal_paths(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_muon_equals_torch_with_its_iteration_in_float64(shape, monkeypatch):
    """torch hard-codes bfloat16 inside its iteration; everything else is compared as it stands."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    hyper = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    ours = run_optimizer(lambda p: a.muon(p, schedule=JORDAN, **hyper), shape)
    theirs = run_optimizer(lambda p: torch.optim.Muon(p, **hyper), shape)
    assert_equal_paths(ours, theirs)


def ema(state, name, x, beta):
    state[name] = beta * state.get(name, torch.zeros_like(x)) + (1 - beta) * x
    return state[name]


def polar(x):
    u, s, vh = np.linalg.svd(x.numpy(), full_matrices=False)
    keep = s > 1e-12 * s[0]
    return torch.as_tensor(u[:, keep] @ vh[keep])


def root(x, p):
    values, vectors = np.linalg.eigh(x.numpy())
    keep = values > 1e-13 * values[-1]
    return torch.as_tensor((vectors[:, keep] * values[keep] ** p) @ vectors[:, keep].T)


def normalized_sgd(w, g, t, s):
    m = ema(s, "m", g, 0.9)
    return w - 0.01 * m / m.norm()


def sign_sgd(w, g, t, s):
    return w - 0.01 * g.sign()


def signum(w, g, t, s):
    return w - 0.01 * (0.1 * w + ema(s, "m", g, 0.9).sign())


def moments(g, t, s):
    return ema(s, "m", g, 0.9) / (1 - 0.9**t), ema(s, "v", g * g, 0.99) / (1 - 0.99**t)


def adam_sania(w, g, t, s):
    m, v = moments(g, t, s)
    return w - 0.01 * 0.1 * w - 0.01 * m / (v + 1e-3)


def muon(w, g, t, s):
    m = ema(s, "m", g, 0.95)
    scale = max(1, w.shape[0] / w.shape[1]) ** 0.5
    return w - 0.02 * (0.1 * w + scale * polar(0.05 * g + 0.95 * m))


def muadam(w, g, t, s):
    m, v = moments(g, t, s)
    d = (v.sqrt() + 1e-3).sqrt()
    return w - 0.01 * (0.1 * w + polar(m / d) / d)


def muadam_sania(w, g, t, s):
    m, v = moments(g, t, s)
    d = v.sqrt() + 1e-3
    return w - 0.01 * (0.1 * w + polar(m / d) / d)


def one_sided_shampoo(w, g, t, s):
    s["L"] = s.get("L", 1e-2 * torch.eye(len(w), dtype=w.dtype)) + g @ g.T
    return w - 0.01 * root(s["L"], -0.5) @ ema(s, "m", g, 0.9)


#: Rules that read more than gradients are compared in files of their own: test_kfac.py.
ELSEWHERE = {"kfac"}
RATES = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1}
LOOPS = [
    (a.normalized_sgd, normalized_sgd, {"lr": 0.01}),
    (a.sign_sgd, sign_sgd, {"lr": 0.01}),
    (a.signum, signum, {"lr": 0.01, "weight_decay": 0.1}),
    (a.adam_sania, adam_sania, RATES),
    (a.muon, muon, {"lr": 0.02, "weight_decay": 0.1}),
    (a.muadam, muadam, RATES),
    (a.muadam_sania, muadam_sania, RATES),
    (a.one_sided_shampoo, one_sided_shampoo, {"lr": 0.01, "eps": 1e-2}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("rule", "loop", "hyper"), LOOPS, ids=lambda x: getattr(x, "name", ""))
def test_trajectories_equal_a_literal_loop(rule, loop, hyper, shape):
    assert_equal_paths(run_optimizer(lambda p: rule(p, **hyper), shape), run_loop(loop, shape))


def test_every_rule_has_a_reference():
    compared = {row[0].name for row in (*TORCH, *LOOPS)}
    assert compared | ELSEWHERE == set(shipped()) == set(a.__all__)


@pytest.mark.parametrize("rule", shipped().values(), ids=lambda r: r.name)
def test_a_rule_is_at_most_ten_lines_of_code(rule):
    for path in Path(a.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == rule.name:
                code = node.body[1:]  # the first is the docstring
                assert sum(n.end_lineno - n.lineno + 1 for n in code) <= 10
                assert "arXiv" in rule.doc or "et al." in rule.doc or rule.name.startswith("sgd")
                return
    raise AssertionError(f"{rule.name} was not found")


@pytest.mark.parametrize("rule", shipped().values(), ids=lambda r: r.name)
def test_a_rule_survives_json_and_is_shown(rule):
    again = nd.from_json(nd.to_json(rule))
    assert again == rule
    assert str(again) == str(rule)
    assert again._repr_latex_() == rule._repr_latex_()
    assert again.source(shape=(2, 3)) == rule.source(shape=(2, 3))
