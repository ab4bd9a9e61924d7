"""Pictures: norm balls, singular values, trajectories, verdicts, maps of norm × preconditioner.

Each function returns a matplotlib Figure that a notebook shows and that `.savefig("name.png")`
writes; with `ax=` it draws into an Axes of yours and returns it. Backgrounds are transparent and
colours have the same contrast on light and on dark pages; what differs in colour differs in its
marker or dashes as well. matplotlib is imported when a picture is drawn:
`pip install 'normdsl[tour]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normdsl.near import module_face
from normdsl.plot.balls import ball
from normdsl.plot.drifts import drift
from normdsl.plot.paths import trajectories
from normdsl.plot.planes import COLUMN, DIAGONAL, ROW, Plane
from normdsl.plot.singular import spectra
from normdsl.plot.tables import compare, periodic_table
from normdsl.plot.widget import ball_widget

__all__ = [
    "COLUMN",
    "DIAGONAL",
    "ROW",
    "Plane",
    "ball",
    "ball_widget",
    "compare",
    "drift",
    "periodic_table",
    "spectra",
    "trajectories",
]

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.plot", __all__)
