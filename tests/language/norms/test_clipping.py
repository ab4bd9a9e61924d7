"""Clipping: its formula, torch's, and which invariances it leaves."""

import pytest
import torch
from properties import evaluate, matrices, random_matrix, refuses
from references.problems import CASES, run_loop, run_optimizer, worst
from references.tools import ema

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a

STEPS = 20
NORMS = {"frobenius": nd.frobenius, "spectral": nd.spectral, "max_entry": nd.max_entry}
LENGTHS = {
    "frobenius": torch.linalg.matrix_norm,
    "spectral": lambda x: torch.linalg.matrix_norm(x, 2),
    "max_entry": lambda x: x.abs().max(),
}


@nd.optimizer
def sgd(lr=0.1):
    return W - lr * G


@nd.optimizer
def averaged(lr=0.1, limit: nd.Positive = 1.0):
    """An average of clipped gradients, where the limit matters at every step."""
    return W + lr * nd.spectral.lmo(nd.ema(nd.clip(G, limit), 0.9))


# Values


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("limit", [1e-3, 1, 1e3])
def test_it_is_the_formula(name, limit):
    for x in matrices():
        found = evaluate(nd.clip(G, limit, NORMS[name]), x)
        expected = x * min(1, limit / float(LENGTHS[name](x)))
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)


def test_what_is_shorter_stays_to_the_last_bit():
    x = random_matrix(3, 5)
    assert torch.equal(evaluate(nd.clip(G, 49), x), x)
    assert torch.equal(evaluate(nd.clip_entries(G, 49), x), x)


@pytest.mark.parametrize("over", ["tensor", "layers"])
@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-160, 1e160, 1e300])
def test_zero_and_extremes_are_finite(size, over):
    x = size * torch.ones(2, 3, dtype=torch.float64)
    found = evaluate(nd.clip(G, 2, over=over), x)
    expected = x if size < 1 else torch.full_like(x, 2 / 6**0.5)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)


def test_a_limit_of_zero_stops():
    x = random_matrix(3, 5)
    for clipped in (nd.clip(G, 0), nd.clip(G, 0, over="layers"), nd.clip_entries(G, 0)):
        assert torch.equal(evaluate(clipped, x).abs(), torch.zeros_like(x))
        assert torch.equal(evaluate(clipped, 0 * x).abs(), torch.zeros_like(x))


def test_a_limit_may_be_an_expression():
    """Relative to the weights, as Brock et al., 2021 (arXiv:2102.06171), per tensor."""
    g, w = random_matrix(3, 5, 1), random_matrix(3, 5, 2)
    found = evaluate(nd.clip(G, 0.01 * nd.frobenius.value(W)), g, w)
    torch.testing.assert_close(found, g * (0.01 * w.norm() / g.norm()), rtol=1e-14, atol=0)


def test_entries_are_clamped():
    for x in matrices():
        assert torch.equal(evaluate(nd.clip_entries(G, 0.3), x), x.clamp(-0.3, 0.3))


# As optimizers


def literally(w, g, t, state, *, loss, clipped):
    return w - 0.1 * ema(state, "m", clipped(g), 0.8)


KINDS = {
    "tensor": (lambda x: nd.clip(x, 0.5), lambda g: g * min(1, 0.5 / float(g.norm()))),
    "spectral": (
        lambda x: nd.clip(x, 0.5, nd.spectral),
        lambda g: g * min(1, 0.5 / float(torch.linalg.matrix_norm(g, 2))),
    ),
    "layers": (
        lambda x: nd.clip(x, 0.5, over="layers"),
        lambda g: g * min(1, 0.5 / float(g.norm())),
    ),
    "entries": (lambda x: nd.clip_entries(x, 0.05), lambda g: g.clamp(-0.05, 0.05)),
}


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_as_the_literal_loop(kind, case):
    clip, literal = KINDS[kind]
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.ema(clip(G), 0.8))
    theirs = run_loop(literally, case, STEPS, clipped=literal)
    assert worst(run_optimizer(rule, case, STEPS), theirs) <= 1e-10
    assert worst(theirs, run_loop(literally, case, STEPS, clipped=lambda g: g)) > 1e-3


def layers(scale):
    """Three parameters of different shapes with gradients, in two groups."""
    shapes = ((3, 5), (5, 3), (3, 5))
    params = [torch.nn.Parameter(random_matrix(*s, k)) for k, s in enumerate(shapes)]
    for k, p in enumerate(params):
        p.grad = scale * random_matrix(*p.shape, 10 + k)
    return params


