"""Writes docs/norms.md: the catalogue of norms, read off the objects where they know it.

python tests/norms_doc.py
"""

from __future__ import annotations

from pathlib import Path

import attrs

import normdsl as nd
from normdsl.errors import DeclarationError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "norms.md"


@attrs.frozen
class Row:
    """A norm as it is written, and what its object does not know.

    Args:
        code: a Python expression. value: ‖X‖ in words or symbols. lmo: lmo(M) in the same.
        source: where it is from.
    """

    code: str
    value: str
    lmo: str
    source: str = ""

    @property
    def norm(self) -> nd.Norm:
        """The norm that the code makes."""
        made = eval(self.code, {"nd": nd})
        assert isinstance(made, nd.Norm)
        return made


LINES, LAYERS = "each line its own", "each layer its own"
ROWS = (
    Row("nd.frobenius", "(Σ x_ij²)^½", "−M / ‖M‖_F"),
    Row("nd.max_entry", "max abs(x_ij)", "−sign(M)", "Bernstein et al. 2018, arXiv:1802.04434"),
    Row("nd.sum_entries", "Σ abs(x_ij)", "−sign(m_ij) at the largest abs(m_ij), shared by ties"),
    Row("nd.entrywise(3)", "(Σ abs(x_ij)³)^⅓", "−sign(M) ∘ abs(M)^(q−1) / ‖M‖_q^(q−1)"),
    Row(
        "nd.top_entries(4)",
        "sum of the 4 largest abs(x_ij)",
        "that of ℓ1, or −sign(M)/k, whichever gains more",
    ),
    Row(
        "nd.top_entries(4).dual_norm",
        "max(max abs(x_ij), Σ abs(x_ij)/4)",
        "−sign at the k largest, shared by ties at the k-th",
    ),
    Row("nd.spectral", "σ₁", "−polar(M)", "Carlson et al. 2015"),
    Row("nd.nuclear", "Σ σ_i", "−u₁ v₁ᵀ, shared by repeated σ₁", "Jaggi 2013 (Frank-Wolfe)"),
    Row("nd.schatten(3)", "(Σ σ_i³)^⅓", "−U σ^(q−1) Vᵀ / ‖σ‖_q^(q−1)", "von Neumann 1937"),
    Row(
        "nd.ky_fan(2)",
        "σ₁ + σ₂",
        "−u₁ v₁ᵀ if σ₁ > Σσ/k, −polar(M)/k if less, their mean if equal",
        "Fan 1951",
    ),
    Row("nd.ky_fan(2).dual_norm", "max(σ₁, Σ σ_i/2)", "−U_k V_kᵀ"),
    Row(
        "nd.operator_norm(1, 2)",
        "length of the longest column",
        "columns divided by their lengths",
        "Pethick et al. 2025, arXiv:2502.07529",
    ),
    Row(
        'nd.operator_norm(2, float("inf"))',
        "length of the longest row",
        "rows divided by their lengths",
        "Pethick et al. 2025",
    ),
    Row("nd.operator_norm(1, 3)", "largest ℓ3 norm of a column", f"{LINES}: ℓ3 of columns"),
    Row(
        "nd.row_norm(nd.lp(2), nd.lp(1))",
        "sum of lengths of rows",
        "the longest row, divided by its length",
    ),
    Row(
        "nd.column_norm(nd.lp(2), nd.lp(1))",
        "sum of lengths of columns",
        "the longest column, divided by its length",
    ),
    Row("nd.rms", "root mean square of entries", "−M / rms(M)"),
    Row(
        "nd.rms_to_rms",
        "RMS → RMS operator norm",
        "−√(m/n) polar(M)",
        "Bernstein and Newhouse 2024, arXiv:2410.21265",
    ),
    Row("nd.one_to_rms", "largest RMS of a column", "√m times that of 1→2", "Pethick et al. 2025"),
    Row("nd.rms_to_inf", "RMS → ℓ∞ operator norm", "that of 2→∞ over √n", "Pethick et al. 2025"),
    Row("nd.scaled_max_entry", "n max abs(x_ij)", "−sign(M)/n", "Pethick et al. 2025"),
    Row("2 * nd.nuclear", "2 Σ σ_i", "lmo of the base over the factor"),
    Row(
        "nd.max_of(nd.spectral, 2 * nd.max_entry)",
        "maximum of both",
        "by iteration (ADMM)",
        "Boyd et al. 2011",
    ),
    Row(
        "nd.sum_of(nd.spectral, nd.frobenius)",
        "sum of both",
        "by iteration (ADMM)",
        "Boyd et al. 2011",
    ),
    Row(
        "nd.l2_of(nd.spectral, nd.frobenius)",
        "ℓ2 norm of both",
        "by iteration (ADMM)",
        "Boyd et al. 2011",
    ),
    Row(
        "nd.infimal(nd.spectral, 2 * nd.max_entry)",
        "least sum over X₁ + X₂ = X",
        "that of the norm with the larger dual",
        "Rockafellar 1970, theorem 16.4",
    ),
    Row(
        'nd.infimal(nd.spectral, nd.frobenius, by=nd.lp(float("inf")))',
        "least maximum over X₁ + X₂ = X",
        "the sum of both",
    ),
    Row(
        'nd.over_layers(nd.spectral, nd.lp(float("inf")))',
        "maximum over layers",
        LAYERS,
        "Large et al. 2024, arXiv:2405.14813; MuonMax: arXiv:2510.09827",
    ),
    Row(
        "nd.over_layers(nd.spectral, nd.lp(2))",
        "ℓ2 norm over layers",
        f"{LAYERS}, in proportion to its dual norm",
    ),
    Row(
        "nd.over_layers(nd.spectral, nd.lp(1))",
        "sum over layers",
        "the layer with the largest dual norm alone",
    ),
    Row(
        "nd.preconditioned(nd.spectral, hadamard=nd.abs(nd.W) + 1)",
        "‖T X‖",
        "T⁻¹ lmo(T⁻* M)",
        "arXiv:2510.10777",
    ),
)

