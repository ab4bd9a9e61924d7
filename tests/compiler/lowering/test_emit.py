"""Emission: names, types and shared sub-expressions."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.derive import Derivation
from normdsl.compiler.lowering.emit import Emitter
from normdsl.schedules.schedule import Schedule


def code(expr, **names):
    emitter = Emitter({v: k for k, v in names.items()}, {}, Schedule())
    emitter.count([expr])
    return "\n".join([*emitter.lines, emitter(expr).text]), emitter


def test_what_is_used_twice_is_computed_once():
    polar = nd.polar(G)
    text, emitter = code(polar * polar + W)
    assert (text + "".join(emitter.lines)).count("polar_automatic(") == 1


def test_the_authors_names_are_kept():
    u = nd.polar(G)
    _, emitter = code(W - u, direction=u)
    assert emitter.lines == ["direction = polar_automatic(G)"]


def test_names_that_would_shadow_are_changed():
    u = nd.polar(G)
    _, emitter = code(W - u, polar_automatic=u)
    assert emitter.lines == ["polar_automatic1 = polar_automatic(G)"]


def test_bias_corrections_are_cast_where_they_meet_a_matrix():
    text, _ = code(G / (1 - nd.expressions.nodes.constants.as_expr(0.9) ** nd.t))
    assert text == "G / one_minus_power(0.9, t).to(W.dtype)"


def test_powers_of_the_step_index_keep_their_digits():
    """Once in float64, for the sake of 1 − β^t alone; not all devices know it."""

    def written(x):
        return code(nd.expressions.nodes.constants.as_expr(x) * G)[0]

    beta = nd.expressions.nodes.constants.as_expr(0.9)
    assert written(beta**nd.t - 1) == "(-one_minus_power(0.9, t)).to(W.dtype) * G"
    assert written(1 - beta ** (nd.t + 1)) == "one_minus_power(0.9, t + 1).to(W.dtype) * G"
    assert written(2 - beta**nd.t) == "(2 - power(0.9, t)).to(W.dtype) * G"
    assert written(1 - 1 / nd.t) == "(1 - 1 / t).to(W.dtype) * G"
    assert written(1 - nd.t**-0.5) == "(1 - t ** (-0.5)).to(W.dtype) * G"


def test_factors_of_the_shape_stay_python_numbers():
    text, _ = code(nd.sqrt(nd.maximum(1, nd.rows / nd.cols)) * G)
    assert text == "max(1, rows / cols) ** 0.5 * G"


def test_what_is_given_is_not_computed():
    norm = nd.inner(G, G)
    emitter = Emitter({}, {norm: "own[0]"}, Schedule())
    emitter.count([W * norm])
    assert emitter(W * norm).text == "W * own[0]"


def test_singular_values_alone_need_no_vectors():
    def derived(x):
        return code(Derivation()(x))

    values, emitter = derived(nd.nuclear.value(G))
    assert emitter.kernels.keys() == {"singular_values"}
    assert "singular_values(G)" in values
    both, emitter = derived(nd.nuclear.lmo(G) * nd.nuclear.dual(G))
    assert emitter.kernels.keys() == {"singular_triple"}
    assert [x.count("singular_triple(G)") for x in emitter.lines].count(1) == 1
    assert "vh" in both


def test_numbers_too_large_for_an_integer_are_floats():
    assert code(nd.expressions.nodes.constants.as_expr(10**30) * G)[0] == "1e+30 * G"
    assert code(7 * G)[0] == "7 * G"
