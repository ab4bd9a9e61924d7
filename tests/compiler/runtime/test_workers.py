"""Workers: processes that meet where a rule averages, as a simulation of them does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import des_loc, ef21, local_sgd
from normdsl.errors import DeclarationError, GradientError

SCRIPT = Path(__file__).parents[2] / "two_workers.py"


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """What two workers by gloo saw, each in its order."""
    store = tmp_path_factory.mktemp("workers") / "store"
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(store)],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return [json.loads(Path(f"{store}.{rank}").read_text()) for rank in range(2)]


def test_processes_step_as_simulated_workers(two_workers):
    for seen in two_workers:
        assert max(seen["simulated"].values()) < 1e-12, seen["simulated"]


def test_steps_by_mean_gradients_are_those_of_one_process_with_all_samples(two_workers):
    """Also with what all layers share, answers of the loss, and values kept between steps."""
    for seen in two_workers:
        assert max(seen["one process"].values()) < 1e-11, seen["one process"]


def test_a_step_sends_what_is_averaged_at_it_at_once_and_otherwise_nothing(two_workers):
    begin, agree = [6], [2, 1]  # what must be equal; whether all meet, and are finite
    for seen in two_workers:
        assert seen["sent"] == [begin, [*agree, 90, 1], [*agree, 90, 1], [*agree, 180, 1], []]


def test_explain_says_what_is_averaged_when_and_what_it_sends(two_workers):
    said = two_workers[0]["explained"]
    expected = "des_loc averages over 2 workers: mean[workers](W), where mod(t, 2) < 1, 720 bytes"
    assert expected in said
    assert "mean[workers](v_buffer_old), where mod(t, 4) < 1" in said
    alone = str(ef21([torch.nn.Parameter(torch.ones(2, 2))]).explain())
    assert "ef21 averages over workers, and this process is the only one" in alone


def test_a_step_at_which_workers_meet_is_refused_by_all_and_others_by_one(two_workers):
    first, second = (seen["nan"] for seen in two_workers)
    assert "take step 1 of local_sgd" in first[0][0]
    assert second[0] == ["", True]
    assert first[1] == second[1]
    assert "take step 2 of local_sgd" in first[1][0]
    assert not first[1][1]


def test_what_would_drift_apart_or_never_meet_is_refused_by_all(two_workers):
    said = two_workers[0]["refused"]
    assert said == two_workers[1]["refused"]
    assert "the rule reads means over workers" in said["unsaid"]
    assert "a worker that skips a step" in said["skip"]
    assert "the shapes or entries of their parameters differ" in said["start"]
    assert 'adamw.on_gradient(lambda G: nd.mean(G, over="workers"))' in said["beside"]
    assert "at which steps they meet" in said["periods"]
    assert "have taken another number of steps" in said["late"]
    assert said["alone"] == ""


def test_workers_go_on_from_what_they_saved(two_workers):
    assert [seen["resumed"] for seen in two_workers] == [0, 0]


def test_one_worker_steps_as_a_simulation_of_one():
    """A period that never comes, and one that always does, leave a worker alone as it is."""
    w = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    pure, run = nd.functional(des_loc), nd.simulate(des_loc, workers=1)
    ours, state = pure.update(w, pure.init(w), w)
    theirs, _ = run.update(w[None], run.init(w[None]), w[None])
    assert torch.equal(ours[None], theirs)
    torch.testing.assert_close(state["t"], torch.tensor(1))


def test_what_workers_draw_and_share_over_layers_is_simulated():
    """A mean of draws is the draw, and a norm of all layers that of each worker."""
    rule = nd.optimizer(
        lambda lr=0.1: (
            W - lr * nd.clip(G, 1.0, over="layers") - lr * nd.mean(nd.signs_like(G), over="workers")
        )
    )
    run, g = nd.simulate(rule, workers=2), torch.tensor([[[3.0]], [[0.5]]])
    w, _ = run.update(
        {"a": g, "b": g}, run.init({"a": 0 * g, "b": 0 * g}), {"a": 0 * g, "b": 0 * g}
    )
    moved = (w["a"] / -0.1).abs()
    pulled = torch.tensor([[[2**-0.5]], [[0.5]]])
    for drawn in (1, -1):
        if torch.allclose(moved, (pulled + drawn).abs(), atol=1e-5):
            return
    raise AssertionError(moved)


def test_a_loss_elsewhere_is_that_of_each_worker():
    """Each worker asks its own loss at the common point."""
    here = nd.mean(W - 0.5 * G, over="workers")
    rule = nd.optimizer(lambda lr=1.0: W - lr * nd.gradient(at=here))
    run, w = nd.simulate(rule, workers=2), torch.ones(2, 1, 1)
    objectives = [lambda x: x.square().sum(), lambda x: 3 * x.square().sum()]
    new, _ = run.update(2 * w, run.init(w), w, objective=objectives)
    assert new.flatten().tolist() == [1, 1]  # at the point 0, neither has a slope
    new, _ = run.update(torch.tensor([[[2.0]], [[0.0]]]), run.init(w), w, objective=objectives)
    assert new.flatten().tolist() == [0, -2]  # at ½: slopes 1 and 3


def test_what_is_not_of_all_workers_is_refused():
    run, w = nd.simulate(local_sgd, workers=3), torch.ones(3, 2, 2)
    with pytest.raises(GradientError, match="does not have 3 entries, one a worker"):
        run.init(w[0])
    with pytest.raises(GradientError, match="is not one for each worker"):
        nd.simulate(nd.algorithms.polyak_sgd, workers=3).update(w, {}, w, loss=[1.0])
    with pytest.raises(DeclarationError, match="at least one"):
        nd.simulate(local_sgd, workers=0)
    with pytest.raises(DeclarationError, match="several rules"):
        nd.simulate(nd.algorithms.scaled_gd, workers=2)


def test_an_ejected_file_knows_no_workers(tmp_path):
    with pytest.raises(DeclarationError, match="averages over workers"):
        ef21.eject(tmp_path / "ef21.py")
