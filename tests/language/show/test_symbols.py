"""How names are written."""

import re

import pytest

from normdsl.show.symbols import latex_symbol, unicode_symbol


@pytest.mark.parametrize(
    ("name", "shown", "latex"),
    [
        ("m", "m", "m"),
        ("lr", "η", r"\eta"),
        ("weight_decay", "λ", r"\lambda"),
        ("beta", "β", r"\beta"),
        ("beta1", "β₁", r"\beta_{1}"),
        ("beta_2", "β₂", r"\beta_{2}"),
        ("pi", "π", r"\pi"),
        ("eps", "ε", r"\varepsilon"),
        ("epsilon", "ε", r"\varepsilon"),
        ("lambda_", "λ", r"\lambda"),
        ("s12", "s₁₂", "s_{12}"),
        ("momentum", "momentum", r"\mathrm{momentum}"),
        ("lr_max", "η_max", r"\eta_{\mathrm{max}}"),
        ("grad_avg", "grad_avg", r"\mathrm{grad}_{\mathrm{avg}}"),
        ("beta2_old", "β₂_old", r"\beta_{2\mathrm{old}}"),
        ("x_a_b", "x_a_b", r"x_{\mathrm{a\_b}}"),
    ],
)
def test_symbols(name, shown, latex):
    assert unicode_symbol(name) == shown
    assert latex_symbol(name) == latex


@pytest.mark.parametrize(
    "name",
    ["_", "_tmp", "__x", "a_", "v2hat", "a__b", "x1y2_z3", "beta_1_2", "L_half", "m_hat_2", "μ"],
)
def test_every_python_name_is_legal_latex(name):
    """An underscore is escaped, or starts one braced index."""
    text = latex_symbol(name)
    assert text.count("{") == text.count("}")
    assert all(re.match(r"_\{", text[i:]) for i in _bare_underscores(text)), text
    assert len(_bare_underscores(text)) <= 1


def _bare_underscores(text):
    return [i for i, c in enumerate(text) if c == "_" and text[i - 1 : i] != "\\"]


@pytest.mark.parametrize(
    ("one", "other"), [("beta1", "beta2"), ("m", "M"), ("m_hat", "m"), ("x1", "x_a"), ("mu", "nu")]
)
def test_different_names_look_different(one, other):
    assert unicode_symbol(one) != unicode_symbol(other)
    assert latex_symbol(one) != latex_symbol(other)
