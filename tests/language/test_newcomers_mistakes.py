"""What a newcomer writes by habit: refused in plain words, or made to mean what it says."""

import math
import warnings

import numpy as np
import pytest
import torch
from properties import assert_four_parts, refuses
from stepping import parameter
from torch import nn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.cli.find import shipped
from normdsl.declarations.directions import ascent


def net():
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))


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


def test_a_hyper_parameter_without_effect_is_said_and_does_not_stop_a_draft():
    with pytest.warns(nd.NormdslWarning, match="momentum has no effect") as seen:

        @nd.optimizer
        def forgetful(lr=0.1, momentum=0.9):
            return W - lr * G

    assert seen[0].filename == __file__
    w = torch.nn.Parameter(torch.ones(2, 2))
    opt = forgetful([w], lr=1.0, momentum=0.5)
    w.sum().backward()
    opt.step()
    assert w.abs().max() == 0
    assert forgetful.check("orthogonal").invariant
    assert nd.from_json(nd.to_json(forgetful)).defaults == {"lr": 0.1, "momentum": 0.9}


@pytest.mark.parametrize(
    ("up", "down"),
    [
        (lambda m: W - nd.spectral.lmo(m), lambda m: W + nd.spectral.lmo(m)),
        (lambda m: W + nd.spectral.sharp(m), lambda m: W - nd.spectral.sharp(m)),
        (lambda m: W + nd.polar(m), lambda m: W - nd.polar(m)),
        (lambda m: W - nd.ema(nd.spectral.lmo(m), 0.9), lambda m: W - nd.spectral.lmo(-m)),
    ],
)
@pytest.mark.parametrize("m", [G, nd.ema(G, 0.9, debias=True)], ids=["G", "ema"])
def test_a_step_up_the_gradient_is_said(up, down, m):
    with pytest.warns(nd.NormdslWarning, match="up the gradient"):
        nd.optimizer(lambda: up(m))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nd.optimizer(lambda: down(m))


def test_no_rule_that_comes_along_goes_up():
    assert [name for name, rule in shipped().items() if ascent(rule.update)] == []


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


OUTSIDE = {
    "a constructor": lambda: algorithms.adam([parameter(2, 2)], lr=-1),
    "a group": lambda: algorithms.adam([{"params": [parameter(2, 2)], "lr": -1}]),
    "a group with a rule": lambda: algorithms.muon(
        [{"params": [parameter(2, 2)], "rule": algorithms.adam, "lr": -1}]
    ),
    "a rule for later": lambda: algorithms.adam(lr=-1),
    "an assumption": lambda: algorithms.adam.check("scale", lr=-1),
    "a bound rule": lambda: algorithms.adam.bind(lr=-1),
    "a pure function": lambda: nd.functional(algorithms.adam).init(torch.ones(2), lr=-1),
}


