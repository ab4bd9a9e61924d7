"""An audit as text: tables, with a curve of one character per measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from normdsl.compiler.audit.findings import Finding, Kind
from normdsl.compiler.audit.summary import Results, Summary
from normdsl.show.grid import Grid

BARS = "▁▂▃▄▅▆▇█"
#: Decades below 1 that the bars span, two each.
DECADES = 16


def sparkline(curve: Sequence[float]) -> str:
    """Return a curve as bars, two decades each from 1e-16 to 1; · is zero, ∞ is not finite."""
    return "".join(_bar(value) for value in curve)


def _bar(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    if value == 0:
        return "·"
    height = (math.log10(value) + DECADES) / DECADES * len(BARS)
    return BARS[max(0, min(len(BARS) - 1, int(height)))]


def text(audit: Results) -> str:
    """Return the whole report."""
    return "\n\n".join(map(str, blocks(audit)))


def blocks(audit: Results) -> list[str | Grid]:
    """Return the report in blocks: a title, a table for each kind of probe, and the defects."""
    symmetries, scales, memory, conduct = (audit.part(kind) for kind in Kind)
    found: list[str | Grid] = [
        f"audit of {audit.name}",
        _table((_headed(symmetries), "steps", "drift", "noise", "verdict"), symmetries, _symmetry),
        _table(("gradient scale", "largest", "tolerance", "verdict", "settings"), scales, _scale),
        _table(("memory", "verdict", "settings"), memory, _memory),
        _table(("conduct", "verdict", "settings"), conduct, _memory),
    ]
    if audit.complaints:
        numbered = [f"  {k}. {line}" for k, line in enumerate(audit.complaints, 1)]
        found.append("\n".join(["defects", *numbered]))
    else:
        found.append("no defects found")
    if audit.untried:
        found.append("\n".join(["not tried", *(f"  {o}: {why}" for o, why in audit.untried)]))
    return found


def _headed(symmetries: Sequence[Summary]) -> str:
    """Return the head of the first column, with the shape that was used."""
    shapes = [s.worst.shape for s in symmetries if s.worst.shape is not None]
    return "reparametrised" + (f" {shapes[0][0]}×{shapes[0][1]}" if shapes else "")


def _symmetry(s: Summary) -> tuple[str, ...]:
    f = s.worst
    return f.probe, sparkline(f.curve), _number(f.factor), _number(f.noise), _told(f)


def _scale(s: Summary) -> tuple[str, ...]:
    f = s.worst
    return sparkline(f.curve), _number(f.factor), _number(f.tolerance), _told(f), s.settings


def _memory(s: Summary) -> tuple[str, ...]:
    return s.worst.probe, _told(s.worst), s.settings


def _told(f: Finding) -> str:
    return f"{f.answer}: {f.why}" if f.answer in ("not supported", "unknown") else f.answer


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _table(
    head: tuple[str, ...], found: Sequence[Summary], row: Callable[[Summary], tuple[str, ...]]
) -> Grid:
    tones = {_told(s.worst): s.worst.status.tone for s in found}
    return Grid(head, [row(s) for s in found], tones=tones, ruled=True)
