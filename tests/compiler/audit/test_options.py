"""Boolean options are found in a signature and flipped one at a time."""

import functools

import torch
from specimens import CorruptsState, Plain

from normdsl.compiler.audit.options import flipped
from normdsl.compiler.audit.runs import Subject


def labels(factory):
    return [s.options for s in flipped(Subject("x", factory))]


def test_defaults_are_flipped():
    assert labels(CorruptsState) == ["careful=False"]
    assert labels(functools.partial(CorruptsState, careful=False)) == ["careful=True"]
    assert labels(Plain) == []


def test_optional_booleans_are_switched_on():
    def factory(params, fused: bool | None = None, lr: float | None = None):
        return Plain(params)

    assert labels(factory) == ["fused=True"]


def test_an_option_reaches_the_optimizer():
    (variant,) = flipped(Subject("x", CorruptsState))
    assert variant.drive([torch.zeros(2, 2)]).optimizer.careful is False


def test_what_has_no_signature_has_no_options():
    assert labels(dict) == []