@pytest.mark.parametrize("write", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_number_that_is_not_legal_is_answered_by_those_that_are(write):
    with refuses(nd.HyperparameterError, "set lr = -1", "lr must be a number ≥ 0", "is 0.001"):
        write()


def test_a_number_set_later_and_one_in_a_text_are_answered_alike():
    opt = algorithms.adam([parameter(2, 2)])
    opt.param_groups[0]["lr"] = -1
    opt.param_groups[0]["params"][0].grad = torch.ones(2, 2, dtype=torch.float64)
    with refuses(nd.HyperparameterError, "lr must be a number ≥ 0"):
        opt.step()
    text = nd.to_json(algorithms.adam)
    assert text.count("0.001") == 1
    with pytest.raises(nd.NormdslError, match="lr must be a number ≥ 0"):
        nd.from_json(text.replace("0.001", "-1"))


@pytest.mark.parametrize("value", ["0.1", 1j, [0.1]])
def test_a_rule_for_later_refuses_what_is_not_a_number_at_once(value):
    with refuses(nd.HyperparameterError, "lr must be a number ≥ 0", "is not one"):
        algorithms.adam(lr=value)
    assert algorithms.adam(lr=torch.tensor(0.1)).hyper["lr"] == 0.1


def test_the_domain_of_a_default_is_explained_where_it_is_declared():
    with refuses(nd.HyperparameterError, "declare ascent with lr = -0.1", "≥ 0", "lr: nd.Real"):

        @nd.optimizer
        def ascent(lr=-0.1):
            return W - lr * G


MEANT = {
    "group": (lambda: algorithms.adam.check("afine"), "affine"),
    "groups": (lambda: algorithms.adam.check(["scale", "ortogonal"]), "orthogonal"),
    "group to repair": (lambda: nd.repair(algorithms.adam, "scal"), "scale"),
    "assumed number": (lambda: algorithms.adam.check("scale", esp=0), "eps"),
    "assumption": (lambda: algorithms.adam.check("scale", transportd="m"), "transported"),
    "part": (lambda: algorithms.adam.check("scale", transported="m_bufer"), "m_buffer"),
    "unknown": (lambda: nd.solve(algorithms.adam, "scale", "betta2"), "beta2"),
    "hyper-parameter": (lambda: algorithms.adamw(weight_decya=1), "weight_decay"),
    "foreign name": (lambda: algorithms.adamw([parameter(1, 1)], learning_rate=1), "lr"),
    "option": (lambda: algorithms.adamw([parameter(1, 1)], nonfinit="skip"), "nonfinite"),
    "value of an option": (lambda: algorithms.sgd([parameter(1, 1)], nonfinite="rais"), "raise"),
    "field": (lambda: nd.Schedule(pollar=nd.SVD()), "polar"),
    "dtype": (lambda: nd.Schedule(dtype="flaot32"), "float32"),
    "dtype of a state": (lambda: nd.Schedule(state="bfloat61"), "bfloat16"),
    "dtype of the wire": (lambda: nd.Schedule(wire="bfloat61"), "bfloat16"),
    "field of a method": (lambda: nd.CoupledNewton(setps=3), "steps"),
    "axis": (lambda: nd.sum(G, over="row"), "rows"),
    "reach of a limit": (lambda: nd.clip(G, 1, over="layer"), "layers"),
    "state": (
        lambda: algorithms.adam(
            [parameter(2, 2)], schedule=nd.Schedule(state={"m_bufer": "bfloat16"})
        ),
        "m_buffer",
    ),
    "role": (lambda: nd.route(net(), algorithms.muon, overrides={"0": "hiden"}), "hidden"),
    "group of a report": (lambda: algorithms.adam.check(["scale", "affine"])["scal"], "scale"),
}


@pytest.mark.parametrize(("write", "meant"), MEANT.values(), ids=MEANT.keys())
def test_a_name_that_is_nearly_right_is_asked_for(write, meant):
    with pytest.raises(nd.NormdslError, match=rf"did you mean {meant}\?") as caught:
        write()
    assert_four_parts(caught.value)


ATTRIBUTES = {
    "face": (lambda: nd.spectal, "spectral"),
    "groups": (lambda: nd.groups.afine, "affine"),
    "views": (lambda: nd.views.heds, "heads"),
    "scale": (lambda: nd.scale.shap, "shape"),
    "decay": (lambda: nd.decay.cautios, "cautious"),
    "algorithms": (lambda: nd.algorithms.adm, "adam"),
}


@pytest.mark.parametrize(("read", "meant"), ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_an_attribute_that_is_nearly_right_is_asked_for(read, meant):
    with pytest.raises(AttributeError, match=rf"did you mean {meant}\?"):
        read()


MISFITS = {
    "product": lambda: G @ G,
    "sum": lambda: G + G.T,
    "maximum": lambda: nd.maximum(G, G.T),
    "inner product": lambda: nd.inner(G, G.T),
    "state": lambda: nd.fix(lambda s: s + G.T, nd.zeros_like(G)),
}


@pytest.mark.parametrize("write", MISFITS.values(), ids=MISFITS.keys())
def test_a_mismatch_of_shapes_prints_its_line_once(write):
    with refuses(nd.ShapeError, "an m×n") as caught:
        write()
    place = f"test_newcomers_mistakes.py:{write.__code__.co_firstlineno}"
    assert str(caught.value).count(place) == 1
    assert str(caught.value.at).endswith(("G  and  Gᵀ", "G  and  G", "state  and  Gᵀ"))


def test_brackets_after_the_decorator_are_refused_in_words():
    with refuses(nd.DeclarationError, "@nd.optimizer, without brackets"):
        nd.optimizer()


def test_a_learning_rate_without_its_name_is_refused_in_words():
    with refuses(nd.HyperparameterError, "passed by name", "adam(params, lr=…)"):
        algorithms.adam([parameter(2, 2)], 0.1)


def test_a_norm_is_not_called_by_itself():
    with refuses(nd.DeclarationError, "norm.lmo(", "norm.value("):
        nd.spectral(G)


@pytest.mark.parametrize("take", [lambda: G.shape[0], lambda: tuple(G.shape)])
def test_lengths_are_symbols(take):
    with refuses(nd.DeclarationError, "nd.rows and nd.cols"):
        take()


def test_what_torch_calls_otherwise_is_named():
    with refuses(nd.DeclarationError, "write nd.mean(x)"):
        torch.mean(G)
    with refuses(nd.DeclarationError, "write nd.clamp(x, low, high)"):
        G.clamp(0, 1)
    with refuses(nd.DeclarationError, "functions of normdsl"):
        torch.softmax(G, 0)


def test_a_name_that_is_not_defined_is_shown_once_with_its_line():
    with refuses(nd.DeclarationError, "at:  lrr", "W - lrr * G", "did you mean lr?"):

        @nd.optimizer
        def typo(lr=0.1):
            return W - lrr * G  # noqa: F821


def test_a_variable_without_a_value_is_refused_in_words():
    with refuses(nd.DeclarationError, "undeclared name", "'m'", "give the variable a value"):

        @nd.optimizer
        def half(lr=0.1):
            if not callable(nd.ema):
                m = G
            return W - lr * m


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
    assert "lr * rows" in clash.source()
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


HINTS = {
    "norm called": (lambda: nd.spectral(G), r"norm.value(G) for ‖G‖₂"),
    "equal to zero": (lambda: 1 if G == 0 else 2, "nd.where(nd.abs(x) > 0, a, b)"),
    "equal to a number": (lambda: nd.t != 3, "nd.where(nd.abs(x - 3) > 0, a, b)"),
    "mean": (lambda: G.mean(), "nd.mean(x)"),
    "an exponent that is a symbol": (lambda: nd.schatten(nd.loss), "in a function of p"),
}


@pytest.mark.parametrize(("write", "hint"), HINTS.values(), ids=HINTS.keys())
def test_the_hint_is_what_to_write(write, hint):
    with refuses(nd.DeclarationError) as refused:
        write()
    assert hint in refused.value.hint


def test_dir_and_tab_list_the_public_names():
    assert dir(nd) == sorted(nd.__all__)
    assert dir(nd.algorithms) == sorted(nd.algorithms.__all__)
    assert dir(nd.decay) == ["cautious", "corrected", "coupled", "decoupled", "independent"]
    assert {"ALL", *(group.name for group in nd.groups.ALL)} < {*dir(nd.groups)}
    for module in (nd.groups, nd.views, nd.scale):
        assert "TYPE_CHECKING" not in dir(module)
        assert all(getattr(module, name) is not None for name in dir(module))


def test_streams_are_imported_and_no_arguments():
    with refuses(nd.DeclarationError, "from normdsl import W, G", "def rule(lr=0.1)"):

        @nd.optimizer
        def rule(W, G, lr=0.1):
            return W - lr * G
