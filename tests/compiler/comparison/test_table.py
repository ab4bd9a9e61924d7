"""Tables of rules: geometry, letters, remarks that must be true, four ways of writing them."""

import attrs
import pytest

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.comparison.geometry import definitions, geometry
from normdsl.compiler.comparison.table import Comparison, Remark, table
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import report
from normdsl.norms.maps import Hadamard

RULES = [a.sign_sgd, a.adam_sania, a.shampoo, a.muon]


@pytest.fixture(scope="module")
def found():
    return table(RULES, [Remark("muon", "It is fast.", "It is.")])


def rule(step):
    return nd.Declaration("probe", (), W + step)


def test_the_geometry_is_read_off_the_step():
    shape = geometry(a.soap)
    assert shape.base == nd.frobenius
    named = [a.soap.labels.get(x) for x in (shape.left[0].T, shape.right[0])]
    assert named == ["Q", "P"]
    assert shape.oracle == "sharp"
    assert not shape.layers


def test_left_factors_stand_in_the_order_in_which_they_are_written():
    gram, under = G @ G.T, G.T @ G
    inside = nd.preconditioned(nd.spectral, left=gram, right=under)
    outside = nd.preconditioned(inside, left=2 * gram, hadamard=nd.abs(W))
    shape = geometry(rule(outside.lmo(G)))
    assert shape.left == (gram, 2 * gram)
    assert shape.right == (under,)
    assert shape.hadamard == (nd.abs(W),)
    assert str(shape.base) == "‖X‖₂"


def test_norms_of_all_layers_are_seen_through():
    norm = nd.over_layers(nd.preconditioned(nd.spectral, hadamard=nd.abs(W)), nd.lp(2))
    shape = geometry(rule(norm.sharp(G)))
    assert shape.layers
    assert shape.base == nd.spectral
    assert Hadamard(shape.hadamard[0]).weights == nd.abs(W)


def test_steps_in_several_norms_or_in_none_have_no_geometry():
    assert geometry(rule(nd.spectral.lmo(G) + nd.frobenius.lmo(G))) is None
    assert geometry(rule(G)) is None
    assert geometry(rule(nd.spectral.lmo(G) + 2 * nd.spectral.lmo(G))) is not None


@pytest.mark.parametrize(
    "step",
    [
        nd.sign(nd.spectral.lmo(G)),
        nd.abs(G) * nd.spectral.lmo(G),
        G * nd.sum(nd.abs(nd.spectral.lmo(G))),
        nd.ema(nd.spectral.lmo(G), 0.5),
        nd.spectral.lmo(G) - G,
        nd.spectral.lmo(W) - G,
    ],
    ids=["inside", "times entries", "a number", "a state", "a sum", "no gradient"],
)
def test_a_norm_that_is_used_otherwise_is_no_geometry_of_the_step(step):
    assert geometry(rule(step)) is None


@pytest.mark.parametrize("factor", [nd.loss, 0.5, nd.sum(nd.abs(W))], ids=str)
def test_numbers_and_decay_beside_the_step_leave_its_geometry(factor):
    assert geometry(rule(factor * nd.spectral.lmo(G) - 0.1 * W)).base == nd.spectral


def test_definitions_are_those_of_the_names_that_are_written():
    shape = geometry(a.adam)
    named = definitions(a.adam, shape.hadamard)
    assert list(named.values()) == ["v_buffer", "v"]


def test_conditions_get_a_letter_each_and_cells_name_it(found):
    letters = found.letters
    assert len(set(letters.values())) == len(letters)
    cells = dict(zip(found.verdicts.head, found.verdicts.rows[1], strict=True))
    assert cells["scale"] == f"if {letters['eps = 0']}"
    assert cells["affine"] == "no"
    assert cells["sign_flips"] == "yes"


def test_remarks_are_numbered_where_they_belong(found):
    assert found.methods.rows[3][0] == "muon [1]"
    assert found.notes[-1] == "[1] muon: It is fast. It is."


def test_a_remark_that_agrees_with_the_verdict_is_refused():
    wrong = Remark("sign_sgd", "It is scale invariant.", "?", group="scale", invariant=False)
    with pytest.raises(nd.NormdslError, match="the verdict is what they say"):
        table([a.sign_sgd], [wrong])
    right = attrs.evolve(wrong, invariant=True)
    assert "Here: not invariant." in table([a.sign_sgd], [right]).notes[-1]


def test_it_is_written_four_ways(found):
    assert "‖X‖_F" in found.text()
    assert "<table>" in found.html()
    assert r"\left\|X\right\|_{\mathrm{F}}" in found.latex()
    assert found.markdown().startswith("| method | base norm |")
    assert found.latex().count(r"\begin{array}") == found.latex().count(r"\end{array}") == 2


def test_a_degree_is_found_once_however_often_it_is_written(monkeypatch):
    asked = []
    found = report.degree
    monkeypatch.setattr(report, "degree", lambda rule: asked.append(rule.name) or found(rule))
    both = table([a.sign_sgd, a.sgd], group=g.loss_scale)
    assert both.text() + both.html() + both.latex() + both.markdown()
    assert asked == ["sign_sgd", "sgd"]
    assert [row[-1] for row in both.methods.rows] == ["0", "1 if a"]


@pytest.mark.parametrize("width", [60, 100, None])
def test_text_is_cut_to_a_width(found, width):
    pieces = found.verdicts.pieces(width)
    assert width is None or all(len(line) <= width for p in pieces for line in p.splitlines())
    heads = [c for p in pieces for c in p.splitlines()[0].split()[1:]]
    assert heads == [g.name for g in found.report.groups]


def test_comparisons_are_values(found):
    assert Comparison(found.report) != found
    assert str(found) == repr(found)
