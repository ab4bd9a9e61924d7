"""Second-order rules against their literal loops, on two layers that the loss couples."""

import inspect
from functools import partial

import pytest
import pytorch_optimizer
import torch
from references.curvature import CURVATURE, ENTRIES, NORMAL, product, slope
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.cli.find import shipped

pytestmark = pytest.mark.filterwarnings("ignore:Using backward.* with create_graph:UserWarning")

STEPS, SHAPES = 8, ((2, 3), (1, 4))
SETTINGS = {
    "adahessian": {"lr": 0.05, "beta1": 0.8, "beta2": 0.9, "eps": 1e-2, "power": 0.7,
                   "weight_decay": 0.1},
    "sophia": {"lr": 0.05, "beta1": 0.8, "beta2": 0.9, "gamma": 2.0, "eps": 1e-3,
               "weight_decay": 0.1},
    "oasis": {"lr": 0.05, "beta": 0.9, "floor": 0.3},
    "exact_newton": {"lr": 0.5},
    "newton_cg": {"lr": 0.5, "damping": 0.1},
    "gauss_newton_cg": {"lr": 0.5, "damping": 0.1},
    "aicn": {"smoothness": 3.0},
    "gns_newton": {"start": 30.0},
    "saddle_free_newton": {"lr": 0.2, "beta": 0.8, "damping": 0.3},
    "cubic_newton": {"smoothness": 3.0, "beta": 0.8},
    "polynomial_preconditioning": {"lr": 0.05},
    "psgd_dense": {"lr": 0.1, "fit": 0.3, "start": 0.5},
    "bfgs": {"lr": 0.2, "start": 0.1},
    "ceqn": {"inexactness": 3.0, "smoothness": 2.0, "start": 0.1},
}  # fmt: skip
RULES = {name: shipped()[name] for name in CURVATURE}

g = torch.Generator().manual_seed(0)
A = torch.randn(12, 10, generator=g, dtype=torch.float64)
START = torch.randn(10, generator=g, dtype=torch.float64)


def outputs(w, step):
    """What a model of all weights puts out, on another sample at each step."""
    return A @ w / 3 - 0.1 * step, w**2


def by_outputs(z, step):
    """A smooth loss of outputs."""
    return torch.cosh(z[0]).log().sum() + 0.05 * (z[1] ** 2).sum()


def loss(w, step):
    """A smooth loss of all weights, another one at each step."""
    return by_outputs(tuple(map(nd.outputs, outputs(w, step))), step)


def at(step):
    """The loss of a step as literal loops take it: a function with its outputs."""

    def f(w):
        return loss(w, step)

    f.outputs, f.by_outputs = partial(outputs, step=step), partial(by_outputs, step=step)
    return f


def shaped(w):
    """Return the parts of a vector of all weights, each in the shape of its layer."""
    parts = w.split([m * n for m, n in SHAPES])
    return [x.reshape(s).clone() for x, s in zip(parts, SHAPES, strict=True)]


def layers():
    return [nn.Parameter(x) for x in shaped(START)]


def joined(params):
    return torch.cat([p.flatten() for p in params])


def trained(rule, steps=STEPS, f=loss, **options):
    """Return the weights after each step."""
    params = layers()
    opt, path = rule(params, **options), []
    for step in range(steps):

        def closure(step=step):
            opt.zero_grad()
            value = f(joined(params), step)
            value.backward(create_graph=True)
            return value

        opt.step(closure)
        path.append(joined(params).detach())
    return path


def drawn(like):
    """The random numbers that rules draw in each step."""
    path = trained(nd.Declaration("probe", (), W + like(W) - 1e-30 * G))
    return [x - y for x, y in zip(path, [START, *path], strict=False)]


@pytest.fixture(scope="module")
def signs():
    return [x.round() for x in drawn(nd.signs_like)]


@pytest.fixture(scope="module")
def normals():
    return drawn(nd.normal_like)


@pytest.mark.parametrize("given", ["settings", "defaults"])
@pytest.mark.parametrize("name", CURVATURE)
def test_trajectories_equal_a_literal_loop(name, given, signs, normals):
    hyper = SETTINGS[name] if given == "settings" else {}
    w, state = START, {}
    numbers = normals if name in NORMAL else signs
    assert [m * n for m, n in SHAPES] == list(ENTRIES)
    for t, found in enumerate(trained(RULES[name], **hyper), 1):
        w = CURVATURE[name](w, at(t - 1), t, state, numbers[t - 1], **hyper)
        torch.testing.assert_close(found, w, rtol=1e-9, atol=1e-11)
    assert float((w - START).norm()) > 1e-3


@pytest.mark.parametrize("name", CURVATURE)
def test_hyper_parameters_are_those_of_the_loop_and_all_are_set(name):
    keywords = inspect.signature(CURVATURE[name]).parameters.values()
    literal = {k.name: k.default for k in keywords if k.kind is k.KEYWORD_ONLY}
    assert RULES[name].defaults == literal
    assert set(SETTINGS[name]) == set(literal)


