"""Norms of m×n matrices: one class a file, and their pullbacks along linear maps."""

from normdsl.norms.base import Norm
from normdsl.norms.frobenius import Frobenius, frobenius
from normdsl.norms.max_entry import MaxEntry, max_entry
from normdsl.norms.preconditioned import Preconditioned, preconditioned
from normdsl.norms.spectral import Spectral, spectral

__all__ = [
    "Frobenius",
    "MaxEntry",
    "Norm",
    "Preconditioned",
    "Spectral",
    "frobenius",
    "max_entry",
    "preconditioned",
    "spectral",
]
