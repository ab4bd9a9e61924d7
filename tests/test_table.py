"""The committed table is what the declarations say today."""

import pytest
import table

from normdsl.cli.table_one import REMARKS, SIXTEEN, table_one
from normdsl.compiler.invariance.verdict import Status


@pytest.fixture(scope="module")
def found():
    return table_one()


@pytest.mark.slow
def test_the_committed_table_has_not_drifted(found):
    for name, content in table.written(found).items():
        assert (table.DOCS / name).read_text() == content, f"run `make table`: docs/{name}"


def test_it_has_the_sixteen_and_every_cell_is_decided_or_said_to_be_open(found):
    assert len(set(SIXTEEN)) == 16
    rules = [r.name for r in found.report.declarations]
    assert rules[:16] == list(SIXTEEN)
    open_cells = {(v.declaration.name, v.group.name) for v in found.report
                  if v.status is Status.UNKNOWN}  # fmt: skip
    assert open_cells == {("splus", "signed_permutations"), ("polyak_muadam_sania", "translation")}


def test_every_remark_is_on_a_rule_of_the_table(found):
    assert {r.rule for r in REMARKS} <= {d.name for d in found.report.declarations}
