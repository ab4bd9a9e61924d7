"""Rules fed another gradient: equal to the rule written out, states and recursions included."""

import functools
import types

import pytest
import torch
from properties import random_matrix, refuses
from references import REFERENCES
from references.curvature import CURVATURE
from references.problems import CASES, cases_of, run_loop, run_optimizer, worst
from references.settings import SETTINGS
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.cli.find import shipped
from normdsl.declarations.substitution import Substitution
from normdsl.expressions.nodes import Param
from normdsl.expressions.recursion import State
from normdsl.expressions.traversal import walk

STEPS = 15
LIMIT = 0.3
#: Moments are those of the layer, which are not fed; loops of second order take the loss itself;
#: and Polyak steps divide a gap of losses by a gradient's square, so that they diverge on shorter
#: ones.
FED = sorted(set(in_turn(7)) - {"kfac", "twin_polyak", *CURVATURE})


def clipped(x):
    return nd.clip(x, LIMIT)


def literally_clipped(loop):
    """The same loop, handed clipped gradients."""

    def cut(g):
        return g * min(1, LIMIT / float(g.norm()))

    @functools.wraps(loop)
    def run(w, g, t, state, **hyper):
        if "ask" in hyper:
            ask = hyper.pop("ask")
            hyper["ask"] = types.SimpleNamespace(
                loss=ask.loss, hessian=ask.hessian, grad=lambda x: cut(ask.grad(x))
            )
        return loop(w, cut(g), t, state, **hyper)

    return run


@pytest.mark.parametrize("name", FED)
def test_every_rule_equals_its_literal_loop_on_clipped_gradients(name):
    rule, hyper = shipped()[name].on_gradient(clipped), SETTINGS[name]
    case = next(c for c in cases_of(name) if c.start.shape == (5, 5))
    ours = run_optimizer(lambda p: rule(p, **hyper), case, STEPS, loss=True)
    theirs = run_loop(literally_clipped(REFERENCES[name]), case, STEPS, **hyper)
    assert worst(ours, theirs) <= 1e-9


def test_it_is_the_rule_written_out():
    @nd.optimizer
    def written(lr=0.1, beta=0.9):
        g = nd.clip(G, 1)
        v = nd.ema(g * g, beta)
        return W - lr * nd.reciprocal(nd.sqrt(v)) * nd.prev(nd.ema(g, beta))

    @nd.optimizer
    def plain(lr=0.1, beta=0.9):
        v = nd.ema(G * G, beta)
        return W - lr * nd.reciprocal(nd.sqrt(v)) * nd.prev(nd.ema(G, beta))

    fed = plain.on_gradient(lambda x: nd.clip(x, 1))
    assert fed.update == written.update
    assert str(fed).replace("plain", "written") == str(written)


def test_states_of_the_function_come_before_those_of_the_rule():
    """Recursions inside recursions: the coupled factors of KL-Shampoo, of averaged gradients."""

    def averaged(x):
        return nd.ema(nd.ema(x, 0.5), 0.5)

    class Averages:
        def __init__(self):
            self.inner = self.outer = 0.0

        def __call__(self, g):
            self.inner = 0.5 * self.inner + 0.5 * g
            self.outer = 0.5 * self.outer + 0.5 * self.inner
            return self.outer

    hyper, averages = SETTINGS["kl_shampoo"], Averages()
    ours = run_optimizer(
        lambda p: a.kl_shampoo.on_gradient(averaged)(p, **hyper), CASES[0], STEPS, loss=True
    )
    loop = REFERENCES["kl_shampoo"]
    theirs = run_loop(
        lambda w, g, t, state, **k: loop(w, averages(g), t, state, **k), CASES[0], STEPS, **hyper
    )
    assert worst(ours, theirs) <= 1e-10


def test_once_more_is_the_composition():
    double = a.soap.on_gradient(lambda x: nd.ema(x, 0.5)).on_gradient(clipped)
    assert double.update == a.soap.on_gradient(lambda x: nd.ema(clipped(x), 0.5)).update


@pytest.mark.parametrize("name", FED)
def test_by_the_gradient_itself_it_is_the_rule(name):
    rule = shipped()[name]
    same = rule.on_gradient(lambda x: x)
    assert same.update == rule.update
    assert str(same) == str(rule)


def test_name_doc_and_hyper_parameters_stay():
    rule = a.adam.on_gradient(clipped)
    assert (rule.name, rule.doc, rule.hyper) == (a.adam.name, a.adam.doc, a.adam.hyper)
    shown = list(rule.labels.values())
    assert shown[0] == "g"
    assert {"m", "v"} <= set(shown)
    assert a.adam.on_gradient(clipped).bind(eps=0).update == a.adam.bind(
        eps=0
    ).on_gradient(clipped).update  # fmt: skip


def test_a_name_that_is_taken_is_not_taken_twice():
    rule = nd.optimizer(lambda g=0.1: W - g * G).on_gradient(clipped)
    assert "g2" in rule.labels.values()


def test_it_survives_json():
    rule = a.kl_shampoo.on_gradient(lambda x: nd.ema(x, 0.5))
    assert nd.from_json(nd.to_json(rule)).update == rule.update


def test_other_streams_and_symbols_can_be_replaced_as_well():
    lr = Param("lr", a.sgd.hyperparameter("lr").domain)
    change = Substitution({lr: nd.ema(nd.loss, 0.5), W: nd.prev(W)})
    assert change(lr * nd.ema(W, 0.5)) == nd.ema(nd.loss, 0.5) * nd.ema(nd.prev(W), 0.5)


def test_lines_stay_those_of_the_author():
    before = [x.where for x in walk(a.adam.update) if isinstance(x, State)]
    after = [x.where for x in walk(a.adam.on_gradient(clipped).update) if isinstance(x, State)]
    assert after == before


def test_coupled_decay_is_a_change_of_the_gradient():
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.ema(G, 0.9)).on_gradient(
        lambda x: nd.decay.coupled(x, 0.25)
    )
    p = torch.nn.Parameter(random_matrix(3, 4))
    start, p.grad = p.detach().clone(), random_matrix(3, 4, 1)
    rule([p], lr=0.5).step()
    expected = start - 0.5 * 0.1 * (p.grad + 0.25 * start)
    torch.testing.assert_close(p.detach(), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x @ x.T, "m×m"),
        (lambda x: 3, "int"),
        (lambda x: None, "returns None"),
        (lambda x: nd.W, "gradient"),
        (lambda x: x * Param("unheard", a.sgd.hyper[0].domain), "unheard"),
    ],
)
def test_what_is_no_gradient_is_refused(function, why):
    with refuses(nd.DeclarationError, why):
        a.adam.on_gradient(function)


@pytest.mark.parametrize("given", [None, G, 1.0], ids=str)
def test_what_is_no_function_of_the_gradient_is_refused(given):
    with refuses(nd.DeclarationError, "feed sgd another gradient", "not a function", "lambda G"):
        a.sgd.on_gradient(given)


def test_a_fed_rule_may_have_a_name_of_its_own():
    clipped = a.adamw.on_gradient(lambda g: nd.clip(g, 1.0), name="clipped")
    assert (clipped.name, a.adamw.on_gradient(lambda g: 2 * g).name) == ("clipped", "adamw")
    assert "clipped" in str(nd.compare(a.adamw, clipped, witnesses=False))
    with pytest.raises(nd.DeclarationError, match="use the name"):
        a.adamw.on_gradient(lambda g: g, name="not a name")
