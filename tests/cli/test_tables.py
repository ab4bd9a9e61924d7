"""Tables on a terminal: answers have the style of their tone, and nothing is markup."""

import functools
import io

import pytest
from rich.console import Console
from rich.text import Text

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adam, bounded_muadam_sania, muadam, muadam_sania, sgd
from normdsl.cli.tables import coloured, comparison_tables, framed, mark
from normdsl.show.colours import Tone
from normdsl.show.grid import Grid

GRID = Grid(["probe", "verdict"], [["holds", "holds"], ["a", "breaks (by 2)"], ["b", "breaks"]])
TONES = {"holds": Tone.GOOD, "breaks": Tone.BAD, "breaks (by 2)": Tone.BAD}


def printed(shown, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(shown)
    return out.getvalue()


def styled(text: Text) -> list[tuple[str, str]]:
    return [(text.plain[span.start : span.end], str(span.style)) for span in text.spans]


def test_whole_cells_are_coloured_and_no_others():
    grid = Grid(GRID.head, [*GRID.rows, ["c", "breaks even"]], tones=TONES)
    assert coloured(grid).plain == str(grid)
    assert sorted(styled(coloured(grid))) == [
        ("breaks", "red"),
        ("breaks (by 2)", "red"),
        ("holds", "bold green"),
    ]
    assert styled(coloured("a  holds")) == []


def test_an_answer_that_is_followed_by_a_cell_is_coloured():
    grid = Grid(["probe", "verdict", "why"], [["a", "breaks", "so"]], tones=TONES)
    assert styled(coloured(grid)) == [("breaks", "red")]


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
