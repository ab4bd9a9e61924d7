"""Results: what was measured, as values that are written as JSON and read again."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path

import attrs
import cattrs

from normdsl.benchmarks.floors import Rates
from normdsl.errors import NormdslError


@attrs.frozen
class Row:
    """What was measured of one contestant on one set. Times are in seconds.

    Args:
        set: of parameters. field: it competes in. name: of the contestant.
        times: of steps, in whole cycles of refreshes. first: of the first step, which compiles.
        floor: the least time that a step takes by bytes and FLOPs.
        memory: bytes held during a step beyond parameters, gradients and states, as a
            multiple of those of the parameters. launch: until `step()` returns, on a GPU.
        spread: how far the singular values of a first step are from their median, relative to it.
    """

    set: str
    field: str
    name: str
    times: tuple[float, ...]
    first: float
    floor: float
    memory: float
    launch: float | None = None
    spread: float | None = None

    @property
    def median(self) -> float:
        """The median time."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean time: refreshes count."""
        return statistics.fmean(self.times)

    @property
    def slowest(self) -> float:
        """The slowest step, as a multiple of the median one."""
        return max(self.times) / self.median

    @property
    def over_floor(self) -> float:
        """The median, as a multiple of the floor."""
        return self.median / self.floor


@attrs.frozen
class Skipped:
    """A contestant that was not measured on a set, and why."""

    set: str
    field: str
    name: str
    why: str


@attrs.frozen
class Report:
    """A run: what it ran on, and with what.

    Args:
        device: "cpu" or "cuda". hardware: its name. date: of the run. threads: of torch.
        company: how many processors others kept busy meanwhile, if the system tells.
        versions: of packages. rates: median ones, by set and field.
        rows: of who was measured. skipped: who was not.
    """

    device: str
    hardware: str
    date: str
    threads: int
    versions: dict[str, str]
    rates: dict[str, Rates]
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    company: float | None = None

    def row(self, set_name: str, name: str) -> Row | None:
        """Return what was measured of a contestant on a set, if it was."""
        found = [row for row in self.rows if (row.set, row.name) == (set_name, name)]
        return found[0] if found else None

    def parts(self) -> list[tuple[str, str]]:
        """Return sets and fields, in the order in which they were measured."""
        every: Iterable[Row | Skipped] = (*self.rows, *self.skipped)
        return list(dict.fromkeys((row.set, row.field) for row in every))

    def part(self, set_name: str, field: str) -> list[Row]:
        """Return the rows of a field on a set."""
        return [row for row in self.rows if (row.set, row.field) == (set_name, field)]

    def lost(self, set_name: str, field: str) -> dict[str, list[str]]:
        """Return who was not measured in a field on a set, by the reason."""
        found: dict[str, list[str]] = {}
        for x in self.skipped:
            if (x.set, x.field) == (set_name, field):
                found.setdefault(x.why, []).append(x.name)
        return found

    def write(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(cattrs.unstructure(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    """Read what `Report.write` wrote.

    Raises:
        NormdslError: if the file is none of that kind.
    """
    try:
        return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), Report)
    except (OSError, ValueError, cattrs.BaseValidationError, KeyError, TypeError) as error:
        raise NormdslError(
            f"read the measurements in {path}",
            why=f"{type(error).__name__}: {error}",
            hint="give a file that normdsl bench --json wrote",
        ) from None


def part_key(set_name: str, field: str) -> str:
    """Return the key of a field on a set in `Report.rates`."""
    return f"{set_name}, {field}"


def rounded(seconds: float) -> float:
    """Return a time by its first four digits: more of them are noise."""
    return float(f"{seconds:.4g}")
