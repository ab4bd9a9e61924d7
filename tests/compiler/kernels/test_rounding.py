"""Rounding by chance: exact values stay, neighbours alone are met, and the mean is unbiased."""

import math

import torch

from normdsl.compiler.kernels.draws import drawn_bits
from normdsl.compiler.kernels.rounding import rounded_by_chance

COUNT = 2**16


def bits(count=COUNT, key=0):
    return drawn_bits(torch.tensor(5), key, torch.arange(count))


def test_what_bfloat16_holds_stays_bit_for_bit():
    held = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    found = rounded_by_chance(held.float(), bits())
    assert torch.equal(found.isnan(), held.isnan())
    assert torch.equal(found[~held.isnan()], held[~held.isnan()])


def test_every_draw_is_one_of_both_neighbours():
    for x in (1.0 + 3 * 2**-10, -1e-30, 3.0e38, 1e-42):
        one = torch.full((COUNT,), x)
        found = rounded_by_chance(one, bits()).float()
        met = found.unique()
        assert len(met) == 2
        assert met[0] < x < met[1]
        assert met[0] == met[0].bfloat16()
        assert torch.nextafter(met[0].bfloat16(), torch.tensor(torch.inf).bfloat16()) == met[1]


def test_the_mean_is_unbiased():
    """Of N draws with the gap g and the fraction u, within 5 g √(u (1 − u) / N): 6e-7 by chance."""
    gap = 2**-7
    for u in (0.1, 0.5, 0.9):
        for sign in (-1, 1):
            x = torch.full((COUNT,), sign * (1 + u * gap), dtype=torch.float32)
            mean = rounded_by_chance(x, bits(key=round(10 * u))).double().mean()
            assert abs(mean - x[0].double()) < 5 * gap * math.sqrt(u * (1 - u) / COUNT)
            assert x.bfloat16().double().mean() != x[0].double()  # the nearest is off


def test_infinity_and_nan_stay():
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, -0.0])
    found = rounded_by_chance(x, torch.full((5,), 0xFFFF))
    assert found[:2].tolist() == [torch.inf, -torch.inf]
    assert found[2].isnan()
    assert torch.equal(found[3:].view(torch.int16), x[3:].bfloat16().view(torch.int16))
