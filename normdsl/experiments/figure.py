"""The picture of an experiment: right answers of every method, and what a step takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from normdsl.errors import NormdslError
from normdsl.experiments.experiment import Experiment
from normdsl.experiments.methods import NEW
from normdsl.experiments.results import Results
from normdsl.experiments.summary import Outcome, outcomes, problems
from normdsl.show.colours import ASIDE, BAND, FIRST, PAPER, SECOND

#: How many points below the best are shown.
SHOWN = 25
#: Of conditions: colours that are told apart without colour vision, and shapes that are as well.
MARKS = ((FIRST, "o"), (ASIDE, "x"), (SECOND, "D"))


def draw(experiment: Experiment, results: Results, path: Path) -> None:
    """Save the picture as PNG: a panel for each data set, and one for the time of a step.

    Raises:
        NormdslError: if matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise NormdslError(
            "draw the results",
            why="matplotlib is not installed",
            hint="pip install 'normdsl[tour]'",
        ) from None
    found = {
        data: {c: outcomes(results, data, c) for c in conditions}
        for data, conditions in problems(results).items()
    }
    found = {data: every for data, every in found.items() if any(every.values())}
    done = {name for every in found.values() for one in every.values() for name in one}
    names = [m.name for m in experiment.methods if m.name in done]
    style: Any = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context(style):
        size = (3.2 + 3.4 * (len(found) + 1), 2.1 + 0.27 * len(names))
        figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
        FigureCanvasAgg(figure)
        panels: Any = figure.subplots(1, len(found) + 1, sharey=True, squeeze=False)[0]
        for axes, (data, every) in zip(panels, found.items(), strict=False):
            drawn = _scores(axes, data, every, names)
            if len(every) > 1 and axes is panels[0]:
                figure.legend(
                    drawn, list(every), loc="outside lower center", ncols=3, frameon=False
                )
        _times(panels[-1], found, names)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.4, -0.6)
        for label in panels[0].get_yticklabels():
            label.set_fontweight("bold" if label.get_text() in NEW else "normal")
        figure.suptitle(
            f"{experiment.title}, {len(results.head.seeds)} seeds, rates tuned alike\n"
            "arrows: further below, or no rate trains; bold: new here",
            fontsize=11,
        )
        figure.savefig(path, dpi=110)


def _scores(
    axes: Any, data: str, every: Mapping[str, Mapping[str, Outcome]], names: Sequence[str]
) -> list[Any]:
    """Draw means and deviations; what is far below the best stands at the edge, as an arrow."""
    _bands(axes, names)
    best = max(100 * x.score.mean for found in every.values() for x in found.values())
    edge = best - SHOWN
    drawn = []
    for k, (found, (colour, mark)) in enumerate(zip(every.values(), MARKS, strict=False)):
        shift = 0.26 * (k - (len(every) - 1) / 2)
        known = [(n + shift, found[name]) for n, name in enumerate(names) if name in found]
        near = [(y, x.score) for y, x in known if 100 * x.score.mean > edge and x.rate is not None]
        shared: Any = {"color": colour, "ms": 5, "lw": 1.2}
        drawn.append(
            axes.errorbar(
                [100 * x.mean for _, x in near],
                [y for y, _ in near],
                xerr=[100 * x.std for _, x in near],
                fmt=mark,
                **shared,
            )
        )
        far = [y for y, x in known if (y, x.score) not in near]
        axes.plot([edge] * len(far), far, "<", **{**shared, "lw": 0})
    axes.set_xlim(edge - 0.04 * SHOWN, min(100.5, best + 0.1 * SHOWN))
    axes.set_title(data, fontsize=11, loc="left")
    axes.set_xlabel("right answers, %")
    return drawn


def _times(
    axes: Any, found: Mapping[str, Mapping[str, Mapping[str, Outcome]]], names: Sequence[str]
) -> None:
    """Draw the least of the medians over problems: what others did meanwhile adds to them."""
    _bands(axes, names)
    for n, name in enumerate(names):
        each = [one[name].ms for every in found.values() for one in every.values() if name in one]
        axes.plot(min(each), n, "s", color=FIRST, ms=5)
    axes.set_xlim(left=0)
    axes.set_title("time of a step", fontsize=11, loc="left")
    axes.set_xlabel("ms of one thread")


def _bands(axes: Any, names: Sequence[str]) -> None:
    for n in range(0, len(names), 2):
        axes.axhspan(n - 0.5, n + 0.5, color=BAND, zorder=0, lw=0)
