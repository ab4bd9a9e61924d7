"""How the names of hyper-parameters and variables are written; docs/symbols.md is this table."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Names that stand for a letter.
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda_": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "omega": "ω", "lr": "η", "weight_decay": "λ",
}  # fmt: skip
_LATEX = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon",
    "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu",
    "ν": r"\nu", "ξ": r"\xi", "π": r"\pi",
    "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi", "ω": r"\omega",
}  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _split(name: str) -> tuple[str, str, str]:
    """Return stem, digits and suffix of a name: beta2_old is beta, 2, old."""
    match = re.fullmatch(r"(weight_decay|lambda_|[A-Za-z]+)_?(\d*)(?:_([A-Za-z]\w*))?", name)
    return (match[1], match[2], match[3] or "") if match else (name, "", "")


def unicode_symbol(name: str) -> str:
    """Return a name as Unicode: beta1 is β₁, lr is η, weight_decay is λ, s1′ is s₁′."""
    plain, prime, rest = name.partition("′")
    if prime:
        return unicode_symbol(plain) + prime + rest
    stem, digits, suffix = _split(name)
    return GREEK.get(stem, stem) + digits.translate(_SUBSCRIPTS) + (suffix and f"_{suffix}")


def latex_symbol(name: str) -> str:
    """Return a name as LaTeX."""
    plain, prime, rest = name.partition("′")
    if prime:
        suffix = rf"_{{\mathrm{{{escaped(rest.strip('_'))}}}}}" if rest else ""
        return f"{{{latex_symbol(plain)}}}'{suffix}"
    stem, digits, suffix = _split(name)
    letter = _LATEX.get(GREEK.get(stem, ""), stem)
    if letter == "_" or (not letter.startswith("\\") and len(letter) > 1):
        letter = rf"\mathrm{{{escaped(letter)}}}"
    letter_like = len(suffix) == 1 and suffix.isupper()  # another variable, as in G_A
    named = suffix if letter_like else rf"\mathrm{{{escaped(suffix)}}}"
    sub = digits + (named if suffix else "")
    return letter + (f"_{{{sub}}}" if sub else "")


def escaped(name: str) -> str:
    """Return a name with its underscores escaped for LaTeX."""
    return name.replace("_", r"\_")


def clashing(names: Iterable[str]) -> frozenset[str]:
    """Return the names that would share their symbol with another one, such as lr and eta."""
    listed = list(dict.fromkeys(names))
    symbols = [unicode_symbol(name) for name in listed]
    return frozenset(n for n, s in zip(listed, symbols, strict=True) if symbols.count(s) > 1)
