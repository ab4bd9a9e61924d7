"""What torch asks of a step, in tests of our own that torch's harness drives."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import ReduceLROnPlateau

from normdsl.errors import GradientError
from suites.harness import TestCase, construct, equal, errors, every_rule, inputs, instantiate
from suites.ours import CLASSES


def problem(dtype=torch.float32, *, dense=True):
    """Return the parameters and the loss of a small least squares problem."""
    g = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(10, 5, 2, generator=g), torch.randn(10, 2, generator=g)
    params = [Parameter(x.to(dtype)[..., 0]) for x in (weight, bias)]
    if dense:
        params = [Parameter(p.detach().contiguous()) for p in params]
    x = torch.randn(5, generator=g).to(dtype)
    return params, lambda: (params[0].mv(x) + params[1]).square().sum()


def closure_of(opt, loss):
    def closure():
        opt.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def copies(params):
    return [p.detach().clone() for p in params]


class Steps(TestCase):
    @every_rule
    def test_it_goes_down_under_every_scheduler(self, device, dtype, optim_info):
        for schedulers in optim_info.scheduler_inputs:
            for kwargs in inputs(optim_info, device):
                params, loss = problem(dtype, dense=bool(schedulers))
                opt = optim_info.optim_cls(params, **kwargs)
                made = [scheduler(opt) for scheduler in schedulers]
                first = loss().item()
                for _ in range(20):
                    value = opt.step(closure_of(opt, loss)).item()
                    for s in made:
                        s.step(value) if isinstance(s, ReduceLROnPlateau) else s.step()
                assert loss().item() < first

    @every_rule
    def test_a_number_without_axes_goes_down(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            p = Parameter(torch.tensor(3.0, dtype=dtype))
            opt = optim_info.optim_cls([p], **kwargs)
            for _ in range(10):
                opt.step(closure_of(opt, lambda p=p: p.square()))
            assert p.item() < 3.0

    @every_rule
    def test_memory_layout_does_not_matter(self, device, dtype, optim_info):
        finals = []
        for dense in (True, False):
            params, loss = problem(dtype, dense=dense)
            opt = optim_info.optim_cls(params, lr=1e-3)
            for _ in range(3):
                opt.step(closure_of(opt, loss))
            finals.append(copies(params))
        torch.testing.assert_close(finals[0], finals[1])

    @every_rule
    def test_a_tensor_as_learning_rate_is_that_number(self, device, dtype, optim_info):
        finals = []
        for lr in (1e-3, torch.tensor(1e-3, dtype=torch.float64)):
            params, loss = problem(dtype)
            opt = optim_info.optim_cls(params, lr=lr)
            for k in range(4):
                if k == 2:
                    for group in opt.param_groups:
                        group["lr"] = group["lr"] * 0.5
                opt.step(closure_of(opt, loss))
            finals.append(copies(params))
        torch.testing.assert_close(finals[0], finals[1])

    @every_rule
    def test_without_gradients_nothing_moves(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            params, _ = problem(dtype)
            before = copies(params)
            opt = optim_info.optim_cls(params, **kwargs)
            opt.step()
            equal(copies(params), before)
            equal(opt.state_dict()["state"], {})

    @every_rule
    def test_gradients_of_zero_move_nothing_without_decay(self, device, dtype, optim_info):
        params, _ = problem(dtype)
        before = copies(params)
        decay = {"weight_decay": 0.0}
        kwargs = next((decay for k in inputs(optim_info, device) if decay.keys() <= k.keys()), {})
        opt = optim_info.optim_cls(params, lr=1e-2, **kwargs)
        for _ in range(2):
            for p in params:
                p.grad = torch.zeros_like(p)
            opt.step()
        equal(copies(params), before)

    @every_rule
    def test_parameters_without_entries_are_let_be(self, device, dtype, optim_info):
        for shape in ((0,), (0, 3), (3, 0)):
            p = Parameter(torch.empty(shape, dtype=dtype))
            p.grad = torch.zeros_like(p)
            opt = optim_info.optim_cls([p], lr=1e-2)
            opt.step()
            equal(p.shape, torch.Size(shape))

    @every_rule
    def test_gradients_are_read_only(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            params, loss = problem(dtype)
            opt = optim_info.optim_cls(params, **kwargs)
            for _ in range(3):
                closure_of(opt, loss)()
                grads = [p.grad.clone() for p in params]
                opt.step()
                equal([p.grad for p in params], grads)

    @every_rule
    def test_parameters_of_several_dtypes_step_together(self, device, dtype, optim_info):
        dtypes = (torch.float32, torch.float64, torch.bfloat16)
        problems = [problem(d) for d in dtypes]
        opt = optim_info.optim_cls([p for params, _ in problems for p in params], lr=1e-3)
        first = [loss().item() for _, loss in problems]
        for _ in range(10):
            opt.step(closure_of(opt, lambda: sum(loss().double() for _, loss in problems)))
        for (params, loss), before, d in zip(problems, first, dtypes, strict=True):
            equal({p.dtype for p in params}, {d})
            assert loss().item() < before

    @every_rule
    def test_complex_numbers_are_pairs_of_real_ones(self, device, dtype, optim_info):
        g = torch.Generator().manual_seed(0)
        start = torch.randn(4, dtype=torch.complex64, generator=g)
        p, pairs = Parameter(start.clone()), Parameter(torch.view_as_real(start).flatten())
        opts = [optim_info.optim_cls([x], lr=1e-2) for x in (p, pairs)]
        for _ in range(3):
            p.grad = torch.randn(4, dtype=torch.complex64, generator=g)
            pairs.grad = torch.view_as_real(p.grad).flatten()
            for opt in opts:
                opt.step()
        equal(torch.view_as_real(p.detach()).flatten(), pairs.detach())

    @every_rule
    def test_complex_matrices_are_refused_by_matrix_rules(self, device, dtype, optim_info):
        p = Parameter(torch.randn(3, 2, dtype=torch.complex64))
        refused = optim_info.optim_cls is not CLASSES["adamw"]
        with pytest.raises(GradientError, match="complex") if refused else nullcontext():
            optim_info.optim_cls([p], lr=1e-2)

    @every_rule
    def test_to_maximize_is_to_descend_the_negative(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            finals = []
            for sign in (1, -1):
                params, loss = problem(dtype)
                opt = optim_info.optim_cls(params, **copy.deepcopy(kwargs), maximize=sign < 0)
                for _ in range(3):
                    opt.step(closure_of(opt, lambda loss=loss, sign=sign: sign * loss()))
                finals.append(copies(params))
            equal(*finals)

    @every_rule
    def test_what_cannot_be_constructed_is_refused(self, device, dtype, optim_info):
        for params, kwargs, error, text in errors(optim_info, device, dtype):
            construct(optim_info, params, kwargs, error, text)


instantiate(Steps, globals())
