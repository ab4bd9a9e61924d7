"""Norms of all layers: on one layer the norm itself, on several a joint problem."""

import cvxpy as cp
import norms_catalogue
import pytest
import torch
from norms_catalogue import MOST, ONE, TWO
from properties import NORM_PROPERTIES, Probe, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.norms import OverLayers, operator_norm

NORMS = norms_catalogue.of(OverLayers)
SHAPES = ((3, 4), (5, 2), (1, 3))
GRADIENTS = [random_matrix(*shape, seed=k) for k, shape in enumerate(SHAPES)]

# a norm of one layer, and the same norm for cvxpy, with its weight
LAYER = {
    "spectral": (nd.spectral, lambda x: cp.sigma_max(x)),
    "rms→rms": (nd.rms_to_rms, lambda x: (x.shape[1] / x.shape[0]) ** 0.5 * cp.sigma_max(x)),
    "n max_entry": (nd.scaled_max_entry, lambda x: x.shape[1] * cp.max(cp.abs(x))),
    "columns": (
        (1 + nd.rows) * operator_norm(1, 2),
        lambda x: (1 + x.shape[0]) * cp.max(cp.norm(x, 2, axis=0)),
    ),
    "nuclear": (nd.sqrt(nd.rows * nd.cols) * nd.nuclear, lambda x: x.size**0.5 * cp.normNuc(x)),
}
GAUGES = {"max": (MOST, "inf"), "l2": (TWO, 2), "sum": (ONE, 1)}
CLOSE = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
CASES = [(layer, gauge) for layer in LAYER for gauge in GAUGES]


def stepped(update, gradients):
    """Return how far an optimizer moves three parameters of different shapes."""
    params = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    exactly = nd.Schedule(polar=nd.SVD())
    opt = nd.Declaration("probe", (), update)(params, schedule=exactly)
    for p, g in zip(params, gradients, strict=True):
        p.grad = g.clone()
    opt.step()
    return [p.detach() for p in params]


def joint(layer, gauge, xs):
    """Return the norm of several layers, for cvxpy."""
    return cp.norm(cp.hstack([LAYER[layer][1](x) for x in xs]), GAUGES[gauge][1])


def optimum(layer, gauge, gradients):
    """Return max Σ ⟨M_k, X_k⟩ over the joint unit ball."""
    xs = [cp.Variable(g.shape) for g in gradients]
    gain = sum(cp.sum(cp.multiply(g.numpy(), x)) for g, x in zip(gradients, xs, strict=True))
    ball = [joint(layer, gauge, xs) <= 1]
    return cp.Problem(cp.Maximize(gain), ball).solve(solver=cp.CLARABEL, **CLOSE)


def size(layer, gauge, steps):
    return joint(layer, gauge, [cp.Constant(x.numpy()) for x in steps]).value


def gained(gradients, steps):
    return sum(float((g * x).sum()) for g, x in zip(gradients, steps, strict=True))


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
@pytest.mark.parametrize("name", NORMS)
def test_on_one_layer_it_is_a_norm_with_its_operators(name, holds):
    holds(NORMS[name])


@pytest.mark.parametrize("name", NORMS)
def test_on_one_layer_it_is_the_norm_of_the_layer(name):
    x, norm, base = random_matrix(3, 4), Probe(NORMS[name]), Probe(NORMS[name].base)
    torch.testing.assert_close(norm.value(x), base.value(x))
    torch.testing.assert_close(norm.lmo(x), base.lmo(x))
    torch.testing.assert_close(norm.sharp(x), base.sharp(x))


