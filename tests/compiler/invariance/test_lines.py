"""Reasons and proofs are true, and speak in the author's names."""

import itertools

import pytest

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.invariance import groups, lines
from normdsl.compiler.invariance.naming import names_of
from normdsl.compiler.verdicts.check import check


@nd.optimizer
def nested(lr=0.1, eps=1e-8):
    return W - lr * nd.ema(nd.ema(G, 0.8), 0.9) / (nd.sqrt(nd.ema(G * G, 0.9)) + eps)


@nd.optimizer
def inner_named(lr=0.1):
    def step(s):
        gram = nd.ema(s @ s.T, 0.5)
        return 0.9 * s + nd.inverse(gram) @ G

    return W - lr * nd.fix(step, nd.zeros_like(G))


@nd.optimizer
def in_old_coordinates(lr=0.1):
    Q = nd.eigenbasis(nd.ema(G @ G.T, 0.9))
    return W - lr * Q @ nd.ema(Q.T @ G, 0.9)


@nd.optimizer
def one_sided(lr=0.1):
    L = nd.accumulate(G @ G.T)
    return W - lr * nd.inverse(L) @ G


@nd.optimizer
def two_averages(lr=0.1):
    return W - lr * nd.ema(nd.ema(G @ G.T, 0.9) @ G, 0.8)


RULES = [nested, inner_named, in_old_coordinates, one_sided, two_averages]


@pytest.mark.parametrize(
    ("rule", "group"),
    itertools.product(RULES, groups.ALL),
    ids=lambda x: x.name,
)
def test_every_state_has_a_name(rule, group):
    """No recursion is written out, in a proof, in a reason or in a condition."""
    verdict = check(rule, group, witnesses=False)
    said = [verdict.answer, verdict.because, *(f"{x.formula} {x.moves}" for x in verdict.proof)]
    for sentence in said:
        assert "fix(" not in sentence
        assert "before(" not in sentence
        assert "(−(−" not in sentence


def test_states_keep_their_names_where_hyper_parameters_are_zero():
    """With rates of 0 the averages are other recursions, which the author's names still name."""

    @nd.optimizer
    def adaptive(lr=0.1, beta1=0.9, beta2=0.99, eps=1e-8):
        m, v = nd.ema(G, beta1), nd.ema(G * G, beta2)
        return W - lr * m / (nd.sqrt(v) + eps)

    verdict = check(adaptive, "loss_transform", witnesses=False)
    assert verdict.answer == "invariant if beta1 = 0, beta2 = 0 and eps = 0"
    assert {"m", "v", "√v"} <= {line.formula for line in verdict.proof}


def test_names_of_equal_rules_are_their_own():
    @nd.optimizer
    def called(lr=0.1):
        momentum = nd.ema(G, 0.9)
        return W - lr * momentum

    @nd.optimizer
    def other(lr=0.1):
        buffer = nd.ema(G, 0.9)
        return W - lr * buffer

    assert called.update == other.update
    assert "momentum" in names_of(called).values()
    assert "buffer" in names_of(other).values()


@pytest.mark.parametrize(
    ("rule", "group", "words"),
    [
        (algorithms.muon, "orthogonal", "lmo[‖X‖₂](u) is rotated by P in its rows and by Q"),
        (algorithms.soap, "orthogonal", "eigenvectors turn with P, up to sign"),
        (algorithms.adam, "translation", "nothing it reads moves"),
        (algorithms.adam, "sign_flips", "is flipped in sign by S"),
        (algorithms.kfac, "affine", "a square root of P S Pᵀ is P S^½ up to a rotation"),
        (algorithms.sgd, "transpose", "with rows and columns exchanged it is the same rule"),
        (one_sided, "uniform_scale", "η L⁻¹ G is multiplied by c"),
    ],
    ids=str,
)
def test_the_reason_says_what_carries_the_proof(rule, group, words):
    assert words in check(rule, group, witnesses=False).because


def test_reasons_of_proofs_differ():
    said = {check(rule, "orthogonal", witnesses=False).because for rule in (algorithms.muon,
            algorithms.soap, algorithms.sgd, algorithms.shampoo)}  # fmt: skip
    assert len(said) == 4


def test_proof_lines_are_written_when_they_are_read(monkeypatch):
    written = []
    monkeypatch.setattr(lines, "text", lambda *args: written.append(args) or "")
    verdict = check(algorithms.adam, "sign_flips", witnesses=False)
    assert verdict.invariant
    assert verdict.proof
    assert not written
    assert verdict.proof[-1].expr == algorithms.adam.update
    assert written


def test_sentences_fit_a_hundred_columns():
    verdict = check(algorithms.adam, "affine")
    assert all(len(line) <= 100 for line in str(verdict).splitlines())


def test_a_search_that_was_not_made_is_not_spoken_of():
    verdict = check(algorithms.adam, "affine", witnesses=False)
    assert "no counterexample" not in verdict.because
    assert "no run was looked for" in str(verdict)


@nd.optimizer
def triangular(lr=0.1):
    step = lr * G
    return W - nd.cholesky(G @ G.T) @ step


def test_a_part_that_is_its_own_mirror_image_is_not_at_fault():
    verdict = check(triangular, "transpose", witnesses=False)
    assert verdict.culprit.formula == "G Gᵀ"
    assert "its mirror image, Gᵀ G, does not occur" in verdict.because


@pytest.mark.parametrize("rule", [*RULES, triangular, *map(algorithms.__dict__.get, ("muon",))],
                         ids=lambda rule: rule.name)  # fmt: skip
def test_a_mirror_image_that_is_missed_reads_differently(rule):
    because = check(rule, "transpose", witnesses=False).because
    if "its mirror image, " in because:
        part = because.removeprefix("in ").partition(" (line")[0]
        image = because.partition("its mirror image, ")[2].partition(", does not")[0]
        assert part != image


def test_the_mirror_image_of_a_state_is_shown_with_what_it_collects():
    because = check(one_sided, "transpose", witnesses=False).because
    assert "its mirror image, L′ ← L′_old + Gᵀ G, does not occur in the rule" in because


def test_new_weights_are_described_in_words():
    @nd.optimizer
    def lean(lr=0.1):
        return nd.prev(W) * 0 + W * nd.sum(G * G) - lr * W * nd.sum(G * G)

    because = check(lean, "loss_scale", witnesses=False).because
    assert "the new weights are multiplied by c^(2), but W is left alone" in because
