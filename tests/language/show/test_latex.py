"""Expressions as LaTeX."""

import math
from fractions import Fraction

import pytest

import normdsl as nd
from normdsl import G, W, t
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.show.latex import latex

LR, BETA = Param("lr", NON_NEGATIVE), Param("beta1", FRACTION)
GRAM = G @ G.T


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        (W - LR * G, r"W - \eta\, G"),
        (BETA * G, r"\beta_{1}\, G"),
        (-(G + W), r"-\left(G + W\right)"),
        (G * W, r"G \circ W"),
        (G * (-W), r"G \circ \left(-W\right)"),
        (G / (W + 1), r"\frac{G}{W + 1}"),
        (1 / t, r"\frac{1}{t}"),
        (G * G, "{G}^{2}"),
        (G**-2, "{G}^{-2}"),
        ((-G) ** 3, r"{\left(-G\right)}^{3}"),
        (BETA**t, r"{\beta_{1}}^{t}"),
        (nd.sqrt(BETA + 1), r"\sqrt{\beta_{1} + 1}"),
        (GRAM, r"G\, {G}^{\top}"),
        ((G + W).T, r"{\left(G + W\right)}^{\top}"),
        (nd.matrix_power(GRAM, -1 / 2), r"{\left(G\, {G}^{\top}\right)}^{-\tfrac{1}{2}}"),
        (nd.inverse(W @ G.T), r"{\left(W\, {G}^{\top}\right)}^{-1}"),
        (nd.polar(G), r"\operatorname{polar}\!\left(G\right)"),
        (nd.maximum(G, W), r"\operatorname{max}\!\left(G,\, W\right)"),
        (
            nd.where(t > 9, G, nd.where(t > 4, W, 0)),
            r"\begin{cases} G & t > 9 \\ W & t > 4 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (nd.cos(math.pi * t), r"\cos\!\left(\pi\, t\right)"),
        (nd.where(G <= W, G, 0), r"\begin{cases} G & G \le W \\ 0 & \text{otherwise} \end{cases}"),
        (nd.sum(G, over="rows"), r"\operatorname{sum}_{i}\!\left(G\right)"),
        (nd.spectral.lmo(G), r"\operatorname{lmo}_{\left\|X\right\|_{2}}\!\left(G\right)"),
        (nd.spectral.value(G), r"\left\|G\right\|_{2}"),
        (nd.frobenius.value(G), r"\left\|G\right\|_{\mathrm{F}}"),
        (nd.max_entry.value(G), r"\left\|G\right\|_{\infty}"),
        (nd.nuclear.value(W), r"\left\|W\right\|_{*}"),
        (nd.expressions.nodes.SingularNorm(G, nd.lp(4)), r"\left\|G\right\|_{\mathrm{S}4}"),
        (as_expr(Fraction(-1, 2)), r"-\tfrac{1}{2}"),
        (nd.reciprocal(G), "{G}^{+}"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_latex(expr, shown):
    assert latex(expr) == shown
    assert expr._repr_latex_() == f"$\\displaystyle {shown}$"


@pytest.mark.parametrize("value", [Fraction(-1, 2), Fraction(-1, 100), -3], ids=str)
def test_a_negative_factor_does_not_read_as_a_difference(value):
    assert latex(LR * value) == rf"\eta\, \left({latex(as_expr(value))}\right)"


def test_an_entrywise_product_inside_a_matrix_product_has_brackets():
    assert latex((G * W) @ G.T) == r"\left(G \circ W\right)\, {G}^{\top}"


def test_small_numbers_are_powers_of_ten_not_code():
    assert "e-" not in latex(as_expr(1e-8))


def test_named_expressions_are_written_by_name():
    assert latex(W - LR * nd.ema(G, BETA), {nd.ema(G, BETA): "m_hat"}) == (
        r"W - \eta\, m_{\mathrm{hat}}"
    )
