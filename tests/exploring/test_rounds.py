"""Halving, budgets and certainty, on results that are made up."""

import math

import pytest

import normdsl as nd
from normdsl.exploring.certainty import Certainty
from normdsl.exploring.clock import in_words, seconds
from normdsl.exploring.ledger import Result
from normdsl.exploring.rounds import SIZES, Plan, best_by_design
from normdsl.exploring.trials import Outcome

PLAN = Plan(steps=(5, 10), keep=0.5, finalists=2, seeds=4)


def result(design, round, seed, *losses):
    rates = [10.0**k for k in range(len(losses))]
    outcome = Outcome(list(losses), rates, [], 0.5, 1.0)
    return Result(design, round, seed, outcome, 10.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("budget", "expected"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5 m", 90), (7, 7)]
)
def test_budgets_are_times(budget, expected):
    assert seconds(budget) == expected


@pytest.mark.parametrize("budget", ["5", "m", "5m of tea", 0, -1, math.inf, None])
def test_what_is_no_time_is_no_budget(budget):
    with pytest.raises(nd.NormdslError, match="explore with the budget"):
        seconds(budget)


def test_times_in_words():
    assert [in_words(x) for x in (59.6, 61, 3725)] == ["1 min 0 s", "1 min 1 s", "1 h 2 min"]


def test_the_best_half_goes_on_and_what_diverged_does_not():
    losses = {"a": 3.0, "b": 1.0, "c": math.inf, "d": 2.0, "e": 4.0, "f": 5.0}
    results = [result(name, 0, 0, loss) for name, loss in losses.items()]
    assert PLAN.promoted(0, results, list(losses)) == ["b", "d", "a"]
    assert PLAN.promoted(1, results, list(losses)) == ["b", "d"]


def test_where_a_later_round_had_no_time_the_best_of_the_one_before_are_finalists():
    trained = [result("b", 1, 0, 1.0)]
    assert PLAN.promoted(1, trained, ["a", "b", "c"]) == ["b", "a"]
    assert PLAN.promoted(0, trained, ["a", "b", "c"]) == ["b"]


def test_no_more_go_on_than_there_is_time_for_but_as_many_as_there_are_finalists():
    plan = Plan(steps=(5, 10), keep=1.0, finalists=3, seeds=5)
    results = [result(name, 0, 0, float(k)) for k, name in enumerate("abcdefgh")]
    # Each took one second for 5 steps, and takes two for 10.
    assert len(plan.promoted(0, results, "abcdefgh", time=9)) == 4
    assert len(plan.promoted(0, results, "abcdefgh", time=1)) == 3
    last = [result(name, 1, 0, float(k)) for k, name in enumerate("abcd")]
    # Of finalists, three seeds of one second each have to fit.
    assert [len(plan.promoted(1, last, "abcd", time=t)) for t in (1, 8, 10, 99)] == [2, 2, 3, 3]


def test_finalists_have_seeds_that_no_rate_was_chosen_by_in_turn():
    assert PLAN.keys(1, ["a", "b"]) == [(1, "a", 0), (1, "b", 0)]
    keys = PLAN.keys(2, ["a", "b"])
    assert keys[:3] == [(2, "a", 1), (2, "b", 1), (2, "a", 2)]
    assert {seed for _, _, seed in keys} == {1, 2, 3, 4}


def test_later_rates_are_beside_the_best_and_nearer_every_time():
    before = result("a", 0, 0, 3.0, 1.0, 2.0)
    assert PLAN.rates(1, before) == pytest.approx([1.0, 10**0.5, 10.0, 10**1.5])
    assert PLAN.rates(2, before) == [10.0]
    longer = Plan(steps=(5, 10, 20))
    assert longer.rates(2, before)[1:3] == pytest.approx([10**0.75, 10.0])
    assert longer.trials(0) == len(SIZES)
    assert longer.trials(3) == longer.trials(2) == len(SIZES) + 8


def test_the_result_of_a_design_is_that_of_its_highest_round():
    found = best_by_design([result("a", 1, 0, 2.0), result("a", 0, 0, 1.0), result("a", 2, 3, 0.5)])
    assert found["a"].round == 1


def finals(**losses):
    return [
        result(name, 2, seed, loss)
        for name, row in losses.items()
        for seed, loss in enumerate(row, 1)
    ]


def test_a_design_that_is_better_with_every_seed_is_told_apart():
    found = Certainty.of(finals(a=[1.0, 5.0, 2.0], b=[1.1, 5.1, 2.1]), PLAN)
    assert (found.best, found.stays, found.alike, found.seeds) == ("a", 1.0, [], 3)
    assert "3 seeds are few: draws of them say little." in found.sentences()


def test_designs_that_win_with_different_seeds_are_not():
    found = Certainty.of(finals(a=[1.0, 1.0, 3.0], b=[2.0, 2.0, 1.5], c=[9.0, 9.0, 9.0]), PLAN)
    assert found.best == "a"
    assert 0.5 < found.stays < 0.95
    assert found.alike == ["b"]
    assert "Not to be told from it: b." in found.sentences()


def test_only_seeds_that_all_finalists_have_are_compared():
    found = Certainty.of(finals(a=[1.0, 1.0], b=[2.0, 0.0, 0.0]), PLAN)
    assert found.seeds == 2


def test_early_rounds_are_compared_with_later_ones():
    names = "abcd"
    first = [result(n, 0, 0, float(k), 9.0, 9.0) for k, n in enumerate(names)]
    same = [result(n, 1, 0, float(k)) for k, n in enumerate(names)]
    turned = [result(n, 1, 0, -float(k)) for k, n in enumerate(names)]
    assert Certainty.of([*first, *same], PLAN).ranks == pytest.approx([1.0])
    assert Certainty.of([*first, *turned], PLAN).ranks == pytest.approx([-1.0])
    assert Certainty.of(first, PLAN).edge == 1.0
