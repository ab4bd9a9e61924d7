"""Tables of a run, in plain text for a console and as Markdown for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from normdsl.benchmarks.contestants import FIELDS
from normdsl.benchmarks.results import Report, Row, part_key
from normdsl.show.grid import Grid

Cells = list[str]
BY_NAME = {field.name: field for field in FIELDS}


def cost(row: Row) -> float:
    """Return the time by which a row is compared: the mean where refreshes make steps differ."""
    return row.mean if BY_NAME[row.field].cycles else row.median


def part(report: Report, set_name: str, field: str) -> list[Row]:
    """Return the rows of a field on a set, quickest first."""
    return sorted(report.part(set_name, field), key=cost)


def reference(report: Report, set_name: str, field: str) -> Row | None:
    """Return the row that the others are compared with."""
    return report.row(set_name, BY_NAME[field].reference)


def columns(report: Report, rows: Sequence[Row]) -> Cells:
    """Return the heads of the columns that the rows of a field have."""
    heads = ["contestant", "median ms (min … max)", "mean ms", "slowest / median"]
    heads += ["× reference", "× floor", "extra memory", "first step s"]
    if report.device == "cuda":
        heads.append("launch ms")
    if any(row.spread is not None for row in rows):
        heads.append("σ off by")
    return heads


def cells(report: Report, row: Row, heads: Cells) -> Cells:
    """Return a row's entries, one for each head."""
    other = reference(report, row.set, row.field)
    told = {
        "contestant": row.name,
        "median ms (min … max)": f"{ms(row.median)} ({ms(min(row.times))} … {ms(max(row.times))})",
        "mean ms": ms(row.mean),
        "slowest / median": f"{row.slowest:.2f}",
        "× reference": "–" if other is None else f"{cost(row) / cost(other):.2f}",
        "× floor": f"{cost(row) / row.floor:.2f}",
        "extra memory": f"{row.memory:.2f} ×",
        "first step s": f"{row.first:.2f}",
        "launch ms": "–" if row.launch is None else ms(row.launch),
        "σ off by": "–" if row.spread is None else f"{row.spread:.0e}",
    }
    return [told[head] for head in heads]


def ms(seconds: float) -> str:
    """Return milliseconds with three digits or more."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def head(set_name: str, field: str) -> str:
    """Return what a part of a run is about: its set, its field and what 1 is."""
    what = "means" if BY_NAME[field].cycles else "medians"
    return f"{set_name}, {field} ({what} over that of {BY_NAME[field].reference})"


def rates(report: Report, set_name: str, field: str) -> str:
    """Return the measured rates of the machine in words."""
    rate = report.rates[part_key(set_name, field)]
    half = "" if rate.half is None else f", {rate.half / 1e9:,.0f} in bfloat16"
    return f"{rate.bandwidth / 1e9:.3g} GB/s, {rate.single / 1e9:,.0f} GFLOP/s in float32{half}"


def text(report: Report, width: int | None = None) -> str:
    """Return all tables in plain text, in pieces no wider than a console."""
    return "\n\n".join("\n".join(_part(report, *part, width)) for part in report.parts())


def markdown(report: Report, set_name: str, field: str) -> str:
    """Return the table of a field on a set as Markdown."""
    rows = part(report, set_name, field)
    heads = columns(report, rows)
    return "\n".join(_piped([heads, *[cells(report, row, heads) for row in rows]]))


def _part(report: Report, set_name: str, field: str, width: int | None) -> Iterator[str]:
    rows = part(report, set_name, field)
    yield from (head(set_name, field), rates(report, set_name, field))
    heads = columns(report, rows)
    yield from Grid(heads, [cells(report, row, heads) for row in rows], ruled=True).pieces(width)
    yield from lost(report, set_name, field)


def lost(report: Report, set_name: str, field: str) -> Iterator[str]:
    """Yield who was skipped, and why, a line for each reason."""
    for why, names in report.lost(set_name, field).items():
        yield f"Skipped: {', '.join(names)} ({why})."


def _piped(lines: list[Cells]) -> Iterator[str]:
    first, *rest = lines
    yield "| " + " | ".join(first) + " |"
    yield "| --- |" + " --: |" * (len(first) - 1)
    for name, *others in rest:
        shown = f"**{name}**" if name.startswith("normdsl") else name
        yield "| " + " | ".join([shown, *others]) + " |"
