"""Fields: lengths by shape, and names that are the author's or free."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering import fragments
from normdsl.compiler.lowering.fields import Field, unused
from normdsl.compiler.lowering.program import lower
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import Dim, Rank


def test_lengths():
    assert Field("L", (Dim.M, Dim.M)).lengths((3, 5)) == (3, 3)
    assert Field("c", (Dim.ONE, Dim.N)).lengths((3, 5)) == (1, 5)
    assert Field("F", (Dim.MN, Dim.MN)).lengths((3, 5)) == (15, 15)


@pytest.mark.parametrize(
    ("share", "length"), [(0.5, 2), (1 / 3, 1), (0.34, 2), (1.0, 3), (1e-3, 1)]
)
def test_a_share_of_the_shorter_side_is_rounded_up(share, length):
    rank = Rank(as_expr(share), share=True)
    assert Field("P", (Dim.M, rank)).lengths((3, 5)) == (3, length)
    assert eval(fragments.length(rank), {"rows": 5, "cols": 3}) == length


def test_a_name_is_changed_only_if_it_is_used():
    assert unused("x", {"y"}) == "x"
    assert unused("x", {"x", "x_"}) == "x__"


def test_states_without_a_name_get_one():
    update = W - nd.ema(G, 0.5) - nd.ema(G * G, 0.5)
    program = lower(nd.Declaration("probe", (), update), nd.Schedule())
    assert [f.name for f in program.fields] == ["s1", "s2"]
