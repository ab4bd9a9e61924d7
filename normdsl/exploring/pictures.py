"""Pictures of a study: loss against cost, and the map of norm × preconditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from normdsl.plot.picture import canvas
from normdsl.plot.tables import periodic_table
from normdsl.show.colours import FIRST, INK, SECOND


def pareto(frame: Any, ax: Any = None) -> Any:
    """Draw loss against cost: finalists with their spread over seeds, and the frontier.

    On the frontier are those that no other is both cheaper and better than. Without finalists, all
    designs by the loss of the first round.

    Args:
        frame: what `nd.explore` returned, or a part of it. ax: axes to draw into.
    """
    final = frame[frame["fate"] == "finalist"]
    whole = len(final) == 0
    shown = frame.dropna(subset=["first"]) if whole else final
    column = "first" if whole else "loss"
    with canvas(ax, "draw loss against cost", 8.6, 4.4) as (made, axes):
        if len(shown):
            errors = None if whole else shown["std"].fillna(0.0)
            axes.errorbar(
                shown["cost"], shown[column], errors, fmt="o", ms=5, color=FIRST, lw=1.2, capsize=2
            )
            best = frontier(list(shown["cost"]), list(shown[column]))
            x, y = ([shown[c].iloc[k] for k in best] for c in ("cost", column))
            axes.plot(x, y, color=SECOND, lw=1.4, ls="--", marker="s", ms=8, mfc="none")
            _name(axes, shown, column, best)
        axes.set(xscale="log", yscale="log")
        axes.margins(x=0.2, y=0.15)
        axes.set_xlabel("operations of a step for each entry of a 256 × 512 layer")
        axes.set_ylabel("loss after the first round" if whole else "loss, mean ± std over seeds")
        told = "numbers: places in the table; dashed: none is cheaper and better"
        axes.set_title(told, loc="right", fontsize=9)
    return made


def screened(frame: Any, ax: Any = None) -> Any:
    """Draw the loss of the first round against cost, for all designs, finalists marked."""
    trained = frame.dropna(subset=["first"])
    final = trained[trained["fate"] == "finalist"]
    with canvas(ax, "draw loss against cost", 8.6, 4.4) as (made, axes):
        axes.plot(trained["cost"], trained["first"], ".", ms=5, color=INK, alpha=0.6)
        axes.plot(final["cost"], final["first"], "s", ms=8, mfc="none", mew=1.6, color=SECOND)
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel("operations of a step for each entry of a 256 × 512 layer")
        axes.set_ylabel("loss after the first round")
        axes.set_title(f"{len(trained)} designs; squares: finalists", loc="right", fontsize=9)
    return made


def table(frame: Any, ax: Any = None) -> Any:
    """Draw the best design of each norm × preconditioner by the first round's loss."""
    told = frame.dropna(subset=["first"]).rename(columns={"first": "first loss"})
    return periodic_table(told, value="first loss", ax=ax)


def frontier(cost: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Return the places that no other is both as cheap and as good as, the cheapest first."""
    found: list[int] = []
    for k in sorted(range(len(cost)), key=lambda k: (cost[k], loss[k])):
        if not found or loss[k] < loss[found[-1]]:
            found.append(k)
    return found


def _name(axes: Any, shown: Any, column: str, best: Sequence[int]) -> None:
    """Write places beside points: of finalists all, otherwise of those on the frontier."""
    places = {k: n for n, k in enumerate(shown[column].argsort().tolist(), 1)}
    for k in best if column == "first" else places:
        row = shown.iloc[k]
        axes.annotate(
            str(places[k]),
            (row["cost"], row[column]),
            xytext=(7, 4),
            textcoords="offset points",
            fontsize=9,
        )
