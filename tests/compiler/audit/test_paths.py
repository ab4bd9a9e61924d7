"""Paths: another loss at every step, simulated rounding, divergence cut short."""

import torch
from specimens import Plain

from normdsl.compiler.audit.paths import changing_problem, follow
from normdsl.compiler.audit.runs import Subject

START, LOSS = changing_problem((4, 5), 0)


def path(factory=Plain, steps=4, **options):
    return follow(Subject("x", factory), START, LOSS, torch.float64, steps, **options)


def test_losses_differ_from_step_to_step_and_repeat():
    again, same = changing_problem((4, 5), 0)
    assert torch.equal(START, again)
    assert torch.equal(LOSS(START, 1), same(START, 1))
    first, second = (torch.func.grad(LOSS)(START, k).flatten() for k in range(2))
    assert abs(float(torch.nn.functional.cosine_similarity(first, second, dim=0))) < 0.9


def test_a_path_is_the_optimizer_by_hand():
    w, m = START.clone(), torch.zeros_like(START)
    for step, found in enumerate(path()[1:]):
        m = 0.9 * m + torch.func.grad(LOSS)(w, step)
        w = w - 0.001 * m
        torch.testing.assert_close(found, w)


def test_simulated_rounding_is_of_the_size_asked_for():
    plain, rough = path(steps=1), path(steps=1, rough=1e-3)
    off = float((plain[1] - rough[1]).norm() / (plain[1] - plain[0]).norm())
    assert 5e-4 < off < 2e-3


def test_divergence_and_refusals_cut_a_path():
    class Explodes(Plain):
        def update(self, p, g, state, group):
            p.mul_(1e40)

    class GivesUp(Plain):
        def update(self, p, g, state, group):
            if state:
                raise RuntimeError("enough")
            super().update(p, g, state, group)

    assert len(path(Explodes)) == 2
    assert len(path(GivesUp)) == 2
