"""Every learning-rate scheduler of torch drives our optimizers, and goes on where it was saved."""

import copy

import torch
from torch.optim import lr_scheduler as s
from torch.optim.swa_utils import SWALR

from suites.harness import TestCase, equal, every_rule, instantiate
from suites.test_torch_steps import closure_of, copies, problem

MAKERS = {
    "LambdaLR": lambda opt: s.LambdaLR(opt, _halved),
    "MultiplicativeLR": lambda opt: s.MultiplicativeLR(opt, _halved),
    "StepLR": lambda opt: s.StepLR(opt, 3),
    "MultiStepLR": lambda opt: s.MultiStepLR(opt, [2, 5]),
    "ConstantLR": lambda opt: s.ConstantLR(opt),
    "LinearLR": lambda opt: s.LinearLR(opt),
    "ExponentialLR": lambda opt: s.ExponentialLR(opt, 0.9),
    "PolynomialLR": lambda opt: s.PolynomialLR(opt, 9),
    "CosineAnnealingLR": lambda opt: s.CosineAnnealingLR(opt, 9),
    "CosineAnnealingWarmRestarts": lambda opt: s.CosineAnnealingWarmRestarts(opt, 3),
    "CyclicLR": lambda opt: s.CyclicLR(opt, 1e-4, 1e-2, 2, cycle_momentum=False),
    "OneCycleLR": lambda opt: s.OneCycleLR(opt, 1e-2, total_steps=9, cycle_momentum=False),
    "ReduceLROnPlateau": lambda opt: s.ReduceLROnPlateau(opt, patience=1),
    "SequentialLR": lambda opt: s.SequentialLR(opt, [s.LinearLR(opt), s.StepLR(opt, 2)], [3]),
    "SWALR": lambda opt: SWALR(opt, 1e-3),
}


def _halved(step):
    return 0.5**step


def run(params, loss, opt, scheduler, steps):
    """Take some steps and return the rates at which they were taken."""
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in opt.param_groups])
        opt.step(closure_of(opt, loss))
        scheduler.step(*([1.0] if isinstance(scheduler, s.ReduceLROnPlateau) else []))
    return rates


class Schedulers(TestCase):
    @every_rule
    def test_saved_schedules_go_on_bit_for_bit(self, device, dtype, optim_info):
        for name, scheduler in MAKERS.items():
            params, loss = problem(dtype)
            opt = optim_info.optim_cls(params, lr=1e-2)
            made = scheduler(opt)
            rates = run(params, loss, opt, made, 4)
            saved = copy.deepcopy((opt.state_dict(), made.state_dict()))
            middle = copies(params)
            rates += run(params, loss, opt, made, 4)
            assert len({tuple(r) for r in rates}) > 1, name
            assert all(len(set(r)) == 1 for r in rates), name
            twins, twin_loss = problem(dtype)
            with torch.no_grad():
                for twin, value in zip(twins, middle, strict=True):
                    twin.copy_(value)
            other = optim_info.optim_cls(twins, lr=1e-2)
            again = scheduler(other)
            other.load_state_dict(saved[0])
            again.load_state_dict(saved[1])
            run(twins, twin_loss, other, again, 4)
            equal((copies(twins), other.state_dict()), (copies(params), opt.state_dict()))


instantiate(Schedulers, globals())
