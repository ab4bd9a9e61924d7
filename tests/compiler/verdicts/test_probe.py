"""Probes: parts of a rule along its own run."""

import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.verdicts.probe import Probe, outside
from normdsl.compiler.verdicts.tasks import task
from normdsl.compiler.verdicts.trajectory import run
from normdsl.expressions.nodes import MatrixPower
from normdsl.expressions.recursion import free_carries
from normdsl.expressions.traversal import walk


@nd.optimizer
def averaged(lr=0.1, beta: nd.Fraction = 0.5):
    m = nd.ema(G, beta)
    return W - lr * m


def test_a_probe_follows_states_along_a_run():
    hyper = {"lr": 0.01, "beta": 0.5}
    path = run(averaged, task(averaged, (3, 4), 0), 3, hyper)
    (m,) = averaged.labels
    probe = Probe(averaged, [m, averaged.update])
    history = probe.run(path.seen, probe.start(path.weights[0], hyper), hyper)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for (value, new), (_, grad, _, _), after in zip(
        history, path.seen, path.weights[1:], strict=True
    ):
        expected = 0.5 * expected + 0.5 * grad
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(new, after)


def test_what_stands_inside_a_recursion_is_evaluated_at_its_old_states():
    L = nd.fix(lambda L: L + nd.inverse(L + G @ G.T), nd.eye_like(G @ G.T))
    rule = nd.Declaration("rule", (), W - L @ G)
    inside = next(x for x in walk(rule.update) if isinstance(x, MatrixPower)).arg
    assert free_carries(inside)
    released = outside(rule, inside)
    assert not free_carries(released)
    path = run(rule, task(rule, (3, 4), 0), 1, {})
    (grad,) = (g for _, g, _, _ in path.seen)
    probe = Probe(rule, [released])
    ((value,),) = probe.run(path.seen, probe.start(path.weights[0], {}), {})
    torch.testing.assert_close(value, torch.eye(3).double() + grad @ grad.mT)


def test_what_an_unrolled_iteration_shares_is_read_once():
    """Each value is used twice by the next: written out without sharing, 2²⁴ of them."""
    x = nd.over_layers(nd.spectral, nd.lp(float("inf"))).sharp(G)
    for _ in range(24):
        x = (x + nd.tanh(x)) / 2
    rule = nd.Declaration("rule", (), W - x)
    posed = task(rule, (3, 4), 0)
    path = run(rule, posed, 1, {})
    probe = Probe(rule, [x])
    ((value,),) = probe.run(path.seen, probe.start(posed.start, {}), {})
    torch.testing.assert_close(path.weights[0] - value, path.weights[1])


def test_a_state_that_becomes_a_number_is_read_as_a_matrix():
    @nd.optimizer
    def held(lr=0.1, eps=0.5):
        s = nd.fix(lambda s: eps + 0 * s, 0)
        return W - lr * nd.reciprocal(nd.abs(nd.prev(s))) * G

    assert held.check("affine").witness is not None
    assert held.check("transpose").invariant
