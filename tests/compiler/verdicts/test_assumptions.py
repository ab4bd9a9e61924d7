"""Assumptions are given in the words in which verdicts print them."""

import re

import pytest
from properties import refuses
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.verdicts.check import check

RULES = list(in_turn(1, 16).values())
SAID = {
    "transformed along with the weights": "transported",
    "multiplied by c": "transported",
    "the same in both runs": "unmoved",
    "full rank": "full_rank",
    "distinct eigenvalues": "distinct",
    "distinct singular values": "separated",
    "distinct entries": "untied",
    "scaled along with the loss": "scaled",
}


def told(answer):
    """Return the keywords that say what an answer's conditions say, in the same words."""
    said = re.sub(r" \(only for [^()]*\)", "", answer.partition(" if ")[2])
    given, names = {}, []
    for clause in re.split(r", | and ", said.partition(" in the limit")[0]):
        equation = re.fullmatch(r"(\w+) = (\d+)(?:/(\d+))?", clause)
        sentence = re.fullmatch(r"(.*?) (?:has|have|starts?|is|are) (.*)", clause)
        if equation:
            given[equation[1]] = int(equation[2]) / int(equation[3] or 1)
        elif sentence:
            given[SAID[sentence[2]]] = ", ".join([*names, sentence[1]])
            names = []
        else:
            names.append(clause)
    return given


def settled(verdict):
    return verdict.status is Status.INVARIANT or verdict.limits


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_conditions_can_be_given_back_as_they_are_printed(rule):
    """In every third group, neighbours among the rules in the others."""
    for group in groups.ALL[RULES.index(rule) % 3 :: 3]:
        verdict = check(rule, group, witnesses=False)
        if not verdict.conditions:
            continue
        given = told(verdict.answer)
        assert settled(check(rule, group, witnesses=False, **given)), verdict.answer
        everything = {k: True if k in SAID.values() else v for k, v in given.items()}
        assert settled(check(rule, group, witnesses=False, **everything)), verdict.answer


@nd.optimizer
def damped(lr=0.1, eps=1e-4):
    gram = G @ G.T + eps * nd.eye_like(G @ G.T)
    return W - lr * nd.inverse(gram) @ G


@nd.optimizer
def unnamed(lr=0.1):
    return W - lr * nd.inverse(nd.ema(G @ G.T, 0.5)) @ G


@nd.optimizer
def nested(lr=0.1):
    def step(s):
        return 0.9 * s + nd.inverse(nd.accumulate(G @ G.T)) @ G

    return W - lr * nd.fix(step, nd.zeros_like(G))


@nd.optimizer
def factored(lr=0.1):
    L = nd.accumulate(G @ G.T)
    return W - lr * nd.inverse(nd.cholesky(L)).T @ (nd.inverse(nd.cholesky(L)) @ G)


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        (damped, {"eps": 0, "full_rank": "gram"}),
        (damped, {"eps": 0, "full_rank": "G Gᵀ"}),
        (damped, {"eps": 0, "full_rank": "G @ G.T"}),
        (damped, {"eps": 0, "full_rank": G @ G.T}),
        (unnamed, {"full_rank": "s₁"}),
        (unnamed, {"full_rank": "s1"}),
        (nested, {"full_rank": True}),
        (factored, {"full_rank": "L"}),
        (factored, {"full_rank": "chol(L)"}),
        (factored, {"full_rank": ["chol(L)", "L"]}),
        (algorithms.kfac, {"damping": 0, "full_rank": "L, R"}),
        (algorithms.kfac, {"damping": 0, "full_rank": "L and R"}),
    ],
    ids=lambda x: x.name if isinstance(x, nd.Declaration) else str(x),
)
def test_a_part_is_known_by_its_name_and_by_how_it_is_written(rule, given):
    assert not check(rule, "left_affine", witnesses=False).invariant
    verdict = check(rule, "left_affine", witnesses=False, **given)
    assert verdict.invariant
    assert verdict.assumed


def test_none_and_false_assume_nothing():
    for nothing in (None, False):
        verdict = check(unnamed, "left_affine", witnesses=False, full_rank=nothing)
        assert verdict.conditions
        assert not verdict.assumed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"full_rank": 1}, ("full_rank = 1", "True for all")),
        ({"full_rank": ["s₁", 2]}, ("names no part", 'full_rank="s1"')),
        ({"full_rank": "S"}, ("no part of that name", "s1")),
        (
            {"full_rank": "G"},
            ("only the rank of a square matrix, or of columns as many as a rank",),
        ),
        ({"transported": "G Gᵀ"}, ("only a state has a start",)),
        ({"scaled": "s₁"}, ("hyper-parameter",)),
        ({"full_rank": 2 * G @ W.T}, ("names no part",)),
    ],
    ids=str,
)
def test_what_names_no_part_is_refused(given, words):
    with refuses(nd.NormdslError, *words):
        check(unnamed, "left_affine", witnesses=False, **given)


def test_a_report_over_some_groups():
    for some in (["affine", "scale"], ("affine", nd.groups.scale), "affine, scale"):
        report = check(damped, some, witnesses=False)
        assert [v.group.name for v in report] == ["affine", "scale"]
    assert len(check(damped, ["scale", "scale"], witnesses=False)) == 1


@pytest.mark.parametrize("none", [[], 3, ["affine", 3], "affine, scales", "afine"], ids=str)
def test_what_is_no_group_is_refused(none):
    with refuses(nd.NormdslError):
        check(damped, none, witnesses=False)
