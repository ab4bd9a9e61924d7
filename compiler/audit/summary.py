"""What an audit found, equal verdicts of several settings together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import attrs

from normdsl.compiler.audit.findings import Finding, Kind, Status


@attrs.frozen
class Summary:
    """Findings of one probe that say the same in several settings.

    Args:
        worst: the one with the largest factor. settings: all of them, for people.
        count: how many there are.
    """

    worst: Finding
    settings: str
    count: int


def summaries(findings: Sequence[Finding], kind: Kind) -> tuple[Summary, ...]:
    """Return the findings of a kind, those that say the same joined, in their order."""
    chosen = [f for f in findings if f.kind is kind]
    tested: dict[tuple[str, str], set[str]] = defaultdict(set)
    joined: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for f in chosen:
        tested[f.probe, f.dtype].add(f.options)
        joined[_sense(f)].append(f)
    order = list(dict.fromkeys(f.probe for f in chosen))
    found = sorted(joined.values(), key=lambda same: order.index(same[0].probe))
    return tuple(
        Summary(max(same, key=lambda f: f.factor or 0.0), _settings(same, tested), len(same))
        for same in found
    )


def _sense(f: Finding) -> tuple[str, ...]:
    """Return what a finding says, without the numbers of parameters and settings."""
    where = f"{f.above:.1e}" if f.status is Status.ABOVE else ""
    why = "" if f.status is Status.HOLDS or where else re.sub(r"\d+", "#", f.why)
    return f.probe, f.status.value, where, why


def _settings(same: Sequence[Finding], tested: dict[tuple[str, str], set[str]]) -> str:
    """Return the settings in few words: options, and the dtypes in which they say so."""
    by_dtype: dict[str, list[str]] = defaultdict(list)
    for f in same:
        by_dtype[f.dtype].append(f.options)
    by_options: dict[str, list[str]] = defaultdict(list)
    for dtype, options in by_dtype.items():
        by_options[_options(options, tested[same[0].probe, dtype])].append(dtype)
    return "; ".join(f"{options}: {', '.join(dtypes)}" for options, dtypes in by_options.items())


def _options(chosen: Sequence[str], everything: set[str]) -> str:
    """Return a choice of options in few words."""
    others = sorted(everything - set(chosen))
    if len(everything) == 1 or len(chosen) <= max(1, 2 * len(others)):
        return ", ".join(chosen)
    return "every option" + (f" but {', '.join(others)}" if others else "")


@attrs.frozen(repr=False)
class Results:
    """What an audit found.

    Args:
        name: of the optimizer. findings: one verdict per probe and setting.
        untried: options that could not be flipped, each with the reason.
    """

    name: str
    findings: tuple[Finding, ...]
    untried: tuple[tuple[str, str], ...] = ()

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def defects(self) -> tuple[Finding, ...]:
        """The findings that no optimizer should have: absolute constants, corrupted tensors."""
        return tuple(f for f in self.findings if f.defect)

    def part(self, kind: Kind) -> tuple[Summary, ...]:
        """Return the verdicts of a kind, equal ones of several settings together."""
        return summaries(self.findings, kind)

    @property
    def complaints(self) -> tuple[str, ...]:
        """The defects, one sentence each, equal ones of several settings together."""
        return tuple(
            f"{s.worst.probe}: {s.worst.answer}: {s.worst.why} [{s.settings}]"
            for kind in Kind
            for s in self.part(kind)
            if s.worst.defect
        )
