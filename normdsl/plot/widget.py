"""A norm ball to drag: the exponent, the preconditioner and a gradient move by hand.

What moves is computed in the browser, by `ball.js`. Where no front end runs it, the same values
are a picture.
"""

from __future__ import annotations

import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normdsl.errors import DeclarationError, NormdslWarning, told
from normdsl.expressions.streams import output_moment
from normdsl.norms import entrywise, preconditioned
from normdsl.plot.balls import draw
from normdsl.plot.picture import figure, legend, styled
from normdsl.plot.planes import COLUMN, Slice
from normdsl.show.colours import FIRST, SECOND

#: What draws the ball in a browser.
MODULE = Path(__file__).with_name("ball.js")
#: The largest stretch of a preconditioner.
LARGEST = 2.0


def ball_widget(
    p: float = 2.0, stretch: float = 1.0, angle: float = 0.0, gradient: float = 30.0
) -> Any:
    """Return the unit ball of ‖T x‖_p in the plane, to drag in a notebook.

    x is a column of two entries: ‖·‖_p is the entrywise norm, or, with x the singular values, the
    Schatten norm. T is symmetric; T⁻¹, which maps the ball of ‖·‖_p to that of ‖T x‖_p, stretches
    by a factor along an angle and shrinks by it across.

    Without a front end that runs widgets, as on a page, it is a picture of these values; so it is,
    with a warning, if anywidget is not installed: `pip install 'normdsl[notebook]'`.

    Args:
        p: the exponent, from 1 to infinity. stretch: of T⁻¹, from 1 to 2.
        angle: its direction, in degrees from −90 to 90.
        gradient: direction of the gradient M, in degrees from −180 to 180.

    Returns:
        The widget, with the traits share (1/p), stretch, angle and gradient; or a figure.

    Raises:
        DeclarationError: for a value outside its range.
        NormdslError: if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> nd.plot.ball_widget(p=float("inf"), stretch=1.5).share
        0.0
    """
    ranges = {"p": (1.0, math.inf), "stretch": (1.0, LARGEST)}
    ranges |= {"angle": (-90.0, 90.0), "gradient": (-180.0, 180.0)}
    values = {"p": p, "stretch": stretch, "angle": angle, "gradient": gradient}
    for name, (low, high) in ranges.items():
        if not low <= values[name] <= high:
            raise DeclarationError(
                f"draw a ball with {name} = {values[name]}",
                why=f"{name} is a number from {low:g} to {high:g}",
                hint="nd.plot.ball_widget(p=3, stretch=1.5, angle=30)",
            )
    found = _widget()
    if found is None:
        warnings.warn(
            told(
                "draw a ball to drag",
                why="anywidget is not installed: this is a picture that stands still",
                hint="pip install 'normdsl[notebook]'",
            ),
            NormdslWarning,
            stacklevel=2,
        )
        return picture(p, stretch, angle, gradient)
    return found(share=1 / p, stretch=stretch, angle=angle, gradient=gradient)


def picture(p: float, stretch: float, angle: float, gradient: float) -> Any:
    """Return the ball as a figure, with the gradients that a ball has and the one given."""
    what = f"draw the ball of ‖T x‖_p with p = {p:g}"
    with styled(what):
        made = figure(what, 6.4, 4.2)
        axes = made.subplots()
        norm = preconditioned(entrywise(p), left=output_moment)
        part = Slice(norm, COLUMN, (2, 2), {output_moment: weights(stretch, angle)})
        turn = math.radians(gradient)
        draw(axes, part, torch.tensor([[math.cos(turn), math.sin(turn)]], dtype=torch.float64))
        axes.set_title(f"‖T x‖_p, p = {'∞' if math.isinf(p) else f'{p:g}'}")
        legend(made, axes)
    return made


def weights(stretch: float, angle: float) -> Tensor:
    """Return T = Q diag(1/s, s) Qᵀ with Q the rotation by an angle in degrees."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    q = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    found: Tensor = q @ torch.diag(torch.tensor([1 / stretch, stretch]).double()) @ q.mT
    return found


@cache
def _widget() -> Any:
    """Return the class of widgets, or None without anywidget, which it needs to be made."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class BallWidget(anywidget.AnyWidget):
        """The unit ball of ‖T x‖_p, to drag."""

        _esm = MODULE
        colours = traitlets.List([FIRST, SECOND]).tag(sync=True)
        share = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
        stretch = traitlets.Float(1.0, min=1.0, max=LARGEST).tag(sync=True)
        angle = traitlets.Float(0.0).tag(sync=True)
        gradient = traitlets.Float(30.0).tag(sync=True)

        def _repr_mimebundle_(self, **options: Any) -> Any:
            found = super()._repr_mimebundle_(**options)
            data, size = found if isinstance(found, tuple) else (found or {}, {})
            p = math.inf if self.share < 1e-3 else 1 / self.share
            still = picture(p, self.stretch, self.angle, self.gradient)
            shown, sized = still._repr_mimebundle_()
            return {**shown, **data, "image/png": shown["image/png"]}, {**size, **sized}

    return BallWidget