#: Public codes as they are, told of our hyper-parameters by their names for them.
PUBLIC = {
    "adahessian": lambda p, lr, beta1, beta2, eps, power, weight_decay: (
        pytorch_optimizer.AdaHessian(
            p, lr, (beta1, beta2), weight_decay, hessian_power=power, eps=eps
        )
    ),
    # It clips m / h at γ, where we clip m / (γ h) at 1.
    "sophia": lambda p, lr, beta1, beta2, gamma, eps, weight_decay: pytorch_optimizer.SophiaH(
        p, lr / gamma, (beta1, beta2), gamma * weight_decay, p=gamma, eps=eps / gamma
    ),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_trajectories_equal_a_public_code_that_is_given_the_same_products(name, signs):
    params = layers()
    public = PUBLIC[name](params, **SETTINGS[name])
    for step, found in enumerate(trained(RULES[name], **SETTINGS[name])):
        w, z = joined(params).detach(), signs[step]
        f = partial(loss, step=step)
        for p, grad in zip(params, shaped(slope(f, w)), strict=True):
            p.grad = grad
        public.step(hessian=shaped(z * product(f, w, z)))
        torch.testing.assert_close(found, joined(params).detach(), rtol=1e-9, atol=1e-11)


def test_steps_fail_and_succeed_in_the_comparison_of_trials():
    moves = [x != y for x, y in zip(*(map(torch.Tensor.tolist, p) for p in _pairs()), strict=True)]
    assert {True, False} == set(moves)


def _pairs():
    path = trained(RULES["gns_newton"], **SETTINGS["gns_newton"])
    return [START, *path[:-1]], path


@pytest.mark.parametrize("name", CURVATURE)
def test_it_trains(name):
    lr = {"adahessian": {"lr": 0.05}, "sophia": {"lr": 0.05}, "psgd_dense": {"lr": 0.1}}.get(
        name, {}
    )
    path = trained(RULES[name], steps=40, f=lambda w, step: loss(w, 0), **lr)
    assert float(loss(path[-1], 0)) < 0.5 * float(loss(START, 0))


@pytest.mark.parametrize(
    ("name", "evaluations"), [("newton_cg", 1), ("sophia", 1), ("gns_newton", 2)]
)
def test_what_a_step_costs(name, evaluations):
    calls = []

    def counted(w, step):
        calls.append(step)
        return loss(w, step)

    trained(RULES[name], steps=1, f=counted)
    assert len(calls) == evaluations


@nd.optimizer
def newton(lr=1.0):
    return W - lr * nd.solve_linear(nd.hessian_product, G, iterations=5)


@nd.optimizer
def shortened(lr=1.0, bend=1.0):
    D = nd.solve_linear(nd.hessian_product, G, iterations=5)
    return W - lr / (1 + bend * nd.sum(nd.inner(G, D), over="layers")) * D


def test_newtons_step_of_a_transformed_loss_is_a_shorter_one():
    """(∇²φ(f))⁻¹ ∇φ(f) = κ H⁻¹ g, κ = 1 / (1 + φ''/φ' gᵀ H⁻¹ g) (arXiv:2509.25782): φ = eˣ, x²."""
    d = torch.linspace(1, 5, 10, dtype=torch.float64).round()  # five eigenvalues: CG is exact

    def f(w, step):
        return (d * (w - 1) ** 2).sum() / 40 + 0.3

    (plain,) = trained(shortened, steps=1, f=f, lr=0.5, bend=1.0)
    (exponential,) = trained(newton, steps=1, f=lambda w, s: f(w, s).exp(), lr=0.5)
    torch.testing.assert_close(exponential, plain, rtol=1e-9, atol=0)
    bend = 1 / float(f(START, 0))  # φ''/φ' of x² is 1/x
    (plain,) = trained(shortened, steps=1, f=f, lr=0.5, bend=bend)
    (squared,) = trained(newton, steps=1, f=lambda w, s: f(w, s) ** 2, lr=0.5)
    torch.testing.assert_close(squared, plain, rtol=1e-9, atol=0)


def test_the_gauss_newton_step_of_three_outputs_is_exact():
    """D = Jᵀ (Q J Jᵀ + λ I)⁻¹ r of three numbers that a batch puts out (EGN, arXiv:2405.14402)."""

    def f(w, step):
        return nd.outputs((A[:3] @ w / 3).sin()).exp().sum()

    (found,) = trained(RULES["gauss_newton_cg"], steps=1, f=f, lr=1.0, damping=0.1)
    J = torch.autograd.functional.jacobian(lambda w: (A[:3] @ w / 3).sin(), START)
    r = (A[:3] @ START / 3).sin().exp()  # and Q = diag(r), the loss being Σ exp z
    step = J.T @ torch.linalg.solve(torch.diag(r) @ J @ J.T + 0.1 * torch.eye(3).to(J), r)
    torch.testing.assert_close(found, START - step, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["newton_cg", "aicn", "gns_newton", "cubic_newton"])
def test_it_stays_at_a_minimum_in_float32(name):
    p = nn.Parameter(torch.ones(2, 3))
    opt = RULES[name]([p])

    def closure():
        opt.zero_grad()
        value = (torch.arange(1, 7).reshape(2, 3) * p**2 + p**4).sum()
        value.backward(create_graph=True)
        return value

    for _ in range(60):
        opt.step(closure)
    assert float(p.detach().abs().max()) < 1e-5


def test_the_hessian_is_that_of_each_layer_also_where_layers_are_one_batch():
    start = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    params = [nn.Parameter(x.clone()) for x in start]

    def value(w):
        coupled = torch.cat([A, A.flip(0)], 1)[:, :12] @ w
        return torch.cosh(coupled).log().sum() + (w**4).sum()

    opt = RULES["exact_newton"](params)

    def closure():
        opt.zero_grad()
        found = value(joined(params))
        found.backward(create_graph=True)
        return found

    opt.step(closure)
    w = start.flatten()
    whole, g = torch.autograd.functional.hessian(value, w), torch.func.grad(value)(w)
    for k, p in enumerate(params):
        own = slice(4 * k, 4 * k + 4)
        step = torch.linalg.solve(whole[own, own], g[own]).reshape(2, 2)
        torch.testing.assert_close(p.detach(), start[k] - step, rtol=1e-9, atol=1e-12)
