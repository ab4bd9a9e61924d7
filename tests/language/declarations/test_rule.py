"""Declarations: tracing, binding, and what is no declaration."""

import math
from fractions import Fraction

import attrs
import numpy as np
import pytest
import torch
from moments import loss_of, moments, objective_of
from properties import random_matrix, refuses
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.errors import kind
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE, UNSTATED
from normdsl.expressions.nodes import Param, Source
from normdsl.expressions.traversal import walk


@nd.optimizer
def heavy_ball(lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.9, weight_decay=0.0):
    """Heavy ball.

    With decay.
    """
    m = nd.momentum(G, beta, normalized=False)
    return (1 - lr * weight_decay) * W - lr * m


def declare(function):
    return nd.optimizer(function)


# What a declaration holds


def test_parts():
    assert heavy_ball.name == "heavy_ball"
    assert heavy_ball.doc == "Heavy ball.\n\nWith decay."
    assert heavy_ball.defaults == {"lr": 0.1, "beta": 0.9, "weight_decay": 0.0}
    assert [h.domain for h in heavy_ball.hyper] == [NON_NEGATIVE, FRACTION, UNSTATED]
    assert [name for name, _ in heavy_ball.names] == ["m"]


def test_update_is_over_symbols():
    lr, beta, decay = (Param(h.name, h.domain) for h in heavy_ball.hyper)
    m = nd.momentum(G, beta, normalized=False)
    assert heavy_ball.update == (1 - lr * decay) * W - lr * m


def test_reads():
    assert heavy_ball.reads(Source.GRADIENT)
    assert heavy_ball.reads(Source.WEIGHTS)
    assert not heavy_ball.reads(Source.LOSS)
    assert not heavy_ball.reads(Source.STEP)


def test_a_default_may_be_missing():
    def rule(lr):
        return W - lr * G

    assert declare(rule).defaults == {"lr": None}


def test_keyword_only_hyper_parameters():
    def rule(*, lr=0.5):
        return W - lr * G

    assert declare(rule).defaults == {"lr": 0.5}


def test_no_hyper_parameters():
    assert declare(lambda: W - G).hyper == ()


def test_no_documentation():
    assert declare(lambda: W - G).doc == ""


def test_the_function_is_called_with_symbols_only():
    seen = []

    def rule(lr=3.0):
        seen.append(lr)
        return W - lr * G

    declare(rule)
    assert all(isinstance(x, Param) for x in seen)


# Equality


def test_equal_declarations_are_equal():
    def build():
        @nd.optimizer
        def rule(lr=0.1):
            step = lr * G
            return W - step

        return rule

    def elsewhere():
        @nd.optimizer
        def rule(lr=0.1):
            """Documented, with another name inside."""
            other = lr * G
            return W - other

        return rule

    assert build() == elsewhere()
    assert hash(build()) == hash(elsewhere())


def test_declarations_that_differ():
    base = heavy_ball
    assert attrs.evolve(base, name="other") != base
    assert attrs.evolve(base, update=base.update + G) != base
    default = attrs.evolve(base.hyper[0], default=0.2)
    assert attrs.evolve(base, hyper=(default, *base.hyper[1:])) != base
    assert base != base.update


def test_declarations_are_immutable():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        heavy_ball.name = "other"


# Hyper-parameters


NUMBERS = [0, 0.5, 0.999, np.float64(0.25), np.float32(0.1), np.int64(0), Fraction(1, 3)]


@pytest.mark.parametrize("value", NUMBERS)
def test_values_of_the_domain_are_accepted_as_numbers_of_python(value):
    found = Hyperparameter("beta", 0.9, FRACTION).check(value)
    assert found == float(value)
    assert type(found) is (int if type(value) is int else float)


def test_a_default_of_numpy_is_one_of_python_in_json_too():
    half = np.float32(0.5)

    @nd.optimizer
    def rule(lr=half):
        return W - lr * G

    @nd.optimizer
    def plain(lr=0.5):
        return W - lr * G

    assert type(rule.defaults["lr"]) is float
    assert nd.to_json(rule) == nd.to_json(plain).replace("plain", "rule")
    assert rule.bind(lr=np.float32(0.25)) == rule.bind(lr=0.25)


BAD = [1, -0.1, math.nan, math.inf, "0.5", None, True, [0.5], 1j, np.bool_(True), np.float32(1)]


@pytest.mark.parametrize("value", [*BAD, np.float32("nan"), np.ones(1), Fraction(10**400)])
def test_other_values_are_refused(value):
    with refuses(nd.HyperparameterError, "set beta", "beta must be a number with 0 ≤ beta < 1"):
        Hyperparameter("beta", 0.9, FRACTION).check(value)


