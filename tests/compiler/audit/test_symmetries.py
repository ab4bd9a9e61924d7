"""Twins: verdicts rest on what stands out from rounding."""

import pytest
import torch
from specimens import Coarse, OverwritesGradient, Plain

from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.symmetries import PARTED, blurred, original, symmetry
from normdsl.compiler.invariance import groups

ROTATIONS = {"orthogonal", "left_orthogonal", "right_orthogonal", "signed_permutations"}
UNITS = {"loss_scale", "loss_transform"}
MOVES = {"sign_flips", "permutations", "translation", "transpose"}


def verdicts(factory, dtype=torch.float64, steps=5):
    subject = Subject("x", factory)
    runs = [original(subject, dtype, shape, steps, k) for k, shape in enumerate([(6, 8), (8, 6)])]
    return {g.name: symmetry(subject, g, runs, dtype) for g in groups.ALL}, runs


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("factory", "extra"), [(Plain, set()), (OverwritesGradient, UNITS)])
def test_exactly_the_right_groups_hold(factory, extra, dtype):
    found, _ = verdicts(factory, dtype)
    held = {name for name, f in found.items() if f.status is Status.HOLDS}
    assert held == ROTATIONS | MOVES | extra


def test_coarse_rounding_inside_blurs_no_verdict():
    found, runs = verdicts(Coarse)
    held = {name for name, f in found.items() if f.status is Status.HOLDS}
    assert held == ROTATIONS | MOVES | UNITS
    assert found["orthogonal"].factor > 100 * PARTED
    assert found["orthogonal"].noise > 100 * PARTED
    assert not blurred(runs)


def test_the_first_step_that_parts_is_named():
    found, _ = verdicts(Plain)
    assert found["scale"].step == 1

    class Delayed(Plain):
        def update(self, p, g, state, group):
            super().update(p, g / g.norm() if "m" not in state else g, state, group)

    later, _ = verdicts(Delayed)
    assert later["loss_scale"].step == 2
    assert later["loss_scale"].curve[0] < PARTED


class Patient(Plain):
    """Looks at five gradients before it moves."""

    def update(self, p, g, state, group):
        state["seen"] = state.get("seen", torch.zeros(())) + 1
        if state["seen"] > 5:
            super().update(p, g, state, group)


class Idle(Plain):
    def update(self, p, g, state, group):
        pass


def test_an_observing_optimizer_is_waited_for():
    found, _ = verdicts(Patient, steps=3)
    assert len(found["scale"].curve) == 8
    assert found["scale"].step == 6
    assert found["orthogonal"].status is Status.HOLDS


def test_what_never_moves_holds_nothing():
    found, _ = verdicts(Idle, steps=2)
    assert {f.answer for f in found.values()} == {"unknown"}


def test_where_rounding_decides_the_verdict_is_unknown():
    class Chaotic(Plain):
        """Takes signs of the last bits."""

        def update(self, p, g, state, group):
            p.sub_(group["lr"] * torch.sin(1e15 * g))

    found, runs = verdicts(Chaotic)
    assert blurred(runs)
    assert found["orthogonal"].status is Status.UNKNOWN
    assert found["orthogonal"].answer.startswith("unknown (noise alone: ")
    assert found["sign_flips"].status is Status.HOLDS


def test_random_draws_count_as_rounding():
    class Noisy(Plain):
        def update(self, p, g, state, group):
            p.sub_(group["lr"] * (g + 0.01 * g.norm() * torch.randn_like(g)))

    found, runs = verdicts(Noisy)
    assert max(runs[0].noise) > 1e-3
    assert found["orthogonal"].status is not Status.BREAKS
    assert found["uniform_scale"].status is Status.BREAKS
