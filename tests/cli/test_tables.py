"""Tables on a terminal: answers have the style of their tone, and nothing is markup."""

import functools
import io

import pytest
from rich.cells import cell_len
from rich.console import Console

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adam, bounded_muadam_sania, muadam, muadam_sania, sgd
from normdsl.cli.tables import block, comparison_tables, framed, mark
from normdsl.show.colours import Tone
from normdsl.show.grid import Grid

GRID = Grid(["probe", "verdict"], [["holds", "holds"], ["a", "breaks (by 2)"], ["b", "breaks"]])
TONES = {"holds": Tone.GOOD, "breaks": Tone.BAD, "breaks (by 2)": Tone.BAD}


def printed(shown, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(shown)
    return out.getvalue()


def test_whole_cells_are_coloured_and_no_others():
    grid = Grid(GRID.head, [*GRID.rows, ["c", "breaks even"]], tones=TONES)
    cells = framed(grid).columns[1].cells
    assert [(cell.plain, str(cell.style)) for cell in cells] == [
        ("holds", "bold green"),
        ("breaks (by 2)", "red"),
        ("breaks", "red"),
        ("breaks even", ""),
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_part_of_a_report_is_folded_to_the_width(width):
    why = "a constant decides " * 9
    for shown in (Grid(["gradient scale", "verdict"], [["·" * 17, why]]), f"  1. {why}"):
        lines = printed(block(shown, width), width).splitlines()
        assert len(lines) > 1
        assert max(map(cell_len, lines)) <= width
        assert " ".join(lines).split().count("decides") == 9


def test_brackets_are_no_markup():
    assert "[red]" in printed(framed(Grid(["rule", "why"], [["x", "it says [red]"]])))


def test_the_first_column_is_never_folded():
    told = printed(framed(Grid(["group", "why"], [["right_orthogonal", "word " * 40]])), width=40)
    assert "right_orthogonal" in told


@functools.cache
def compared():
    return nd.compare(sgd, adam, muadam_sania, witnesses=False)


@pytest.mark.parametrize("width", [60, 100])
def test_a_comparison_has_a_row_per_group_in_every_table(width):
    told = [printed(t, width) for t in comparison_tables(compared(), width)]
    assert all(text.count("loss_transform") == 1 for text in told)
    assert "if eps = 0" in "".join(told)
    assert len(told) == {60: 2, 100: 1}[width]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_names_of_rules_are_not_folded(width):
    rules = sgd, muadam, muadam_sania, bounded_muadam_sania
    report = nd.compare(*rules, witnesses=False)
    told = [printed(t, width) for t in comparison_tables(report, width)]
    assert all(any(rule.name in text for text in told) for rule in rules)
    assert max(len(line) for text in told for line in text.splitlines()) <= width


def test_conditions_stand_for_conditional_answers():
    assert mark(compared()["muadam_sania", "scale"]) == "if eps = 0"
    assert mark(compared()["sgd", "orthogonal"]) == "yes"


def floor(lr=0.1, eps: nd.Positive = 0.1):
    return W - lr * G / (nd.sqrt(nd.ema(G * G, 0.9)) + eps)


def test_a_limit_stands_for_an_answer_that_holds_in_the_limit():
    report = nd.compare(nd.optimizer(floor), sgd, witnesses=False)
    assert mark(report["floor", "loss_scale"]) == "in the limit eps → 0, where continuous"
