"""Guessing laws of states: numbers in bodies, recursions inside recursions, unknowns of both."""

import proofs
import pytest
from properties import within

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import candidate_laws
from normdsl.compiler.invariance.induction import by_induction
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.laws import ANY, Law
from normdsl.compiler.verdicts.check import check

ZEROS = nd.zeros_like(G)
COLUMN = nd.zeros_like(nd.sum(G, over="cols"))
GRAM = nd.zeros_like(G @ G.T)


def gain(start):
    return nd.fix(lambda r: (1 + r) / (1 + G * G), start)


def of_rows():
    return nd.fix(lambda r: (1 + r) / (1 + nd.sum(G * G, over="cols")), COLUMN)


def two_back(x, lag=1):
    return nd.fix(lambda s: s / 2 + nd.prev(s, lag) / 5 + x, nd.zeros_like(x))


def averaged_error():
    return nd.fix(lambda s: s / 2 + nd.ema(s - G, 0.9), ZEROS)


def fix_in_a_fix():
    return nd.fix(lambda s: nd.fix(lambda u: u / 2 + s + G, ZEROS) / 10, ZEROS)


def three_deep():
    def inner(s):
        return nd.fix(lambda u: u / 2 + nd.ema(u + s, 0.5), ZEROS)

    return nd.fix(lambda s: s / 2 + inner(s) + G, ZEROS)


def coupled():
    both = (ZEROS, ZEROS)
    a, b = nd.fix(lambda a, b: (a / 2 + nd.ema(b, 0.9) + G * G, b / 2 + nd.prev(a)), both)
    return a + b


PROVED = [
    (gain(ZEROS) * G, "permutations"),
    (gain(ZEROS + 2) * G, "permutations"),
    (gain(ZEROS) * G, "signed_permutations"),
    (gain(ZEROS) * G, "sign_flips"),
    (of_rows() * G, "signed_permutations"),
    (nd.polar(two_back(G)), "orthogonal"),
    (nd.polar(two_back(G)), "transpose"),
    (nd.sign(two_back(G)), "loss_scale"),
    (W @ two_back(G, 2).T @ W, "affine"),
    (nd.matrix_power(two_back(G @ G.T), -0.25) @ G, "orthogonal"),
    (nd.sign(averaged_error()), "loss_scale"),
    (W @ averaged_error().T @ W, "affine"),
    (W * W * averaged_error(), "scale"),
    (nd.sign(fix_in_a_fix()), "loss_scale"),
    (W * W * three_deep(), "scale"),
    (G / coupled(), "scale"),
]


@pytest.mark.parametrize(("step", "group"), PROVED, ids=[f"{s} in {g}" for s, g in PROVED])
def test_laws_that_are_there_are_found(step, group):
    @nd.optimizer
    def rule(lr=0.1):
        return W - lr * step

    verdict = check(rule, group, witnesses=False)
    assert verdict.answer == "invariant"
    proofs.assert_proof_holds(verdict)


def test_a_state_without_a_law_is_still_refused():
    @nd.optimizer
    def rule(lr=0.1):
        s = nd.fix(lambda s: s / 2 + nd.ema(s * nd.abs(G), 0.9) + G * G, ZEROS)
        return W - lr * G / (1 + s)

    assert check(rule, "scale").answer == "not invariant"


def test_open_guesses_prove_nothing():
    recursion = two_back(G).recursion
    with pytest.raises(AssertionError, match="an open guess"):
        by_induction(Inference(nd.groups.orthogonal), recursion, (Law(ANY, ANY, ANY),))


def test_recursions_that_stand_in_one_another_are_given_up_in_time(monkeypatch):
    """Each proposal for the outer states asks for all of the inner ones, whose shifts grow."""

    @nd.optimizer
    def tangled(lr=0.05, eps=0.1, beta: nd.Fraction = 0.9, gamma: nd.Fraction = 0.6):
        def outer(s):
            def middle(b):
                a = nd.prev(nd.fix(lambda a: beta * a + (1 - beta) * b, nd.zeros_like(W)))
                return gamma * (gamma * a + (1 - gamma) * b) + (s + eps * s)

            return gamma * nd.fix(middle, W) + nd.top_entries(2).lmo(nd.ema(G, gamma))

        return W - lr * nd.fix(outer, nd.zeros_like(W))

    monkeypatch.setattr(candidate_laws, "_MOST_TRIED", 20)
    with within(30):
        verdict = tangled.check("translation", witnesses=False)
    assert verdict.answer == "invariant if gamma = 0"
