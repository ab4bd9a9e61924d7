"""Schedules: what may be chosen, and what the polynomial iterations promise."""

import pytest
import torch
from properties import refuses

import normdsl as nd
from normdsl.schedules.coefficients import jordan, polar_express
from normdsl.schedules.methods import SVD
from normdsl.schedules.polynomials import NewtonSchulz
from normdsl.schedules.schedule import Schedule, exact


def iterate(method, values):
    for a, b, c in method.coefficients:
        values = a * values + b * values**3 + c * values**5
    return values


def relative(low):
    return torch.logspace(torch.tensor(low).log10().item(), 0, 20001, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_dtypes(dtype):
    assert Schedule(dtype=dtype).dtype == dtype


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "double", "", torch.float32, 32])
def test_other_dtypes_are_refused(dtype):
    with refuses(nd.DeclarationError, "schedule the computation in", "NewtonSchulz"):
        Schedule(dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "word"),
    [
        ("float16", "65504"),
        ("float64", "travels so by itself"),
        ("int8", "floating dtype"),
        ("bfloat61", "bfloat16"),
        (torch.bfloat16, "floating dtype"),
        ("", "floating dtype"),
    ],
)
def test_dtypes_of_the_wire_that_make_no_sense_are_refused(dtype, word):
    with refuses(nd.DeclarationError, "schedule the wire in", word):
        Schedule(wire=dtype)


def test_the_wire_is_exact_unless_asked_for():
    assert Schedule().wire is exact.wire is None
    assert Schedule(wire="bfloat16") != Schedule()
    assert ["wire", "bfloat16", ""] in Schedule(wire="bfloat16").grid().rows


def test_the_specification_names_its_methods_and_the_default_none():
    chosen = nd.Automatic()
    assert Schedule() == Schedule(polar=chosen, root=chosen, eigenbasis=chosen, compile=None)
    assert exact == Schedule(polar=SVD(), root=nd.Eigh(), eigenbasis=nd.Eigh(), dtype="float64")
    assert nd.exact is exact


def test_schedules_are_values():
    assert hash(Schedule(polar=jordan(5))) == hash(Schedule(polar=jordan(5)))
    assert Schedule(polar=jordan(5)) != Schedule(polar=jordan(6))
    assert Schedule(polar=jordan(5, "bfloat16")) != Schedule(polar=jordan(5))


@pytest.mark.parametrize("steps", [1, 5, 8, 12])
def test_as_many_steps_as_asked_for(steps):
    assert len(jordan(steps).coefficients) == len(polar_express(steps).coefficients) == steps
    assert isinstance(jordan(steps), NewtonSchulz)


def test_jordans_iteration_ends_where_it_says():
    values = iterate(jordan(), relative(1e-2))
    assert values.min() >= 0.68 - 5e-3
    assert values.max() <= 1.13 + 5e-3
    assert values.min() < 0.75


def test_polar_express_ends_where_it_says():
    values = iterate(polar_express(8), relative(1e-3))
    assert (values - 1).abs().max() <= 1e-3
    five = iterate(polar_express(5), relative(1e-3))
    assert five.min() >= 0.87 - 5e-3
    assert five.max() <= 1.13 + 5e-3


def test_more_steps_of_polar_express_come_closer():
    errors = [(iterate(polar_express(k), relative(1e-3)) - 1).abs().max() for k in (4, 6, 8, 10)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("dtype", ["int64", "", "no such", "float32); print("])
def test_dtypes_of_an_iteration_are_checked_too(dtype):
    with refuses(nd.DeclarationError):
        NewtonSchulz(((1.5, -0.5, 0.0),), dtype)


@pytest.mark.parametrize("polar", ["svd", None, SVD, 5])
def test_other_methods_are_refused(polar):
    with refuses(nd.DeclarationError):
        Schedule(polar=polar)


@pytest.mark.parametrize("refresh", [0, -3, 2.0, True, "10", None])
def test_a_refresh_is_a_whole_number(refresh):
    with refuses(nd.DeclarationError, "schedule refresh"):
        Schedule(refresh=refresh)
