"""The committed table is what the declarations say today.

What is proved is decided anew. That the other verdicts have witnesses is for the tests of verdicts:
here they count as refuted, but for the cells that are known to be open.
"""

import attrs
import pytest
import table

from normdsl.cli.find import find
from normdsl.cli.table_one import BEYOND, REMARKS, SIXTEEN
from normdsl.compiler.comparison.table import Comparison
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Status

OPEN = {("splus", "signed_permutations"), ("polyak_muadam_sania", "translation")}


@pytest.fixture(scope="module")
def found():
    rules = [find(name) for name in SIXTEEN + BEYOND]
    verdicts = [v for rule in rules for v in rule.check(witnesses=False)]
    return Comparison(Report(tuple(map(settled, verdicts))), REMARKS)


def settled(verdict):
    unproved = verdict.status is Status.UNKNOWN
    is_open = (verdict.declaration.name, verdict.group.name) in OPEN
    return attrs.evolve(verdict, status=Status.REFUTED) if unproved and not is_open else verdict


def test_the_committed_table_has_not_drifted(found):
    for name, content in table.written(found).items():
        assert (table.DOCS / name).read_text() == content, f"run `make table`: docs/{name}"


def test_it_has_the_sixteen_and_every_cell_is_decided_or_said_to_be_open(found):
    assert len(set(SIXTEEN)) == 16
    rules = [r.name for r in found.report.declarations]
    assert rules[:16] == list(SIXTEEN)
    open_cells = {(v.declaration.name, v.group.name) for v in found.report
                  if v.status is Status.UNKNOWN}  # fmt: skip
    assert open_cells == OPEN


@pytest.mark.slow
@pytest.mark.parametrize(("name", "group"), sorted(OPEN))
def test_an_open_cell_has_no_witness_either(name, group):
    assert find(name).check(group).status is Status.UNKNOWN


def test_every_remark_is_on_a_rule_of_the_table(found):
    assert {r.rule for r in REMARKS} <= {d.name for d in found.report.declarations}
