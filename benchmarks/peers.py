"""Other packages: torch.optim, pytorch_optimizer, heavyball, dion, gram-newton-schulz.

They are imported when they are made. On a CPU their matrix products are kept in float32: bfloat16,
which most of them use, is emulated where the hardware lacks it, and takes half a minute a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import attrs
import torch
from torch.nn import Parameter

from normdsl.benchmarks.contestants import REFRESH, Contestant, Steps
from normdsl.benchmarks.floors import Work, both_sides, five_products, rotations

ADAMW, LION = Work(2.0), Work(1.0)
MUON = Work(1.0, five_products, half=True)
SOAP, SHAMPOO = Work(2.0, rotations), Work(0.0, both_sides)
#: What compiles a function of as many tensors as there are parameters.
SLOW = {
    "small": "it compiles for two minutes on a CPU",
    "gpt-0.9b": "it compiles for longer than the others take",
}
#: What is left out besides, so that all of a GPU takes four minutes.
SLOWER = {**SLOW, "gpt-124m": "it compiles for a large part of the four minutes"}


@attrs.frozen
class Within:
    """An optimizer that steps while some attributes have other values.

    Args:
        optimizer: that steps. values: owner, name and value of each attribute.
    """

    optimizer: Steps
    values: tuple[tuple[Any, str, Any], ...]

    def step(self) -> None:
        """Take a step, and put back what was there."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self.values]
        try:
            for change in self.values:
                setattr(*change)
            self.optimizer.step()
        finally:
            for change in before:
                setattr(*change)


def contestants() -> Iterator[Contestant]:
    """Yield the peers, field by field; whether they are installed shows when they are made."""
    yield from _entrywise()
    yield from _muon()
    yield Contestant("pytorch_optimizer SOAP", "SOAP", _soap, SOAP, REFRESH)
    yield Contestant("heavyball SOAP", "SOAP", _heavyball_soap, SOAP, REFRESH, left_out=SLOWER)
    yield Contestant("pytorch_optimizer Shampoo", "Shampoo", _shampoo, SHAMPOO, REFRESH)


def _entrywise() -> Iterator[Contestant]:
    for name, make in {
        "torch AdamW fused": lambda ps, device: torch.optim.AdamW(ps, fused=True),
        "torch AdamW foreach": lambda ps, device: torch.optim.AdamW(ps, foreach=True),
    }.items():
        yield Contestant(name, "entry-wise", make, ADAMW)
    compiled = "torch AdamW compiled"
    yield Contestant(compiled, "entry-wise", _compiled_adamw, ADAMW, left_out=SLOW)
    yield Contestant("heavyball AdamW", "entry-wise", _heavyball_adamw, ADAMW, left_out=SLOWER)
    yield Contestant("pytorch_optimizer Lion", "entry-wise", _lion, LION)


def _muon() -> Iterator[Contestant]:
    yield Contestant("torch Muon", "Muon", _torch_muon, MUON, polar=True)
    yield Contestant("pytorch_optimizer Muon", "Muon", _po_muon, MUON, polar=True)
    yield Contestant("pytorch_optimizer SCION", "Muon", _po_scion, MUON, polar=True)
    yield Contestant("heavyball Muon", "Muon", _heavyball_muon, MUON, left_out=SLOW)
    for name, make in {
        "dion Muon": lambda ps, device: _dion(ps, triton=False),
        "dion Muon triton": lambda ps, device: _dion(ps, triton=True),
        "gram-newton-schulz Muon": lambda ps, device: _gram(ps, kernels=False),
        "gram-newton-schulz Muon quack": lambda ps, device: _gram(ps, kernels=True),
    }.items():
        yield Contestant(name, "Muon", make, MUON, device="cuda")


def _compiled_adamw(params: list[Parameter], device: str) -> Steps:
    optimizer = torch.optim.AdamW(params, foreach=True, capturable=device == "cuda")
    optimizer.step = torch.compile(optimizer.step)  # type: ignore[method-assign]
    return optimizer


def _lion(params: list[Parameter], device: str) -> Steps:
    return _class("pytorch_optimizer", "Lion")(params)


def _torch_muon(params: list[Parameter], device: str) -> Steps:
    cast = (torch.Tensor, "bfloat16", _copied)
    return _in_single(torch.optim.Muon(params, lr=0.02), device, cast)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """Stand for a cast to another dtype: the copy is written in place."""
    return tensor.clone()


def _po_muon(params: list[Parameter], device: str) -> Steps:
    groups = [{"params": params, "use_muon": True}]
    optimizer = _class("pytorch_optimizer", "Muon")(groups)
    return _in_single(optimizer, device, _po_iteration())


def _po_scion(params: list[Parameter], device: str) -> Steps:
    spectral = import_module("pytorch_optimizer.optimizer.scion").LMONorm.SPECTRAL
    optimizer = _class("pytorch_optimizer", "SCION")(params, norm_type=spectral)
    return _in_single(optimizer, device, _po_iteration())


def _po_iteration() -> tuple[Any, str, Any]:
    matrix = import_module("pytorch_optimizer.optimizer.utils.matrix")
    iteration = matrix.zero_power_via_newton_schulz_5
    swapped = [torch.float32 if x is torch.bfloat16 else x for x in iteration.__defaults__]
    return iteration, "__defaults__", tuple(swapped)


def _in_single(optimizer: Steps, device: str, *values: tuple[Any, str, Any]) -> Steps:
    return Within(optimizer, values) if device == "cpu" else optimizer


def _heavyball_adamw(params: list[Parameter], device: str) -> Steps:
    return _heavyball(_class("heavyball", "AdamW")(params))


def _heavyball_muon(params: list[Parameter], device: str) -> Steps:
    optimizer = _class("heavyball", "Muon")(params)
    utils = import_module("heavyball.utils")
    rounding = (utils, "stochastic_round_", _copied)
    return _in_single(_heavyball(optimizer), device, rounding)


def _heavyball_soap(params: list[Parameter], device: str) -> Steps:
    return _heavyball(_class("heavyball", "SOAP")(params, precondition_frequency=REFRESH))


def _heavyball(optimizer: Steps) -> Steps:
    """Compile as torch.compile does by default; its own mode tries every product for seconds."""
    return Within(optimizer, ((import_module("heavyball.utils"), "compile_mode", "default"),))


def _dion(params: list[Parameter], triton: bool) -> Steps:
    return _class("dion", "Muon")(params, lr=0.02, use_triton=triton)


def _gram(params: list[Parameter], kernels: bool) -> Steps:
    if kernels:
        import_module("quack")
    return _class("gram_newton_schulz", "Muon")(params, lr=0.02, ns_use_kernels=kernels)


def _soap(params: list[Parameter], device: str) -> Steps:
    return _class("pytorch_optimizer", "SOAP")(params, precondition_frequency=REFRESH)


def _shampoo(params: list[Parameter], device: str) -> Steps:
    make = _class("pytorch_optimizer", "Shampoo")
    return make(params, preconditioning_compute_steps=REFRESH)


def _class(package: str, name: str) -> Callable[..., Steps]:
    """Return a class of a peer, of which nothing is known but that its instances step."""
    found: Callable[..., Steps] = getattr(import_module(package), name)
    return found
