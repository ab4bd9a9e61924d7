"""The signature of a rule as an optimizer."""

import inspect

import normdsl as nd
from normdsl.algorithms import adamw, muon
from normdsl.declarations.signature import OPTIONS, signature


def test_parameters_hyper_parameters_betas_and_options():
    found = signature(adamw.hyper, None).parameters
    names = ["params", *adamw.defaults, "betas", *(name for name, *_ in OPTIONS)]
    assert list(found) == names
    assert {k: found[k].default for k in adamw.defaults} == adamw.defaults
    assert found["lr"].annotation is float
    assert found["betas"].annotation == tuple[float, float] | None
    assert found["params"].default is inspect.Parameter.empty


def test_a_rule_without_betas_and_a_hyper_parameter_without_a_default():
    @nd.optimizer
    def rule(lr):
        return nd.W - lr * nd.G

    found = inspect.signature(rule).parameters
    assert "betas" not in found
    assert found["lr"].default is inspect.Parameter.empty
    assert "betas" not in inspect.signature(muon).parameters


def test_it_names_what_an_optimizer_takes():
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

    taken = inspect.signature(DeclaredOptimizer.__init__).parameters
    options = {k: p.default for k, p in taken.items() if p.kind is p.KEYWORD_ONLY}
    assert {name: default for name, _, default in OPTIONS} == options
