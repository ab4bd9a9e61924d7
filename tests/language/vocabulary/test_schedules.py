"""Schedules of the rate: each beside the scheduler of torch that it replaces."""

import pytest
import torch
from properties import refuses
from torch import nn
from torch.optim import lr_scheduler
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl import G, W

STEPS = 12


@nd.optimizer
def scheduled(lr=1.0, total=8.0, floor=0.25):
    return W - lr * nd.warmup(3) * nd.cosine(total, floor) * G


def factors(factor, **options):
    """Return the factors of a schedule, from the steps of a rule that multiplies by it."""
    rule = nd.Declaration("rule", (), W - factor * G) if isinstance(factor, nd.Expr) else factor
    p = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    opt, found = rule([p], **options), []
    for _ in range(STEPS):
        before, p.grad = p.detach().clone(), torch.ones_like(p)
        opt.step()
        found.append(float((before - p.detach())[0, 0]))
    return torch.tensor(found)


def scheduler(make):
    """Return the factors of a scheduler of torch."""
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    plan, found = make(opt), []
    for _ in range(STEPS):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        plan.step()
    return torch.tensor(found)


TORCH = {
    "warmup": (nd.warmup(5), lambda o: lr_scheduler.LinearLR(o, 1 / 5, 1, 4)),
    "linear decay": (nd.linear_decay(0, 8), lambda o: lr_scheduler.LinearLR(o, 1, 0, 8)),
    "cosine": (nd.cosine(11, 0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 11, 0.1)),
    "piecewise": (
        nd.piecewise({3: 0.5, 7: 0.25}),
        lambda o: lr_scheduler.MultiStepLR(o, [3, 7], gamma=0.5),
    ),
    "late decay": (
        nd.linear_decay(4, 9),
        lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.ConstantLR(o, 1.0), lr_scheduler.LinearLR(o, 1, 0, 5)],
            milestones=[4],
        ),
    ),
    "inverse root": (
        nd.inverse_sqrt(4) * nd.warmup(4),
        lambda o: lr_scheduler.LambdaLR(o, lambda k: min((k + 1) / 4, 2 * (k + 1) ** -0.5)),
    ),
    "warm-up, stable, decay": (
        nd.wsd(2, 6, 10),
        lambda o: lr_scheduler.LambdaLR(
            o, lambda k: min((k + 1) / 2, 1) * min(1, max(0, 1 - (k - 6) / 4))
        ),
    ),
}


@pytest.mark.parametrize(("factor", "make"), TORCH.values(), ids=TORCH.keys())
@pytest.mark.filterwarnings("ignore")
def test_factors_are_those_of_torch(factor, make):
    torch.testing.assert_close(factors(factor), scheduler(make), rtol=0, atol=1e-7)
    assert 0 <= factor.facts.low <= factor.facts.high == 1


class Reads(TorchDispatchMode):
    """Counts values that are read on the host."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_schedule_reads_no_value_on_the_host():
    with Reads() as reads:
        p = nn.Parameter(torch.zeros(2, 2))
        opt = scheduled([p], nonfinite="skip")
        for _ in range(3):
            p.grad = torch.ones_like(p)
            opt.step()
    assert reads.count == 0


def test_its_numbers_are_hyper_parameters():
    assert [h.domain.name for h in scheduled.hyper] == ["NonNegative", "Positive", "NonNegative"]
    half, whole = factors(scheduled, total=4.0), factors(scheduled)
    torch.testing.assert_close(half[4:], torch.full((STEPS - 4,), 0.25))
    torch.testing.assert_close(whole[8:], torch.full((STEPS - 8,), 0.25))
    assert str(scheduled).endswith("(floor + (1 − floor) ½ (1 + cos(π min(1, (t − 1) / total)))) G")


def test_a_schedule_leaves_invariances_as_they_are():
    for group in ("scale", "translation", "loss_transform", "affine"):
        plain = nd.Declaration("plain", (), W - nd.spectral.lmo(G)).check(group, witnesses=False)
        slowed = nd.Declaration("slow", (), W - nd.wsd(2, 6, 10) * nd.spectral.lmo(G))
        assert slowed.check(group, witnesses=False).answer == plain.answer


REFUSED = {
    "no steps": (nd.DomainError, lambda: nd.warmup(0), "warm up over 0 steps"),
    "fewer than none": (nd.DomainError, lambda: nd.cosine(-5), "decay the rate over −5 steps"),
    "backwards": (nd.DomainError, lambda: nd.linear_decay(9, 3), "from step 9 to step 3"),
    "out of order": (nd.DeclarationError, lambda: nd.piecewise({3: 1, 2: 0}), "not in order"),
    "nothing": (nd.DeclarationError, lambda: nd.piecewise({}), "there are no steps"),
}


@pytest.mark.parametrize(("kind", "write", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_steps_out_of_order_are_refused(kind, write, told):
    with refuses(kind, told):
        write()


def test_every_kth_step():
    expected = [1.0 if t % 4 == 0 else 0.25 for t in range(1, STEPS + 1)]
    assert factors(nd.every(4, 1, 0.25)).tolist() == expected
    rule = nd.optimizer(lambda lr=1.0, k=4: W - lr * nd.every(k, 1, 0.25) * G)
    assert factors(rule).tolist() == expected  # k needs no annotation
    assert factors(rule, k=1).tolist() == [1.0] * STEPS
    with refuses(nd.DomainError, "positive"):
        nd.every(0, W, G)
