"""What a step holds beyond what is there: counted, not timed."""

import torch

from normdsl.benchmarks.memory import extra


def nothing():
    pass


def test_what_comes_and_goes_counts_and_what_stays_does_not():
    kept = []

    def step():
        a = torch.zeros(1000)
        del a
        kept.append(torch.zeros(500))
        b, c = torch.zeros(600), torch.zeros(300)
        del b, c

    assert extra(nothing, step, 1, "cpu") == 4 * 900


def test_what_is_replaced_is_held_twice():
    held = {}

    def step():
        held["state"] = torch.zeros(1000)

    assert extra(nothing, step, 1, "cpu") == 4 * 1000


def test_what_is_prepared_is_not_the_steps_own_and_the_worst_step_counts():
    sizes, held = iter([10, 10, 700, 10]), []

    def prepare():
        held.append(torch.zeros(5000))

    def step():
        held.clear()
        torch.zeros(next(sizes))

    assert extra(prepare, step, 1, "cpu") == 0
    sizes = iter([10, 10, 7000, 10])
    assert extra(prepare, step, 3, "cpu") == 4 * 2000


def test_a_first_step_is_not_looked_at():
    sizes = iter([9000, 100])

    def step():
        torch.zeros(next(sizes))

    assert extra(nothing, step, 1, "cpu") == 4 * 100


def test_torch_adamw_is_in_place_when_fused():
    p = torch.nn.Parameter(torch.zeros(100, 100))

    def prepare():
        p.grad = torch.ones_like(p)

    found = {}
    for way in ("fused", "foreach"):
        optimizer = torch.optim.AdamW([p], **{way: True})
        found[way] = extra(prepare, optimizer.step, 1, "cpu") / p.nbytes
    assert found["fused"] < 0.01 < 0.99 < found["foreach"]
