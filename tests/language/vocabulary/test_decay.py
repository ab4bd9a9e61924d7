"""Weight decay by kind: equal to literal loops, and the invariances that each kind keeps."""

import pytest
import torch
from properties import evaluate, random_matrix
from references.problems import CASES, run_loop, run_optimizer, worst
from references.tools import ema, polar

import normdsl as nd
from normdsl import G, W
from normdsl.vocabulary import decay

STEPS = 20
HYPER = {"lr": 0.05, "weight_decay": 0.3}
PEAK = 0.2


@nd.optimizer
def coupled(lr=0.1, weight_decay=0.1):
    return W + lr * nd.spectral.lmo(nd.ema(decay.coupled(G, weight_decay), 0.8))


@nd.optimizer
def decoupled(lr=0.1, weight_decay=0.1):
    return decay.decoupled(lr, weight_decay) + lr * nd.spectral.lmo(nd.ema(G, 0.8))


@nd.optimizer
def independent(lr=0.1, weight_decay=0.1):
    return decay.independent(weight_decay) + lr * nd.spectral.lmo(nd.ema(G, 0.8))


@nd.optimizer
def corrected(lr=0.1, weight_decay=0.1):
    return decay.corrected(lr, weight_decay, PEAK) + lr * nd.spectral.lmo(nd.ema(G, 0.8))


@nd.optimizer
def cautious(lr=0.1, weight_decay=0.1):
    u = -nd.spectral.lmo(nd.ema(G, 0.8))
    return decay.cautious(lr, weight_decay, u) - lr * u


def literally(w, g, t, state, *, loss, lr, weight_decay, kind):
    """Muon without Nesterov's form, its decay written out."""
    if kind == "coupled":
        g = g + weight_decay * w
    u = polar(ema(state, "m", g, 0.8))
    shrink = {
        "coupled": 0.0,
        "decoupled": lr * weight_decay,
        "independent": weight_decay,
        "corrected": lr * weight_decay * lr / PEAK,
        "cautious": lr * weight_decay * (u * w >= 0).double(),
    }[kind]
    return w - shrink * w - lr * u


RULES = {r.name: r for r in (coupled, decoupled, independent, corrected, cautious)}


def test_every_kind_is_here():
    public = {
        name for name, x in vars(decay).items() if getattr(x, "__module__", "") == decay.__name__
    }
    assert public == set(RULES)


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
@pytest.mark.parametrize("kind", RULES)
def test_it_runs_as_the_literal_loop(kind, case):
    ours = run_optimizer(lambda p: RULES[kind](p, **HYPER), case, STEPS)
    theirs = run_loop(literally, case, STEPS, kind=kind, **HYPER)
    assert worst(ours, theirs) <= 1e-10
    without = run_loop(literally, case, STEPS, kind=kind, lr=0.05, weight_decay=0.0)
    assert worst(ours, without) > 1e-3


def test_decay_comes_before_the_step_or_after_it():
    lr, u, w = 0.5, random_matrix(3, 5, 1), random_matrix(3, 5, 2)
    after = decay.decoupled(lr, 0.1, W - lr * G)
    torch.testing.assert_close(evaluate(after, u, w), 0.95 * (w - lr * u), rtol=1e-14, atol=0)


def test_at_its_peak_corrected_decay_is_decoupled():
    assert decay.corrected(PEAK, 0.3, PEAK) == decay.decoupled(PEAK, 0.3)


def test_cautious_decay_spares_the_entries_that_grow():
    w = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0, 0.0]]).double()
    u = torch.tensor([[2.0, -2.0, 0.0, -3.0, 3.0, 1.0]]).double()
    left = evaluate(decay.cautious(1, 0.25, G), u, w)
    assert left.tolist() == [[0.75, 1.0, 0.75, -0.75, -1.0, 0.0]]


# What the checker says

#: Groups that keep Muon, and MuAdam-SANIA without eps, and what decay they keep.
KEPT = {
    "orthogonal": ("decoupled", "independent", "corrected", "coupled"),
    "loss_scale": ("decoupled", "independent", "corrected", "cautious"),
    "signed_permutations": tuple(RULES),
    "transpose": tuple(RULES),
    "translation": (),
}


@pytest.mark.parametrize("group", KEPT)
@pytest.mark.parametrize("kind", RULES)
def test_what_a_kind_keeps_of_muon(kind, group):
    verdict = RULES[kind].check(group)
    assert verdict.answer == (
        "invariant" if kind in KEPT[group] else "invariant if weight_decay = 0"
    )
    if kind not in KEPT[group]:
        broken = RULES[kind].check(group, weight_decay=0.3)
        assert broken.answer == "not invariant"
        assert broken.culprit.where.file == __file__
        assert broken.witness is not None


def scaled(kind):
    """MuAdam-SANIA without eps, which is scale invariant, with a decay."""

    def rule(lr=0.1, weight_decay=0.1):
        norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9)))
        if kind == "coupled":
            return W + lr * norm.lmo(decay.coupled(G, weight_decay))
        u = -norm.lmo(G)
        left = {
            "decoupled": lambda: decay.decoupled(lr, weight_decay),
            "independent": lambda: decay.independent(weight_decay),
            "corrected": lambda: decay.corrected(lr, weight_decay, PEAK),
            "cautious": lambda: decay.cautious(lr, weight_decay, u),
        }[kind]()
        return left - lr * u

    return nd.optimizer(rule)


@pytest.mark.parametrize("kind", RULES)
def test_what_a_kind_keeps_of_scale_invariance(kind):
    """The gradient has the unit of 1/W: only coupled decay adds the two."""
    verdict = scaled(kind).check(nd.groups.scale)
    if kind != "coupled":
        assert verdict.answer == "invariant"
        return
    assert verdict.answer == "invariant if weight_decay = 0"
    broken = scaled(kind).check(nd.groups.scale, weight_decay=0.3)
    assert broken.answer == "not invariant"
    assert "W" in broken.culprit.formula
    assert "G" in broken.culprit.formula


@pytest.mark.parametrize("kind", ["decoupled", "independent", "corrected", "cautious"])
def test_what_a_kind_keeps_of_affine_invariance(kind):
    def rule(lr=0.1, weight_decay=0.1):
        L, R = nd.coupled_grams(G, 0.9, 0.1)
        roots = (nd.matrix_power(x, 1 / 2) for x in (L, R))
        u = -nd.preconditioned(nd.spectral, left=next(roots), right=next(roots)).lmo(G)
        left = {
            "decoupled": lambda: decay.decoupled(lr, weight_decay),
            "independent": lambda: decay.independent(weight_decay),
            "corrected": lambda: decay.corrected(lr, weight_decay, PEAK),
            "cautious": lambda: decay.cautious(lr, weight_decay, u),
        }[kind]()
        return left - lr * u

    answer = nd.optimizer(rule).check("affine", transported="L, R", full_rank=True).answer
    assert answer == ("invariant if weight_decay = 0" if kind == "cautious" else "invariant")
