"""The picture of the tour: who notices that features come in other units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normdsl.cli.units import SPREADS, Fate
from normdsl.show.colours import ASIDE, CURVES, Tone

#: Below this, two runs are one up to rounding.
SAME = 1e-6


def draw(fates: Sequence[Fate], path: Path) -> None:
    """Save the figure: accuracy against the spread of units, and how far runs part."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(12.5, 5.4), layout="constrained", width_ratios=(1.5, 1)
        )
        _accuracies(left, fates)
        _distances(right, fates)
        figure.suptitle(
            "The same network from the same start, pixels in other units: who notices?",
            fontsize=15,
            fontweight="bold",
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _accuracies(axes: Any, fates: Sequence[Fate]) -> None:
    ends = _apart([fate.accuracies[-1] for fate in fates], least=0.055)
    for fate, colour, end in zip(fates, CURVES, ends, strict=False):
        invariant = fate.verdict == "yes"
        axes.plot(SPREADS, fate.accuracies, "o-", color=colour, lw=_width(fate), ms=6)
        told = f"{fate.name}, lr {fate.rate:g}"
        weight = "bold" if invariant else "normal"
        axes.text(SPREADS[-1] + 0.12, end, told, color=colour, va="center", fontweight=weight)
    axes.hlines(0.1, 0, SPREADS[-1], color=ASIDE, lw=0.8, ls=":")
    axes.text(0, 0.11, "guessing", color=ASIDE, fontsize=9, va="bottom")
    axes.set_ylim(0, 1.03)
    axes.set_xlim(-0.1, SPREADS[-1] + 2.1)
    axes.set_xticks(SPREADS)
    axes.set_ylabel("test accuracy")
    axes.set_xlabel("s: every pixel times its own factor 10^U(−s, s)", loc="left")
    axes.set_title("Rates tuned at s = 0, nine each", fontsize=11, color=ASIDE, loc="left")


def _width(fate: Fate) -> float:
    return 3.5 if fate.verdict == "yes" else 1.8


def _distances(axes: Any, fates: Sequence[Fate]) -> None:
    for fate, colour in zip(fates, CURVES, strict=False):
        axes.plot(SPREADS[1:], fate.distances[1:], "o-", color=colour, lw=_width(fate), ms=5)
    axes.set_yscale("log")
    axes.set_xticks(SPREADS[1:])
    axes.set_xlabel("s")
    axes.set_title("Relative distance from the run at s = 0",
                   fontsize=11, color=ASIDE, loc="left")  # fmt: skip
    axes.axhspan(1e-16, SAME, color=Tone.GOOD.page, alpha=0.08)
    axes.set_ylim(1e-10, None)
    axes.text(SPREADS[-1], SAME / 2, "one run, up to rounding", color=Tone.GOOD.page, fontsize=9,
              ha="right", va="top")  # fmt: skip


def _apart(values: Sequence[float], least: float) -> list[float]:
    """Return heights for labels: those of the values, pushed up until none overlap."""
    heights = [0.0] * len(values)
    last = -least
    for k in sorted(range(len(values)), key=lambda k: values[k]):
        last = heights[k] = max(values[k], last + least)
    return heights
