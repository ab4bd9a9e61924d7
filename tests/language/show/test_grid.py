"""Tables in four notations."""

import attrs
import pytest

from normdsl.show.colours import Tone
from normdsl.show.grid import Grid

GRID = Grid(
    ["rule", "answer"],
    [["adam", "no"], ["one_<b>", "yes"]],
    notes=["R & D."],
    tones={"yes": Tone.GOOD},
    tips={"no": "it's 'refuted'"},
)


def test_text_is_in_columns_without_spaces_at_the_end():
    assert GRID.text() == "rule     answer\nadam     no\none_<b>  yes\nR & D."
    assert GRID.text(head=False) == "adam     no\none_<b>  yes\nR & D."
    assert repr(attrs.evolve(GRID, title="rules")) == f"rules\n{GRID}"


def test_heads_are_underlined_on_demand_as_far_as_the_longest_line():
    ruled = attrs.evolve(GRID, rows=[*GRID.rows, ["x", "not supported"]], ruled=True)
    head, line, *_ = ruled.text().splitlines()
    assert (head, line) == ("rule     answer", "─" * len("one_<b>  not supported"))
    assert "─" not in ruled.text(head=False)
    assert attrs.evolve(ruled, rows=[]).text() == "rule  answer\n────────────\nR & D."


@pytest.mark.parametrize("ruled", [False, True])
def test_pieces_repeat_the_first_column_and_keep_the_line(ruled):
    pieces = Grid(["a", "b", "c"], [["1", "2", "3"]], ruled=ruled).pieces(width=4)
    line = "────\n" if ruled else ""
    assert pieces == [f"a  b\n{line}1  2", f"a  c\n{line}1  3"]


def test_html_colours_answers_and_escapes_everything():
    shown = GRID.html()
    assert "<td style='text-align:left;color:#1f883d;font-weight:600'>yes</td>" in shown
    assert "<td style='text-align:left' title='it&#x27;s &#x27;refuted&#x27;'>no</td>" in shown
    assert "one_&lt;b&gt;" in shown
    assert shown.endswith("</table><p>R &amp; D.</p>")
    assert shown == GRID._repr_html_()


def test_latex_and_markdown_escape_what_is_special_there():
    piped = attrs.evolve(GRID, rows=[["a_b", "x|y"]])
    assert r"\text{a\_b} & \text{x|y}" in piped.array()
    assert piped.markdown() == "| rule | answer |\n| --- | --- |\n| a_b | x\\|y |\n\nR & D."