@pytest.mark.parametrize("default", [-1.0, math.nan, "x", True, (1,)])
def test_defaults_are_checked(default):
    def rule(lr=default):
        return W - lr * G

    with refuses(nd.HyperparameterError, "with lr = ", "lr must be a number ≥ 0"):
        declare(rule)


def test_unknown_hyper_parameter():
    with refuses(nd.HyperparameterError, "'rate' of heavy_ball", "lr, beta, weight_decay"):
        heavy_ball.hyperparameter("rate")
    assert heavy_ball.hyperparameter("beta").default == 0.9


# Binding


def test_bind_replaces_symbols_and_folds():
    bound = heavy_ball.bind(weight_decay=0, beta=0.5)
    assert [h.name for h in bound.hyper] == ["lr"]
    lr = Param("lr", NON_NEGATIVE)
    assert bound.update == W - lr * nd.momentum(G, 0.5, normalized=False)
    assert dict(bound.names)["m"] == nd.momentum(G, 0.5, normalized=False)


def test_bind_everything():
    bound = heavy_ball.bind(lr=0.25, beta=0, weight_decay=0)
    assert bound.hyper == ()
    assert not any(isinstance(x, Param) for x in walk(bound.update))


def test_bind_nothing():
    assert heavy_ball.bind() == heavy_ball


def test_bind_leaves_the_original_alone():
    heavy_ball.bind(lr=1)
    assert [h.name for h in heavy_ball.hyper] == ["lr", "beta", "weight_decay"]


def test_bind_refuses_unknown_names_and_illegal_values():
    with refuses(nd.HyperparameterError, "'eps' of heavy_ball"):
        heavy_ball.bind(eps=0)
    with refuses(nd.HyperparameterError, "set beta = 1"):
        heavy_ball.bind(beta=1)


def test_bind_refuses_numbers_beyond_floating_point():
    def rule(lr=1.0, scale=1.0):
        return W - lr * scale * G

    with refuses(nd.DeclarationError):
        declare(rule).bind(lr=1e300, scale=1e300)


@pytest.mark.parametrize("name", in_turn(0))
def test_binding_zero_or_the_default_keeps_every_algorithm_legal(name):
    rule = getattr(nd.algorithms, name)
    for h in rule.hyper:
        idle = ("lr", "radius", "scale", "kappa")  # without which no step would be left
        legal = h.domain.contains(0) and h.name not in idle
        for value in (0, h.default) if legal else (h.default,):
            assert rule.bind(**{h.name: value}).update.shape == rule.update.shape


@pytest.mark.parametrize("name", in_turn(0))
def test_binding_keeps_the_meaning(name):
    rule = getattr(nd.algorithms, name)
    values = {h.name: h.default for h in rule.hyper}
    first = nd.functional(rule, nd.exact)
    second = nd.functional(rule.bind(**values), nd.exact)
    one = other = random_matrix(3, 4, 1)
    state, twin = first.init(one), second.init(other)
    for seed in range(3):
        g = random_matrix(3, 4, seed + 2)
        seen = moments(rule, (3, 4), seed)
        seen |= loss_of(rule)
        seen |= objective_of(rule, g, one)
        one, state = first.update(g, state, one, **seen)
        other, twin = second.update(g, twin, other, **seen)
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_a_gram_matrix_stays_one_when_its_factor_becomes_constant():
    def rule(p=1.0, eps=0.1):
        X = p * G
        gram = X.T @ X
        return W - G @ nd.matrix_power(gram + eps * nd.eye_like(gram), 1 / 2)

    assert declare(rule).bind(p=0).update.shape == W.shape


# Refusals


def test_undeclared_name():
    def rule(lr=0.1):
        m = nd.ema(G, 0.9)
        return W - lr * undeclared * m  # noqa: F821

    with refuses(nd.DeclarationError, "declare rule", "undeclared name", "'undeclared'") as caught:
        declare(rule)
    assert "return W - lr * undeclared * m" in str(caught.value)


def test_undeclared_name_inside_a_step_points_into_the_declaration():
    def rule(lr=0.1):
        m = nd.fix(lambda s: beta * s + G, nd.zeros_like(G))  # noqa: F821
        return W - lr * m

    with refuses(nd.DeclarationError, "'beta'") as caught:
        declare(rule)
    assert "m = nd.fix(lambda s: beta" in str(caught.value)


def test_leaked_hyper_parameter_of_another_declaration():
    leaked = []

    @nd.optimizer
    def first(gamma=0.5):
        leaked.append(gamma)
        return W - gamma * G

    def second(lr=0.1):
        return W - lr * leaked[0] * G

    with refuses(nd.DeclarationError, "declare second", "gamma is an undeclared name"):
        declare(second)


