"""Norms of m×n matrices: gauges of entries, singular values and lines, and what is made of them."""

from normdsl.norms.base import Norm, Scaled
from normdsl.norms.combined import Combined, Infimal, infimal, l2_of, max_of, sum_of
from normdsl.norms.entrywise import (
    Entrywise,
    entrywise,
    frobenius,
    max_entry,
    sum_entries,
    top_entries,
)
from normdsl.norms.gauges import Lp, Top, TopDual, lp
from normdsl.norms.layers import OverLayers, over_layers
from normdsl.norms.lines import Lines, column_norm, operator_norm, row_norm
from normdsl.norms.preconditioned import Preconditioned, preconditioned
from normdsl.norms.scaled import (
    one_to_rms,
    rms,
    rms_to_inf,
    rms_to_rms,
    scaled_max_entry,
)
from normdsl.norms.unitary import Unitary, ky_fan, nuclear, schatten, spectral

__all__ = [
    "Combined",
    "Entrywise",
    "Infimal",
    "Lines",
    "Lp",
    "Norm",
    "OverLayers",
    "Preconditioned",
    "Scaled",
    "Top",
    "TopDual",
    "Unitary",
    "column_norm",
    "entrywise",
    "frobenius",
    "infimal",
    "ky_fan",
    "l2_of",
    "lp",
    "max_entry",
    "max_of",
    "nuclear",
    "one_to_rms",
    "operator_norm",
    "over_layers",
    "preconditioned",
    "rms",
    "rms_to_inf",
    "rms_to_rms",
    "row_norm",
    "scaled_max_entry",
    "schatten",
    "spectral",
    "sum_entries",
    "sum_of",
    "top_entries",
]
