"""Verdict modes: exact, in law, in the limit; and what `check` can be told to assume."""

import functools

import proofs
import pytest
import torch
from properties import refuses

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.prove import Mode
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.verdicts.check import WORDS
from normdsl.compiler.verdicts.elements import draw
from normdsl.expressions.nodes import Source

DRAWS = 4000


@nd.optimizer
def langevin(lr=0.1, heat=0.3):
    return W - lr * nd.polar(G) + heat * nd.normal_like(G)


@nd.optimizer
def coin_flips(lr=0.1, heat=0.3):
    return W - lr * nd.polar(G) + heat * nd.signs_like(G)


@nd.optimizer
def kl_coupled(lr=0.1, beta: nd.Fraction = 0.9):
    L, R = nd.fix(
        lambda L, R: (
            beta * L + (1 - beta) / nd.cols * (G @ nd.inverse(R) @ G.T),
            beta * R + (1 - beta) / nd.rows * (G.T @ nd.inverse(L) @ G),
        ),
        (nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)),
    )
    roots = {"left": nd.matrix_power(L, 1 / 2), "right": nd.matrix_power(R, 1 / 2)}
    return W + lr * nd.preconditioned(nd.spectral, **roots).lmo(nd.ema(G, beta))


def test_a_gaussian_draw_is_rotated_in_law_only():
    verdict = langevin.check(g.orthogonal)
    assert (verdict.answer, verdict.mode) == ("invariant in law", Mode.LAW)
    assert verdict.invariant
    assert langevin.check(g.translation).mode is Mode.EXACT
    assert langevin.check(g.transpose).mode is Mode.LAW


def test_signs_are_permuted_in_law_but_not_rotated():
    assert coin_flips.check(g.signed_permutations).answer == "invariant in law"
    assert coin_flips.check(g.orthogonal).answer == "invariant if heat = 0"
    verdict = coin_flips.check(g.orthogonal, heat=1)
    assert verdict.status is Status.REFUTED
    assert "the distributions part at step 1" in str(verdict.witness)


def test_a_draw_cannot_be_the_same_and_moved_at_once():
    @nd.optimizer
    def twice(lr=0.1):
        noise = nd.normal_like(G)
        return W - lr * G * nd.sum(noise * noise) - lr * nd.sign(nd.sum(nd.sign(noise))) * noise

    assert twice.check(g.orthogonal).status is Status.REFUTED
    assert twice.check(g.permutations).answer == "invariant in law"


