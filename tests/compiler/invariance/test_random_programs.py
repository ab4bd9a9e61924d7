"""Some random programs in all groups: no verdict against its runs, and few unknown."""

import functools

import programs
import pytest
import soundness
from judging import WRONG, Outcome, judge_all

COUNT, SEED, DEPTH = 32, 3, 2


@functools.cache
def judged():
    chosen = programs.sample(COUNT, SEED, DEPTH)
    return [
        (declaration, case) for declaration in chosen.values() for case in judge_all(declaration)
    ]


@pytest.fixture(scope="module")
def cases():
    return judged()


def written(some):
    return [f"{c.group}: {c.answer}, {c.outcome.value} ({c.drift:.2g})\n{d}" for d, c in some]


def test_no_verdict_goes_against_its_runs(cases):
    assert written((d, c) for d, c in cases if c.outcome in WRONG) == []


def test_what_runs_can_settle_is_seldom_unknown(cases):
    found = soundness.shares(case for _, case in cases)
    unknown = [(d, c) for d, c in cases if c.outcome in (Outcome.MISSED, Outcome.INCOMPLETE)]
    assert found["unknown"] <= soundness.ALLOWED, written(unknown)


def test_the_sample_is_not_vacuous(cases):
    """Every group has proved programs and refuted ones; a third of all cases is proved."""
    found = soundness.shares(case for _, case in cases)
    assert found["settled"] > 0.8 * len(cases)
    assert found["proved"] > 0.3
    by_group = {c.group: {d.outcome for _, d in cases if d.group == c.group} for _, c in cases}
    for outcomes in by_group.values():
        assert Outcome.REFUTED in outcomes
        assert outcomes & {Outcome.INVARIANT, Outcome.CONDITIONAL}
