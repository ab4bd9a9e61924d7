"""Rules on a function of the loss: by the chain rule they do what they do where it is the loss."""

from functools import partial

import attrs
import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.cli.find import shipped
from normdsl.compiler.verdicts.simulate import parted
from normdsl.compiler.verdicts.tasks import task
from normdsl.compiler.verdicts.trajectory import run

#: Functions of the loss, as expressions and for numbers.
FUNCTIONS = {
    "exp": (lambda f: nd.exp(f), lambda x: torch.exp(x)),
    "log": (lambda f: 3 * nd.log(f**2), lambda x: 3 * torch.log(x**2)),
    "power": (lambda f: f**3 - f / 9, lambda x: x**3 - x / 9),
    "tanh": (lambda f: nd.tanh(f), lambda x: torch.tanh(x)),
    "reciprocal": (lambda f: -nd.reciprocal(f), lambda x: -1 / x),
}
#: Rules that read the loss, gradients and Hessians here and elsewhere, moments, and states of them.
RULES = [
    "sgd",
    "sam",
    "exact_newton",
    "newton_cg",
    "momo",
    "storm",
    "mars_exact",
    "kfac",
    "scaled_gd",
]
RULES += ["adam"]


@nd.optimizer
def elsewhere(lr=0.001):
    P = W - lr * nd.gradient(at=0.9 * W)
    H = nd.hessian(at=P) / nd.loss_at(P)
    return W - lr * nd.unvec(H @ nd.vec(nd.gradient(at=P, fresh=True)))


def apart(rule, expression, number):
    """How far the rule on φ(f) is from the rule where φ(f) is the loss."""
    posed = task(rule, (3, 4), 0).sized(weights=1, gradients=0.01)
    bent = attrs.evolve(posed, loss=lambda w, step: number(posed.loss(w, step)))
    if rule.moments:
        bent = attrs.evolve(bent, moments=partial(bent_moments, posed, number))
    ours = run(rule.on_loss(expression), posed, 4, rule.defaults)
    theirs = run(rule, bent, 4, rule.defaults)
    assert len(theirs.weights) > 2
    return max(parted(ours, theirs))


def bent_moments(posed, number, w, step):
    seen = posed.moments(w, step)
    slope = torch.func.grad(number)(posed.loss(w, step))
    return {**seen, "output_moment": slope**2 * seen["output_moment"]}


@pytest.mark.parametrize("name", RULES)
def test_it_is_the_rule_where_the_function_is_the_loss(name):
    assert apart(shipped()[name], *FUNCTIONS["exp"]) < 1e-8


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_its_derivatives(function):
    assert apart(elsewhere, *FUNCTIONS[function]) < 1e-9


def test_further_arguments_are_hyper_parameters():
    rule = nd.algorithms.sgd.on_loss(lambda f, a=2.0: nd.exp(a * f), "steeper")
    assert (rule.name, rule.defaults) == ("steeper", {"lr": 1e-3, "weight_decay": 0.0, "a": 2.0})
    assert "exp(a loss) a G" in str(rule)


def test_the_loss_of_the_step_is_constant():
    rule = nd.algorithms.sgd.on_loss(lambda f: (f - nd.loss) ** 2 + f)
    assert rule.equals(nd.algorithms.sgd).answer == "equal"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (3, "an int is not a function of the loss"),
        (lambda: G, "is not a function of the loss"),
        (lambda f: 1.0, "no scalar that depends on its argument"),
        (lambda f: f * G, "no scalar that depends on its argument"),
        (lambda f: nd.maximum(f, 0), "that of this part is not known"),
        (lambda f: nd.cos(f), "that of this part is not known"),
    ],
)
def test_it_refuses_what_it_cannot_differentiate(function, why):
    with pytest.raises(nd.DeclarationError, match=why):
        nd.algorithms.sgd.on_loss(function)
