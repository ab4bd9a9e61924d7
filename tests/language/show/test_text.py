"""Expressions as Unicode text: readable, and never ambiguous."""

from fractions import Fraction

import pytest

import normdsl as nd
from normdsl import G, W, t
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.show.text import text

LR, BETA = Param("lr", NON_NEGATIVE), Param("beta", FRACTION)
GRAM = G @ G.T


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        (G + W, "G + W"),
        (G - W, "G − W"),
        (-G, "−G"),
        (-(G + W), "−(G + W)"),
        (G - (G - W), "G − (G − W)"),
        (G - (-W), "G + W"),
        (-1 * (-1 * nd.polar(-G)), "polar(−G)"),
        (nd.sum(-1 * (-1 * nd.polar(G))) * G, "sum[ij](polar(G)) G"),
        (W + LR * -nd.polar(G), "W − η polar(G)"),
        (W - LR * (-1 * (-1 * nd.polar(G))), "W − η polar(G)"),
        (W / 2, "½ W"),
        (G + W - G, "G + W − G"),
        (2 * G, "2 G"),
        (LR * (G - W), "η (G − W)"),
        (G * W, "G ∘ W"),
        (G * (-W), "G ∘ (−W)"),
        (G * (W * G), "G ∘ (W ∘ G)"),
        (G * G, "G²"),
        (-G * W, "(−G) ∘ W"),
        (LR / t, "η / t"),
        (LR / (BETA * t), "η / (β t)"),
        (1 / (1 / t), "1 / (1 / t)"),
        (G / (W + 1), "G / (W + 1)"),
        (G**3, "G³"),
        (G**-2, "G⁻²"),
        ((G**2) ** 3, "(G²)³"),
        ((-G) ** 3, "(−G)³"),
        (BETA**t, "β^t"),
        (BETA ** (t + 1), "β^(t + 1)"),
        (BETA ** (2 * t), "β^(2 t)"),
        ((BETA**t) ** 2, "(β^t)²"),
        (BETA ** Fraction(1, 3), "β¹ᐟ³"),
        (nd.sqrt(BETA), "√β"),
        (nd.sqrt(BETA + 1), "√(β + 1)"),
        (nd.sqrt(BETA) ** 2, "(√β)²"),
        (G.T, "Gᵀ"),
        ((G + W).T, "(G + W)ᵀ"),
        ((G @ W.T).T, "(G Wᵀ)ᵀ"),
        (GRAM, "G Gᵀ"),
        (GRAM @ (G @ W.T), "G Gᵀ (G Wᵀ)"),
        ((G + W) @ G.T, "(G + W) Gᵀ"),
        (nd.matrix_power(GRAM, -1 / 2), "(G Gᵀ)⁻¹ᐟ²"),
        (nd.inverse(W @ G.T), "(W Gᵀ)⁻¹"),
        (nd.polar(G), "polar(G)"),
        (nd.maximum(G, W), "max(G, W)"),
        (nd.sum(G, over="rows"), "sum[i](G)"),
        (nd.sum(G, over="cols"), "sum[j](G)"),
        (nd.max(G), "max[ij](G)"),
        (nd.reciprocal(G + W), "(G + W)^+"),
        (nd.inner(G, W), "inner(G, W)"),
        (nd.inner(G, G), "‖G‖_F²"),
        (nd.spectral.lmo(G + W), "lmo[‖X‖₂](G + W)"),
        (nd.frobenius.sharp(G), "sharp[‖X‖_F](G)"),
        (nd.max_entry.dual(G), "dual[‖X‖∞](G)"),
        (nd.spectral.value(G - W), "‖G − W‖₂"),
        (as_expr(0.5), "½"),
        (as_expr(-3), "−3"),
        (as_expr(0.001), "0.001"),
        (nd.exp(-G), "exp(−G)"),
        (nd.eye_like(GRAM) + GRAM, "I + G Gᵀ"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_text(expr, shown):
    assert text(expr) == str(expr) == shown


@pytest.mark.parametrize(
    "value", [Fraction(-1, 2), Fraction(-1, 100), Fraction(-2, 3), -3], ids=str
)
def test_a_negative_factor_does_not_read_as_a_difference(value):
    number = text(as_expr(value))
    assert text(LR * value) == f"η ({number})"
    assert text(G * value) == f"G ({number})"
    assert text(G + value) in (f"G + ({number})", f"G − {number[1:]}")


def test_an_entrywise_product_inside_a_matrix_product_has_brackets():
    """G ∘ W S reads as G ∘ (W S)."""
    S = G.T @ G
    assert text(G * (W @ S)) == "G ∘ (W (Gᵀ G))"
    assert text((G * W) @ S) == "(G ∘ W) (Gᵀ G)"
    assert text(G.T @ (G * W)) == "Gᵀ (G ∘ W)"


def test_a_quotient_times_something_is_not_read_as_a_longer_denominator():
    """A / b c reads as a / (b c)."""
    assert text((LR / BETA) * t) == "(η / β) t"
    assert text((LR / BETA) * G) == "(η / β) G"


def test_different_expressions_are_written_differently():
    S = G.T @ G
    expressions = [
        (LR / BETA) * t, LR / (BETA * t), LR / BETA / t, (G * W) @ S, G * (W @ S),
        LR - Fraction(1, 2), LR * Fraction(-1, 2), G - (W - G), G - W - G, (G + W) * G,
        G + W * G, -(G * G), (-G) * G, -(BETA**2), (-BETA) ** 2, nd.sqrt(BETA) * t,
        nd.sqrt(BETA * t), nd.sqrt(BETA) ** 3, BETA**t * 2, BETA ** (t * 2), BETA ** (t**2),
        (BETA**t) ** 2, (G @ W.T).T @ G, G.T @ G,
    ]  # fmt: skip
    assert len(set(expressions)) == len({text(x) for x in expressions}) == len(expressions)


def test_named_expressions_are_written_by_name():
    m = nd.ema(G, BETA)
    assert text(W - LR * m, {m: "m"}) == "W − η m"
    assert text(W - LR * m * m, {m * LR: "u"}) == text(W - LR * m * m)
    assert text(W - LR * m, {LR * m: "u"}) == "W − u"


def test_a_negated_expression_with_a_name_keeps_it():
    step = -1 * G
    assert text(W + step, {step: "d"}) == "W + d"


def test_a_name_with_digits_is_an_index():
    assert text(G * W, {G * W: "x12"}) == "x₁₂"


def test_long_numbers_are_written():
    assert text(as_expr(10**30)) == "1" + "0" * 30
    assert text(as_expr(0.123456789)).startswith("0.12345")
