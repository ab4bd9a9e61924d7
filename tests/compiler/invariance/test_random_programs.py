"""A few random programs in all groups: no verdict against its runs, and few unknown."""

import functools

import programs
import pytest
import soundness
from judging import WRONG, Outcome, judge

from normdsl.compiler.invariance import groups
from normdsl.expressions.origins import Origin

COUNT, SEED, DEPTH = 10, 47, 2
#: Of a program with draws, distributions are compared, which takes long: in one group of so many.
THINNED = 4


def asked(declaration):
    """Return the groups that a program is judged in."""
    draws = Origin.CHANCE in declaration.update.origins
    return groups.ALL[:: THINNED if draws else 1]


@functools.cache
def judged():
    chosen = programs.sample(COUNT, SEED, DEPTH).values()
    return [
        (declaration, judge(declaration, g)) for declaration in chosen for g in asked(declaration)
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
    """Every group has proved programs and refuted ones; a third is proved; some draw."""
    assert any(Origin.CHANCE in d.update.origins for d, _ in cases)
    found = soundness.shares(case for _, case in cases)
    assert found["settled"] > 0.8 * len(cases)
    assert found["proved"] > 0.3
    by_group = {c.group: {d.outcome for _, d in cases if d.group == c.group} for _, c in cases}
    for outcomes in by_group.values():
        assert Outcome.REFUTED in outcomes
        assert outcomes & {Outcome.INVARIANT, Outcome.CONDITIONAL}
