"""Normal forms multiplied out: what is equal however it is written, and what is not."""

import itertools

import proofs
import pytest
import torch
from properties import random_matrix, run

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance.expansion import MOST, Expanded, same
from normdsl.compiler.invariance.normal_form import normal_form
from normdsl.compiler.invariance.prove import prove
from normdsl.compiler.verdicts.check import check
from normdsl.expressions import nodes
from normdsl.expressions.nodes import Param, Reducer
from normdsl.norms import Top

a, b = Param("a", nd.Positive.__metadata__[0]), Param("b", nd.NonNegative.__metadata__[0])
M, N = nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)
L, R = nd.accumulate(G @ G.T), nd.accumulate(G.T @ G)
ROWS, COLS = nd.sum(G * G, over="cols"), nd.sum(G * G, over="rows")
X = G + W


def summed(x, *axes):
    for rows, cols in axes:
        x = nodes.Reduce(Reducer.SUM, x, rows, cols)
    return x


# Each group is of one value.
EQUAL = [
    (G @ (G.T @ W), (G @ G.T) @ W),
    ((M + G @ G.T) @ G, G + G @ G.T @ G, G @ (N + G.T @ G)),
    ((2 * M + 3 * G @ W.T) @ G, 2 * G + 3 * (G @ (W.T @ G))),
    (X @ X.T @ G + X @ X.T @ W, X @ X.T @ X, X @ (G.T @ G + W.T @ W + G.T @ W + W.T @ G)),
    ((X @ G.T).T @ W, G @ (G.T + W.T) @ W),
    (nd.inverse(2 * M + G @ G.T) @ G, G @ nd.inverse(2 * N + G.T @ G)),
    (nd.matrix_power(M + G @ G.T @ G @ G.T, -0.5) @ G, G @ nd.matrix_power(
        N + G.T @ G @ G.T @ G, -0.5)),
    (nd.sum(G), summed(G, (True, False), (False, True)), summed(G, (False, True), (True, False)),
     nd.sum(nd.sum(G, over="cols"))),
    (nd.max(G), nd.max(nd.max(G, over="rows"), over="cols"), nd.max(nd.max(G, over="cols"))),
    (nd.sum(ROWS), nd.sum(COLS), nd.inner(G, G), nd.trace(G @ G.T), nd.trace(G.T @ G)),
    (nd.inner(G, W), nd.trace(G @ W.T), nd.trace(W.T @ G), nd.sum(W * G)),
    (nd.inner(G @ G.T, W @ W.T), nd.inner(G.T @ W, G.T @ W), nd.trace(W.T @ G @ G.T @ W)),
    (nd.trace(L), nd.trace(R), nd.accumulate(nd.inner(G, G)), nd.sum(nd.accumulate(COLS))),
    (nd.sum(nd.ema(ROWS, 0.9)), nd.sum(nd.ema(COLS, 0.9)), nd.ema(nd.inner(G, G), 0.9)),
    (nd.polar(2 * G), nd.polar(G), -nd.polar(-G), nd.polar(G / 3)),
    (nodes.SingularLmo(-2 * G, Top(2)), -nodes.SingularLmo(G, Top(2))),
    (G * X, G * G + G * W, X * G),
    (nd.sum(2 * G + W), 2 * nd.sum(G) + nd.sum(W)),
    ((1 - nd.sum(G)) * W, W - nd.sum(G) * W),
    (G / (2 * nd.sum(G)), G / nd.sum(G) / 2),
]  # fmt: skip
DIFFERENT = [
    (G @ W.T, W @ G.T),
    (G @ G.T @ W, W @ G.T @ G),
    ((M + G @ G.T) @ W, W @ (N + G.T @ G)),
    (nd.inverse(2 * M + G @ G.T) @ W, W @ nd.inverse(2 * N + G.T @ G)),
    (nd.polar(-G), nd.polar(G)),
    (nd.polar(nd.sum(G) * G), nd.polar(G)),
    (nd.max(-G), -nd.max(G)),
    (nd.sum(G, over="rows"), nd.sum(G, over="cols").T),
    (nd.trace(G @ W.T @ G @ W.T), nd.trace(G @ G.T @ W @ W.T)),
    (nd.sum(nd.fix(lambda s: s * s / 9 + G, 0 * G)), nd.fix(lambda s: s * s / 9 + nd.sum(G), 0)),
    (nd.trace(nd.prev(L)), nd.trace(L)),
    (nd.ema(nd.inner(G, G), 0.8), nd.trace(nd.ema(G @ G.T, 0.9))),
    (nd.sum(G + ROWS), nd.sum(G) + nd.sum(ROWS)),
    (1 / nd.sum(G) * nd.sum(G) * W, W),
    (nd.sqrt(2 * ROWS), 2 * nd.sqrt(ROWS)),
]
PAIRS = [pair for group in EQUAL for pair in itertools.combinations(group, 2)]