@pytest.mark.parametrize("scale", [1e-2, 10.0])
def test_over_layers_it_is_the_clipping_of_torch(scale):
    """torch divides by ‖x‖ + 1e-6, so it is shorter by the share 1e-6 / ‖x‖ < 1e-7 here."""
    ours, theirs = layers(scale), layers(scale)
    rule = sgd.on_gradient(lambda x: nd.clip(x, 2.0, over="layers"))
    rule([{"params": ours[:1]}, {"params": ours[1:]}], lr=0.1).step()
    total = torch.nn.utils.clip_grad_norm_(theirs, 2.0)
    assert (total > 2) == (scale > 1)
    for mine, other, start in zip(ours, theirs, layers(scale), strict=True):
        step = start - mine
        torch.testing.assert_close(step, 0.1 * other.grad, rtol=2e-6 / scale, atol=1e-15)
        exact = 0.1 * start.grad * min(1, 2 / float(total))
        torch.testing.assert_close(step, exact, rtol=1e-10, atol=1e-15)


def test_entries_are_those_of_torch():
    ours, theirs = layers(1.0), layers(1.0)
    sgd.on_gradient(lambda x: nd.clip_entries(x, 0.5))(ours, lr=0.1).step()
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    torch.optim.SGD(theirs, lr=0.1).step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-14, atol=0)


# What the checker says

CLIPS = {
    "frobenius": lambda x, c: nd.clip(x, c),
    "frobenius, layers": lambda x, c: nd.clip(x, c, over="layers"),
    "spectral": lambda x, c: nd.clip(x, c, nd.spectral),
    "max_entry": lambda x, c: nd.clip(x, c, nd.max_entry),
    "entries": nd.clip_entries,
}
#: The groups of SGD, which is invariant under each, and the clips that stay so.
KEPT = {
    "orthogonal": ("frobenius", "frobenius, layers", "spectral"),
    "signed_permutations": tuple(CLIPS),
    "sign_flips": ("frobenius", "frobenius, layers", "max_entry", "entries"),
    "permutations": ("frobenius", "frobenius, layers", "max_entry", "entries"),
    "translation": tuple(CLIPS),
    "transpose": tuple(CLIPS),
}


@pytest.mark.parametrize("group", KEPT)
@pytest.mark.parametrize("kind", CLIPS)
def test_what_clipping_keeps_of_gradient_descent(kind, group):
    clip = CLIPS[kind]
    rule = nd.optimizer(lambda lr=0.1, c=0.1: W - lr * clip(G, c))
    assert sgd.check(group).answer == "invariant"
    verdict = rule.check(group)
    assert verdict.answer == ("invariant" if kind in KEPT[group] else "not invariant")
    assert (verdict.witness is None) == (kind in KEPT[group])


@pytest.mark.parametrize("over", ["tensor", "layers"])
def test_clipping_breaks_the_affine_invariance_of_a_rule(over):
    clipped = a.affine_muon.on_gradient(lambda x: nd.clip(x, 1.0, over=over))
    given = {"transported": "L, R", "full_rank": True}
    assert a.affine_muon.check("affine", **given).answer == "invariant"
    broken = clipped.check("affine", **given)
    assert broken.answer == "not invariant"
    assert broken.culprit.formula == "‖G‖_F"
    assert clipped.check("orthogonal", unmoved=True).answer == "invariant"


def test_a_limit_in_numbers_breaks_loss_scale_invariance():
    broken = averaged.check("loss_scale")
    assert broken.answer == "not invariant"
    assert "max" in broken.culprit.formula
    assert broken.witness is not None


def test_a_limit_that_scales_with_the_loss_keeps_loss_scale_invariance():
    """Relative to the average length of past gradients, the limit has the unit of a gradient."""

    def rule(lr=0.1, share: nd.Positive = 2.0):
        usual = nd.ema(nd.frobenius.value(G), 0.9)
        return W + lr * nd.spectral.lmo(nd.ema(nd.clip(G, share * usual), 0.9))

    assert nd.optimizer(rule).check("loss_scale").answer == "invariant"


# Refusals


def test_limits_are_known_to_be_lengths():
    for clip in (nd.clip, nd.clip_entries):
        with refuses(nd.DomainError, "limit"):
            clip(G, -1)
        with refuses(nd.DomainError, "limit"):
            clip(G, nd.loss)
    with refuses(nd.ShapeError, "one number"):
        nd.clip(G, nd.abs(W))


def test_entries_may_have_a_limit_each():
    x, limit = torch.tensor([[3.0, -3.0]]).double(), torch.tensor([[1.0, -2.0]]).double()
    clipped = evaluate(nd.clip_entries(G, nd.abs(W)), x, limit)
    assert clipped.tolist() == [[1.0, -2.0]]


def test_places_other_than_tensor_and_layers_are_refused():
    with refuses(nd.DeclarationError, "are tensor, layers"):
        nd.clip(G, 1, over="global")


@pytest.mark.parametrize("over", ["tensor", "layers"])
@pytest.mark.parametrize("norm", ["frobenius", None, 2, nd.lp(2)], ids=str)
def test_what_is_no_norm_is_refused(norm, over):
    with refuses(nd.DeclarationError, "clip by the norm", "nd.frobenius"):
        nd.clip(G, 1, norm, over)


def test_only_matrices_have_norms():
    with refuses(nd.ShapeError, "norm"):
        nd.clip(nd.sum(G, over="rows"), 1)
