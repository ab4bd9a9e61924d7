"""What a study found, as a pandas frame: a row for each design of the grid."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.exploring.about import About
from normdsl.exploring.answers import Answer, answers
from normdsl.exploring.certainty import Certainty, final_losses
from normdsl.exploring.clock import in_words
from normdsl.exploring.designs import Design
from normdsl.exploring.ledger import Result
from normdsl.exploring.rounds import Plan, best_by_design
from normdsl.exploring.session import Session
from normdsl.near import did_you_mean


class Exploration(pandas.DataFrame):  # type: ignore[misc]
    """The designs of a grid with what became of them, the best first; made by `nd.explore`.

    A pandas frame; what is derived from it is a plain one. Its index are the names of the designs,
    its columns

    - `norm`, `preconditioner`, `momentum`, `step`: the names of the parts.
    - `fate`, `why`: finalist; cut by a round; diverged; failed; out of time; not proved, of a group
      that is required; equal to another; refused, as no declaration.
    - `rung`: how many rounds it was trained in. `loss`: of the last, with its best rate; of
      finalists the mean over `seeds` fresh seeds, with the standard deviation `std`.
    - `first`: the loss of the first round, which all designs can be compared by.
    - `accuracy`: on test data, which nothing was chosen by.
    - `trials`: rates that were tried. `lr`: the best one.
    - `cost`: operations of a step for each entry of a 256 × 512 layer. `state`: numbers it keeps.
    - the verdict of each group, as far as it was asked for.
    """

    _metadata = ("about",)
    about: About

    @property
    def _constructor(self) -> Any:
        return pandas.DataFrame

    @classmethod
    def of(
        cls, designs: Sequence[Design], equal: Mapping[str, str], session: Session, task: str
    ) -> Exploration:
        """Return what a session found."""
        results = session.ledger.results()
        known = answers(session.ledger.notes())
        rows = _Rows(session, equal, results, known)
        table = pandas.DataFrame([rows.row(d) for d in designs]).set_index("design")
        order = table.assign(rank=-table["rung"]).sort_values(
            ["rank", "loss"], kind="stable", na_position="last"
        )
        found = cls(table.loc[order.index])
        rules = {d.name: d.rule for d in designs if d.rule is not None}
        found.about = About(
            rules,
            Certainty.of(results, session.plan),
            session.plan,
            session.clock.budget,
            session.ledger.spent(),
            task,
            [g.name for g in session.require],
            [g.name for g in session.groups],
            rows.rounds(),
        )
        return found

    def rule(self, name: str) -> Declaration:
        """Return the declaration of a design: printed, its ten lines.

        Raises:
            NormdslError: for a name that none has, or a design that was refused.
        """
        if name in self.about.rules:
            return self.about.rules[name]
        refused = name in self.index
        raise NormdslError(
            f"show the rule of {name!r}",
            why=str(self.loc[name, "why"]) if refused else "no design has that name",
            hint="take one that is declared"
            if refused
            else did_you_mean(name, self.about.rules, "they are in the index of the frame, such as")
            if len(self.about.rules) < 20
            else "names are in the index of the frame: found.index",
        )

    @property
    def certainty(self) -> str:
        """How sure the answer is, in words: what was tried, what was not, who is told apart."""
        return "\n".join(self.summary())

    def summary(self) -> list[str]:
        """Return what was done with the designs, and how sure the answer is, in sentences."""
        about = self.about
        counts = self["fate"].value_counts()
        told = ", ".join(f"{n} {fate}" for fate, n in counts.items())
        lines = [f"{len(self)} designs on {about.task}: {told}."]
        for k, (entered, trained) in enumerate(about.rounds):
            final = k == about.plan.last
            title = "Finalists" if final else f"Round {k + 1}"
            runs = f"{about.plan.seeds} seeds" if final else f"{about.plan.rates_of(k)} rates"
            line = f"{title}: {about.plan.length(k)} steps, {runs} each; {trained} of {entered}"
            lines.append(line + (" trained." if trained == entered else " trained in the time."))
        never = int(((self["fate"] == "out of time") & (self["rung"] == 0)).sum())
        if never:
            lines.append(f"There was no time for {never} designs: of these nothing is known.")
        lines += about.certainty.sentences()
        spent, budget = in_words(about.spent), in_words(about.budget)
        whole = len(about.rounds) > about.plan.last and all(n == m for n, m in about.rounds)
        end = "all that was planned is done" if whole else "the budget ended it"
        return [*lines, f"{spent} of {budget} wall clock: {end}."]

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{line}</p>" for line in self.summary())
        return str(self.head(20)._repr_html_()) + told

    def pareto(self, ax: Any = None) -> Any:
        """Draw loss against cost; the figure, or `ax`."""
        from normdsl.exploring.pictures import pareto

        return pareto(self, ax)

    def periodic_table(self, ax: Any = None) -> Any:
        """Draw the best design of each norm × preconditioner, by the first round's loss."""
        from normdsl.exploring.pictures import table

        return table(self, ax)

    def report(self, path: str | Path) -> Path:
        """Write one HTML file with table, pictures and how sure the study is; return its path.

        Raises:
            NormdslError: if matplotlib is not installed.
        """
        from normdsl.exploring.report import write

        return write(self, self.about, self.summary(), Path(path))


