"""The literal loops against each other, where theory says what must come out."""

import math
from functools import partial

import attrs
import numpy as np
import pytest
import torch
from references import REFERENCES, tools
from references.problems import CASES, INSTEAD, REPLAYED, cases_of, run_loop, worst
from references.settings import SETTINGS
from taking_turns import CORE

BY_NAME = {case.name: case for case in CASES}
NAMES = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
R = REFERENCES


def same(one, other, case, tolerance=1e-11):
    (rule, hyper), (peer, others) = one, other
    path = run_loop(R[rule], case, **hyper)
    assert worst(path, run_loop(R[peer], case, **others)) <= tolerance
    moved = float((path[-1] - case.start).norm() / case.start.norm())
    assert math.isfinite(moved)
    assert moved > 1e-3


@NAMES
def test_the_sum_form_of_momentum_is_the_average_with_a_longer_step(case):
    summed = run_loop(R["sgd_momentum"], case, lr=0.01, momentum=0.8)

    def averaged(w, g, t, state, *, loss):
        return w - 0.05 * tools.ema(state, "m", g, 0.8)

    assert worst(summed, run_loop(averaged, case)) < 1e-12


def test_on_one_row_muon_is_nesterov_normalized_sgd_and_scion_normalized_sgd():
    row = BY_NAME["row"]
    scion = {"lr": 0.01 * math.sqrt(5), "radius": 1, "momentum": 0.9}
    same(("scion_unconstrained", scion), ("normalized_sgd", {"lr": 0.01, "beta": 0.9}), row)
    same(("muon", {"momentum": 0.0}), ("normalized_sgd", {"lr": 0.02, "beta": 0.0}), row)


@NAMES
def test_frank_wolfe_is_unconstrained_scion_with_decay_one(case):
    constrained = run_loop(R["scion"], case, steps=1, lr=0.01)[0]
    free = run_loop(R["scion_unconstrained"], case, steps=1, lr=0.01)[0]
    torch.testing.assert_close(constrained, free - 0.01 * case.start)


@NAMES
def test_without_memory_adaptive_rules_are_sign_descent(case):
    sign = ("sign_sgd", {"lr": 0.01})
    no_memory = {"lr": 0.01, "beta1": 0.0, "beta2": 0.0, "eps": 0.0}
    for name in ("adam", "adamax"):
        same((name, no_memory), sign, case)
    same(("rmsprop", {"lr": 0.01, "alpha": 0.0, "eps": 0.0}), sign, case)
    same(("lion", {"lr": 0.01, "beta1": 0.0}), sign, case)
    same(("signum", {"lr": 0.01, "beta": 0.0}), sign, case)


@NAMES
def test_adam_and_its_variants_meet(case):
    rates = {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 1e-6}
    same(("adamw", {**rates, "weight_decay": 0}), ("adam", rates), case)
    growing = {**rates, "beta2": 1 - 1e-9}  # v never shrinks
    same(("amsgrad", growing), ("adam", growing), case)


@NAMES
def test_shampoo_of_one_gradient_is_its_polar_factor_from_either_side(case):
    polar = -tools.polar(case.grad(case.start, 1))
    for name, hyper in (("shampoo", {}), ("one_sided_shampoo", {"beta": 0.0})):
        step = run_loop(R[name], case, steps=1, lr=1.0, eps=1e-14, **hyper)[0] - case.start
        assert float((step - polar).norm()) < 1e-6


@NAMES
def test_soap_takes_no_step_at_first_and_splus_the_sign(case):
    assert torch.equal(run_loop(R["soap"], case, steps=1)[0], case.start)
    (both,) = run_loop(R["splus"], case, steps=1, lr=1.0, weight_decay=0.0)
    step = both[0] - case.start
    scaled = step * sum(case.start.shape) / 2
    assert torch.equal(scaled.sign(), -case.grad(case.start, 1).sign())


def test_in_the_bases_of_its_own_gradient_soap_steps_by_the_polar_factor():
    case = BY_NAME["square"]
    g = case.grad(case.start, 1)
    again = attrs.evolve(case, grad=lambda w, t: g)
    step = run_loop(R["soap"], again, steps=2, lr=1.0, weight_decay=0.0)[1] - case.start
    assert float((step + tools.polar(g)).norm()) < 1e-4


def test_kl_factors_of_a_column_are_consistent_with_a_scalar():
    column = BY_NAME["column"]
    state = {}
    R["kl_shampoo"](column.start, column.grad(column.start, 1), 1, state, beta2=0.5, start=2.0)
    g = column.grad(column.start, 1)
    expected = 0.5 * 2.0 + 0.5 * float(g.T @ g) / 2.0 / 5
    assert float(state["S_b"]) == pytest.approx(expected, rel=1e-12)


