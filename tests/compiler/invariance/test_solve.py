"""Solving for exponents and constants: what is found, what is not, and that it is right."""

import pytest
import sympy

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import PARTED, Experiment
from normdsl.compiler.verdicts.simulate import twins

HALF = sympy.Rational(1, 2)


@nd.optimizer
def weighted(lr=0.1, p: nd.Real = 0.25):
    return W + lr * nd.preconditioned(nd.spectral, hadamard=nd.ema(G * G, 0.9) ** p).lmo(G)


@nd.optimizer
def two_powers(lr=0.1, p: nd.Real = 0.25, q: nd.Real = 0.5):
    v = nd.ema(G * G, 0.9)
    return W - lr * v**p * nd.polar(G * v**q)


@nd.optimizer
def two_sided(lr=0.1, p: nd.Real = -0.25, q: nd.Real = -0.25):
    L, R = nd.accumulate(G @ G.T), nd.accumulate(G.T @ G)
    return W - lr * nd.matrix_power(L, p) @ G @ nd.matrix_power(R, q)


def coupled_statistics():
    return nd.fix(
        lambda L, R: (
            0.9 * L + 0.1 * (G @ nd.inverse(R) @ G.T),
            0.9 * R + 0.1 * (G.T @ nd.inverse(L) @ G),
        ),
        (nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)),
    )


@nd.optimizer
def coupled_product(lr=0.1, p: nd.Real = -0.25, q: nd.Real = -0.25):
    L, R = coupled_statistics()
    return W - lr * nd.matrix_power(L, p) @ G @ nd.matrix_power(R, q)


@nd.optimizer
def coupled_norm(lr=0.1, p: nd.Real = 0.25, q: nd.Real = 0.25):
    L, R = coupled_statistics()
    roots = {"left": nd.matrix_power(L, p), "right": nd.matrix_power(R, q)}
    return W + lr * nd.preconditioned(nd.spectral, **roots).lmo(G)


def values(rule, group, unknowns):
    return [dict(s.values) for s in nd.solve(rule, group, unknowns)]


def test_the_weighted_spectral_norm_needs_the_square_root():
    (solution,) = nd.solve(weighted, "scale", "p")
    assert dict(solution.values) == {"p": HALF}
    assert solution.verdict.invariant
    assert solution.conditions == ()
    assert values(weighted, nd.groups.loss_scale, "p") == [{"p": 0}]


def test_two_unknowns():
    assert values(two_powers, "scale", "p, q") == [{"p": -HALF, "q": -HALF}]
    assert values(two_powers, "uniform_scale", ["p", "q"]) == [{"p": -HALF}]


def test_a_line_of_solutions():
    p, q = (s for s in sympy.symbols("p q", real=True))
    (solution,) = nd.solve(two_sided, "loss_scale", "p, q")
    ((name, value),) = solution.values.items()
    assert sympy.simplify((p if name == "p" else q) - value).subs({p: -0.5 - q}) == 0
    assert solution.verdict is None
    assert values(two_sided, "orthogonal", "p, q") == [{}]
    assert str(nd.solve(two_sided, "orthogonal", "p, q")).endswith("any value")


def test_rows_and_columns_need_the_same_exponent():
    (solution,) = nd.solve(two_sided, "transpose", "p, q")
    assert [str(v) for v in solution.values.values()] in (["p"], ["q"])


def test_plain_gram_matrices_have_no_affine_exponent():
    found = nd.solve(two_sided, "affine", "p, q")
    assert len(found) == 0
    assert found.obstruction.culprit.formula in ("G Gᵀ", "Gᵀ G")
    assert "contracts two covariant indices" in str(found)
    assert "none found" in found._repr_latex_()


@nd.optimizer
def shampoos(lr=0.1, p: nd.NonNegative = 0.25, q: nd.NonNegative = 0.25):
    left, right = nd.accumulate(G @ G.T), nd.accumulate(G.T @ G)
    return W - lr * nd.matrix_power(left, -p) @ G @ nd.matrix_power(right, -q)


@nd.optimizer
def shifted_exponent(lr=0.1, p: nd.Real = 0.5):
    left, right = nd.accumulate(G @ G.T), nd.accumulate(G.T @ G)
    return W - lr * nd.matrix_power(left, -p) @ G @ nd.matrix_power(right, p - 1)


def test_an_exponent_zero_takes_a_factor_away():
    assert values(shampoos, "left_affine", "p, q") == [{"p": 1, "q": 0}]
    assert values(shampoos, "right_affine", "p, q") == [{"p": 0, "q": 1}]
    assert values(shampoos, "affine", "p, q") == []
    assert values(shifted_exponent, "left_affine", "p") == [{"p": 1}]
    assert values(shifted_exponent, "right_affine", "p") == [{"p": 0}]


@pytest.mark.parametrize(
    ("rule", "expected"), [(coupled_product, -1), (coupled_norm, HALF)], ids=["product", "norm"]
)
def test_coupled_statistics_have(rule, expected):
    (solution,) = nd.solve(rule, "affine", "p, q")
    assert dict(solution.values) == {"p": expected, "q": expected}
    assert solution.verdict.status is Status.CONDITIONAL
    assert "start transformed" in str(solution)


def test_constants_are_solved_for_too():
    assert values(a.adam, "loss_scale", "eps") == [{"eps": 0}]
    assert values(a.muadam_sania, "translation", "weight_decay") == [{"weight_decay": 0}]


@pytest.mark.parametrize(("rule", "group"), [(weighted, "scale"), (two_powers, "scale")])
def test_runs_agree_at_the_solution_and_part_elsewhere(rule, group):
    (solution,) = nd.solve(rule, group, [h.name for h in rule.hyper if h.name != "lr"])
    at = {"lr": 0.05, **{k: float(v) for k, v in solution.values.items()}}
    off = {k: v if k == "lr" else v + 0.2 for k, v in at.items()}
    group = nd.groups.named(group)
    assert max(twins(Experiment(rule, group, at)).drift) < PARTED
    assert max(twins(Experiment(rule, group, off)).drift) > 1e-3


def test_unknowns_are_hyper_parameters():
    with pytest.raises(nd.HyperparameterError, match="no hyper-parameter of that name"):
        nd.solve(weighted, "scale", "r")
    with pytest.raises(nd.HyperparameterError, match="no unknown was named"):
        nd.solve(weighted, "scale", "")
    with pytest.raises(nd.NormdslError, match="no group"):
        nd.solve(weighted, "sacle", "p")
