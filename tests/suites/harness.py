"""torch's harness for optimizers, which is private API: this module alone imports it."""

import copy
import inspect

import pytest
import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)
from torch.testing._internal.common_device_type import instantiate_device_type_tests
from torch.testing._internal.common_optimizers import (
    ErrorOptimizerInput,
    OptimizerInfo,
    OptimizerInput,
    get_error_inputs_for_all_optims,
    optims,
)
from torch.testing._internal.common_utils import TestCase

from normdsl.errors import HyperparameterError
from suites.ours import CLASSES

__all__ = ["TestCase", "construct", "equal", "errors", "every_rule", "inputs", "instantiate"]

#: Learning rates at which twenty steps on a small least squares problem go down.
RATES = {
    "adamw": 1e-2,
    "muon": 2e-2,
    "shampoo": 1e-1,
    "soap": 1e-2,
    "muadam_sania": 1e-3,
    "kl_shampoo": 1e-2,
}
SCHEDULERS = (
    [],
    [lambda opt: StepLR(opt, gamma=0.9, step_size=10)],
    [lambda opt: ReduceLROnPlateau(opt)],
    [lambda opt: PolynomialLR(opt, power=0.9, total_iters=4)],
    [lambda opt: LinearLR(opt, 0.4, 0.8, 4), lambda opt: ExponentialLR(opt, 0.99)],
    [lambda opt: ConstantLR(opt, factor=0.4, total_iters=4), lambda opt: ReduceLROnPlateau(opt)],
)


def _info(rule, cls):
    """Return what the harness is told of a rule."""
    rate = RATES[rule]

    def inputs(device, dtype=None):
        made = [
            OptimizerInput(None, {"lr": rate}, "a learning rate"),
            OptimizerInput(None, {"lr": torch.tensor(rate)}, "a tensor as learning rate"),
            OptimizerInput(None, {"lr": rate, "weight_decay": 0.1}, "weight decay"),
            OptimizerInput(None, {"lr": rate, "capturable": True}, "for graphs"),
        ]
        return [i for i in made if i.kwargs.keys() <= _known(cls)]

    def error_inputs(device, dtype):
        theirs = get_error_inputs_for_all_optims(device, dtype)
        return [
            *(e for e in theirs if e.optimizer_error_input.desc != "Tensor lr must be 1-element"),
            _refused("one real number", lr=torch.tensor([1e-3, 1e-3])),
            _refused("lr must be a number", lr=-1e-2),
            _refused("learning_rate", learning_rate=1e-2),
        ]

    return OptimizerInfo(
        cls,
        optim_inputs_func=inputs,
        optim_error_inputs_func=error_inputs,
        scheduler_inputs=SCHEDULERS,
        supported_impls=(),
        supports_complex=False,
    )


def _known(cls):
    return inspect.signature(cls).parameters.keys()


def _refused(regex, **kwargs):
    return ErrorOptimizerInput(
        OptimizerInput(None, kwargs, f"{kwargs}"), error_type=HyperparameterError, error_regex=regex
    )


INFOS = [_info(rule, cls) for rule, cls in CLASSES.items()]
every_rule = optims(INFOS)


def inputs(info, device):
    """Return the keyword arguments of each configuration of a rule."""
    return [copy.deepcopy(given.kwargs) for given in info.optim_inputs_func(device=device)]


def errors(info, device, dtype):
    """Return (arguments, error, its text) of each construction that has to fail."""
    for case in info.optim_error_inputs_func(device=device, dtype=dtype):
        given = case.optimizer_error_input
        params = [torch.randn(2, 2, requires_grad=True)] if given.params is None else given.params
        yield params, given.kwargs, case.error_type, case.error_regex


def construct(info, params, kwargs, error, text):
    """Construct an optimizer that has to be refused, or to warn."""
    expect = pytest.warns if issubclass(error, Warning) else pytest.raises
    with expect(error, match=text):
        info.optim_cls(params, **kwargs)


def equal(actual, expected):
    """Refuse two structures of tensors, numbers and text that are not equal bit for bit."""
    TestCase().assertEqual(actual, expected, rtol=0, atol=0)  # noqa: PT009 compares tensors too


def instantiate(case, scope):
    """Put the tests of a class in a module, one for each rule, on the CPU."""
    instantiate_device_type_tests(case, scope, only_for="cpu")