@NAMES
def test_preconditioned_muons_are_muon_where_the_preconditioner_is_constant(case):
    free = {"lr": 1.0, "momentum": 0.8, "radius": 1.0}
    scale = math.sqrt(case.start.shape[0] / case.start.shape[1])
    plain = {**free, "lr": 0.02 / scale}
    still = {"lr": 0.01, "beta1": 0.8, "beta2": 1 - 1e-15, "start": 0.5}
    same(("affine_muon", still), ("scion_unconstrained", plain), case, 1e-9)


@pytest.mark.parametrize("case", REPLAYED, ids=lambda c: c.name)
def test_the_polyak_step_solves_the_linear_model(case):
    """With one step and no memory: loss + ⟨G, ΔW⟩ = floor."""
    rule = R["polyak_muadam_sania"]
    step = run_loop(rule, case, steps=1, beta1=0.0, floor=-2.0)[0] - case.start
    decrease = float((case.grad(case.start, 1) * step).sum())
    assert case.loss(case.start, 1) + decrease == pytest.approx(-2.0)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_gradient_is_that_of_the_loss(case):
    w, direction = case.start, torch.ones_like(case.start)
    ahead, behind = (case.loss(w + x * direction, 3) for x in (1e-6, -1e-6))
    slope = float((case.grad(w, 3) * direction).sum())
    assert (ahead - behind) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_gradients_of_the_deficient_case_have_rank_two_wherever_the_weights_are():
    case = BY_NAME["rank-deficient"]
    anywhere = torch.ones_like(case.start) + case.start**2
    s = torch.linalg.svdvals(torch.cat([case.grad(case.start, 1), case.grad(anywhere, 2)]))
    assert s[2] < 1e-15 * s[0]
    assert s[1] > 1e-3 * s[0]


def rounded(case, seed=0):
    """The case with gradients disturbed in the last bit."""
    generator = torch.Generator().manual_seed(seed)

    def grad(w, t):
        g = case.grad(w, t)
        return g * (1 + 2e-16 * torch.randn(g.shape, generator=generator, dtype=g.dtype))

    return attrs.evolve(case, grad=grad)


def drift(name, case, steps):
    """How far the last bits of the gradients drive a loop; infinite where it breaks down."""
    loop = partial(R[name], **SETTINGS[name])
    try:
        return worst(run_loop(loop, rounded(case), steps), run_loop(loop, case, steps))
    except np.linalg.LinAlgError:
        return math.inf


@pytest.mark.parametrize("name", R)
def test_no_comparison_is_decided_by_rounding(name):
    """In all cases; of rules that take turns, in every third, over the first half."""
    for case in cases_of(name)[:: 1 if name in CORE else 3]:
        assert drift(name, case, 100 if name in CORE else 50) < 1e-11, case.name


@pytest.mark.parametrize("name", INSTEAD)
def test_what_is_left_out_is_decided_by_rounding(name):
    """Or amplified a thousandfold and more within some steps."""
    least = dict.fromkeys(("polyak_muadam_sania", "bounded_polyak_muadam_sania"), 1e-13)
    least |= dict.fromkeys(("polyak_sgd", "alr_hb", "psgd_kron"), 1e-11)
    for case in set(CASES) - set(cases_of(name)):
        assert drift(name, case, 60) > least.get(name, 1e-3), case.name


#: On a quadratic a difference of gradients is a product with its Hessian, and one of values a
#: slope, however far it reaches; `test_asking` compares on a loss that is none.
WITHOUT_EFFECT = {
    (name, "far")
    for name in ("gradient_regularization", "jaguar_sign", "jaguar_muon", "jaguar_frank_wolfe")
}
#: When workers meet is nothing to a worker that is alone; `algorithms/test_workers.py` has several.
WITHOUT_EFFECT |= {
    (name, key)
    for name in ("local_sgd", "des_loc", "mt_dao")
    for key in SETTINGS[name]
    if "period" in key
}


@pytest.mark.parametrize("name", R)
def test_every_hyper_parameter_of_the_comparisons_moves_the_path(name):
    """A square matrix, or, where all rows of a polar factor are alike, a tall one."""
    square, tall = cases_of(name)[2], cases_of(name)[0]
    for key, value in SETTINGS[name].items():
        if (name, key) in WITHOUT_EFFECT:
            continue
        assert moved(name, square, key, value) or moved(name, tall, key, value), key


def moved(name, case, key, value):
    steps = 100 if name in CORE else 40
    more = value + 1 if key in ("rank", "k", "keep", "period") else 1.01 * value
    more = 1.3 * value if "share" in key else more  # of so few entries, of some
    path = run_loop(R[name], case, steps, **SETTINGS[name])
    return worst(run_loop(R[name], case, steps, **{**SETTINGS[name], key: more}), path) > 1e-6
