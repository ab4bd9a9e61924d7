"""What a study knows, in an Optuna study: verdicts, trials, what was promoted, time spent.

Finished work alone is written, each piece in one transaction, so that a process may be killed at
any time and loses what it was doing; any number of processes and machines may write to one ledger.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from normdsl.errors import NormdslError
from normdsl.exploring.designs import Design
from normdsl.exploring.needed import needed
from normdsl.exploring.trials import Outcome

NAME = "explore"
#: How often a database is tried that cannot be opened, and the seconds between.
_TRIES, _PAUSE = 3, 0.3


@attrs.frozen
class Result:
    """A trial that is done.

    Args:
        design: its name. round: which one, from 0. seed: of the task. outcome: what became of it.
        cost: operations of a step per entry. state: numbers kept per entry.
        elapsed: seconds of the study when it was done.
    """

    design: str
    round: int
    seed: int
    outcome: Outcome
    cost: float
    state: float
    elapsed: float

    @property
    def key(self) -> tuple[int, str, int]:
        """What tells it from others."""
        return self.round, self.design, self.seed


class Ledger:
    """The ledger of a study.

    Args:
        url: a database, as SQLAlchemy writes it. axes: the names on each axis of the grid.

    Raises:
        NormdslError: if Optuna is not installed, or the database cannot be opened.
    """

    def __init__(self, url: str, axes: Mapping[str, list[str]]) -> None:
        optuna = needed("optuna")
        self._optuna = optuna
        self._known: dict[int, Result] = {}
        self.axes = dict(axes)
        choices = optuna.distributions.CategoricalDistribution
        self._axes = {k: choices(v) for k, v in axes.items()}
        with _quiet(optuna):
            try:
                self._study = _opened(url)
            except Exception as error:
                raise NormdslError(
                    f"open the study {url}",
                    why=str(error).partition("\n")[0],
                    hint="pass the path of an SQLite file, or a URL such as "
                    "postgresql://user@host/name whose driver is installed",
                ) from error

    def notes(self) -> dict[str, Any]:
        """Return what is noted, by name."""
        found: dict[str, Any] = self._study.user_attrs
        return found

    def note(self, name: str, value: Any) -> None:
        """Write a note, in place of the one of that name."""
        self._study.set_user_attr(name, value)

    def results(self) -> list[Result]:
        """Return all trials that are done, each once, in the order in which they were."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials[len(self._known) :]:
            told = dict(trial.user_attrs["result"])
            told["outcome"] = Outcome(**_numbers(told["outcome"]))
            self._known[trial.number] = Result(**told)
        once = {x.key: x for x in reversed(self._known.values())}
        return list(reversed(once.values()))

    def spent(self) -> float:
        """Return the seconds that a study has had, until the last thing that was written."""
        noted = (x["elapsed"] for x in self.notes().values() if "elapsed" in x)
        return float(max([0.0, *noted, *(x.elapsed for x in self.results())]))

    def add(self, result: Result, design: Design) -> None:
        """Write a trial."""
        distributions = self._optuna.distributions
        outcome = result.outcome
        lr = outcome.rates[outcome.best]
        params: dict[str, Any] = {axis: getattr(design, axis) for axis in self._axes}
        params |= {"round": result.round, "lr": lr if math.isfinite(lr) and lr > 0 else 1e-300}
        told = {
            **self._axes,
            "round": distributions.IntDistribution(0, 100),
            "lr": distributions.FloatDistribution(1e-300, 1e300, log=True),
        }
        value = outcome.loss if math.isfinite(outcome.loss) else math.inf
        self._study.add_trial(
            self._optuna.create_trial(
                state=self._optuna.trial.TrialState.COMPLETE,
                params=params,
                distributions=told,
                value=value,
                user_attrs={"result": _written(attrs.asdict(result))},
            )
        )


def _written(value: Any) -> Any:
    """Return what JSON has, with numbers that are not finite as text."""
    if isinstance(value, dict):
        return {k: _written(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_written(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(outcome: Mapping[str, Any]) -> dict[str, Any]:
    lists = {k: [float(x) for x in outcome[k]] for k in ("losses", "rates", "sizes")}
    return {**outcome, **lists}


def _opened(url: str, tries: int = _TRIES) -> Any:
    """Return the study in a database, which another process may be making at the same time."""
    try:
        return needed("optuna").create_study(
            study_name=NAME, storage=_storage(url), direction="minimize", load_if_exists=True
        )
    except Exception:
        if tries == 1:
            raise
    time.sleep(_PAUSE)
    return _opened(url, tries - 1)


def _storage(url: str) -> Any:
    optuna = needed("optuna")
    if not url.startswith("sqlite:"):
        return optuna.storages.RDBStorage(url)
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    event = needed("sqlalchemy.event")

    # Written pages are left to the operating system, which a killed process does not take along.
    def connected(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(storage.engine, "connect", connected)
    storage.engine.dispose()
    return storage


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keep Optuna's remarks on studies to itself, for now."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
