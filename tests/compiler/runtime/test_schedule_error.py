"""The error of a schedule: none for the exact one, what the band says for polynomials."""

import pytest
import torch
from spectra import spectra, with_values

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import muon, sgd


def gradients(steps):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(4, 6, dtype=torch.float64, generator=draw) for _ in range(steps)]


def test_the_exact_schedule_has_none():
    assert nd.schedule_error(muon, nd.exact, gradients(3)) == [0.0] * 3


def test_a_rule_without_kernels_has_rounding_errors_only():
    single = nd.schedule_error(sgd, nd.Schedule(dtype="float32"), gradients(3))
    assert 0 < max(single) < 1e-6


@pytest.mark.parametrize("method", [nd.jordan(), nd.quintic(), nd.polar_express(8)], ids=str)
def test_the_first_step_of_muon_is_off_by_no_more_than_the_band(method):
    low, high = method.band()
    bound = max(1 - low, high - 1) + 1e-9
    for values in (spectra(4)["flat"], spectra(4)["repeated"]):
        x = with_values(values, 4, 6)
        (error,) = nd.schedule_error(muon, nd.Schedule(polar=method, dtype="float64"), [x])
        assert 0 < error <= bound


def test_keeping_a_root_costs_nothing_at_the_steps_that_compute_it():
    @nd.optimizer
    def shampoo(lr=0.1):
        return W - lr * nd.matrix_power(nd.ema(G @ G.T, 0.5), -1 / 4) @ G

    kept = nd.schedule_error(shampoo, nd.Schedule(refresh=2, dtype="float64"), gradients(3))
    assert kept[0] == 0
    assert min(kept[1:]) > 1e-2


def test_losses_and_hyper_parameters_are_passed_on():
    @nd.optimizer
    def polyak(scale=1.0):
        return W - scale * nd.loss / nd.inner(G, G) * G

    for losses in ([2.0], [4.0]):
        assert nd.schedule_error(polyak, nd.exact, gradients(1), losses=losses, scale=2.0) == [0.0]
    with pytest.raises(nd.GradientError, match="reads the value of the loss"):
        nd.schedule_error(polyak, nd.exact, gradients(1))
