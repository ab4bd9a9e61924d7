"""Copies that train at once: each is the run that the optimizer makes with its rate."""

import math

import pytest
import torch

from normdsl.exploring.copies import Copies
from normdsl.exploring.designs import grid
from normdsl.exploring.trials import TASKS, tried
from normdsl.training.digits import digits
from normdsl.training.run import train
from normdsl.training.tasks import course, digits_task

STEPS = 8
SMALL = TASKS["digits"]


def rule_of(*names):
    return grid(*([name] for name in names))[0].rule


@pytest.mark.parametrize(
    "names",
    [
        ("spectral", "adam", "nesterov", "bounded"),
        ("frobenius", "shampoo", "average", "sharp"),
        ("max_entry", "none", "plain", "polyak"),
    ],
    ids="-".join,
)
def test_copies_are_separate_runs_of_the_optimizer(names):
    rule, rates = rule_of(*names), [1e-3, 3e-2]
    ends = Copies(rule, SMALL(STEPS, 0)).train(rates, STEPS)
    for lr, end in zip(rates, ends, strict=True):
        task = SMALL(STEPS, 0)
        decay = course("linear", STEPS)
        losses = train(task, [rule(task.model.parameters(), lr=lr)], STEPS, decay)
        assert end == pytest.approx(sum(losses[-5:]) / 5, rel=1e-4)


def test_a_copy_that_diverges_is_infinite_and_leaves_the_others_alone():
    rule = rule_of("frobenius", "none", "average", "sharp")
    (alone,) = Copies(rule, SMALL(STEPS, 0)).train([0.1], STEPS)
    beside = Copies(rule, SMALL(STEPS, 0)).train([0.1, 1e30, math.inf], STEPS)
    assert beside[0] == pytest.approx(alone, rel=1e-5)
    assert beside[1:] == [math.inf, math.inf]


def test_the_scale_is_the_rate_that_moves_weights_by_their_own_size():
    rule = rule_of("frobenius", "none", "plain", "lmo")
    task = SMALL(STEPS, 0)
    weights = list(task.model.parameters())
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in weights))
    # Each of the two LMO steps has Frobenius norm 1.
    assert Copies(rule, task).scale() == pytest.approx(size / math.sqrt(2), rel=1e-6)


def test_a_trial_keeps_the_model_of_the_best_rate_and_tells_of_errors():
    found = tried(rule_of("spectral", "none", "average", "lmo"), SMALL, 20, 0, (1e-4, 0.3, 1e9))
    assert found.best == 1
    assert found.losses[2] > found.loss
    assert found.score > 0.5

    still = tried(rule_of("spectral", "none", "average", "lmo"), _flat, 5, 0, (0.1, 1.0))
    assert still.losses == [math.inf, math.inf]
    assert "do not move the weights" in still.why


def _flat(steps, seed):
    """The small task with a loss that is the same everywhere."""
    task = SMALL(steps, seed)

    def losses():
        for _ in range(steps + 1):
            yield lambda: sum(0.0 * p.sum() for p in task.model.parameters()) + 1.0

    return type(task)(task.model, losses, task.score)


def test_other_parameters_than_matrices_train_beside():
    model = torch.nn.Sequential(torch.nn.Linear(64, 10))
    task = digits_task(model, digits(0, torch.float32), 30, 0)
    before = model[0].bias.detach().clone()
    (end,) = Copies(rule_of("spectral", "none", "average", "lmo"), task).train([0.1], 30)
    assert end < 1.0
    assert not torch.equal(before, model[0].bias)
