"""Trajectories on a quadratic of two variables, and those of twins in other coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.verdicts.tasks import Task
from normdsl.compiler.verdicts.twins import twins
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.plot.picture import MARKERS, canvas, legend
from normdsl.plot.singular import alone
from normdsl.show.colours import INK, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Learning rates that are tried where none is given.
RATES = tuple(10.0 ** (k / 2) for k in range(-6, 3))
#: f(x, y) = ½ (x, y) H (x, y)ᵀ, and where runs start.
HESSIAN, START = ((1.0, 0.8), (0.8, 4.0)), (-1.6, 1.1)


def trajectories(
    *rules: Rule,
    group: Group | str | None = None,
    steps: int = 20,
    lr: float | Mapping[str, float] | None = None,
    hessian: Sequence[Sequence[float]] = HESSIAN,
    start: tuple[float, float] = START,
    diagonal: bool = False,
    seed: int = 0,
    ax: Axes | None = None,
) -> Any:
    """Draw the paths of rules on a quadratic of two variables, f = ½ (x, y) H (x, y)ᵀ.

    W is the row [x, y]; or, with `diagonal`, the matrix diag(x, y), whose singular values are
    abs(x) and abs(y). With a group, the twin of each run is drawn as well, dashed: the same rule
    in other coordinates, its points mapped back. Paths of an invariant rule lie on one another.

    Args:
        rules: the rules. group: what changes the coordinates of the twins.
        steps: how many. lr: the learning rate, or one for each rule by its name; without it, of
            nine from 0.001 to 10 the one with the lowest mean loss along the path.
        hessian: H, 2×2 and symmetric. start: (x, y) at first. diagonal: whether W is diag(x, y).
        seed: decides the element of the group. ax: axes to draw into.

    Returns:
        The figure, or `ax`.

    Raises:
        DeclarationError: for a rule over several parameters, or one that reads moments of a layer.
        NormdslError: for an unknown group, or if matplotlib is not installed.

    Example:
        >>> import normdsl as nd
        >>> picture = nd.plot.trajectories(nd.algorithms.sgd, steps=5, lr=0.1)
        >>> picture.axes[0].lines[0].get_xydata().shape
        (6, 2)
    """
    posed = _posed(hessian, start, diagonal)
    found = []
    for rule in rules:
        rate = _rate(rule, posed, steps, lr)
        path = alone(rule, posed, steps, rate).weights
        twin = None
        if group is not None:
            own: dict[str, Any] = {
                "start": posed.start,
                "loss": posed.at(0),
                "steps": steps,
                "seed": seed,
            }
            twin = twins(rule, group, **(own | rate)).mapped
        found.append((rule, rate, path, twin))
    with canvas(ax, "draw trajectories", 6.4, 3.7) as (shown, axes):
        for k, (rule, rate, path, twin) in enumerate(found):
            colour, marker = SERIES[k % len(SERIES)], MARKERS[k % len(MARKERS)]
            told = "".join(f", {name} = {x:.2g}" for name, x in rate.items())
            line: dict[str, Any] = {"color": colour, "marker": marker, "lw": 1.5, "ms": 4}
            axes.plot(*_points(path), label=rule.name + told, **line)
            if twin is not None:
                told = f"… its twin under {group}"
                axes.plot(
                    *_points(twin), label=told, **{**line, "ms": 7, "mfc": "none", "ls": "--"}
                )
        drawn = [p for _, _, path, twin in found for p in (path, twin) if p]
        _contours(axes, posed, _window([_points(path) for path in drawn]))
        axes.plot(0, 0, "+", color=INK, ms=9)
        axes.set(xlabel="x", ylabel="y", aspect="equal")
        axes.spines[:].set_visible(False)
        legend(shown, axes)
    return shown


def _posed(hessian: Any, start: tuple[float, float], diagonal: bool) -> Task:
    """Return the problem, in the row [x, y] or in diag(x, y)."""
    h = torch.as_tensor(hessian, dtype=torch.float64)
    at = torch.as_tensor(start, dtype=torch.float64)
    if h.shape != (2, 2) or not torch.equal(h, h.mT) or at.shape != (2,):
        raise DeclarationError(
            "draw trajectories",
            why=f"the Hessian has shape {tuple(h.shape)}, the start {tuple(at.shape)}; they are a "
            "symmetric 2×2 matrix and two numbers",
            hint="hessian=((1.0, 0.5), (0.5, 3.0)), start=(-1.5, 1.0)",
        )

    def loss(w: Tensor, step: int) -> Tensor:
        x = w.diagonal() if diagonal else w[0]
        return 0.5 * x @ h @ x

    return Task(torch.diag(at) if diagonal else at[None], loss)


def _rate(
    rule: Rule, posed: Task, steps: int, lr: float | Mapping[str, float] | None
) -> dict[str, float]:
    """Return the learning rate of a rule, chosen if none is given; nothing if it has none."""
    if "lr" not in {h.name for h in rule.hyper}:
        return {}
    if isinstance(lr, Mapping):
        lr = lr.get(rule.name)
    if lr is not None:
        return {"lr": float(lr)}
    sums = {}
    for rate in RATES:
        path = alone(rule, posed, steps, {"lr": rate}).weights
        whole = len(path) == steps + 1
        sums[rate] = sum(float(posed.loss(w, 0)) for w in path) if whole else float("inf")
    return {"lr": min(sums, key=sums.__getitem__)}


def _points(path: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    rows = [(w.diagonal() if len(w) == 2 else w[0]).tolist() for w in path]
    return [x for x, _ in rows], [y for _, y in rows]


def _window(paths: Sequence[tuple[list[float], list[float]]]) -> list[tuple[float, float]]:
    """Return the ends of both axes: all points and the minimum, with room, four wide to three."""
    ends, shares = [], (4.0, 3.0)
    for k in (0, 1):
        values = [0.0, *(v for path in paths for v in path[k])]
        ends.append(((max(values) + min(values)) / 2, (max(values) - min(values)) / 2 + 1e-9))
    unit = max(half / share for (_, half), share in zip(ends, shares, strict=True))
    reach = [1.15 * unit * share for share in shares]
    return [(mid - r, mid + r) for (mid, _), r in zip(ends, reach, strict=True)]


def _contours(axes: Axes, posed: Task, window: Sequence[tuple[float, float]]) -> None:
    """Draw lines of equal loss in a window, each at four times the loss of the last."""
    xs, ys = (torch.linspace(low, high, 81, dtype=torch.float64) for low, high in window)
    as_row = len(posed.start) == 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
    losses = [[posed.loss(p[None] if as_row else torch.diag(p), 0).item() for p in r] for r in grid]
    levels = [posed.loss(posed.start, 0).item() * 4.0**k for k in range(-6, 4)]
    look: dict[str, Any] = {"colors": INK, "alpha": 0.5, "linewidths": 0.8, "zorder": 0}
    axes.contour(xs.numpy(), ys.numpy(), losses, levels=levels, **look)
    axes.set(xlim=window[0], ylim=window[1])
