"""Witnesses: what is tried, what counts, and that all of it replays."""

import attrs
import pytest

import normdsl as nd
from normdsl import G, W
from normdsl import algorithms as a
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import (
    PARTED,
    REACH,
    Experiment,
    Size,
    confirmed,
    part,
)
from normdsl.compiler.verdicts.simulate import twins
from normdsl.compiler.verdicts.tasks import task
from normdsl.compiler.verdicts.trajectory import run

STEP = nd.frobenius.lmo(G)


def rule(update):
    return nd.Declaration("rule", (), update)


def scripted(*answers):
    """Return a simulation that gives answers in turn, and the experiments it was asked."""
    left, asked = list(answers), []

    def simulate(experiment):
        asked.append(experiment)
        return left.pop(0) if len(left) > 1 else left[0]

    return simulate, asked


def test_a_witness_ends_where_its_runs_can_no_longer_be_told_apart():
    simulate, _ = scripted([0.0, 0.5, 0.25, 0.0, 1.0])
    found = part(Experiment(a.sgd, g.scale, {}), simulate)
    assert (found.step, found.drift, found.experiment.steps) == (2, 0.25, 3)
    assert part(Experiment(a.sgd, g.scale, {}), scripted([0.0, PARTED])[0]) is None


def test_a_witness_survives_shorter_steps_and_another_problem():
    seen, none = [0.5, 0.4], [0.0, 0.0]
    witness = part(Experiment(a.sgd, g.scale, {}), scripted(seen)[0])
    simulate, asked = scripted(seen, none, seen)
    assert confirmed(witness, simulate)
    assert [x.pace < 1 for x in asked] == [True, False, False]
    assert len({x.seed for x in asked}) == 3
    assert not confirmed(witness, scripted(none, seen)[0])
    assert not confirmed(witness, scripted(seen, none)[0])


def test_a_number_of_rows_that_rounding_decides_is_no_witness():
    """Σ polar(G)² is the rank of G: three, as long as the runs do not run away."""
    ranked = nd.optimizer(lambda lr=0.1: W - lr * nd.sum(nd.polar(G) ** 2) * W * W * G)
    assert ranked.check(g.permutations).status is Status.UNKNOWN


def test_runs_that_run_away_are_cut():
    rising = rule(41 * W + 0.001 * G)
    posed = task(rising, (3, 4), 0)
    largest = float(posed.start.abs().max())
    path = run(rising, posed, 6, {})
    assert len(path.weights) == 2
    assert float(path.weights[-1].abs().max()) <= REACH * largest
    assert len(run(rising, posed, 3, {}, largest=1e30).weights) == 4


def test_a_problem_of_another_size_has_weights_and_gradients_of_that_size():
    size = Size(1e-3, 1e5)
    small = run(a.sgd, task(a.sgd, (3, 4), 0).sized(1e-3, 1e5), 1, {"lr": 1e-12})
    usual = run(a.sgd, task(a.sgd, (3, 4), 0), 1, {"lr": 1e-12})
    (w, grad, _, _), (w0, grad0, _, _) = small.seen[0], usual.seen[0]
    assert float((w - 1e-3 * w0).norm()) == pytest.approx(0)
    assert float((grad - 1e5 * grad0).norm()) < 1e-9 * float(grad.norm())
    assert str(size) == ", W × 0.001, G × 1e+05"
    assert str(Size()) == ""


@pytest.mark.parametrize("group", [g.orthogonal, g.right_affine], ids=str)
def test_problems_of_a_layer_keep_their_symmetries_at_every_size(group):
    whitened = nd.optimizer(lambda lr=0.1: W - lr * G @ nd.inverse(nd.input_moment))
    experiment = Experiment(whitened, group, {"lr": 1e-4}, size=Size(0.1, 100.0))
    assert max(twins(experiment).drift) < 1e-9


def test_shorter_steps_keep_what_is_invariant():
    experiment = Experiment(a.muon, g.orthogonal, dict(a.muon.defaults), pace=0.3)
    assert max(twins(experiment).drift) < 1e-10
    whole = twins(attrs.evolve(experiment, pace=1.0)).original.weights
    part_way = twins(experiment).original.weights
    gone = (part_way[1] - part_way[0]) / (whole[1] - whole[0])
    assert float((gone - 0.3).abs().max()) < 1e-9


@pytest.mark.parametrize(
    ("name", "first"), [("adam", 0), ("polyak_muadam_sania", 1), ("shampoo", 0), ("scion", 1)]
)
def test_every_witness_replays_to_its_distance(name, first):
    """In every other group, from the first one or the second one on."""
    for verdict in getattr(a, name).check(g.ALL[first::2]):
        for seen in (verdict.witness, verdict.otherwise):
            if seen is not None:
                drift = seen.replay()
                assert drift[-1] == seen.drift > PARTED
                assert len(drift) == seen.experiment.steps
                assert all(d > PARTED for d in drift[seen.step - 1 :])
