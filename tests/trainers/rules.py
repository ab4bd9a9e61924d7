"""The optimizers that trainers are given, and what they train."""

import torch

import normdsl as nd
from normdsl.algorithms import adamw, muon, soap


def routed(matrices):
    """Return what makes an optimizer of a model: a rule for hidden matrices and the head."""
    rest = adamw(lr=1e-2)
    return lambda model: nd.route(
        model, hidden=matrices, head=matrices, embedding=rest, vector=rest
    )


MAKERS = {
    "adamw": lambda model: adamw(model.parameters(), lr=1e-2),
    "muon": routed(muon(lr=2e-2)),
    "soap": routed(soap(lr=1e-2)),
}


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
