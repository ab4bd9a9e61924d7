"""The benchmark: sets and fields one after the other, and what it all ran on."""

from __future__ import annotations

import contextlib
import datetime
import platform
import re
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from normdsl.benchmarks import ours, peers
from normdsl.benchmarks.company import Clock, since
from normdsl.benchmarks.contestants import FIELDS, Contestant
from normdsl.benchmarks.floors import Rates
from normdsl.benchmarks.results import Report, Row, Skipped, part_key
from normdsl.benchmarks.sets import chosen
from normdsl.benchmarks.timing import measure
from normdsl.errors import NormdslError
from normdsl.near import did_you_mean
from normdsl.version import __version__

PACKAGES = (
    "torch",
    "pytorch_optimizer",
    "heavyball",
    "dion",
    "gram-newton-schulz",
    "quack-kernels",
)


def bench(
    sets: Iterable[str] = (),
    device: str = "cpu",
    only: str = "",
    rounds: int = 9,
    minutes: float | None = None,
) -> Report:
    """Measure contestants on sets of parameters.

    Args:
        sets: names of sets; default those of the device. device: "cpu" or "cuda".
        only: a regular expression that names must match; references are measured anyway.
        rounds: how often contestants step in turn. minutes: after which no more are started.

    Raises:
        NormdslError: for a device that isn't there, an unknown set, or names that nobody has.
    """
    _require_device(device)
    names, wanted = chosen(sets, device), _matching(only)
    ends = time.monotonic() + 60 * minutes if minutes else float("inf")
    began = Clock.now()
    rows: list[Row] = []
    skipped: list[Skipped] = []
    rates: dict[str, Rates] = {}
    for where in names:
        for field in FIELDS:
            mine = [c for c in wanted if c.field == field.name]
            if where.name in field.sets and mine:
                found, lost, rate = measure(field, where, mine, device, rounds, ends)
                rows += found
                skipped += lost
                rates[part_key(where.name, field.name)] = rate
    return Report(
        device=device,
        hardware=hardware(device),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        threads=torch.get_num_threads(),
        versions=versions(),
        rates=rates,
        rows=tuple(rows),
        skipped=tuple(skipped),
        company=since(began),
    )


def contestants() -> list[Contestant]:
    """Return everybody, peers first: in each field the reference is the first."""
    return [*peers.contestants(), *ours.contestants()]


def _matching(only: str) -> list[Contestant]:
    everybody = contestants()
    try:
        wanted = [c for c in everybody if re.search(only, c.name)]
    except re.error as error:
        raise NormdslError(
            f"measure only {only!r}",
            why=f"it is not a regular expression: {error}",
            hint="write --only 'Muon|SOAP'",
        ) from None
    if not wanted:
        raise NormdslError(
            f"measure only {only!r}",
            why="no contestant has such a name",
            hint="the names are " + ", ".join(c.name for c in everybody),
        )
    fields = {c.field for c in wanted}
    references = {field.reference for field in FIELDS if field.name in fields}
    return [c for c in everybody if c in wanted or c.name in references]


def _require_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise NormdslError(
            f"measure on {device!r}",
            why="there is no such type of device",
            hint=did_you_mean(device, ("cpu", "cuda"), "the types are"),
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise NormdslError(
            "measure on a GPU",
            why="torch sees none: torch.cuda.is_available() is False",
            hint="use --device cpu, or a machine and a build of torch with CUDA",
        )


def hardware(device: str) -> str:
    """Return the name of the processor, and nothing else about the machine."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of this package and of those of the peers that are installed."""
    found = {"normdsl": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
