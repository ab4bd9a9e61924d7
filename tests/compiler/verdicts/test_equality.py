"""Equality of rules: what is proved, what is refuted by runs, and what is neither."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import exact_newton, scaled_gd, sgd, sign_sgd
from normdsl.compiler.verdicts.equality import Same


def phi(f, slope: nd.Positive = 1.0, bend: nd.Real = 0.5):
    """Any φ, as far as one step sees it: φ' = slope and φ'' = bend at the loss of the step."""
    return slope * f + bend * (f - nd.loss) ** 2 / 2


def rescaled(kappa):
    """Newton's method with a rate multiplied by a function of κ's argument."""

    @nd.optimizer
    def rule(lr: nd.NonNegative = 1.0, slope: nd.Positive = 1.0, bend: nd.Real = 0.5):
        D = nd.unvec(nd.inverse(nd.hessian()) @ nd.vec(G))
        return W - lr * kappa(slope, bend, nd.inner(G, D)) * D

    return rule


def test_newtons_step_of_a_transformed_loss_is_a_shorter_one():
    """(φ' H + φ'' g gᵀ)⁻¹ φ' g = κ H⁻¹ g, κ = 1/(1 + φ''/φ' gᵀ H⁻¹ g): arXiv:2509.25782."""
    found = exact_newton.on_loss(phi).equals(rescaled(lambda s, b, x: 1 / (1 + b / s * x)))
    assert found.status is Same.CONDITIONAL
    assert found.answer == "equal if H and ∇²f(W) have full rank"
    assert "Sherman and Morrison's formula" in str(found)
    assert exact_newton.on_loss(phi).equals(rescaled(lambda s, b, x: s / (s + b * x))).proof


@pytest.mark.parametrize(
    "kappa",
    [lambda s, b, x: 1 / (1 - b / s * x), lambda s, b, x: 1 / (1 + b * s * x), lambda *_: 1],
)
def test_another_rate_is_refuted_by_runs(kappa):
    found = exact_newton.on_loss(phi).equals(rescaled(kappa))
    assert found.status is Same.DIFFERENT
    assert found.witness.replay()[found.witness.step - 1] > 1e-6
    assert exact_newton.on_loss(phi).equals(rescaled(kappa), witnesses=False).status is Same.UNKNOWN


def test_damping_destroys_the_identity():
    @nd.optimizer
    def damped(lr=1.0, damping: nd.Positive = 0.1):
        H = nd.hessian()
        D = nd.unvec(nd.inverse(H + damping * nd.eye_like(H)) @ nd.vec(G))
        return W - lr * D

    @nd.optimizer
    def shorter(lr=1.0, damping: nd.Positive = 0.1):
        H = nd.hessian()
        D = nd.unvec(nd.inverse(H + damping * nd.eye_like(H)) @ nd.vec(G))
        return W - lr / (1 + nd.inner(G, D)) * D

    assert damped.on_loss(lambda f: nd.exp(f)).equals(shorter).answer == "not equal"
    assert exact_newton.on_loss(lambda f: nd.exp(f)).equals(shorter.bind(damping=1e-3)).witness


def test_what_is_not_proved_and_does_not_part_is_unknown():
    muon = nd.algorithms.muon
    assert muon.equals(muon.on_loss(lambda f: 2 * f)).answer == "unknown"


def test_a_matrix_that_cannot_have_full_rank_proves_nothing():
    g, w = nd.vec(G), nd.vec(W)

    def rule(step):
        return nd.Declaration("rule", (), W - nd.unvec(step))

    along = nd.inverse(w @ w.T) @ g
    one = rule(nd.inverse(w @ w.T + g @ g.T) @ g)
    found = one.equals(rule(along / (1 + nd.inner(g, along))))
    assert found.status is not Same.CONDITIONAL


def test_hyper_parameters_of_one_name_are_one_number_whatever_their_domains():
    descent = nd.optimizer(lambda lr=0.1: W - lr * G)
    assert descent.equals(sgd.bind(weight_decay=0)).answer == "equal"
    assert sgd.bind(weight_decay=0).equals(descent).answer == "equal"
    other = nd.optimizer(lambda rate=0.1: W - rate * G)
    assert descent.equals(other).answer == "not equal"


@pytest.mark.parametrize("rule", [sign_sgd, exact_newton])
def test_a_rule_equals_itself_on_a_multiple_of_the_loss(rule):
    assert rule.equals(rule.on_loss(lambda f: 3 * f)).answer == "equal"


def test_rules_over_several_parameters():
    found = scaled_gd.equals(scaled_gd.on_loss(lambda f: 2 * f))
    assert (found.answer, scaled_gd.equals(scaled_gd).answer) == ("not equal", "equal")


@pytest.mark.parametrize("other", [3, scaled_gd])
def test_it_refuses_what_cannot_be_compared(other):
    with pytest.raises(nd.NormdslError, match="compare sgd with another rule"):
        sgd.equals(other)
