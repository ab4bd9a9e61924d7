"""The optimizers that trainers are given, and how two states are compared."""

import torch
from torch.testing._internal.common_utils import TestCase

from normdsl.algorithms import adamw, muon, soap
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer


def routed(rule, params):
    """Return an optimizer that steps matrices by a rule, everything else by AdamW."""
    params = [p for p in params if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.ndim == 2], "rule": rule},
        {"params": [p for p in params if p.ndim != 2], "rule": adamw(lr=1e-2)},
    ]
    return DeclaredOptimizer(None, groups)


MAKERS = {
    "adamw": lambda params: adamw(params, lr=1e-2),
    "muon": lambda params: routed(muon(lr=2e-2), params),
    "soap": lambda params: routed(soap(lr=1e-2), params),
}


def equal(actual, expected):
    """Refuse two structures of tensors, numbers and text that are not equal bit for bit."""
    TestCase().assertEqual(actual, expected, rtol=0, atol=0)  # noqa: PT009 compares tensors too


def weights(model):
    """Return copies of a model's parameters."""
    return [p.detach().clone() for p in model.parameters()]


def net(dtype=torch.float32):
    """Return a small network of square layers, whose gradients have full rank."""
    torch.manual_seed(0)
    layers = torch.nn.Linear(6, 6), torch.nn.Tanh(), torch.nn.Linear(6, 6)
    return torch.nn.Sequential(*layers).to(dtype)


def data(rows=16, dtype=torch.float32):
    """Return inputs and targets."""
    g = torch.Generator().manual_seed(1)
    return torch.randn(rows, 6, generator=g).to(dtype), torch.randn(rows, 6, generator=g).to(dtype)
