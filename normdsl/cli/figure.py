"""The picture of the tour: what a change of units does to four optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from normdsl.show.colours import ASIDE, FIRST, SECOND

RAW, RESCALED = FIRST, SECOND


@attrs.frozen
class Contrast:
    """One optimizer on raw and on rescaled features.

    Args:
        name: of the rule. raw: training losses on raw features. rescaled: on rescaled ones.
        distance: largest relative distance between the two trajectories.
        raw_accuracy: test accuracy on raw features. rescaled_accuracy: on rescaled ones.
        verdict: that of the checker about scale.
    """

    name: str
    raw: list[float]
    rescaled: list[float]
    distance: float
    raw_accuracy: float
    rescaled_accuracy: float
    verdict: str


def draw(contrasts: Sequence[Contrast], path: Path) -> None:
    """Save the figure: loss curves per optimizer above, distances between trajectories below."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure = plt.figure(figsize=(12, 6.4), layout="constrained")
        grid = figure.add_gridspec(2, len(contrasts), height_ratios=(1.35, 1))
        first = None
        for k, contrast in enumerate(contrasts):
            first = figure.add_subplot(grid[0, k], sharey=first)
            _curves(first, contrast, first=k == 0)
        _distances(figure.add_subplot(grid[1, :]), contrasts)
        figure.suptitle(
            "The same network, the same start, features in other units: who notices?",
            fontsize=15,
            fontweight="bold",
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _smooth(values: list[float], width: int = 11) -> np.ndarray:
    kernel = np.ones(width) / width
    padded = np.pad(np.asarray(values), (width // 2, width // 2), mode="edge")
    return np.convolve(padded, kernel, mode="valid")


def _curves(axes: Any, contrast: Contrast, first: bool) -> None:
    axes.plot(_smooth(contrast.raw), color=RAW, lw=3.4, alpha=0.55, label="raw features")
    label = "features × 10^U(−2, 2)"
    axes.plot(_smooth(contrast.rescaled), color=RESCALED, lw=1.6, ls="--", label=label)
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 10)
    axes.set_title(contrast.name, fontweight="bold", pad=34)
    under = (
        f"scale: {contrast.verdict}\n"
        f"test {contrast.raw_accuracy:.1%} raw, {contrast.rescaled_accuracy:.1%} rescaled"
    )
    place = {"transform": axes.transAxes, "ha": "center", "va": "bottom"}
    axes.text(0.5, 1.02, under, fontsize=9.5, color=ASIDE, **place)
    axes.set_xlabel("step")
    if first:
        axes.set_ylabel("training loss")
        axes.legend(frameon=False, fontsize=9, loc="lower left")
    else:
        axes.tick_params(labelleft=False)


def _distances(axes: Any, contrasts: Sequence[Contrast]) -> None:
    places = np.arange(len(contrasts))[::-1]
    floor = 1e-16
    lengths = np.array([max(c.distance, floor) for c in contrasts])
    colours = [RAW if c.distance < 1e-3 else RESCALED for c in contrasts]
    axes.barh(places, lengths - floor, left=floor, color=colours, height=0.6)
    axes.set_xscale("log")
    axes.set_xlim(floor, lengths.max() * 1e3)
    axes.set_yticks(places, [c.name for c in contrasts])
    for place, length in zip(places, lengths, strict=True):
        axes.text(length * 1.6, place, f"{length:.1e}", va="center")
    axes.set_xlabel("largest relative distance between the two trajectories (float64)")
