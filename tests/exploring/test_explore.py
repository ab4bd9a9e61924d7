"""Studies: what they find, that they resume, that processes share them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pandas
import pytest

import normdsl as nd
from normdsl.exploring import needed, worker
from normdsl.exploring.explore import explore
from normdsl.exploring.ledger import Ledger
from normdsl.exploring.session import Session

GRID = (["frobenius"], ["adam", "after", "sania"], ["average"], ["sharp", "polyak"])
#: Small enough for a test, with two rounds and two seeds.
SMALL = {"rounds": (4, 6), "finalists": 2, "seeds": 2, "groups": ("scale",)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    study = tmp_path_factory.mktemp("study") / "study.db"
    made = explore(*GRID, require="loss_scale", study=study, budget="10m", workers=1, **SMALL)
    return made, study


def test_what_is_refused_equal_or_not_proved_is_never_trained(found):
    frame, _ = found
    fates = frame["fate"].to_dict()
    assert fates == {
        "frobenius_adam_average_sharp": "finalist",
        "frobenius_adam_average_polyak": "finalist",
        "frobenius_after_average_sharp": "equal",
        "frobenius_after_average_polyak": "refused",
        "frobenius_sania_average_sharp": "not proved",
        "frobenius_sania_average_polyak": "cut",
    }
    untrained = frame[frame["fate"].isin(["equal", "refused", "not proved"])]
    assert (untrained["trials"] == 0).all()
    assert untrained["loss"].isna().all()
    assert frame.loc["frobenius_after_average_sharp", "why"] == "to frobenius_adam_average_sharp"
    assert frame.loc["frobenius_sania_average_sharp", "why"].startswith("loss_scale: ")


def test_a_row_has_verdicts_cost_and_loss_over_fresh_seeds(found):
    frame, _ = found
    finalists = frame[frame["fate"] == "finalist"]
    assert finalists["loss"].is_monotonic_increasing
    assert list(finalists.index) == list(frame.index[:2])
    best = frame.iloc[0]
    assert (best["fate"], best["seeds"], best["rung"], best["trials"]) == ("finalist", 2, 3, 12)
    assert best["std"] > 0
    assert best["loss"] < 2.3
    assert (best["loss_scale"], best["scale"]) == ("invariant", "not invariant")
    assert best["state"] == 2.0
    rule = frame.rule(best.name)
    entries = 256 * 512
    assert best["cost"] == rule.cost((256, 512)).flops / entries
    assert "← W − η" in str(rule)
    with pytest.raises(nd.NormdslError, match="no design has that name"):
        frame.rule("frobenius")


def test_what_is_derived_from_it_is_a_plain_frame(found):
    frame, _ = found
    assert isinstance(frame, pandas.DataFrame)
    assert type(frame.head()) is pandas.DataFrame
    assert frame.pivot_table(index="norm", columns="preconditioner", values="first").shape == (1, 2)


def test_it_says_what_was_done_and_how_sure_it_is(found):
    frame, _ = found
    told = frame.certainty
    assert "6 designs on digits: " in told
    assert "Round 1: 4 steps, 8 rates each; 3 of 3 trained." in told
    assert "Finalists: 6 steps, 2 seeds each; 2 of 2 trained." in told
    assert "all that was planned is done" in told


def test_the_report_is_one_file_that_needs_no_other(found, tmp_path):
    frame, _ = found
    page = frame.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "src=" not in page
    assert "<link" not in page
    assert frame.index[0] in page
    assert "prefers-color-scheme: dark" in page


def test_a_finished_study_is_read_and_not_trained_again(found):
    frame, study = found
    with mock.patch("normdsl.exploring.session.tried", side_effect=AssertionError):
        again = explore(*GRID, require="loss_scale", study=study, budget="10m", workers=1, **SMALL)
    pandas.testing.assert_frame_equal(pandas.DataFrame(frame), pandas.DataFrame(again))


def test_a_study_of_another_grid_is_refused(found):
    _, study = found
    with pytest.raises(nd.NormdslError, match="begun with other designs, require"):
        explore(["spectral"], *GRID[1:], study=study, workers=1, **SMALL)


AXES = {axis: ["any"] for axis in ("norm", "preconditioner", "momentum", "step")}
KILLED = """
import sys
from normdsl.exploring.explore import explore
explore({grid!r}, ["none"], ["average"], ["lmo", "sharp"], study=sys.argv[1], **{options!r})
"""


def test_a_killed_study_loses_nothing_but_the_trial_in_flight(tmp_path):
    norms, study = ["frobenius", "max_entry", "spectral"], tmp_path / "study.db"
    options = {"rounds": (20,), "finalists": 2, "seeds": 1, "groups": (), "workers": 1}
    options["budget"] = "10m"
    text = KILLED.format(grid=norms, options=options)
    child = subprocess.Popen([sys.executable, "-c", text, str(study)])
    ledger = None
    while ledger is None or len(ledger.results()) < 2:
        assert child.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
        if ledger is None and study.exists():
            ledger = Ledger(f"sqlite:///{study}", AXES)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = ledger.results()
    taken = []
    made = Session._trial

    def counted(session, key, best):
        taken.append(key)
        return made(session, key, best)

    with mock.patch.object(Session, "_trial", counted):
        frame = explore(norms, ["none"], ["average"], ["lmo", "sharp"], study=study, **options)
    assert ledger.results()[: len(before)] == before
    assert {x.key for x in before}.isdisjoint(taken)
    assert len(taken) == 6 + 2 - len(before)
    assert (frame["fate"] == "finalist").sum() == 2


def test_another_process_does_its_share_from_a_file_alone(tmp_path):
    study, jobs = tmp_path / "study.db", []

    def started(command, **_):
        jobs.append(json.loads(Path(command[-1]).read_text(encoding="utf-8")))
        return mock.Mock()

    with (
        mock.patch("subprocess.Popen", started),
        mock.patch("normdsl.exploring.session.Session.work"),
    ):
        empty = explore(*GRID, require="loss_scale", study=study, budget=600, workers=2, **SMALL)
    assert (empty["trials"] == 0).all()
    file = tmp_path / "job.json"
    for parent in (1 - os.getppid(), os.getppid()):  # one that has ended, and one that has not
        assert not Ledger(jobs[0]["url"], jobs[0]["axes"]).results()
        file.write_text(json.dumps(jobs[0] | {"parent": parent}), encoding="utf-8")
        worker.run(file)
    with mock.patch("normdsl.exploring.session.tried", side_effect=AssertionError):
        frame = explore(*GRID, require="loss_scale", study=study, budget=600, workers=1, **SMALL)
    assert (frame["fate"] == "finalist").sum() == 2


def test_a_missing_package_is_named():
    missing = mock.patch.object(needed, "import_module", side_effect=ImportError(name="optuna"))
    with missing, pytest.raises(nd.NormdslError) as refused:
        explore(*GRID, workers=1)
    assert "optuna is not installed" in str(refused.value)
    assert "normdsl[explore]" in str(refused.value)


def test_more_processes_than_one_need_a_task_that_they_can_import():
    with pytest.raises(nd.NormdslError, match="others cannot import the task"):
        explore(*GRID, task=lambda steps, seed: None, workers=2)
    with pytest.raises(nd.NormdslError, match="did you mean digits"):
        explore(*GRID, task="digit")