HEAD = """# Norms

Written by `python tests/norms_doc.py`; a test keeps it in step with the code.

‖M‖_\\* is the dual norm, lmo(M) = argmin ⟨M, X⟩ over ‖X‖ ≤ 1, and sharp(M) = −‖M‖_\\* lmo(M). An
LMO is 0 at M = 0. Isometries are the largest classes with ‖P X Qᵀ‖ = ‖X‖ (rows, columns) and of
matrices on vec X (entries); "typed" says that the definition is typed instead. An exact LMO is a
closed form; an inexact one attains the dual norm up to the relative error given. For singular
values σ, M = U σ Vᵀ; 1/p + 1/q = 1. Operator norms other than 1→q, p→∞ and 2→2 are refused:
computing them is NP-hard.

| norm | written | value | dual | lmo(M) | rows | columns | entries | LMO | source |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def cells(row: Row) -> list[str]:
    """Return what the table says of a norm."""
    norm = row.norm
    moves = norm.isometries
    places = ["typed"] * 3 if moves is None else [moves.rows, moves.cols, moves.entries]
    exact = "exact" if norm.tolerance == 0 else f"to {norm.tolerance:g}"
    head = [str(norm), f"`{row.code}`", row.value, dual(norm), row.lmo]
    return [*head, *map(str, places), exact, row.source]


def dual(norm: nd.Norm) -> str:
    """Return the dual norm as text."""
    try:
        return str(norm.dual_norm)
    except DeclarationError:
        return "value only"


def page() -> str:
    """Return the page."""
    return HEAD + "".join(f"| {' | '.join(cells(row))} |\n" for row in ROWS)


if __name__ == "__main__":
    PAGE.write_text(page())
