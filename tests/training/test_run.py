"""Training: what diverged, what the rate does, and what a run keeps."""

import math
from functools import partial
from unittest import mock

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import bounded_muadam_sania, muadam_sania, sgd
from normdsl.training import run as training
from normdsl.training.choices import Course, Dataset
from normdsl.training.digits import digits, network
from normdsl.training.run import Task, divergence, optimizers_for, train
from normdsl.training.tasks import course, digits_task, task


def falling(w):
    """A task of one weight whose loss is w²."""

    def losses():
        while True:
            yield partial(lambda: (w * w).sum())

    return Task(torch.nn.ParameterList([w]), losses, lambda: 1.0)


def parameter():
    return torch.nn.Parameter(torch.ones(1, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.0, 1.0, math.nan], "no longer finite at step 3"),
        ([2.0, math.inf], "no longer finite"),
        ([2.0, 3.0], "above its start, at 3"),
        ([2.0, *[1.0] * 18, 2.9], None),  # one bad batch at the end is no divergence
        ([2.0, 2.01], None),
    ],
)
def test_divergence_is_a_loss_not_finite_or_above_its_start(losses, told):
    found = divergence(losses)
    assert (found is None) == (told is None)
    assert told is None or told in found


def test_a_run_ends_where_its_loss_is_no_longer_finite():
    w = parameter()
    losses = train(falling(w), [sgd([w], lr=1e200)], 50)
    assert len(losses) < 5
    assert not math.isfinite(losses[-1])


def test_a_refused_step_is_an_error_where_all_is_finite(monkeypatch):
    w, refused = parameter(), nd.GradientError("take a step", why="of a cause", hint="mend it")
    monkeypatch.setattr(training, "take", mock.Mock(side_effect=refused))
    with pytest.raises(nd.GradientError):
        training.train(falling(w), [sgd([w])], 1)


@pytest.mark.parametrize("name", Course)
def test_the_rate_follows_its_course(name):
    """With lr = ½ times a factor, w² has w ← (1 − factor) w."""
    w, seen = parameter(), []
    opt = sgd([w], lr=0.25)
    train(falling(w), [opt], 20, course(name, 20), lambda: seen.append(opt.param_groups[0]["lr"]))
    expected = {"constant": 0.25, "linear": 0.125, "cosine": 0.125, "wsd": 0.25}[name]
    assert seen[9] == pytest.approx(expected)
    assert (seen[-1] == 0.25) == (name is Course.CONSTANT)


def test_the_headline_rule_trains_at_its_defaults_and_the_papers_diverges():
    """At their defaults; AdamW, tuned, has 97.9% here."""
    for rule, good in ((bounded_muadam_sania, True), (muadam_sania, False)):
        model = network(64, 0, bias=False, dtype=torch.float32)
        learnt = digits_task(model, digits(0, torch.float32), 120, 0)
        losses = train(learnt, optimizers_for(model, rule, sgd)[0], 120)
        assert (divergence(losses) is None) == good
        assert (learnt.score() > 0.93) == good


@pytest.mark.parametrize("data", Dataset)
def test_a_task_has_a_batch_more_than_steps(data):
    assert len(list(task(data, 4, 2, seed=0).losses())) == 3


def test_characters_are_guessed_better_after_a_few_steps():
    learnt = task(Dataset.CHARS, 0, 3, seed=0)
    optimizers, told = optimizers_for(learnt.model, bounded_muadam_sania, nd.algorithms.adamw)
    assert told == "bounded_muadam_sania on 15 matrices, adamw on 10 vectors"
    losses = train(learnt, optimizers, 3)
    assert len(losses) == 3
    assert losses[2] < losses[0]
    assert 0 <= learnt.score() <= 1
