"""What a newcomer writes by habit: refused in plain words, or made to mean what it says."""

import math

import numpy as np
import pytest
import torch
from properties import refuses
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms

FOREIGN = {
    "torch function": lambda: torch.sqrt(nd.abs(G)),
    "tensor times": lambda: torch.ones(2) * G,
    "times tensor": lambda: G * torch.ones(2),
    "numpy function": lambda: np.sqrt(nd.abs(G)),
    "array times": lambda: np.ones(2) * G,
    "times array": lambda: G * np.ones(2),
    "array at": lambda: np.eye(2) @ G,
    "math function": lambda: math.sqrt(nd.t),
    "float": lambda: float(nd.t),
    "branch by equality": lambda: 1 if nd.t == 1 else 2,
    "branch by inequality": lambda: 1 if nd.t != 1 else 2,
    "branch by order": lambda: max(nd.t, 1),
}


@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN.keys())
def test_values_are_not_there_yet(write):
    with refuses(nd.DeclarationError):
        write()


UNKNOWN = {
    "floor division": (nd.DeclarationError, lambda: G // 2),
    "remainder": (nd.DeclarationError, lambda: 3 % G),
    "rounding": (nd.DeclarationError, lambda: round(G)),
    "truth values": (nd.DeclarationError, lambda: (G & W) | ~G),
    "a number at": (nd.ShapeError, lambda: 2 @ G),
    "method sum": (nd.DeclarationError, lambda: G.sum()),
    "method norm": (nd.DeclarationError, lambda: (W - G).norm()),
    "method t": (nd.DeclarationError, lambda: G.t()),
    "logarithm of a loss": (nd.DomainError, lambda: nd.log(nd.loss)),
    "root of a loss": (nd.DomainError, lambda: nd.sqrt(nd.loss)),
}


@pytest.mark.parametrize(("kind", "write"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_an_expression_cannot_do_is_refused_with_what_to_write(kind, write):
    with refuses(kind):
        write()


def test_the_sign_of_a_loss_is_for_its_author_to_say():
    with refuses(nd.DomainError, "may have either sign", "nd.maximum(loss, 0)"):
        nd.log(nd.loss)
    assert nd.log(nd.maximum(nd.loss, 0)).shape == nd.loss.shape


def test_words_of_python_that_mean_what_they_say():
    assert abs(G) == nd.abs(G)
    assert +G == G
    assert not hasattr(G, "data")


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5)])
def test_numbers_of_numpy_are_numbers(number):
    assert number * G == G.__rmul__(0.5)
    assert number + nd.t == 0.5 + nd.t


def test_a_hyper_parameter_without_effect_is_refused():
    with refuses(nd.DeclarationError, "momentum has no effect"):

        @nd.optimizer
        def forgetful(lr=0.1, momentum=0.9):
            return W - lr * G


def test_returning_the_step_instead_of_the_weights_is_refused():
    with refuses(nd.DeclarationError, "not the step"):

        @nd.optimizer
        def optax_style(lr=0.1):
            return -lr * G


def test_declarations_do_not_nest():
    with refuses(nd.DeclarationError, "do not nest"):

        @nd.optimizer
        def nested(lr=0.1):
            return algorithms.sgd(lr)


def test_a_module_is_not_a_list_of_parameters():
    with refuses(nd.HyperparameterError, "pass model.parameters()"):
        algorithms.sgd(nn.Linear(2, 2))


def test_several_rates_in_one_default_are_refused():
    with refuses(nd.HyperparameterError, "one argument per number"):

        @nd.optimizer
        def packed(lr=0.1, betas=(0.9, 0.999)):
            return W - lr * nd.ema(G, betas[0])


def test_groups_may_be_given_by_name():
    assert algorithms.muon.check("orthogonal").invariant
    with refuses(nd.NormdslError, "the groups are affine"):
        algorithms.muon.check("conformal")


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 3, 4), (2.5, 3)])
def test_a_shape_is_two_positive_numbers(shape):
    with refuses(nd.DeclarationError, "rows × columns"):
        algorithms.muon.source(shape=shape)


def test_lengths_of_the_weights_are_not_mixed_up_with_locals():
    @nd.optimizer
    def clash(lr=0.1, beta=0.9):
        m = nd.ema(G, beta)
        return W - lr * nd.rows * m

    assert str(clash).splitlines()[-1].endswith("W − η rows m")
    assert "rows * m" in clash.source()
    assert list(clash.labels.values()) == ["m"]


def test_a_hyper_parameter_called_m_is_not_mixed_up_with_the_rows():
    @nd.optimizer
    def clash(lr=0.1, m=0.9):
        return W - lr * nd.ema(G, m) / nd.cols / nd.rows

    assert str(clash).splitlines()[-1].endswith("W − (η s₁ / cols) / rows")


def test_a_factored_second_moment_is_known_to_be_nonnegative():
    @nd.optimizer
    def factored(lr=0.1, beta=0.9):
        r = nd.ema(nd.sum(G * G, over="cols"), beta)
        c = nd.ema(nd.sum(G * G, over="rows"), beta)
        return W - lr * G / nd.sqrt(r @ c / nd.sum(r))

    assert factored.check("loss_scale").invariant


def test_minima_and_norms_are_written_as_such():
    assert str(nd.minimum(1, nd.loss)) == "min(1, loss)"
    assert str(nd.sqrt(nd.sum(G * G))) == "‖G‖_F"


def test_a_division_by_zero_in_a_rule_is_caught_before_anything_is_written():
    @nd.optimizer
    def adamax(lr=0.1, beta: nd.Fraction = 0.9):
        u = nd.fix(lambda s: nd.maximum(beta * s, nd.abs(G)), nd.zeros_like(G))
        return W - lr * G / u

    p = nn.Parameter(torch.ones(2, 2))
    p.grad = torch.eye(2)
    opt = adamax([p])
    with refuses(nd.GradientError, "although the gradient is finite", "nd.reciprocal"):
        opt.step()
    assert torch.equal(p, torch.ones(2, 2))
    assert not opt.state
    skipping = adamax([p], nonfinite="skip")
    skipping.step()
    assert torch.equal(p, torch.ones(2, 2))
