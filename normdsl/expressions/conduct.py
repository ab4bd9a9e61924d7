"""How an operation behaves, whatever its arguments are: facts that every node class must state.

Passes ask for these and keep no lists of classes of their own, so that a node without them cannot
be made, and a new one is treated rightly everywhere.
"""

from __future__ import annotations

import enum


class Footprint(enum.Flag):
    """On which entries of the arguments an entry depends, besides scalars."""

    #: The same entry.
    OWN = 0
    #: All entries, wherever they stand.
    ALL = enum.auto()
    #: The entries in its row.
    ROW = enum.auto()
    #: The entries in its column.
    COLUMN = enum.auto()
    #: Entries by the rows and columns in which they stand.
    MATRIX = enum.auto()
    #: Entries of all layers.
    LAYERS = enum.auto()
    #: The same entry of all workers.
    WORKERS = enum.auto()

    @property
    def needs_matrix(self) -> bool:
        """Whether it has a meaning only where entries stand in rows and columns."""
        return bool(self & (Footprint.ROW | Footprint.COLUMN | Footprint.MATRIX))


def summed(over_rows: bool, over_cols: bool) -> Footprint:
    """Return the footprint of a sum over axes: over rows, each column has one."""
    if over_rows and over_cols:
        return Footprint.ALL
    return Footprint.COLUMN if over_rows else Footprint.ROW


class Role(enum.Enum):
    """What an operation is computed for, where that takes a factorisation or an iteration."""

    POLAR = "polar"
    ROOT = "root"
    EIGENBASIS = "eigenbasis"
    EIGENVALUES = "eigenvalues"
    FACTOR = "factor"
    INVERSE = "inverse"
    SINGULAR = "singular values"
    COLUMNS = "orthonormal columns"
    SUBSPACE = "leading singular vectors"
    LMO = "LMO of several norms"

    @property
    def refreshed(self) -> bool:
        """Whether a schedule may keep its values between steps: of a statistic, or a subspace."""
        of_statistics = (Role.ROOT, Role.EIGENBASIS, Role.EIGENVALUES, Role.FACTOR, Role.INVERSE)
        return self in of_statistics or self is Role.SUBSPACE
