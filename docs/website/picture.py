"""A picture of a rule: where five steps of it take a small layer, beside the gradient there."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

import normdsl as nd

LEGEND = (
    "In a picture a layer of 6×9 weights learns a regression whose inputs and outputs have unequal "
    "sizes. Left: −G, the way down from the start. Right: the change that five steps of the rule "
    "make, at its defaults. Blue is up, orange is down, full colour the largest entry. Below: "
    "singular values, the largest at full height. Of a rule over a pair it is the product B A."
)
STEPS, OUT, IN = 5, 6, 9
UP, DOWN, INK = "#0072b2", "#d55e00", "#808080"
#: Sizes in pixels: of an entry, of the gap between both halves, of the bars.
CELL, GAP, BARS = 14, 30, 40


def svg(rule: nd.Declaration) -> str:
    """Return the picture of a rule, whose colours stand on light and on dark pages."""
    before, after = moved(rule)
    half = IN * CELL
    size = f"{2 * half + GAP} {OUT * CELL + BARS + 8}"
    parts = [*_half(before, 0), *_half(after, half + GAP), _arrow(half)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">',
        *parts,
        "</svg>",
        "",
    ])  # fmt: skip


def moved(rule: nd.Declaration) -> tuple[Tensor, Tensor]:
    """Return minus the gradient at the start, and how five steps change the weights."""
    sizes = [size for _, size in rule.sized_parts((OUT, IN)).values()]
    layers = [nn.Linear(n, m, bias=False, dtype=torch.float64) for m, n in sizes]
    draw = torch.Generator().manual_seed(1)
    for layer in layers:
        start = torch.randn(layer.weight.shape, generator=draw, dtype=torch.float64)
        layer.weight = nn.Parameter(start / 3)
    model = nn.Sequential(*layers)
    reads = {"capture": nd.capture(model)} if rule.moments else {}
    opt = rule(model.parameters(), **reads)
    first = _product(layers)
    slope = torch.autograd.grad(_loss(lambda x: x @ first.T, 0), first)[0]
    for _ in range(STEPS):
        opt.step(_closure(model, 0), fresh=_closure(model, 1))
    return -slope, (_product(layers) - first).detach()


def _product(layers: list[nn.Linear]) -> Tensor:
    """Return what the layers multiply an input by."""
    found = torch.eye(IN, dtype=torch.float64)
    for layer in layers:
        found = layer.weight @ found
    return found


@lru_cache
def _sample(seed: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, of directions with sizes from 1 to 1/10."""
    draw = torch.Generator().manual_seed(seed)
    x, turn, y = (
        torch.randn(k, n, generator=draw, dtype=torch.float64)
        for k, n in ((64, IN), (IN, IN), (64, OUT))
    )
    return x * torch.logspace(0, -1, IN) @ torch.linalg.qr(turn)[0], y * torch.logspace(0, -1, OUT)


def _loss(model: Callable[[Tensor], Tensor], seed: int) -> Tensor:
    x, y = _sample(seed)
    return ((nd.outputs(model(x)) - y) ** 2).sum(1).mean() / 2


def _closure(model: nn.Module, seed: int) -> Callable[[], Tensor]:
    """Return the loss on a sample, with a gradient that can be differentiated again."""

    def closure() -> Tensor:
        loss = _loss(model, seed)
        params = list(model.parameters())
        slopes = torch.autograd.grad(loss, params, create_graph=True)
        for p, slope in zip(params, slopes, strict=True):
            p.grad = slope
        return loss

    return closure


def _half(matrix: Tensor, left: float) -> list[str]:
    """Return a matrix as coloured squares over its singular values as bars."""
    largest = float(matrix.abs().max()) or 1.0
    cells = [
        _box(left + j * CELL, i * CELL, CELL - 1, CELL - 1, UP if x > 0 else DOWN, abs(x) / largest)
        for i, row in enumerate(matrix.tolist())
        for j, x in enumerate(row)
    ]
    sizes = torch.linalg.svdvals(matrix)
    heights = (BARS * sizes / (float(sizes[0]) or 1.0)).tolist()
    base, width = OUT * CELL + 4 + BARS, IN * CELL / OUT
    bars = [_box(left + k * width, base - h, width - 3, h, INK, 1.0) for k, h in enumerate(heights)]
    frame = (
        f'<rect x="{left}" y="0" width="{IN * CELL - 1}" height="{OUT * CELL - 1}" '
        f'fill="none" stroke="{INK}" stroke-opacity="0.35"/>'
    )
    return [*cells, frame, *bars, _box(left, base, IN * CELL - 1, 1, INK, 1.0)]


def _box(x: float, y: float, width: float, height: float, colour: str, strength: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:.1f}" width="{width:g}" height="{height:.1f}" fill="{colour}" '
        f'fill-opacity="{strength:.2f}"/>'
    )


def _arrow(half: float) -> str:
    middle = OUT * CELL / 2
    return (
        f'<path d="M{half + 6} {middle}h{GAP - 14}m-5 -5l5 5l-5 5" fill="none" stroke="{INK}" '
        'stroke-width="1.5"/>'
    )
