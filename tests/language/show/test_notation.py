"""Every node can be written in every notation, and brackets follow from precedence."""

import re
import sys

import pytest
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.domains import FRACTION
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes import Extent, Param
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.recursion import After, Before, Carry, Placeholder
from normdsl.expressions.shapes import MATRIX, Space
from normdsl.expressions.traversal import walk
from normdsl.norms.iterated import Iterated
from normdsl.show.latex import Latex, latex
from normdsl.show.notation import Level, Piece
from normdsl.show.text import Text, text

GRAM = G @ G.T
STATE = nd.accumulate(G)
PICK = nd.selection(nd.sum(nd.abs(G), over="cols"), 2)
INSTANCES = [
    G, Param("beta", FRACTION), as_expr(2), nd.eye_like(GRAM), G + W, G * W, G**3, GRAM, G.T,
    nd.abs(G), nd.maximum(G, W), nd.mod(G, nd.abs(W)), nd.where(G > W, G, 1),
    nd.matrix_power(GRAM, 0.5), nd.inverse(W @ G.T), nd.polar(G), nd.eigenbasis(GRAM),
    nd.cholesky(GRAM),
    nd.normal_like(G, key=1), nd.inner(G, W), nd.sum(G),
    nd.qr(GRAM), nd.top_singular(G, 2), PICK, nd.dct_basis(nd.cols),
    nd.eigenvalues(GRAM), nd.triu(GRAM), nd.vec(G), nd.unvec(2 * nd.vec(G)),
    nd.schatten(3).value(G).definition, nd.nuclear.lmo(G).definition, nd.kth_largest(nd.abs(G), 2),
    nd.quantile(G, 0.7), nd.block_mean(G, cols=2), nd.gradient(at=W - G),
    nd.step(W - G, evaluate=STATE), nd.sum(nd.inner(G, W), over="layers"),
    nd.mean(G, over="workers"),
    Iterated(G, (nd.spectral, nd.max_entry), nd.lp(1), 10),
    STATE, Before(STATE.recursion, 0), STATE.recursion.carry(0), Placeholder(0, MATRIX, Facts()),
    Extent(Space("r")), nd.algorithms.scaled_gd.update,
    nd.spectral.lmo(G), nd.spectral.sharp(G), nd.spectral.dual(G), nd.spectral.value(G),
]  # fmt: skip


def subclasses(cls):
    """Return the importable classes below `cls`, without the copies that slots leave behind."""
    below = {c for child in cls.__subclasses__() for c in [child, *subclasses(child)]}
    return {c for c in below if getattr(sys.modules[c.__module__], c.__name__, None) is c}


def is_abstract(cls):
    return getattr(cls._notate, "__isabstractmethod__", False)


#: What only passes of the compiler make is covered where they are.
CONCRETE = {
    c for c in subclasses(Expr) if not is_abstract(c) and (not c.internal or c is Placeholder)
}


def test_every_node_has_an_instance_here():
    assert {type(x) for x in INSTANCES} == CONCRETE
    assert {Constant, Carry, After} <= CONCRETE
    assert len(CONCRETE) == len(INSTANCES)


@pytest.mark.parametrize("expr", INSTANCES, ids=lambda x: type(x).__name__)
def test_every_node_has_a_text(expr):
    shown = text(expr)
    assert shown == str(expr) == shown.strip() != ""
    assert shown.count("(") == shown.count(")")
    assert "<" not in shown
    assert type(expr).__name__ in repr(expr)


@pytest.mark.parametrize("expr", INSTANCES, ids=lambda x: type(x).__name__)
def test_every_node_has_a_latex_form(expr):
    assert_legal(latex(expr))
    assert latex(expr) in expr._repr_latex_()


@pytest.mark.parametrize("name", in_turn(1))
def test_every_algorithm_is_legal_in_both(name):
    rule = getattr(nd.algorithms, name)
    assert_legal(latex(rule.update))
    names = rule.labels if rule.update.depth > 40 else None  # what repeats is written once
    for x in walk(rule.update):
        assert text(x, names)
        assert_legal(latex(x, names))


@pytest.mark.parametrize("expr", INSTANCES, ids=lambda x: type(x).__name__)
def test_every_node_can_be_written_by_a_name(expr):
    assert text(expr, {expr: "given"}) == "given"
    assert latex(expr, {expr: "x1"}) == "x_{1}"
    if expr.shape == MATRIX:
        assert "given" in text(W @ expr.T, {expr: "given"})


def assert_legal(formula):
    """Check braces, paired delimiters, and that nothing but LaTeX is in it."""
    assert formula.isascii()
    assert formula.count("{") == formula.count("}")
    assert formula.count(r"\left") == formula.count(r"\right")
    assert not re.search(r"(?<!\\)_(?![{])", formula)
    assert not re.search(r"\^(?![{])", formula)


@pytest.mark.parametrize("notation", [Text, Latex])
@pytest.mark.parametrize("level", Level)
def test_looser_pieces_get_brackets_in_tighter_places(notation, level):
    n = notation()
    for place in Level:
        written = n.put(Piece("x", level), place)
        assert (written == "x") == (level >= place)
        assert written in ("x", n.brackets("x"))


def test_definition_writes_the_formula_of_a_name_once():
    m = G * W
    n = Text({m: "m"})
    assert n(m).text == "m"
    assert n.define(m).text == "G ∘ W"
    assert n(m).text == "m"


def test_definition_restores_the_name_after_an_error():
    class Value:
        def _notate(self, n):
            raise KeyError

    value = Value()
    n = Text({value: "v"})
    with pytest.raises(KeyError):
        n.define(value)
    assert n(value).text == "v"


def test_a_states_formula_calls_its_old_value_by_its_name():
    m = nd.accumulate(G)
    n = Text({m: "m"})
    assert n.define(m).text == f"{n.previous('m').text} + G"
    assert n.names == {m: "m"}


def test_coupled_states_call_each_other_by_name():
    zero = nd.zeros_like(G)
    left, right = nd.fix(lambda a, b: (a + b, b * G), (zero, zero))
    for notation in (Text, Latex):
        n = notation({left: "L", right: "R"})
        old_left, old_right = n.previous("L").text, n.previous("R").text
        assert n.define(left).text == f"{old_left} + {old_right}"
        assert old_right in n.define(right).text


def test_old_values_are_written_by_the_states_name():
    m = nd.accumulate(G)
    before = Before(m.recursion, 0)
    n = Text({m: "m"})
    assert n(before) == n.previous("m")
    assert text(before).startswith("before(")


def test_states_without_names_can_be_told_apart():
    """An inner state and the outer one it reads are two symbols."""
    one = nd.fix(lambda a: nd.fix(lambda b: a + 2 * b, W), W)
    other = nd.fix(lambda a: nd.fix(lambda b: 2 * a + b, W), W)
    same = nd.fix(lambda a: nd.fix(lambda b: a - b, W), W)
    swapped = nd.fix(lambda a: nd.fix(lambda b: b - a, W), W)
    assert text(one) != text(other)
    assert text(same) != text(swapped)
