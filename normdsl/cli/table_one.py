"""The methods of Table 1 of arXiv:2510.10777, and where its rows differ from what was published.

The wording and marks of the published table were not at hand: its rows are known from public
restatements, its claims from the theorems. A remark that names a group is refused when the verdict
agrees with what it calls a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from normdsl.cli.find import find
from normdsl.compiler.comparison.table import Comparison, Remark, table
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.declarations.rule import Rule
from normdsl.experiments.methods import BEYOND, SIXTEEN

Decide = Callable[[Rule], Iterable[Verdict]]
REMARKS = (
    Remark(
        "adam",
        "The paper writes every method as an LMO.",
        "The published Adam, Shampoo, K-FAC, SOAP, AdaGrad and MADGRAD are sharp operators; their "
        "LMO is the same direction divided by the dual norm, a method of another degree.",
    ),
    Remark(
        "scion",
        "The row has L = R = I and a plain step.",
        "The published method shrinks W as well (Frank-Wolfe), which ties it to the origin, and "
        "takes another norm for each kind of layer: this one is for hidden layers.",
    ),
    Remark(
        "kfac",
        "The code behind the table averages G Gᵀ and Gᵀ G and takes the exponent -1/4.",
        "That is a Shampoo, and not affine invariant; these are the second moments of a layer's "
        "inputs and output gradients, with -1.",
    ),
    Remark(
        "kl_shampoo",
        "Public restatements of the row have the exponent 1/8 a side.",
        "The published method has 1/4 in the norm. Its statistics move by congruence under every "
        "affine change, but only the exponent 1/2 makes use of that: affine_muon has it.",
    ),
    Remark(
        "madgrad",
        "The row has D = (average of G²)^(1/6) in a step like Adam's.",
        "The published method averages dually, from an anchor and with growing weights; the "
        "table's row is madgrad_ema.",
    ),
    Remark(
        "splus",
        "With exact eigenbases for L and R it would be orthogonally invariant.",
        "The published code starts from the identity in their place, so that the first step is the "
        "sign of G. In bases of the current gradient it would be the signs of rounding errors.",
        group="orthogonal",
    ),
    Remark(
        "muadam_sania",
        "Scale invariant for W = A ∘ W̃; public restatements do not say that A is positive.",
        "It has to be. A factor of -1 moves D to |A| ∘ D, and only sign patterns of rank one are "
        "isometries of the spectral norm.",
        group="sign_flips",
    ),
)


def table_one(beyond: bool = True, decide: Decide | None = None) -> Comparison:
    """Return Table 1, computed from the declarations, and what is beyond it."""
    names = SIXTEEN + (BEYOND if beyond else ())
    return table([find(name) for name in names], REMARKS, decide=decide)