@pytest.mark.parametrize("degenerate", [False, True], ids=["random", "a layer of zeros"])
@pytest.mark.parametrize(("layer", "gauge"), CASES, ids=map(" ".join, CASES))
def test_the_steps_of_all_layers_solve_the_joint_problem(layer, gauge, degenerate):
    gradients = [0 * GRADIENTS[0], *GRADIENTS[1:]] if degenerate else GRADIENTS
    norm = nd.over_layers(LAYER[layer][0], GAUGES[gauge][0])
    best = optimum(layer, gauge, gradients)
    steps = stepped(W + norm.lmo(G), gradients)
    assert size(layer, gauge, steps) <= 1 + 1e-6
    assert gained(gradients, steps) == pytest.approx(-best, rel=1e-6)
    steps = stepped(W - norm.sharp(G), gradients)
    assert size(layer, gauge, steps) == pytest.approx(best, rel=1e-6)
    assert gained(gradients, steps) == pytest.approx(-(best**2), rel=1e-6)


@pytest.mark.parametrize(("layer", "gauge"), CASES, ids=map(" ".join, CASES))
def test_value_and_dual_are_those_of_all_layers(layer, gauge):
    norm, ones = nd.over_layers(LAYER[layer][0], GAUGES[gauge][0]), nd.zeros_like(G) + 1
    for x in stepped(W + norm.value(G) * ones, GRADIENTS):
        assert float(x[0, 0]) == pytest.approx(size(layer, gauge, GRADIENTS), rel=1e-6)
    for x in stepped(W + norm.dual(G) * ones, GRADIENTS):
        assert float(x[0, 0]) == pytest.approx(optimum(layer, gauge, GRADIENTS), rel=1e-6)


def test_the_matrix_part_of_muon_max():
    """W − lr (Σ_k ‖G_k‖_nuclear) polar(G_k): steepest descent by the largest spectral norm."""
    steps = stepped(W - nd.over_layers(nd.spectral, MOST).sharp(G), GRADIENTS)
    total = sum(torch.linalg.matrix_norm(g, "nuc") for g in GRADIENTS)
    for g, step in zip(GRADIENTS, steps, strict=True):
        u, _, vh = torch.linalg.svd(g, full_matrices=False)
        torch.testing.assert_close(step, -total * u @ vh)


def test_a_hybrid_of_layers_is_a_gauge_of_a_gauge():
    """A norm of layers is a norm: it takes factors, and is part of an infimal combination."""
    norm = nd.infimal(nd.over_layers(nd.spectral, MOST), nd.over_layers(nd.frobenius, MOST))
    nuclear = sum(torch.linalg.matrix_norm(g, "nuc") for g in GRADIENTS)
    for x in stepped(W + norm.dual(G) * (nd.zeros_like(G) + 1), GRADIENTS):
        torch.testing.assert_close(x[0, 0], nuclear)
    twice = stepped(W + (2 * nd.over_layers(nd.spectral, TWO)).lmo(G), GRADIENTS)
    once = stepped(W + nd.over_layers(nd.spectral, TWO).lmo(G), GRADIENTS)
    for x, y in zip(twice, once, strict=True):
        torch.testing.assert_close(2 * x, y)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_over_layers_stay_in_range(scale):
    gradients = [g.float() for g in GRADIENTS]
    norm = nd.over_layers(nd.spectral, TWO)
    expected = stepped(W + norm.lmo(G), gradients)
    for x, y in zip(stepped(W + norm.lmo(scale * G), gradients), expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


def test_the_dual_norm_is_one_of_layers():
    norm = nd.over_layers(nd.spectral, MOST)
    assert norm.dual_norm == nd.over_layers(nd.nuclear, ONE)
    assert norm.dual_norm.dual_norm == norm
    assert norm.isometries is None


def test_what_is_no_norm_or_no_gauge_is_refused():
    for norm, by in ((nd.spectral, "max"), ("spectral", MOST), (nd.spectral, nd.spectral)):
        with refuses(nd.DeclarationError, "a gauge of one norm"):
            nd.over_layers(norm, by)


def test_is_shown():
    assert str(nd.over_layers(nd.spectral, MOST)) == "‖‖X‖₂‖_layers ∞"
