"""The page docs/experiments.md: what was run, tables, and who did best, all of it computed."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.experiments.experiment import TUNING, Experiment
from normdsl.experiments.methods import NEW, Method
from normdsl.experiments.results import Head, Results
from normdsl.experiments.summary import Outcome, outcomes, problems
from normdsl.show.grid import Grid

HEAD = f"""# Experiments: every method, tuned alike

Made by `make experiments` from results in [experiments](experiments): small problems that a
processor finishes, run to compare methods and not to set records. Nothing on this page is typed.

- Every method has the same number of rates on every problem, with seed {TUNING}: a grid, then the
  two rates half a decade beside its best, by the loss on the validation part. The best of all
  runs with the other seeds, and only these count. All other hyper-parameters are defaults.
- *93.1 ± 0.4 (0.01)*: per cent of right answers on the test part, mean and standard deviation over
  seeds, and the rate. **Bold**: the best mean. *!*: the rate is at an end of what was tried. *✗*:
  so many of these runs diverged: their loss ended above its start, or was not finite.
- *rates*: how many of those tried did not diverge. Rates fall linearly to zero.
- *ms*: the median time of a step on one thread, that of the model included, as the processor's
  clock counts it. *states*: their bytes over those of the parameters that the method has.
"""


def write(found: Iterable[tuple[Experiment, Results]], folder: Path, path: Path) -> None:
    """Write the page on experiments and their results; their pictures are in a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    for experiment, results in found:
        picture = os.path.relpath(folder / f"{experiment.name}.png", path.parent)
        parts += _section(experiment, results, Path(picture).as_posix())
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def _section(experiment: Experiment, results: Results, picture: str) -> Iterator[str]:
    yield f"## {experiment.title}"
    yield experiment.what
    yield _ran(results.head, len(results.runs))
    yield f"![{experiment.title}: share of right answers of every method]({picture})"
    verdicts = {m.name: _verdict(m, g) for m in experiment.methods if (g := experiment.group)}
    for title, grid in tables(experiment, results, verdicts):
        yield f"### {title}"
        yield grid.markdown()
    missing = dict.fromkeys(p.data for p in experiment.problems if p.data not in problems(results))
    if missing:
        yield f"Not run yet: {_list([*missing])}. The command goes on with them."


def tables(
    experiment: Experiment, results: Results, verdicts: Mapping[str, str]
) -> Iterator[tuple[str, Grid]]:
    """Yield a title and a table for each data set, of the methods that are finished on it."""
    for data, conditions in problems(results).items():
        every = {c: outcomes(results, data, c) for c in conditions}
        if any(every.values()):
            grid = _table(experiment, every, verdicts)
            notes = [f"- {x}" for c, o in every.items() if o for x in told(c, o)]
            yield f"{data[0].upper()}{data[1:]}", attrs.evolve(grid, notes=["\n".join(notes)])


def _ran(head: Head, runs: int) -> str:
    rates = f"{head.rates[0]:g} to {head.rates[-1]:g} by decades"
    versions = ", ".join(f"{name} {v}" for name, v in head.versions.items() if v[:1].isdigit())
    return textwrap.fill(
        f"{head.steps} steps; a grid of {len(head.rates)} rates from {rates}, and two; seeds "
        f"{', '.join(map(str, head.seeds))}; {runs:,} runs. `normdsl reproduce "
        f"{head.experiment}`, begun {head.date} on {head.hardware}, one thread. {versions}.",
        width=100,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _verdict(method: Method, group: str) -> str:
    found = method.rule.check(group)
    assert isinstance(found, Verdict)
    conditional = found.status is Status.CONDITIONAL
    return found.answer.removeprefix("invariant ") if conditional else found.status.mark


def _table(
    experiment: Experiment, every: Mapping[str, Mapping[str, Outcome]], verdicts: Mapping[str, str]
) -> Grid:
    first = next(iter(every.values()))
    loss = len(every) == 1
    head = ["method", *([experiment.group] if verdicts else []), *(c or "right" for c in every)]
    head += [*(["loss"] if loss else []), "rates", "ms", "states"]
    best = {c: max((o.score.mean for o in found.values()), default=0) for c, found in every.items()}
    rows = []
    for method in experiment.methods:
        mine = {c: found.get(method.name) for c, found in every.items()}
        known = [x for x in mine.values() if x is not None]
        if not known:
            continue
        cells = [_cell(x, best[c]) for c, x in mine.items()]
        if loss:
            cells.append(_loss(first[method.name]))
        trained, tried = sum(x.trained for x in known), sum(x.tried for x in known)
        rows.append(
            [
                method.name,
                *([verdicts[method.name]] if verdicts else []),
                *cells,
                f"{trained} of {tried}",
                f"{min(x.ms for x in known):.3g}",
                f"{known[0].state:.3g}",
            ]
        )
    return Grid(head, rows)


def _cell(x: Outcome | None, best: float) -> str:
    if x is None:
        return "not run"
    if x.rate is None:
        return "no rate trains"
    told = f"{100 * x.score.mean:.1f} ± {100 * x.score.std:.1f}"
    told = f"**{told}**" if x.score.mean == best else told
    failed = f" {x.failed} ✗" if x.failed else ""
    return f"{told} ({x.rate:g}{'!' if x.at_edge else ''}){failed}"


def _loss(x: Outcome) -> str:
    return "—" if x.loss is None or x.rate is None else f"{x.loss.mean:.3f} ± {x.loss.std:.3f}"


def told(condition: str, found: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield sentences: who did best, who is within its spread, and where the new rules are."""
    ranked = sorted(found.values(), key=_merit, reverse=True)
    best = ranked[0]
    level = best.score.mean - best.score.std
    near = [x.method for x in ranked[1:] if _merit(x) >= level]
    where = f"*{condition}*: " if condition else ""
    places = _ranks(ranked)
    yield (
        f"{where}best is {best.method}"
        + (f"; within its standard deviation {_list(near)}" if near else "")
        + (f". New here: {_list(places)} of {len(ranked)}" if places else "")
        + "."
    )
    lost = [x.method for x in ranked if x.rate is None]
    if lost:
        yield f"{where}no rate trains: {_list(lost)}."


def _merit(x: Outcome) -> float:
    return -1.0 if x.rate is None else x.score.mean


def _ranks(ranked: Sequence[Outcome]) -> list[str]:
    """Return the place of each new rule: one more than how many are better."""
    places = {}
    for x in ranked:
        places[x.method] = 1 + sum(_merit(y) > _merit(x) for y in ranked)
    return [f"{name} {_ordinal(places[name])}" for name in NEW if name in places]


def _ordinal(place: int) -> str:
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10)
    return f"{place}{ending or 'th'}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