class _Rows:
    """Makes the rows of the frame."""

    def __init__(
        self,
        session: Session,
        equal: Mapping[str, str],
        results: Sequence[Result],
        known: Mapping[str, Mapping[str, Answer]],
    ) -> None:
        self._session, self._equal, self._known = session, equal, known
        self._plan: Plan = session.plan
        self._results = results
        self._best = best_by_design(results)
        self._first = {x.design: x for x in results if x.round == 0}
        self._final = final_losses(results, session.plan)
        self._scores = {
            name: [
                x.outcome.score for x in results if x.round == self._plan.last and x.design == name
            ]
            for name in self._final
        }
        self._entrants = [session.entrants(k) for k in range(self._plan.last + 1)]
        self._inside = [set(x) for x in self._entrants]

    def rounds(self) -> list[tuple[int, int]]:
        """Return how many designs entered each round, and were trained there."""
        found = []
        for k, names in enumerate(self._entrants):
            keys = self._plan.keys(k, names)
            done = {x.key for x in self._results}
            by_design: dict[str, bool] = dict.fromkeys(names, True)
            for key in keys:
                by_design[key[1]] &= key in done
            if names:
                found.append((len(names), sum(by_design.values())))
        return found

    def row(self, design: Design) -> dict[str, Any]:
        """Return the row of a design."""
        name = design.name
        fate, why = self._fate(design)
        last, first = self._best.get(name), self._first.get(name)
        final = self._final.get(name)
        row: dict[str, Any] = {
            "design": name,
            "norm": design.norm,
            "preconditioner": design.preconditioner,
            "momentum": design.momentum,
            "step": design.step,
            "fate": fate,
            "why": why,
            "rung": 0 if last is None else last.round + 1 + (final is not None),
            "loss": _nan if last is None else last.outcome.loss,
            "std": _nan,
            "seeds": 0 if last is None else 1,
            "first": _nan if first is None else first.outcome.loss,
            "accuracy": _nan if last is None else last.outcome.score,
            "trials": 0 if last is None else self._plan.trials(last.round),
            "lr": _nan if last is None else last.outcome.rates[last.outcome.best],
            "cost": _nan if last is None else last.cost,
            "state": _nan if last is None else last.state,
        }
        if final is not None:
            row["loss"], row["seeds"] = float(final.mean()), len(final)
            row["std"] = float(final.std(ddof=1)) if len(final) > 1 else _nan
            row["accuracy"] = statistics.fmean(self._scores[name])
        told = self._known.get(self._equal.get(name, name), {})
        for group in (*self._session.require, *self._session.groups):
            row[group.name] = told[group.name].answer if group.name in told else ""
        return row

    def _fate(self, design: Design) -> tuple[str, str]:
        name, last = design.name, self._best.get(design.name)
        if design.rule is None:
            return "refused", design.why
        if name in self._equal:
            return "equal", f"to {self._equal[name]}"
        told = self._known.get(name, {})
        for group in self._session.require:
            if group.name not in told:
                return "out of time", f"{group.name} was not checked"
            if not told[group.name].proved:
                return "not proved", f"{group.name}: {told[group.name].reason}"
        if last is None:
            return "out of time", "never trained"
        if last.outcome.why:
            return "failed", last.outcome.why
        if not math.isfinite(last.outcome.loss):
            return "diverged", f"at all rates of round {last.round + 1}"
        return self._place(name, last)

    def _place(self, name: str, last: Result) -> tuple[str, str]:
        """Return the fate of a design that trained."""
        following = last.round + 1
        if name in self._inside[following]:
            if following == self._plan.last:
                seeds = len(self._final.get(name, ()))
                return "finalist", f"{seeds} fresh seeds"
            return "out of time", f"promoted by round {following}, not trained in the next"
        here = [x for x in self._results if x.round == last.round and x.seed == last.seed]
        rank = 1 + sum(x.outcome.loss < last.outcome.loss for x in here)
        return "cut", f"{rank} of {len(here)} in round {following}"


_nan = math.nan
