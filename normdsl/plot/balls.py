"""Unit balls of norms in planes of matrices, with the dual ball and the LMO of some gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from normdsl.compiler.runtime.values import NOTHING, Given, values
from normdsl.errors import DeclarationError, kind
from normdsl.norms.base import Norm
from normdsl.plot.picture import canvas, figure, styled
from normdsl.plot.planes import COLUMN, DIAGONAL, ROW, Plane, Slice, directions, lengths
from normdsl.show.colours import FIRST, INK, SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How many gradients are drawn, and the angle of the first, so that none lies on an axis.
GRADIENTS, ANGLE = 16, 0.19
#: A dual ball is drawn up to so many times the size of the ball.
LARGER = 3.0
#: The singular values of the gradient in the picture of singular values, where its shape is free.
FREE = (6, 6)


def ball(
    *norms: Norm,
    given: Given = NOTHING,
    planes: Sequence[Plane] = (ROW, COLUMN, DIAGONAL),
    ax: Axes | None = None,
) -> Any:
    """Draw unit balls of norms: in planes of matrices, and how the LMO changes singular values.

    In each plane: the ball ‖X‖ ≤ 1, the dual ball ‖M‖_* ≤ 1, and for gradients M all around a line
    from −M, drawn outside, to the point lmo(M) at which ⟨M, X⟩ is least on the ball. A hollow point
    is the projection of an LMO that leaves the plane. The last picture has the singular values of
    a gradient, and of its LMO, each divided by the largest.

    Args:
        norms: one or several, a row of pictures for each.
        given: numbers for what a norm is made of, `{v: torch.tensor(…)}`.
        planes: which planes; see `nd.plot.Plane`.
        ax: axes to draw into, the first norm in the first plane given, or on the diagonal.

    Returns:
        The figure, or `ax`.

    Raises:
        DeclarationError: for what is not a norm, or a norm made of what only a step has.
        NormdslError: if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> picture = nd.spectral.plot()
        >>> [x.get_title() for x in picture.axes[:2]]
        ['a row: [x y; 0 0]', 'a column: [x 0; y 0]']
    """
    for norm in norms:
        if not isinstance(norm, Norm):
            raise DeclarationError(
                "draw a unit ball", why=f"{kind(norm)} is not a norm", hint="pass nd.spectral"
            )
    if not norms or not planes:
        raise DeclarationError(
            "draw no unit ball", why="a norm and a plane are needed", hint="nd.spectral.plot()"
        )
    what = f"draw the unit ball of {norms[0]}"
    shape = lengths(planes, given)
    if ax is not None:
        plane = DIAGONAL if tuple(planes) == (ROW, COLUMN, DIAGONAL) else planes[0]
        with canvas(ax, what, 0, 0):
            draw(ax, Slice(norms[0], plane, shape, given))
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, fontsize=8)
        return ax
    with styled(what):
        columns = len(planes) + 1
        made = figure(what, 2.5 * columns, 2.65 * len(norms) + 0.4)
        rows: Any = made.subplots(len(norms), columns, squeeze=False)
        for axes, norm in zip(rows, norms, strict=True):
            for panel, plane in zip(axes, planes, strict=False):
                draw(panel, Slice(norm, plane, shape, given))
                panel.set_title(plane.name)
            singular(axes[-1], norm, shape if given else FREE, given)
            axes[0].set_ylabel(str(norm), fontsize=12)
        labelled: dict[str, Any] = {}
        for panel in rows[:, :-1].flat:
            handles, names = panel.get_legend_handles_labels()
            labelled |= dict(zip(names, handles, strict=True))
        made.legend(labelled.values(), labelled, loc="outside lower left", ncols=len(labelled))
    return made


def draw(ax: Axes, part: Slice, gradients: Tensor | None = None) -> None:
    """Draw a norm in a plane, with the LMOs of gradients (x, y), or of some all around."""
    boundary, dual = part.boundary(), part.dual_boundary()
    gradients = directions(GRADIENTS, first=ANGLE) if gradients is None else gradients
    steps, off = part.steps(gradients)
    reach = float(boundary.norm(dim=1).max())
    wide = min(float(dual.norm(dim=1).max()), LARGER * reach)
    outside = 1.3 * max(reach, wide)
    label = "unit ball ‖X‖ ≤ 1"
    ax.fill(*boundary.T, facecolor=FIRST, alpha=0.18, lw=0)
    ax.plot(*boundary.T, color=FIRST, lw=2, label=label)
    ax.plot(*dual.T, color=SECOND, lw=1.3, ls="--", label="dual ball ‖M‖_* ≤ 1")
    for k, (start, end) in enumerate(zip(-outside * gradients, steps, strict=True)):
        label = "from −M to lmo(M)" if k == 0 else ""
        ax.plot(*torch.stack([start, end]).T, color=INK, lw=0.7, alpha=0.8, label=label)
    _points(ax, steps, off)
    limit = 1.04 * outside
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    ax.axhline(0, color=INK, lw=0.4, zorder=0)
    ax.axvline(0, color=INK, lw=0.4, zorder=0)
    ax.spines[:].set_visible(False)
    ax.locator_params(nbins=5)
    ax.tick_params(length=0, labelsize=8)


def _points(ax: Axes, steps: Tensor, off: Tensor) -> None:
    inside = off <= 1e-6 * (1 + steps.norm(dim=1))
    kinds = ((inside, FIRST, "lmo(M)"), (~inside, "none", "its projection, if off the plane"))
    for chosen, face, label in kinds:
        if bool(chosen.any()):
            x, y = steps[chosen].T
            ax.plot(x, y, "o", ms=5, color=FIRST, mfc=face, zorder=3, label=label)


def singular(ax: Axes, norm: Norm, shape: tuple[int, int], given: Given = NOTHING) -> None:
    """Draw the singular values of a gradient and of its LMO, each divided by the largest."""
    gradient = decaying(shape)
    step = values(norm.lmo, gradient, given)
    for x, colour, marker, label in ((gradient, INK, "s", "M"), (step, FIRST, "o", "lmo(M)")):
        found = torch.linalg.svdvals(x)
        at = range(1, len(found) + 1)
        ax.plot(
            at, found / found[0].clamp_min(1e-300), color=colour, marker=marker, ms=4, label=label
        )
    ax.set(ylim=(-0.05, 1.1), title="singular values / the largest", xticks=list(at))
    ax.set_box_aspect(1)
    ax.tick_params(labelsize=8)
    ax.legend(loc="best", fontsize=8)


def decaying(shape: tuple[int, int], rate: float = 0.5) -> Tensor:
    """Return a matrix with singular values 1, rate, rate², … and random singular vectors."""
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(
        torch.randn(shape, generator=generator, dtype=torch.float64), full_matrices=False
    )
    found: Tensor = (u * rate ** torch.arange(min(shape), dtype=torch.float64)) @ v
    return found
