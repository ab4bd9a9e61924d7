"""The page docs/speed.md: targets and whether they are met, tables, and how they were measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from normdsl.benchmarks.results import Report
from normdsl.benchmarks.sets import BY_NAME
from normdsl.benchmarks.table import head, lost, markdown, rates
from normdsl.benchmarks.targets import TARGETS, Verdict

HEAD = """# Speed: a step beside other packages, and beside what the hardware allows

Made by `make bench`. All contestants of a table step in turn in one process, on new gradients each
time, so that a machine that slows down slows them all: compare ratios within a table, not times
between tables. Losses stand beside wins.

- *median ms (min … max)* and *mean ms* are of single steps. Rules with refreshes, which all
  packages make every tenth step here, run two whole cycles; *slowest / median* shows what a
  refresh costs.
- *× reference*: the median over that of the contestant named above the table; of rules with
  refreshes the mean, as it is what they cost.
- *× floor*: the same over the least time by bytes and FLOPs, at the rates that were measured
  between the steps: bytes of y ← y + x in place, FLOPs of torch's product of large matrices, below
  whose time native code can go where the library is not made for the processor. Bytes: weights,
  states and gradients read once, weights and states written once. FLOPs: for Muon those of five
  Newton–Schulz steps on the cheaper side, also where a rule does otherwise; statistics and
  rotations for SOAP; those of Shampoo without its roots.
- *extra memory*: bytes that a step holds, at a time, beyond parameters, gradients and states, over
  those of the parameters, as the allocator reports them. On a CPU, batches of matrices that step
  side by side are looked at one after the other: all threads hold up to as many times that.
- *first step s*: with nothing compiled before. *launch ms* (GPUs): until `step()` returns.
- *σ off by*: how far the singular values of a first step from W = 0 are from their median, for a
  gradient with singular values from 1 to 0.1; an exact polar factor has equal ones.

Matrix rules are given hidden matrices only. On CPUs, matrix products of peers are kept in float32:
bfloat16, which most of them use, takes half a minute a step where it is emulated. heavyball is
compiled in the mode "default".
"""
RUN = """## How to run it

```bash
make bench                                            # this page, on a CPU, in about eight minutes
normdsl bench --set square --only Muon --rounds 3     # a part of it
```

On a GPU the first of these measures every row in four minutes; the second writes both runs on
this page, without measuring anything:

```bash
normdsl bench --device cuda --set all --rounds 7 --minutes 4 --json docs/speed-cuda.json
normdsl bench --read docs/speed.json --read docs/speed-cuda.json --page docs/speed.md
```

Contestants that are not installed, or fail, are listed with the reason.
"""
PLACES = {"cpu": "CPU", "cuda": "GPU"}


def page(reports: Mapping[str, Report]) -> str:
    """Return the page of one run for each device, or fewer."""
    parts = [HEAD, "\n".join(_targets(reports))]
    for device, place in PLACES.items():
        told = reports.get(device)
        parts.append(f"## {place}\n\n" + (_not_measured(place) if told is None else _run(told)))
    return "\n".join(part.strip() + "\n" for part in (*parts, RUN))


def write(reports: Mapping[str, Report], path: Path) -> None:
    """Write the page."""
    path.write_text(page(reports), encoding="utf-8")


def _targets(reports: Mapping[str, Report]) -> Iterator[str]:
    every = [(t, reports.get(device)) for device, ts in TARGETS.items() for t in ts]
    counts = [sum(t.verdict(report) is v for t, report in every) for v in Verdict]
    yield "## Targets\n"
    yield ", ".join(f"{n} {v.value}" for n, v in zip(counts, Verdict, strict=True)) + ".\n"
    yield "| on | set | what | at most | measured | |"
    yield "| --- | --- | --- | --: | --: | --- |"
    for t, report in every:
        value, verdict = t.value(report), t.verdict(report)
        told = f"**{verdict.value}**" if verdict is Verdict.MISSED else verdict.value
        place = PLACES[t.device]
        limits = f"{t.shown(t.limit)} | {t.shown(value)}"
        yield f"| {place} | {t.set} | {t.asked} | {limits} | {told} |"


def _not_measured(place: str) -> str:
    return f"Not measured: no {place} was at hand. How to run it is said below.\n"


def _run(report: Report) -> str:
    lines = [_machine(report)]
    for set_name, field in report.parts():
        lines.append(f"### {head(set_name, field)}")
        lines.append(f"{BY_NAME[set_name].what}. {rates(report, set_name, field)}.")
        lines.append(markdown(report, set_name, field))
        lines += lost(report, set_name, field)
    return "\n\n".join(lines)


def _machine(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    threads = f", threads: {report.threads}" if report.device == "cpu" else ""
    company = ""
    if report.company is not None:
        company = f" Meanwhile other processes kept {report.company:.2f} processors busy."
    return f"{report.hardware}{threads}, {report.date}. {versions}.{company}"
