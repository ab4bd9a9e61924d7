"""Driving optimizers: gradients as given, states by name, refusals in words."""

import pytest
import torch
from specimens import NeedsLoss, Plain

from normdsl.algorithms import adam
from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.audit.streams import exact_normal, gradients, linear
from normdsl.errors import NormdslError

SHAPES = ((2, 3), (3, 2))
STREAM = gradients(SHAPES, 0, 4.0)
STARTS = [torch.zeros(s) for s in SHAPES]


def test_a_run_is_the_optimizer_by_hand():
    found = Subject("plain", Plain).run(STARTS, linear(STREAM), 3)
    for k in range(2):
        m, w = torch.zeros(SHAPES[k]), torch.zeros(SHAPES[k])
        for step in range(3):
            m = 0.9 * m + STREAM(step)[k].float()
            w = w - 0.001 * m
            torch.testing.assert_close(found.weights[step + 1][k], w)
            torch.testing.assert_close(found.states[step + 1][f"{k}.m"], m)
    assert found.states[0] == {}


def test_copies_are_kept_not_the_tensors_themselves():
    starts = [exact_normal((2, 3), (1,)).T]
    before = starts[0].clone()
    found = Subject("plain", Plain).run(starts, linear(gradients([(3, 2)], 0, 1.0)), 2)
    assert torch.equal(starts[0], before)
    assert not torch.equal(found.weights[1][0], found.weights[2][0])


def test_the_gradients_a_step_was_given_are_returned():
    drive = Subject("plain", Plain).drive(STARTS)
    given = drive.advance(linear(STREAM), 0)
    assert all(torch.equal(a, b.float()) for a, b in zip(given, STREAM(0), strict=True))


def test_a_closure_is_passed_on_request_only():
    drive = Subject("polyak", NeedsLoss, closure=True).drive(STARTS)
    drive.advance(linear(STREAM), 0)
    assert bool(drive.weights()[0].count_nonzero())
    with pytest.raises(RefusedError, match="closure"):
        Subject("polyak", NeedsLoss).drive(STARTS).advance(linear(STREAM), 0)


def test_nested_states_have_names():
    drive = Subject("plain", Plain).drive(STARTS)
    drive.optimizer.state[drive.params[1]] = {
        "past": [torch.ones(1), {"x": torch.zeros(2)}],
        "n": 3,
    }
    assert [name for name, _ in drive.slots()] == ["1.past[0]", "1.past[1].x"]


def test_long_messages_of_others_are_shortened():
    def refuses(params):
        raise RuntimeError("x" * 1000)

    with pytest.raises(RefusedError) as caught:
        Subject("bad", refuses).drive(STARTS)
    assert len(caught.value.why) < 300


def test_a_name_in_place_of_an_optimizer_is_refused_in_words():
    with pytest.raises(NormdslError, match="a str cannot be called on parameters"):
        Subject("adam", "adam").drive(STARTS)


def test_a_refusal_of_ours_keeps_its_reason_and_its_hint():
    with pytest.raises(NormdslError, match="lr must be a number ≥ 0") as caught:
        Subject("ours", lambda params: adam(params, lr=-1)).drive(STARTS)
    assert "the default is 0.001" in caught.value.hint
