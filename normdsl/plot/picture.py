"""The figure that pictures are drawn on: transparent, in one style, and shown by notebooks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from normdsl.errors import NormdslError
from normdsl.show.colours import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pixels for each point of length on a screen, so that letters stay sharp on fine ones.
SHARP = 2
#: Dots per inch at which a notebook shows a figure.
DPI = 96
#: What every picture has in common.
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "auto",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
#: How series are told apart beside their colours.
MARKERS = ("o", "s", "^", "D", "v", "P")


@contextmanager
def styled(what: str) -> Iterator[None]:
    """Draw in the style of all pictures.

    Args:
        what: is drawn, as in "draw the ball of ‖X‖₂".

    Raises:
        NormdslError: if matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise NormdslError(
            what, why="matplotlib is not installed", hint="pip install 'normdsl[tour]'"
        ) from None
    with rc_context(STYLE):
        yield


def figure(what: str, width: float, height: float) -> Figure:
    """Return an empty figure that belongs to no window.

    It is shown where it is a cell's value, once, whatever backend matplotlib has.

    Args:
        what: is drawn, as in "draw the ball of ‖X‖₂": the words for those who cannot see it.
        width: in inches. height: in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made: Figure = _shown()(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    made.set_label(what.removeprefix("draw "))
    return made


@cache
def _shown() -> Any:
    """Return the class of figures, which cannot be made before matplotlib is imported."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that notebooks show."""

        def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            data = io.BytesIO()
            self.savefig(data, format="png", dpi=SHARP * DPI)
            wide, high = (round(DPI * x) for x in self.get_size_inches())
            told = f"<a picture of {self.get_label()}; .savefig('name.png') writes it>"
            size = {"image/png": {"width": wide, "height": high, "alt": self.get_label()}}
            return {"image/png": data.getvalue(), "text/plain": told}, size

    return Picture


@contextmanager
def canvas(ax: Axes | None, what: str, width: float, height: float) -> Iterator[tuple[Any, Axes]]:
    """Yield what to return and the axes to draw in: those given, or those of a new figure.

    Raises:
        NormdslError: if matplotlib is not installed.
    """
    with styled(what):
        if ax is not None:
            dress(ax)
            yield ax, ax
            return
        made = figure(what, width, height)
        yield made, made.subplots()


def legend(shown: Any, axes: Axes) -> None:
    """Write the legend beside the axes of a new figure; within axes of somebody else's."""
    if shown is axes:
        axes.legend()
        return
    handles, names = axes.get_legend_handles_labels()
    shown.legend(handles, names, loc="outside center right")


def dress(ax: Axes) -> None:
    """Give axes that were made elsewhere the ink of all pictures."""
    ax.tick_params(colors=INK)
    for spine in ax.spines.values():
        spine.set_edgecolor(INK)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.title.set_color(INK)
