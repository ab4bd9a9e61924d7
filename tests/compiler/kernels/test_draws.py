"""Random numbers as functions: the generator's own values, moments, independence, everywhere."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from normdsl.compiler.kernels.draws import drawn_normal, drawn_signs, folded, mixed

COUNT = 2**18
#: In standard deviations of a mean over so many numbers; a chance of 2e-9 each.
SURE = 6.0


def word(number):
    return torch.tensor(number, dtype=torch.int64)


def normal(stream=11, key=0, count=COUNT, dtype=torch.float64):
    return drawn_normal(word(stream), key, torch.arange(count), dtype)


def signs(stream=11, key=0, count=COUNT):
    return drawn_signs(word(stream), key, torch.arange(count), torch.float64)


def assert_mean(values, expected, deviation):
    """Assert that the mean is as expected, as far as numbers of this deviation can tell."""
    limit = SURE * deviation / math.sqrt(len(values))
    assert float(values.mean()) == pytest.approx(expected, abs=limit)


def test_they_are_the_numbers_of_splitmix64():
    """Its first three from 0, as everyone's implementation has them."""
    told = folded(word(0), torch.arange(1, 4))
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [x % 2**64 for x in told.tolist()] == expected


def test_mixing_changes_half_of_the_bits_for_each_bit():
    numbers = mixed(torch.arange(2000))
    for bit in (0, 1, 17, 31, 32, 62, 63):
        other = mixed(torch.arange(2000) ^ (-(2**63) if bit == 63 else 2**bit))
        changed = numbers ^ other
        for place in range(64):
            share = ((changed >> place) & 1).double()
            assert_mean(share, 0.5, 0.5)


def test_normal_numbers_have_the_moments_of_the_normal_law():
    z = normal()
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert_mean(z**power, expected, math.sqrt(variance))


def test_normal_numbers_have_the_distribution_of_the_normal_law():
    """By Kolmogorov and Smirnov: the largest gap is above 3/√N with a chance of 3e-8."""
    z = normal().sort().values
    cdf = torch.special.ndtr(z)
    gap = (cdf - (torch.arange(COUNT) + 0.5) / COUNT).abs().max()
    assert float(gap) < 3 / math.sqrt(COUNT)
    assert 4 < float(z.max()) < 7
    assert -7 < float(z.min()) < -4


def test_signs_are_fair():
    s = signs()
    assert set(s.tolist()) == {-1.0, 1.0}
    assert_mean(s, 0, 1)
    for lag in (1, 2, 3, 64, 1000):
        assert_mean(s[lag:] * s[:-lag], 0, 1)


@pytest.mark.parametrize("draw", [normal, signs])
def test_streams_keys_and_entries_are_independent(draw):
    x = draw()
    others = [draw(stream=12), draw(stream=-11), draw(key=1), draw(key=2**40)]
    others += [draw(stream=int(folded(word(11), word(k)))) for k in range(3)]
    for other in others:
        assert_mean(x * other, 0, 1)
        assert_mean(x[1:] * other[:-1], 0, 1)
        assert_mean(x**2 * other**2, 1, 3 if draw is normal else 1e-9)
    for lag in (1, 2, 3, 64, 1000):
        assert_mean(x[lag:] * x[:-lag], 0, 1)


def test_normal_and_sign_of_one_place_share_nothing_under_their_keys():
    assert_mean(normal(key=0) * signs(key=1), 0, 1)


def test_consecutive_streams_of_one_entry_are_as_independent_as_entries():
    """One number for each of many steps, as a bias draws them."""
    steps = folded(word(5), torch.arange(COUNT))
    z = drawn_normal(steps, 0, word(0), torch.float64)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert_mean(z**power, expected, math.sqrt(variance))
    assert_mean(z[1:] * z[:-1], 0, 1)
    assert_mean(z[1:] ** 2 * z[:-1] ** 2, 1, math.sqrt(8))


def test_a_number_depends_on_its_place_alone():
    whole = normal(count=100)
    places = torch.tensor([[7, 3], [99, 0]])
    assert torch.equal(drawn_normal(word(11), 0, places, torch.float64), whole[places])


def test_both_precisions_draw_the_same_numbers():
    wide, narrow = normal(), normal(dtype=torch.float32)
    assert narrow.dtype is torch.float32
    assert bool(torch.isfinite(narrow).all())
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=2e-3)
    assert float((narrow.double() - wide).abs().mean()) < 1e-6


class NoDouble(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        kinds = {x.dtype for x in tree_leaves(out) if isinstance(x, torch.Tensor)}
        assert torch.float64 not in kinds
        return out


def test_they_exist_on_devices_without_float64_under_vmap_and_compiled():
    streams = torch.arange(3).reshape(3, 1, 1)
    places = torch.arange(20).reshape(4, 5)

    def both(stream):
        row = folded(stream, places[:, :1])
        return drawn_normal(row, 4, places, torch.float32), drawn_signs(
            stream, 2, places[:1].mT, torch.float32
        )

    with NoDouble():
        expected = both(streams)
        meta = drawn_normal(streams.to("meta"), 0, places.to("meta"), torch.float32)
    assert meta.shape == (3, 4, 5)
    mapped = torch.func.vmap(both)(streams)
    compiled = torch.compile(both, fullgraph=True)(streams)
    for ours, vmapped, traced in zip(expected, mapped, compiled, strict=True):
        assert torch.equal(ours, vmapped)
        torch.testing.assert_close(ours, traced, rtol=0, atol=1e-5)
