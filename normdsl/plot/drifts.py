"""Drift: how far runs and their twins in other coordinates are apart, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normdsl.compiler.verdicts.twins import TwinRuns
from normdsl.plot.picture import MARKERS, canvas, legend
from normdsl.show.colours import INK, SERIES
from normdsl.show.sparkline import CEILING, FLOOR, SAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def drift(*twins: TwinRuns, ax: Axes | None = None) -> Any:
    """Draw how far the runs of `nd.twins` are apart at each step, relative to the way gone.

    Args:
        twins: what `nd.twins` returned. ax: axes to draw into.

    Returns:
        The figure, or `ax`.

    Raises:
        NormdslError: if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> found = nd.twins(nd.algorithms.muon, "scale", steps=5)
        >>> picture = nd.plot.drift(found)
        >>> list(picture.axes[0].lines[0].get_ydata()) == found.drift
        True
    """
    groups = {found.group.name for found in twins}
    with canvas(ax, "draw the drift of twins", 6.2, 3.2) as (shown, axes):
        for k, found in enumerate(twins):
            name, colour = found.declaration.name, SERIES[k % len(SERIES)]
            label = name if len(groups) == 1 else f"{name}, {found.group.name}"
            at = range(1, len(found.drift) + 1)
            marker = MARKERS[k % len(MARKERS)]
            axes.plot(at, found.drift, color=colour, marker=marker, ms=4, lw=1.6, label=label)
        axes.axhspan(FLOOR / 10, SAME, color=INK, alpha=0.12, lw=0)
        axes.text(0.99, SAME / 3, "one path, up to rounding", ha="right", va="top", fontsize=8,
                  transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set(yscale="log", ylim=(FLOOR / 10, 10 * CEILING), xlabel="step")
        axes.set_title("distance of the twins / the way they have gone", loc="left")
        axes.locator_params(axis="x", integer=True)
        legend(shown, axes)
    return shown
