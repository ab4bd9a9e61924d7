"""Small curves of positive numbers on a logarithmic scale, as one line of text and as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from normdsl.show.colours import Tone

#: The scale: below the first, numbers are equal up to rounding; above the last, they differ.
FLOOR, SAME, CEILING = 1e-16, 1e-6, 1.0
_BARS = "▁▂▃▄▅▆▇█"
#: The size of a picture, and the room at its right for a legend.
_WIDTH, _HEIGHT, _LEGEND = 260, 60, 150


def height(value: float) -> float:
    """Return where a number stands between floor and ceiling, from 0 to 1, by its logarithm."""
    if not value > FLOOR:  # NaN as well
        return 0.0
    return min(1.0, math.log(value / FLOOR) / math.log(CEILING / FLOOR))


def sparkline(values: Sequence[float]) -> str:
    """Return one sign for each number, from ▁ at 1e-16 and below to █ at 1 and above."""
    return "".join(_BARS[min(7, int(8 * height(x)))] for x in values)


def curve(values: Sequence[float]) -> str:
    """Return the curve as SVG, in the colour of whether it leaves what rounding does."""
    tone = Tone.BAD if any(x > SAME for x in values) else Tone.GOOD
    step = _WIDTH / max(1, len(values) - 1)
    points = [(k * step, _HEIGHT * (1 - height(x))) for k, x in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2'/>" for x, y in points)
    same = _HEIGHT * (1 - height(SAME))
    box = f"-4 -10 {_WIDTH + _LEGEND} {_HEIGHT + 20}"
    size = f"width='{_WIDTH + _LEGEND}' height='{_HEIGHT + 20}'"
    said = f"relative distance of the twins at each of {len(values)} steps"
    return (
        f"<svg viewBox='{box}' {size} role='img' aria-label='{said}' "
        "style='max-width:100%;font:10px sans-serif' fill='currentColor'>"
        f"<line x1='0' x2='{_WIDTH}' y1='{same:.1f}' y2='{same:.1f}' stroke='currentColor' "
        "stroke-opacity='0.5' stroke-dasharray='3 3'/>"
        f"<text x='{_WIDTH + 6}' y='{same + 3:.1f}'>1e-6: rounding below</text>"
        f"<text x='{_WIDTH + 6}' y='3'>1: as far as they went</text>"
        f"<g stroke='{tone.page}' fill='{tone.page}'>"
        f"<polyline points='{line}' fill='none' stroke-width='1.6'/>{dots}</g></svg>"
    )
