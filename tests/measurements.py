"""Measurements that nobody made, for tests of what is done with them."""

from normdsl.benchmarks.floors import Rates
from normdsl.benchmarks.results import Report, Row, Skipped, part_key


def row(name, milliseconds, set_name="gpt", field="entry-wise", **changed):
    """A row of steps that take so long, on a floor of one millisecond."""
    times = milliseconds if isinstance(milliseconds, tuple) else (milliseconds,)
    told = {"first": 2.0, "floor": 1e-3, "memory": 0.0, **changed}
    return Row(set_name, field, name, tuple(ms / 1e3 for ms in times), **told)


def report(*rows, device="cpu", skipped=(), versions=()):
    parts = {part_key(r.set, r.field) for r in (*rows, *skipped)}
    return Report(
        device=device,
        hardware="A Processor",
        date="2026-11-28",
        threads=2,
        versions={"torch": "2.13.0", **dict(versions)},
        rates=dict.fromkeys(parts, Rates(4e9, 1e11)),
        rows=rows,
        skipped=tuple(skipped),
    )


REPORT = report(
    row("torch AdamW fused", 2.0),
    row("normdsl AdamW", (1.0, 1.5, 4.0), memory=0.25, spread=None),
    row("normdsl AdamW compiled", 3.0, first=12.0),
    row("torch Muon", 10.0, field="Muon", spread=0.3),
    row("normdsl Muon", 4.0, field="Muon", spread=2e-6),
    skipped=[Skipped("gpt", "Muon", "heavyball Muon", "not importable: no heavyball")],
)
