"""The picture of a run: ratios to the reference of each field, as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normdsl.benchmarks.results import Report, Row
from normdsl.benchmarks.table import BY_NAME, cost, part, reference
from normdsl.errors import NormdslError
from normdsl.show.colours import ASIDE, FIRST, SECOND

PEER = "#9aa4ad"
COLUMNS = 2
#: Bars end here, and say how long they are.
LONGEST = 4.0


def draw(report: Report, path: Path) -> None:
    """Save the figure as PNG: a panel for each set and field.

    Raises:
        NormdslError: if matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NormdslError(
            "draw the measurements",
            why="matplotlib is not installed",
            hint="pip install 'normdsl[tour]'",
        ) from None
    parts = [(p, rows) for p in report.parts() if (rows := part(report, *p))]
    stacks = _stacks(parts)
    style: Any = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context(style):
        tallest = max(sum(len(rows) + 3 for _, rows in stack) for stack in stacks)
        figure = Figure(figsize=(14, 1.2 + 0.3 * tallest), layout="constrained")
        FigureCanvasAgg(figure)
        halves: Any = figure.subfigures(1, len(stacks), squeeze=False)
        for half, stack in zip(halves[0], stacks, strict=True):
            panels = half.subplots(
                len(stack), 1, squeeze=False, height_ratios=[len(rows) + 3 for _, rows in stack]
            )
            for axes, ((set_name, field), rows) in zip(panels[:, 0], stack, strict=True):
                _panel(axes, report, set_name, field, rows)
        figure.suptitle(
            f"time of a step, over that of the reference; {report.hardware}, {report.date}",
            fontsize=13,
            fontweight="bold",
        )
        figure.savefig(path, dpi=110, format="png")


Part = tuple[tuple[str, str], list[Row]]


def _stacks(parts: list[Part]) -> list[list[Part]]:
    """Return the parts in columns of about equal height."""
    stacks: list[list[Part]] = [[] for _ in range(min(COLUMNS, len(parts)))]
    for each in parts:
        shortest = min(stacks, key=lambda stack: sum(len(rows) + 3 for _, rows in stack))
        shortest.append(each)
    return stacks


def _panel(axes: Any, report: Report, set_name: str, field: str, rows: list[Row]) -> None:
    other = reference(report, set_name, field)
    unit = cost(rows[0] if other is None else other)
    places = range(len(rows))[::-1]
    ratios = [cost(row) / unit for row in rows]
    colours = [FIRST if row.name.startswith("normdsl") else PEER for row in rows]
    end = min(LONGEST, 1.12 * max(1, *ratios))
    axes.barh(places, [min(r, end) for r in ratios], color=colours, height=0.66)
    axes.scatter(
        [row.floor / unit for row in rows], places, marker="|", s=120, color=SECOND, zorder=3
    )
    axes.axvline(1, color=ASIDE, lw=0.8, ls=":")
    axes.set_yticks(places, [row.name for row in rows])
    for place, ratio, row in zip(places, ratios, rows, strict=True):
        beyond = ratio > end
        at = end if beyond else max(ratio, row.floor / unit)
        text = f"{ratio:.1f} → " if beyond else f" {ratio:.2f}"
        how = {"ha": "right", "color": "white"} if beyond else {"ha": "left", "color": ASIDE}
        axes.text(at, place, text, va="center", fontsize=9, **how)
    axes.set_xlim(0, end)
    told = "the quickest" if other is None else BY_NAME[field].reference
    axes.set_title(f"{set_name}, {field}", loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(f"× {told}   ( | floor at torch's rates )", fontsize=9, color=ASIDE)
