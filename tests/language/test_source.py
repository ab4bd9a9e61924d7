"""Where an expression was written."""

import inspect

import attrs
import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.traversal import walk
from normdsl.source import Where, here, located


def line():
    """Return the caller's line number."""
    return inspect.currentframe().f_back.f_lineno


def test_an_expression_knows_its_line():
    x, expected = G * W, line()
    assert x.where == Where(__file__, expected)
    assert x.where.text == "x, expected = G * W, line()"


@pytest.mark.parametrize(
    "build",
    [
        lambda: nd.sqrt(G * G),
        lambda: nd.ema(G, 0.9),
        lambda: nd.prev(G),
        lambda: nd.spectral.lmo(2 * G),
        lambda: nd.inverse(G @ G.T),
        lambda: nd.eye_like(G @ G.T),
        lambda: -G,
        lambda: 1 / nd.t,
        lambda: (G @ W.T).T,
        lambda: nd.minimum(G, W),
        lambda: nd.clip(G, 1),
        lambda: nd.decay.coupled(G, nd.t),
    ],
)
def test_the_line_is_the_users_never_the_librarys(build):
    inner = [x for x in walk(build()) if x not in (G, W, nd.t)]
    assert inner
    assert {x.where for x in inner} == {Where(__file__, build.__code__.co_firstlineno)}


def test_operands_keep_their_own_lines():
    m = 2 * G
    total = m + W
    assert total.left.where.line + 1 == total.where.line


def test_inputs_were_written_nowhere():
    assert {x.where for x in (G, W, nd.t, nd.loss, nd.rows, nd.cols)} == {None}


def test_declared_algorithms_are_user_code():
    update = nd.algorithms.adam.update
    assert update.where.file.endswith("adam.py")
    assert update.where.text.startswith("return W - lr")


def test_text_of_a_line_that_cannot_be_read_is_empty():
    assert Where("<nowhere>", 3).text == ""
    assert str(Where("<nowhere>", 3)) == "<nowhere>:3"


@pytest.mark.parametrize("file", ["/home/user/rule.py", "C:\\code\\rule.py", "rule.py"])
def test_only_the_name_of_the_file_is_shown(file):
    assert str(Where(file, 7)) == "rule.py:7"


def test_located_gives_its_place_and_restores_the_old_one():
    place, other = Where("a.py", 1), Where("b.py", 2)
    with located(place):
        assert here() == place
        with located(other):
            assert (2 * G).where == other
        assert (2 * G).where == place
    assert here().file == __file__


def test_located_restores_after_an_error():
    with pytest.raises(KeyError), located(Where("a.py", 1)):
        raise KeyError
    assert here().file == __file__


def test_a_module_whose_name_only_starts_alike_is_user_code():
    space = {"__name__": "normdsl_extras", "G": G}
    exec(compile("x = 2 * G", "extras.py", "exec"), space)
    assert space["x"].where == Where("extras.py", 1)


def test_a_copy_keeps_the_line():
    x = 2 * G
    assert attrs.evolve(x, right=W).where == x.where


def test_printing_looks_for_no_line(monkeypatch):
    expr = nd.sqrt(nd.inner(G, G)) * (G * G) / 3 - nd.sum(G * W, over="rows")
    monkeypatch.setattr("normdsl.source.sys._getframe", lambda depth: pytest.fail("walked"))
    assert "‖G‖_F" in str(expr)
    assert "frac" in expr._repr_latex_()


def test_the_place_in_a_notebook_is_its_cell():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        shell.run_cell("import normdsl as nd\n\nx = 2 * nd.G", store_history=True)
        place = shell.user_ns["x"].where
        assert str(place).startswith("cell In[")
        assert str(place).endswith("]:3  x = 2 * nd.G")
    finally:
        InteractiveShell.clear_instance()
