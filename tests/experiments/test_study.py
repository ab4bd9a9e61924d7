"""Studies: as many rates for every method, the best with other seeds; killed and resumed."""

import json
import math
from unittest import mock

import attrs
import pytest
import torch

import normdsl as nd
from normdsl.algorithms import sgd, sign_sgd
from normdsl.experiments import study as studies
from normdsl.experiments.experiment import TUNING, Experiment, Problem, Trial
from normdsl.experiments.methods import Method
from normdsl.experiments.results import read, results
from normdsl.experiments.study import study
from normdsl.training.run import Task

RATES, SEEDS = (1e-3, 1e-2, 1e-1, 1.0, 10.0), (1, 2)


def trial(seed):
    """A weight at a start that depends on the seed, whose loss is its square."""
    w = torch.nn.Parameter(torch.full((1, 1), 1.0 + seed, dtype=torch.float64))
    task = Task(torch.nn.ParameterList([w]), lambda: iter(lambda: squared, None), lambda: 0.5)

    def squared():
        return w.square().sum()

    def optimizers(rule, rate):
        return [rule([w], lr=rate)]

    return Trial(task, optimizers, lambda: float(squared()), lambda: float(squared()))


def small(steps=4, problem=trial):
    methods = tuple(Method(rule.name, rule) for rule in (sgd, sign_sgd))
    found = Experiment("small", "", "", (Problem("square", "", problem),), methods, RATES, 4, SEEDS)
    return attrs.evolve(found, steps=steps)


def runs(path, experiment, **options):
    """The runs of a file after a study, without their times."""
    done = study(experiment, results(experiment, path), lambda what: None, options.get("minutes"))
    return done, {k: attrs.evolve(run, ms=0.0) for k, run in read(path).runs.items()}


def test_each_method_has_as_many_rates_and_the_best_runs_with_other_seeds(tmp_path):
    """Of w² the rates 1, ¾, ½, ¼ reach the minimum at once, at ½."""
    done, found = runs(tmp_path / "x", small())
    assert done
    assert len(found) == small().runs == 2 * (len(RATES) + 2 + len(SEEDS))
    sgds = [r for r in found.values() if r.method == "sgd"]
    assert {r.rate for r in sgds if r.seed == TUNING} == {*RATES, 0.316, 3.16}
    counted = [r for r in sgds if r.seed != TUNING]
    assert [(r.rate, r.seed) for r in counted] == [(1.0, 1), (1.0, 2)]
    assert all(r.test is not None and r.score == 0.5 for r in counted)


def test_what_is_tested_on_is_not_looked_at_while_rates_are_chosen(tmp_path):
    tuned = [r for r in runs(tmp_path / "x", small())[1].values() if r.seed == TUNING]
    assert {(r.test, r.score) for r in tuned} == {(None, None)}


def test_a_run_that_diverges_is_told_and_never_chosen(tmp_path):
    lost = [r for r in runs(tmp_path / "x", small(40))[1].values() if r.fault is not None]
    assert {(r.method, r.rate, r.valid) for r in lost} >= {("sgd", 10.0, None)}
    assert all(r.seed == TUNING for r in lost)


def test_a_step_that_is_refused_ends_a_run_with_its_reason(tmp_path, monkeypatch):
    refused = nd.GradientError("take a step", why="its value is NaN", hint="a smaller rate")
    monkeypatch.setattr(studies, "train", mock.Mock(side_effect=refused))
    found = runs(tmp_path / "x", small())[1].values()
    assert {(r.fault, r.valid) for r in found} == {("step 1 was refused: its value is NaN", None)}


def test_a_killed_study_goes_on_where_it_was(tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    expected = runs(whole, small())[1]
    lines = whole.read_text().splitlines(keepends=True)
    torn.write_text("".join(lines[:8]) + lines[8][:30])
    begun = []

    def noted(seed):
        begun.append(seed)
        return trial(seed)

    assert runs(torn, small(problem=noted)) == (True, expected)
    assert len(begun) == len(expected) - 7
    assert runs(torn, small(problem=noted)) == (True, expected)
    assert len(begun) == len(expected) - 7


def test_a_study_out_of_time_is_not_finished(tmp_path):
    assert runs(tmp_path / "x", small(), minutes=1e-9) == (False, {})


def test_results_of_other_settings_are_not_mixed(tmp_path):
    runs(tmp_path / "x", small())
    with pytest.raises(nd.NormdslError, match=r"4 steps(.|\n)*this is small, 5 steps"):
        results(small(5), tmp_path / "x")


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x").write_text(json.dumps({"lr": math.pi}) + "\n")
    with pytest.raises(nd.NormdslError, match="normdsl reproduce wrote"):
        read(tmp_path / "x")