@functools.cache
def samples(rule, element, group):
    """Return many first steps of a rule on a problem, or on its twin, mapped back."""
    rng = torch.Generator().manual_seed(0)
    w, grad = (torch.randn(3, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    if element is not None:
        w, grad = element.undo(group.weights, w), element.undo(group.law(Source.GRADIENT), grad)
    run = nd.functional(rule, nd.exact)
    ws, grads = ([x.clone() for _ in range(DRAWS)] for x in (w, grad))
    new, _ = run.update(grads, run.init(ws, seed=1 if element is None else 2), ws)
    steps = torch.stack(new)
    if element is None:
        return steps
    return torch.stack([element.act(group.weights, step) for step in steps])


@pytest.mark.parametrize(
    ("rule", "group", "alike"),
    [
        (langevin, g.orthogonal, True),
        (coin_flips, g.orthogonal, False),
        (langevin, g.row_column_scale, False),
    ],
    ids=lambda x: getattr(x, "name", str(x)),
)
def test_what_holds_in_law_holds_of_moments(rule, group, alike):
    original = samples(rule, None, None).flatten(1)
    mapped = samples(rule, draw(group, (3, 4), 3), group).flatten(1)
    worst = 0.0
    for power in (1, 2, 4):
        a, b = ((x - original.mean(0)) ** power for x in (original, mapped))
        error = ((a.var(0) + b.var(0)) / DRAWS).sqrt()
        worst = max(worst, float(((a.mean(0) - b.mean(0)).abs() / error).max()))
    assert (worst < 5) == alike


def test_told_that_states_start_transported_it_is_invariant():
    asked = kl_coupled.check(g.affine)
    assert asked.answer == (
        "invariant if L and R start transformed along with the weights and L and R have full rank"
    )
    told = kl_coupled.check(g.affine, transported="L, R", full_rank=True)
    assert told.status is Status.INVARIANT
    assert told.mode is Mode.EXACT
    assert "assumed: L and R start transformed" in str(told)
    partly = kl_coupled.check(g.affine, transported=["L"], full_rank=True)
    assert partly.answer == "invariant if R starts transformed along with the weights"
    proofs.assert_proof_holds(asked)


def test_a_loss_floor_is_scaled_with_the_loss():
    @nd.optimizer
    def polyak(floor: nd.LossValue = 0.0):
        return W - (nd.loss - floor) / nd.inner(G, G) * G

    assert polyak.check(g.loss_scale).answer == "invariant if floor is scaled along with the loss"
    assert polyak.check(g.loss_scale, scaled="floor").answer == "invariant"
    assert polyak.check(g.loss_scale, floor=0).answer == "invariant"
    assert polyak.check(g.uniform_scale).answer == "invariant"


def test_assumptions_name_parts_of_the_rule():
    with pytest.raises(nd.NormdslError, match="no part of that name"):
        kl_coupled.check(g.affine, transported="S")
    with pytest.raises(nd.HyperparameterError):
        kl_coupled.check(g.affine, transport="L")
    about_values = {"full_rank", "distinct", "separated", "untied"}
    assert set(WORDS) == {"transported", "unmoved", "scaled", *about_values}


def test_without_witnesses_nothing_is_refuted():
    report = nd.algorithms.sgd.check(witnesses=False)
    assert {v.status for v in report} == {Status.INVARIANT, Status.CONDITIONAL, Status.UNKNOWN}
    assert all(v.witness is None for v in report)


def test_cholesky_and_symmetric_roots_differ_where_signs_are_taken():
    """Whitened by a Cholesky factor, rows may be rescaled; by a symmetric root they may not."""

    def whitened(root):
        def rule(lr=0.1):
            C = root(nd.accumulate(G @ G.T))
            return W + lr * nd.preconditioned(nd.max_entry, left=C.T).lmo(G)

        return nd.optimizer(rule)

    left = g.Group("left_scale", "W = D W̃", rows=g.row_column_scale.rows)
    by_cholesky = whitened(nd.cholesky).check(left)
    by_power = whitened(lambda s: nd.matrix_power(s, 0.5)).check(left)
    assert by_cholesky.status is Status.CONDITIONAL
    assert by_power.status is Status.REFUTED
    proofs.assert_proof_holds(by_cholesky, (3, 5))


def test_what_tends_to_zero_is_not_zero_in_the_limit():
    """k → 0 shrinks the state, but what is divided by it still moves: no limit may be claimed."""

    def unit(x):
        return x * nd.reciprocal(nd.sqrt(nd.sum(x * x)))

    @nd.optimizer
    def by_a_vanishing_average(lr=0.1, k: nd.Positive = 0.1, beta: nd.Fraction = 0.9):
        return W - lr * unit(G / nd.ema(k, beta))

    @nd.optimizer
    def by_a_vanishing_multiple(lr=0.1, k: nd.Positive = 0.1, beta: nd.Fraction = 0.9):
        return W - lr * unit(G + k * W) / nd.ema(k * nd.inner(G, G), beta)

    assert by_a_vanishing_average.check(g.uniform_scale).status is Status.REFUTED
    assert by_a_vanishing_multiple.check(g.loss_scale).status is Status.REFUTED


def jumping_sign(lr=0.1, eps: nd.Positive = 1e-3):
    return W - lr * nd.sign(G) - lr * nd.sign(eps * W)


def jumping_lmo(lr=0.1, eps: nd.Positive = 1e-3):
    return W - lr * nd.sign(G) - lr * nd.frobenius.lmo(eps * W)


def two_step_sizes(lr=0.1, eps: nd.Positive = 0.5):
    return W - lr * (eps * W) @ nd.inverse(eps * (G.T @ G)) @ (G.T @ G) - lr * G


@pytest.mark.parametrize("rule", [jumping_sign, jumping_lmo, two_step_sizes])
def test_no_limit_is_claimed_across_a_jump(rule):
    assert nd.optimizer(rule).check(g.translation).status is Status.REFUTED


def test_a_hyper_parameter_may_have_any_name():
    @nd.optimizer
    def named(lr=0.1, old: nd.Real = 1.0):
        return W - lr * nd.abs(nd.prev(G)) * nd.abs(G) ** (-old) * nd.sign(G)

    assert named.check(g.loss_transform).status is Status.REFUTED


def test_a_state_starts_in_one_way_only():
    @nd.optimizer
    def both(lr=0.1, lam=0.5):
        s = nd.fix(lambda s: s + lam * W @ W.T, nd.eye_like(W @ W.T))
        return W - lr * nd.sum(s) * (s @ G)

    assert both.check(g.left_affine).status is Status.REFUTED


@pytest.mark.parametrize(
    ("start", "use", "group", "answer"),
    [
        (W, lambda a: G + a / 10, g.translation, "not invariant"),
        (W, lambda a: G + a - W, g.translation, "invariant"),
        (W * W, lambda a: a * G, g.scale, "invariant"),
        (W * W, lambda a: G / nd.abs(G * a), g.scale, "not invariant"),
        (W @ W.T, lambda a: a @ G, g.left_affine, "invariant"),
        (W @ W.T, lambda a: nd.inverse(a) @ W @ W.T @ G, g.left_affine, "not invariant"),
        (nd.sum(W * W), lambda a: nd.polar(G) * a, g.uniform_scale, "not invariant"),
        (nd.sum(W * W), lambda a: nd.polar(G) * nd.sqrt(a), g.uniform_scale, "invariant"),
        (W, lambda a: G / nd.abs(a), g.loss_scale, "not invariant"),
        (W, lambda a: nd.sign(G) * nd.abs(a), g.loss_scale, "invariant"),
        (nd.polar(W), lambda a: a + nd.polar(G), g.left_orthogonal, "invariant"),
    ],
)
def test_weights_decide_how_a_state_starts_that_is_made_of_them(start, use, group, answer):
    """Nothing about such a start is assumed, whatever else is."""

    @nd.optimizer
    def rule(lr=0.1):
        a = nd.fix(lambda s: s, start)
        return W - lr * use(a)

    assert rule.check(group).answer == answer
    assert rule.check(group, transported="a", unmoved=True).answer == answer


def test_of_a_start_made_of_weights_nobody_says_that_it_does_not_move():
    @nd.optimizer
    def signs_of_all_time(lr=0.1, beta: nd.Fraction = 0.9):
        s = nd.fix(lambda s: beta * s + (1 - beta) * nd.sign(G), W)
        return W - lr * nd.tanh(s) / nd.abs(G)

    assert signs_of_all_time.check(g.scale).answer == "invariant if beta = 0"
    assert signs_of_all_time.check(g.scale, transported="s").answer == "invariant if beta = 0"
    with refuses(nd.NormdslError, "s starts unmoved", "s starts as W"):
        signs_of_all_time.check(g.scale, unmoved="s")


def test_the_proof_shows_the_law_by_which_a_state_is_assumed_to_start():
    @nd.optimizer
    def adaptive(lr=0.1):
        s = nd.fix(lambda s: s + G * G, nd.zeros_like(G) + 1)
        return W - lr * G / nd.sqrt(s)

    assert adaptive.check(g.loss_scale).answer == "invariant if s starts multiplied by c^(2)"
    told = adaptive.check(g.loss_scale, transported="s")
    assert "assumed: s starts multiplied by c^(2)" in str(told)
    (line,) = [x for x in told.proof if x.formula == "s"]
    assert line.moves == "unit c^(2)"
    assert "assumed to move so" in line.rule


def test_a_value_of_the_loss_is_read_in_one_way_only():
    @nd.optimizer
    def floors(lr=0.1, f: nd.LossValue = 0.5):
        return W - lr * nd.exp(f) * (nd.loss - f) * G / nd.sum(G * G)

    assert floors.check(g.loss_scale).answer == "invariant if f = 0"


def test_conditions_must_leave_a_rule_that_can_run():
    @nd.optimizer
    def by_difference(lr=0.1, b1: nd.Fraction = 0.9, b2: nd.Fraction = 0.99):
        return W - lr * (nd.ema(G, b1) - nd.ema(G, b2)) * (1 / (b1 - b2))

    @nd.optimizer
    def no_other_root(lr=0.1, eps=0.5):
        return W - lr * (G + eps * W) * (1 + eps**-1)

    assert by_difference.check(g.loss_scale).status is Status.REFUTED
    assert no_other_root.check(g.translation).status is Status.REFUTED


def test_settings_that_cannot_be_computed_are_no_witness_and_no_error():
    @nd.optimizer
    def huge(lr=0.1, p=400.0):
        return W - lr * G * (1000.0**p)

    @nd.optimizer
    def nothing(b1: nd.Real, b2: nd.Real):
        return W - G * (1 / (b1 - b2))

    assert huge.check(g.scale).status is Status.REFUTED
    assert nothing.check(g.scale).status is Status.REFUTED


def losing_rank(lr=0.1, eps: nd.Positive = 1e-3):
    H = nd.matrix_power(G @ G.T + eps * nd.eye_like(G @ G.T), -0.5)
    return W - lr * H @ W * nd.sqrt(nd.sum(G * G))


def starting_at_zero(lr=0.1, b: nd.Fraction = 0.9, eps: nd.Positive = 1e-6):
    v = nd.prev(nd.ema(G * G, b))
    return W - lr * G / (nd.sqrt(v) + eps)


def jumping_noise(lr=0.1, eps: nd.Positive = 1e-3):
    return W - lr * nd.sign(G) - lr * nd.sign(eps * W) + lr * nd.normal_like(G)


def fading_noise(lr=0.1, eps: nd.Positive = 1e-3):
    return W - lr * G / (nd.abs(G) + eps) + lr * nd.normal_like(G)


def test_limits_of_random_rules_are_looked_at_in_distribution():
    assert nd.optimizer(jumping_noise).check(g.translation).status is Status.REFUTED
    assert nd.optimizer(fading_noise).check(g.loss_scale).status is Status.CONDITIONAL


@pytest.mark.parametrize("rule", [losing_rank, starting_at_zero])
def test_runs_near_zero_tell_a_jump_from_a_limit(rule):
    verdict = nd.optimizer(rule).check(g.loss_scale)
    assert verdict.status is Status.REFUTED
    assert verdict.witness.experiment.hyper["eps"] == 1e-8
    assert "jumps there" in verdict.because


def test_several_equations_are_met_together_or_not_at_all():
    @nd.optimizer
    def impossible(p: nd.Fraction = 0.5, q: nd.Fraction = 0.5):
        a = nd.abs(G)
        first = nd.sign(G) * a**p * nd.sum(a) ** q * nd.max(a) ** (-3)
        return W - first - nd.sign(G) * a**q * nd.sum(a) ** (-p - 1)

    assert impossible.check(g.loss_scale).status is Status.REFUTED
    assert len(nd.solve(impossible, "loss_scale", "p, q")) == 0


def test_coupled_values_of_different_steps():
    @nd.optimizer
    def relay(lr=0.1):
        n = nd.sum(nd.abs(G))
        step = lambda s, u: (G, 0.9 * u + s * nd.reciprocal(nd.prev(n)))  # noqa: E731
        return W - lr * nd.fix(step, (nd.zeros_like(G), nd.zeros_like(G)))[1]

    verdict = relay.check(g.loss_transform)
    assert verdict.status is Status.INVARIANT
    proofs.assert_proof_holds(verdict)


def test_nested_recursions_are_typed_once():
    x = G
    for _ in range(5):
        x = nd.fix(lambda s, x=x: 0.5 * s + nd.prev(x) + G, nd.zeros_like(W))
    nested = nd.optimizer(lambda lr=0.1: W - lr * nd.frobenius.lmo(x))
    assert nested.check(g.loss_scale, witnesses=False).status is Status.INVARIANT


def whitened_by_a_sum(lr=0.1, eps: nd.Positive = 1e-6):
    L = nd.accumulate(G @ G.T)
    return W - lr * nd.matrix_power(L + eps * nd.eye_like(L), -0.5) @ G


def whitened_now(lr=0.1, eps: nd.Positive = 1e-6):
    L = G @ G.T
    return W - lr * nd.matrix_power(L + eps * nd.eye_like(L), -0.5) @ G


def by_a_triangle(lr=0.1, eps: nd.Positive = 1e-6):
    L = nd.accumulate(G @ G.T)
    return W - lr * nd.inverse(nd.cholesky(L + eps * nd.eye_like(L))) @ G


@pytest.mark.parametrize("rule", [whitened_by_a_sum, whitened_now, by_a_triangle])
def test_a_root_converges_on_what_it_was_made_of(rule):
    """G is in the range of a sum of Gram matrices that contains its own, of full rank or not."""
    answer = nd.optimizer(rule).check(g.loss_scale).answer
    assert answer == "invariant in the limit eps → 0, where continuous"


def whitened_by_the_past(lr=0.1, eps: nd.Positive = 1e-6):
    L = nd.accumulate(nd.prev(G) @ nd.prev(G).T)
    return W - lr * nd.matrix_power(L + eps * nd.eye_like(L), -0.5) @ G


def average_whitened_now(lr=0.1, eps: nd.Positive = 1e-6):
    L = G @ G.T
    return W - lr * nd.matrix_power(L + eps * nd.eye_like(L), -0.5) @ nd.ema(G, 0.9)


@pytest.mark.parametrize("rule", [whitened_by_the_past, average_whitened_now])
def test_it_jumps_on_what_lies_outside_its_range(rule):
    verdict = nd.optimizer(rule).check(g.loss_scale)
    assert verdict.status is Status.REFUTED
    assert "jumps there" in verdict.because


def test_at_zero_it_is_the_statistic_that_needs_full_rank():
    @nd.optimizer
    def rule(lr=0.1, eps=1e-6):
        L = nd.accumulate(G @ G.T)
        return W - lr * nd.matrix_power(L + eps * nd.eye_like(L), -1) @ G

    answer = rule.check(g.left_affine).answer
    assert answer == "invariant if eps = 0 and L has full rank (only for m ≤ n)"
    assert rule.check(g.left_affine, full_rank="L", eps=0).answer == "invariant"