def test_leaked_hyper_parameter_with_another_domain():
    def rule(lr: nd.NonNegative = 0.1):
        return W - Param("lr", FRACTION) * G

    with refuses(nd.DeclarationError, "undeclared name"):
        declare(rule)


def test_leaked_hyper_parameter_inside_a_recursion():
    def rule(lr=0.1):
        return W - lr * nd.ema(G, Param("beta", FRACTION))

    with refuses(nd.DeclarationError, "beta is an undeclared name"):
        declare(rule)


def test_escaped_state_symbol():
    escaped = []

    def rule(lr=0.1):
        m = nd.fix(lambda s: escaped.append(s) or 0.9 * s + G, nd.zeros_like(G))
        return W - lr * m * escaped[-1]

    with refuses(nd.DeclarationError, "non-causal recursion", "nd.prev"):
        declare(rule)


def test_state_symbol_that_escapes_into_another_recursion():
    escaped = []

    def rule(lr=0.1):
        nd.fix(lambda s: escaped.append(s) or 0.9 * s + G, nd.zeros_like(G))
        return W - lr * nd.fix(lambda u: u + escaped[-1], nd.zeros_like(G))

    with refuses(nd.DeclarationError, "non-causal recursion"):
        declare(rule)


def test_carried_symbol_outside_its_recursion():
    carry = nd.ema(G, 0.9).recursion.carry(0)
    with refuses(nd.DeclarationError, "non-causal recursion"):
        nd.Declaration("rule", (), W - G * carry)


@pytest.mark.parametrize(
    "result", [lambda: G @ G.T, lambda: nd.sum(G), lambda: 2 * G.T, lambda: nd.sum(G, over="rows")]
)
def test_a_result_that_is_no_matrix_of_weights(result):
    with refuses(nd.DeclarationError, "but W is m×n", "return an m×n expression"):
        declare(lambda lr=0.1: result())


@pytest.mark.parametrize("result", [None, 3, "W", (W, G), torch.ones(2)])
def test_a_result_that_is_no_expression(result):
    with refuses(nd.DeclarationError, f"it returns {kind(result)}, not the new weights"):
        declare(lambda lr=0.1: result)


def test_a_result_without_the_gradient():
    with refuses(nd.DeclarationError, "do not depend on the gradient"):
        declare(lambda lr=0.1: (1 - lr) * W)


@pytest.mark.parametrize("build", [lambda: lambda *rates: W - G, lambda: lambda **rates: W - G])
def test_hyper_parameters_without_names(build):
    with refuses(nd.DeclarationError, "rates", "a name to be set by"):
        declare(build())


def test_positional_only_hyper_parameters():
    def rule(lr=0.1, /):
        return W - lr * G

    with refuses(nd.DeclarationError):
        declare(rule)


@pytest.mark.parametrize("annotation", [int, "float64", bool, torch.Tensor, 1])
def test_annotations_that_are_no_domain(annotation):
    def rule(lr=0.1):
        return W - lr * G

    rule.__annotations__["lr"] = annotation
    with refuses(nd.DeclarationError, "declare", "nd.NonNegative (≥ 0), nd.Positive (> 0)"):
        declare(rule)


@pytest.mark.parametrize("name", ["W", "G", "t", "loss"])
def test_hyper_parameters_named_like_an_input(name):
    """Either it works or it is refused here; not when the torch code is written."""
    space = {}
    exec(f"def rule({name}=0.5): return w - {name} * g", {"w": W, "g": G}, space)
    try:
        declared = declare(space["rule"])
    except nd.DeclarationError:
        return
    weights, gradient = random_matrix(2, 3, 1), random_matrix(2, 3, 2)
    pure = nd.functional(declared, nd.exact)
    found, _ = pure.update(gradient, pure.init(weights), weights)
    torch.testing.assert_close(found, weights - gradient / 2)


@pytest.mark.parametrize("function", [3, None, "rule", W])
def test_what_is_no_function(function):
    with refuses(nd.DeclarationError):
        declare(function)


def test_branching_inside_a_declaration():
    def rule(lr=0.1):
        return W - G if lr * G else W

    with refuses(nd.DeclarationError, "branch on the value"):
        declare(rule)


def test_other_errors_of_the_function_are_its_own():
    def rule(lr=0.1):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        declare(rule)


# Shown


def test_shown_as_mathematics():
    assert str(heavy_ball) == repr(heavy_ball)
    assert str(heavy_ball).startswith("heavy_ball(η: lr = 0.1, β: beta = 0.9, λ: weight_decay = 0)")
    assert heavy_ball._repr_latex_().startswith("$$")
