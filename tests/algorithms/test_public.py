"""Shipped rules against public implementations: equal, or different in one proven point."""

import ast
from pathlib import Path

import pytest
from peers import ROWS, UNMATCHED, variants
from peers.row import APART
from references.problems import STEPS, cases_of
from taking_turns import OTHERS, SINGLE

from normdsl.cli.find import shipped

DEVIATING = [row for row in ROWS if row.deviation]
EQUAL = [row for row in ROWS if not row.deviation]


def named(row):
    return f"{row.rule}-{row.code}"


def turn(row):
    """Return which cases a row is compared on: every other one, its neighbours on the others.

    All of them where there are few, and one for rules that take turns. `make parity` compares on
    all.
    """
    if row.rule in OTHERS:
        return slice(ROWS.index(row) % len(row.cases), None, len(row.cases))
    few = len(row.cases) < 4
    return slice(None) if few else slice(ROWS.index(row) % 2, None, 2)


@pytest.mark.parametrize("row", EQUAL, ids=named)
def test_a_rule_equals_its_public_implementation(row):
    assert max(row.rule_distances(turn(row))) <= row.tolerance


@pytest.mark.parametrize("row", DEVIATING, ids=named)
def test_a_rule_differs_from_a_public_implementation_that_deviates(row):
    assert min(row.rule_distances(turn(row))) > APART


@pytest.mark.parametrize("row", DEVIATING, ids=named)
def test_a_rule_changed_as_the_deviation_says_equals_the_public_implementation(row):
    assert row.variant is not None
    assert max(row.variant_distances(turn(row))) <= row.tolerance


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_runs_our_rule_with_every_hyper_parameter_given(row):
    assert set(shipped()[row.rule].defaults) <= set(row.hyper)
    if hasattr(row.variant, "defaults"):
        assert set(row.variant.defaults) <= set(row.hyper)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_row_that_compares_less_says_so(row):
    less = row.steps != STEPS or row.tolerance > 1e-9 or row.cases != cases_of(row.rule)
    assert bool(row.limits) == less


def test_every_rule_has_a_public_implementation_or_a_reason():
    assert len({named(row) for row in ROWS}) == len(ROWS)
    assert {row.rule for row in ROWS}.isdisjoint(UNMATCHED)
    assert {row.rule for row in ROWS} | set(UNMATCHED) == set(SINGLE)


def test_variants_are_all_used_and_no_longer_than_a_rule():
    declared = {v.name for v in vars(variants).values() if hasattr(v, "defaults")}
    used = {row.variant.name for row in DEVIATING if hasattr(row.variant, "defaults")}
    assert declared == used
    for node in ast.parse(Path(variants.__file__).read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name in declared:
            assert sum(n.end_lineno - n.lineno + 1 for n in node.body) <= 10
