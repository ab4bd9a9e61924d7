"""The picture of an audit: a drift curve per group, gradient scales, defects."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import IO, Any

from normdsl.compiler.audit.findings import Finding, Kind
from normdsl.compiler.audit.summary import Results
from normdsl.errors import NormdslError
from normdsl.show.colours import BAND, Tone

FLOOR, CEILING = 1e-17, 3.0
COLUMNS = 4


def draw(audit: Results, path: str | Path | IO[bytes], dpi: int = 110) -> None:
    """Save the figure as PNG.

    Raises:
        NormdslError: if matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NormdslError(
            f"draw the audit of {audit.name}",
            why="matplotlib is not installed",
            hint="pip install 'normdsl[tour]'",
        ) from None
    style: Any = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context(style):
        figure = Figure(figsize=(14, 8), layout="constrained")
        FigureCanvasAgg(figure)
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1))
        left, right = halves
        _symmetries(left, [f for f in audit if f.kind is Kind.SYMMETRY])
        above, below = right.subfigures(2, 1, height_ratios=(1.1, 1))
        _scales(above.subplots(), audit)
        _defects(below, audit)
        figure.suptitle(f"audit of {audit.name}", fontsize=15, fontweight="bold")
        figure.savefig(path, dpi=dpi, format="png")


def _symmetries(figure: Any, found: list[Finding]) -> None:
    figure.suptitle(
        "reparametrised twin: relative drift at each step (grey: tolerated)", fontsize=11
    )
    rows = -(-len(found) // COLUMNS)
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).reshape(-1)
    for ax, f in zip(axes, found, strict=False):
        colour = f.status.tone.page
        steps = range(1, len(f.curve) + 1)
        ax.fill_between(range(1, len(f.limits) + 1), FLOOR, f.limits, color=BAND, lw=0)
        ax.plot(steps, [_visible(d) for d in f.curve], color=colour, marker="o", ms=3, lw=1.6)
        ax.set_yscale("log")
        ax.set_ylim(FLOOR, CEILING)
        ax.set_yticks([1e-16, 1e-8, 1])
        ax.set_title(f"{f.probe}\n{f.status.value}", fontsize=9, color=colour)
    for ax in axes[-COLUMNS:]:
        ax.set_xlabel("step", fontsize=9)
    for ax in axes[len(found) :]:
        ax.set_axis_off()


def _scales(ax: Any, audit: Results) -> None:
    dashes = ("-", "--", ":", "-.")
    for k, s in enumerate(audit.part(Kind.SCALE)):
        f = s.worst
        if not f.curve:
            continue
        label = textwrap.shorten(s.settings, 60, placeholder=" …")
        curve = [_visible(d) for d in f.curve]
        colour, dash = f.status.tone.page, dashes[k % len(dashes)]
        ax.plot(f.at, curve, color=colour, ls=dash, marker="o", ms=3, label=f"{label}\n{f.answer}")
        if f.above is not None:
            ax.axvline(f.above, color=colour, ls=dash, lw=0.8, alpha=0.6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    entries = len(audit.part(Kind.SCALE))
    ax.set_ylim(FLOOR, 10.0 ** (1 + 1.9 * entries))  # room for the legend above the curves
    ax.set_yticks([10.0**k for k in range(-16, 1, 4)])
    ax.set_xlabel("norm of the gradient ‖G‖")
    ax.set_title("change of the first step against its power law", fontsize=11)
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def _defects(figure: Any, audit: Results) -> None:
    ax = figure.subplots()
    ax.set_axis_off()
    complaints = audit.complaints
    title = f"{len(complaints)} defects" if complaints else "no defects found"
    lines = [
        "\n   ".join(textwrap.wrap(f"{k}. {line}", 84)) for k, line in enumerate(complaints, 1)
    ]
    shown = "\n".join(lines).split("\n")
    if len(shown) > 18:
        shown = [*shown[:17], "…"]
    ax.text(
        0, 1, title, fontsize=12, fontweight="bold", va="top", transform=ax.transAxes,
        color=(Tone.BAD if complaints else Tone.GOOD).page,
    )  # fmt: skip
    ax.text(
        0, 0.9, "\n".join(shown), fontsize=9, va="top", transform=ax.transAxes, linespacing=1.35
    )


def _visible(value: float) -> float:
    """Return a value that a log axis can show: zero lies on the floor."""
    return min(max(value, FLOOR * 2), CEILING)
