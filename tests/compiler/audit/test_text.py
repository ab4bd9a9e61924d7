"""The report as text."""

import math

from specimens import Floored

import normdsl as nd
from normdsl.compiler.audit.findings import Kind
from normdsl.compiler.audit.text import blocks, sparkline
from normdsl.compiler.invariance import groups
from normdsl.show.grid import Grid


def test_a_bar_spans_two_decades():
    assert sparkline([1.0, 0.5, 5e-3, 5e-9, 5e-16, 1e-30]) == "██▇▄▁▁"
    assert sparkline([0.0, math.inf, math.nan]) == "·∞∞"


def test_a_table_for_each_kind_of_probe_colours_its_verdicts():
    tables = [b for b in blocks(nd.audit(Floored, steps=3, seeds=1)) if isinstance(b, Grid)]
    assert len(tables) == len(Kind)
    for grid in tables:
        verdicts = [row[grid.head.index("verdict")] for row in grid.rows]
        assert verdicts
        assert set(verdicts) == set(grid.tones)
        assert set(str(grid).splitlines()[1]) == {"─"}


def test_the_report_has_a_row_per_group_and_tells_defects():
    told = str(nd.audit(Floored, steps=3, seeds=1))
    lines = told.splitlines()
    assert lines[0] == "audit of Floored"
    for group in groups.ALL:
        assert sum(line.split()[0] == group.name for line in lines if line) == 1
    assert "reparametrised 6×8" in told
    assert "holds above ‖G‖ = 0.0077" in told
    assert "defects\n  1. gradient_scale: holds above" in told
    assert "not tried" not in told
    assert all(line == line.rstrip() for line in lines)
