"""Spectra: what rules and norms make of the singular values of a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.verdicts.tasks import Task
from normdsl.compiler.verdicts.trajectory import run
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, GradientError, kind
from normdsl.norms.base import Norm
from normdsl.plot.balls import decaying
from normdsl.plot.picture import MARKERS, canvas, legend
from normdsl.show.colours import INK, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The gradient where none is given: its shape, and the ratio of one singular value to the last.
SHAPE, RATE = (8, 12), 0.5
#: Smaller ratios are drawn on the axis: the gradient's smallest, if that is between these.
FLOOR, LOWEST = 1e-3, 1e-8


def spectra(
    *rules: Rule | Norm, gradient: Tensor | None = None, steps: int = 1, ax: Axes | None = None
) -> Any:
    """Draw the singular values of a gradient, and of the step that each rule makes of it.

    Each is divided by its largest, so that learning rates do not matter. A rule starts from its
    own initial states at small random weights, and sees the same gradient at each step.

    Args:
        rules: rules, with their defaults, and norms, whose step is lmo(G).
        gradient: G, a matrix; without it, one whose singular values halve from each to the next.
        steps: which step is drawn. ax: axes to draw into.

    Returns:
        The figure, or `ax`.

    Raises:
        DeclarationError: for a rule that reads moments of a layer or has several parameters.
        GradientError: for a gradient that is not one matrix of floating point numbers.
        NormdslError: if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> picture = nd.plot.spectra(nd.algorithms.sgd, nd.spectral)
        >>> [line.get_label() for line in picture.axes[0].lines]
        ['gradient', 'sgd', '‖X‖₂']
    """
    g = decaying(SHAPE, RATE) if gradient is None else _matrix(gradient)
    found = [_step(rule, g, steps) for rule in rules]
    with canvas(ax, "draw singular values", 6.4, 3.4) as (shown, axes):
        named = [rule.name if isinstance(rule, Rule) else str(rule) for rule in rules]
        curves = [("gradient", _ratios(g), INK, "x")]
        for k, (name, step) in enumerate(zip(named, found, strict=True)):
            mark = MARKERS[k % len(MARKERS)]
            curves.append((name, _ratios(step), SERIES[k % len(SERIES)], mark))
        floor = max(LOWEST, min(FLOOR, float(curves[0][1].min())))
        for k, (name, ratios, colour, marker) in enumerate(curves):
            # Hollow and ever smaller, so that equal curves are seen to be.
            look: Any = {
                "color": colour,
                "marker": marker,
                "mfc": "none",
                "ms": max(3, 10 - k),
                "lw": 1.5,
            }
            at = range(1, len(ratios) + 1)
            axes.plot(at, ratios.clamp_min(floor), label=name, **look)
        axes.set(yscale="log", ylim=(0.8 * floor, 1.5), xticks=list(at), xlabel="i")
        axes.set_ylabel(f"σᵢ / σ₁, at least {floor:.0e}")
        title = "singular values of the gradient, and of a step"
        axes.set_title(title if steps == 1 else f"{title} (number {steps})", loc="left")
        legend(shown, axes)
    return shown


def _ratios(x: Tensor) -> Tensor:
    """Return the singular values of a matrix, divided by the largest."""
    sigma = torch.linalg.svdvals(x)
    ratios: Tensor = sigma / sigma[0].clamp_min(1e-300)
    return ratios


def _matrix(gradient: Tensor) -> Tensor:
    if gradient.ndim != 2 or not gradient.is_floating_point():
        raise GradientError(
            f"draw the singular values of a tensor of shape {tuple(gradient.shape)}",
            why="a spectrum is that of one matrix of floating point numbers",
            hint="pass the gradient of a weight matrix: model.fc.weight.grad",
        )
    return gradient.detach().double().cpu()


def _step(rule: Rule | Norm, g: Tensor, steps: int) -> Tensor:
    """Return the change of the weights at a step."""
    if isinstance(rule, Norm):
        return rule.lmo(g)
    if not isinstance(rule, Rule):
        raise DeclarationError(
            "draw the spectrum of a step",
            why=f"{kind(rule)} is neither a rule nor a norm",
            hint="pass nd.algorithms.muon, or nd.spectral",
        )
    start = 0.1 * torch.randn(g.shape, generator=torch.Generator().manual_seed(1), dtype=g.dtype)
    posed = Task(start, lambda w, step: 1 + (g * (w - start)).sum())
    weights = alone(rule, posed, steps, {}).weights
    last: Tensor = weights[-1] - weights[-2]
    return last


def alone(rule: Rule, posed: Task, steps: int, hyper: Mapping[str, Any]) -> Any:
    """Run a rule of one matrix on a problem.

    Raises:
        DeclarationError: for a rule over several parameters, one that reads moments of a layer,
            and one that cannot take a step.
    """
    asked = f"draw steps of {rule.name}"
    if rule.ports or rule.moments:
        raise DeclarationError(
            asked,
            why="it steps several parameters"
            if rule.ports
            else "it reads moments of a layer, and here is a loss of W alone",
            hint="draw rules of one matrix, without moments",
        )
    found = run(rule, posed, steps, complete(rule, hyper), reach=float("inf"))
    if len(found.weights) < 2:
        raise DeclarationError(
            asked, why="its first step is not finite", hint="choose other hyper-parameters: eps > 0"
        )
    return found
