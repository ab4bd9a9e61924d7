"""Random programs × groups: every verdict against runs; the outcome as a table.

    python tests/soundness.py --programs 2000 --seed 0 --jobs 2 --out docs/soundness.md

Results are kept in `build/` as they come, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import programs
import torch
from judging import PLAN, SETTLED, UNKNOWN, WRONG, Case, Outcome, judge, judge_all

from normdsl.compiler.invariance import groups
from normdsl.declaration import Declaration

#: The largest part of the settled cases that may be unknown.
ALLOWED = 0.02
PROVED = (Outcome.INVARIANT, Outcome.CONDITIONAL)


def results(count: int, number: int, jobs: int, kept: pathlib.Path) -> dict[int, list[Case]]:
    """Judge random programs, several at a time; what a file already holds is not done again."""
    chosen = programs.sample(count, number)
    done = dict(_read(kept))
    todo = [key for key in chosen if key not in done]
    kept.parent.mkdir(exist_ok=True)
    with kept.open("a") as file, _pool(jobs) as pool:
        for k, (key, cases) in enumerate(pool.imap_unordered(_keyed, todo), 1):
            done[key] = cases
            file.write(json.dumps([key, [_plain(c) for c in cases]]) + "\n")
            file.flush()
            print(f"\r{k} of {len(todo)} programs", end="", flush=True)
    return {key: done[key] for key in chosen}


def _pool(jobs: int) -> Any:
    return multiprocessing.get_context("fork").Pool(jobs, torch.set_num_threads, (1,))


def _keyed(key: int) -> tuple[int, list[Case]]:
    return key, judge_all(programs.drawn(key))


def _plain(case: Case) -> list[Any]:
    return [case.group, case.outcome.name, case.answer, case.drift, case.seconds]


def _read(kept: pathlib.Path) -> Iterator[tuple[int, list[Case]]]:
    for line in kept.read_text().splitlines() if kept.exists() else ():
        key, rows = json.loads(line)
        if all(row[1] != Outcome.ERROR.name for row in rows):
            yield key, [Case(g, Outcome[o], a, d, s) for g, o, a, d, s in rows]


def shrunk(case: Case, key: int) -> Declaration:
    """Return a smallest program that hypothesis finds with the same wrong outcome."""
    group = groups.named(case.group)
    return programs.smallest(key, lambda d: judge(d, group).outcome is case.outcome)


def table(cases: Iterable[Case]) -> str:
    """Return the counts per group, and their totals, as a markdown table."""
    by_group = {group.name: collections.Counter[Outcome]() for group in groups.ALL}
    for case in cases:
        by_group[case.group][case.outcome] += 1
    total = sum(by_group.values(), collections.Counter())
    columns = [o for o in Outcome if total[o] or o in SETTLED or o in WRONG]
    rows = [["group", *(o.value for o in columns)], ["---", *("--:" for _ in columns)]]
    for name, counts in [*by_group.items(), ("**all**", total)]:
        rows.append([name, *(str(counts[o]) for o in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def shares(cases: Iterable[Case]) -> dict[str, float]:
    """Return the numbers a reader looks for first."""
    count = collections.Counter(case.outcome for case in cases)
    settled, unknown = (sum(count[o] for o in some) for some in (SETTLED, UNKNOWN))
    proved = sum(count[o] for o in PROVED)
    return {
        "settled": settled,
        "proved": proved / max(settled, 1),
        "unknown": unknown / max(settled, 1),
        "unproved": count[Outcome.INCOMPLETE] / max(proved + count[Outcome.INCOMPLETE], 1),
        "wrong": sum(count[o] for o in WRONG),
    }


def report(rows: Mapping[int, list[Case]], number: int) -> str:
    """Return the result as a page."""
    cases = [case for row in rows.values() for case in row]
    found, seconds = shares(cases), sum(case.seconds for case in cases)
    some = sum(any(case.outcome in PROVED for case in row) for row in rows.values())
    return f"""# Random programs: verdicts against runs

Made by `make soundness`: {len(rows)} random programs (`tests/programs.py`, seed {number}) in
{len(groups.ALL)} groups, {len(cases)} cases. Each verdict is compared with pairs of float64 runs
on {len(PLAN)} random problems of shapes {", ".join(f"{m}×{n}" for (m, n), *_ in PLAN)}, with
hyper-parameters that meet the verdict's equations, states started as it assumes, and disturbed runs
that tell rounding from a broken invariance (`tests/runs.py`).

{table(cases)}

- settled by runs: {found["settled"]:.0f} cases; of these {found["proved"]:.1%} proved, in
  {some} programs at least one group
- unknown: {found["unknown"]:.2%} of the settled cases ({ALLOWED:.0%} allowed),
  {found["unproved"]:.2%} of those in which runs agree
- wrong (proved though runs part, refuted though runs agree, no answer): {found["wrong"]:.0f}
- {seconds / max(len(cases), 1):.3f} s per case, {seconds / 60:.0f} minutes of one core

What the columns mean: *unknown, runs agree*: an incompleteness of the checker. *unknown, runs
part*: the search for a witness missed one. *unreadable*: rounding grows as fast as any difference,
or a run diverges. *assumption not simulated*: a condition that no run was made to meet.
"""


def wrong(rows: Mapping[int, list[Case]]) -> Iterator[str]:
    """Yield the wrong cases, with a smallest program for each kind that a program shows."""
    for key, row in rows.items():
        for outcome in WRONG:
            cases = [case for case in row if case.outcome is outcome]
            if cases:
                small = shrunk(cases[0], key)
                again = judge(small, groups.named(cases[0].group))
                where = ", ".join(case.group for case in cases)
                answer = again.answer.splitlines()[0]
                yield f"{key}: {outcome.value} ({again.drift:.2g}), {where}: {answer}\n{small}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args(arguments)
    kept = pathlib.Path("build") / f"soundness-{options.seed}.jsonl"
    rows = results(options.programs, options.seed, options.jobs, kept)
    page = report(rows, options.seed)
    print("\n" + page)
    if options.out is not None:
        options.out.write_text(page)
    for failure in wrong(rows):
        print(failure)
    found = shares(case for row in rows.values() for case in row)
    return int(found["wrong"] > 0 or found["unknown"] > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
