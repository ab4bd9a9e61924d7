"""How the names of hyper-parameters and variables are written; docs/symbols.md is this table."""

from __future__ import annotations

import re

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda_": "λ", "mu": "μ", "nu": "ν",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "omega": "ω", "lr": "η", "weight_decay": "λ",
}  # fmt: skip
_LATEX = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi", "ω": r"\omega",
}  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _split(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z_]+?)_?(\d*)", name)
    return (match[1], match[2]) if match else (name, "")


def unicode_symbol(name: str) -> str:
    """Return a name as Unicode: beta1 is β₁, lr is η, weight_decay is λ."""
    stem, digits = _split(name)
    return _GREEK.get(stem, stem) + digits.translate(_SUBSCRIPTS)


def latex_symbol(name: str) -> str:
    """Return a name as LaTeX: beta1 is \\beta_{1}."""
    stem, digits = _split(name)
    letter = _LATEX.get(_GREEK.get(stem, ""), stem)
    if not letter.startswith("\\") and len(letter) > 1:
        letter = r"\mathrm{" + letter.replace("_", r"\_") + "}"
    return letter + (f"_{{{digits}}}" if digits else "")