def values(x, shape):
    streams = [random_matrix(*shape, seed) for seed in range(3)]
    weights = random_matrix(*shape, 9)
    scalar = x if x.shape == G.shape else nd.sum(x * (1 + nd.abs(x))) * W
    return torch.stack(run(scalar + 0 * G, streams, weights))


@pytest.mark.parametrize(("x", "y"), PAIRS, ids=[f"{x} = {y}" for x, y in PAIRS])
def test_equal_values_have_one_form(x, y):
    assert same(x, y)
    if x.shape == y.shape:
        torch.testing.assert_close(values(x, (3, 4)), values(y, (3, 4)))
        torch.testing.assert_close(values(x, (4, 3)), values(y, (4, 3)))


@pytest.mark.parametrize(("x", "y"), DIFFERENT, ids=[f"{x} ≠ {y}" for x, y in DIFFERENT])
def test_other_values_have_other_forms(x, y):
    assert not same(x, y)
    assert same(x, x)


def newton_schulz(x, steps, a=3.4445, b=-4.775, c=2.0315):
    x = x / nd.frobenius.value(x)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def regularised(x):
    return nd.inverse(nd.eye_like(x @ x.T) + x @ x.T) @ x


def whitened_twice(lr=0.1, r: nd.Positive = 0.5):
    root = nd.matrix_power(r * (G @ G.T) + G @ G.T, -0.5)
    return W - lr * root @ nodes.SingularLmo(root @ (G + r * G), Top(2))


def adafactor(lr=0.1, beta: nd.Fraction = 0.9):
    rows, cols = nd.ema(ROWS, beta), nd.ema(COLS, beta)
    return W - lr * G * nd.sqrt(nd.sum(rows)) / nd.sqrt(rows * cols)


def by_the_trace(lr=0.1):
    return W - lr * G / nd.sqrt(nd.trace(L))


def iterated(lr=0.1):
    return W - lr * newton_schulz(G, 5)


def iterated_once(lr=0.1, p=3.0, q=4.0, r=2.0):
    return W - lr * newton_schulz(G, 1, p, -q, r)


def ridge(lr=0.1):
    return W - lr * (regularised(G) + newton_schulz(W, 2))


def mixed(lr=0.1):
    return W - lr * (X @ X.T @ G + X @ X.T @ W)


RULES = [whitened_twice, adafactor, by_the_trace, iterated, iterated_once, ridge, mixed]


@pytest.mark.parametrize("rule", RULES, ids=[r.__name__ for r in RULES])
def test_rules_that_treat_rows_and_columns_alike_are_found_out(rule):
    verdict = check(nd.optimizer(rule), "transpose", witnesses=False)
    assert verdict.answer == "invariant"
    proofs.assert_proof_holds(verdict)


def test_unrolled_iterations_stay_short():
    @nd.optimizer
    def rule(lr=0.1):
        return W - lr * (newton_schulz(G, 10) + G @ G.T @ W)

    assert prove(rule, nd.groups.transpose).proof is None
    form = normal_form(rule.update)
    assert len(Expanded({}).terms(rule.update)) <= 3 * MOST
    assert form.kind == "Add"


def test_one_sided_rules_are_still_refuted():
    @nd.optimizer
    def rule(lr=0.1):
        return W - lr * (nd.eye_like(G @ G.T) + G @ G.T) @ W

    assert check(rule, "transpose").answer == "not invariant"
