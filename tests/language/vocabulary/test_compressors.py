"""Compressors: what they leave, and the factors that they claim, by numbers."""

import math

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.errors import DomainError

M, N = 5, 7
PLACES = torch.arange(M * N, dtype=torch.float64).reshape(M, N)
LONE = (PLACES == 17).double()
#: Compressors with their settings after x.
CASES = [
    (nd.top_k, (4,)),
    (nd.top_k, (0.3,)),
    (nd.random_k, (4,)),
    (nd.random_k, (0.3,)),
    (nd.sign_compress, ()),
    *((nd.quantize, (bits,)) for bits in (2, 3, 8)),
]


def sent(compressor, settings, x, seed=0):
    """What is sent of x, in float64."""
    rule = nd.optimizer(lambda lr=1.0: W + lr * compressor(G, *settings))
    pure, w = nd.functional(rule), torch.zeros_like(x)
    return pure.update(x, pure.init(w, seed=seed), w)[0]


def left_out(compressor, settings, x, seed=0):
    """The share of ‖x‖² that is left out."""
    return float((sent(compressor, settings, x, seed) - x).square().sum() / x.square().sum())


def arrays():
    """Normal ones, a single entry, equal ones, one large and many small ones."""
    torch.manual_seed(0)
    flat, one = torch.ones(M, N, dtype=torch.float64), LONE
    yield from torch.randn(4, M, N, dtype=torch.float64)
    yield from (one, flat, torch.randn_like(flat) ** 5, one + 0.01 * flat)


@pytest.mark.parametrize(("compressor", "settings"), CASES)
def test_no_array_is_left_out_more_than_the_factor_says(compressor, settings):
    least = compressor.contraction(M * N, *settings)
    assert 0 < least <= 1
    if compressor is not nd.random_k:
        for x in arrays():
            assert left_out(compressor, settings, x) <= 1 - least + 1e-12
    else:  # in expectation
        x = next(arrays())
        gaps = [left_out(compressor, settings, x, seed) for seed in range(40)]
        assert sum(gaps) / 40 == pytest.approx(1 - least, abs=0.04)


#: Arrays that are as good as the worst: entries that are nearly equal, one beside hardly any other,
#: all others just below half a step.
WORST = [
    (nd.top_k, (4,), 1 + 1e-7 * PLACES),
    (nd.top_k, (0.3,), 1 + 1e-7 * PLACES),
    (nd.sign_compress, (), LONE + 1e-9),
    (nd.quantize, (3,), LONE * (5 / 6) + (1 / 6 - 1e-9)),
]


@pytest.mark.parametrize(("compressor", "settings", "x"), WORST)
def test_no_larger_factor_would_do(compressor, settings, x):
    claimed = 1 - compressor.contraction(M * N, *settings)
    assert left_out(compressor, settings, x) == pytest.approx(claimed, abs=1e-5)


def test_a_share_keeps_as_many_entries_as_it_says_up_to_one():
    for entries in (10, 35, 1001):
        for share in (0.1, 0.37, 0.9):
            kept = nd.top_k.contraction(entries, share) * entries
            assert math.floor(share * entries) <= round(kept) <= math.ceil(share * entries)
    x = torch.randn(M, N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = int(sent(nd.top_k, (0.37,), x).count_nonzero())
    assert kept == round(nd.top_k.contraction(M * N, 0.37) * M * N)


def test_random_entries_are_exactly_so_many_and_others_at_each_step():
    x = torch.ones(M, N, dtype=torch.float64)
    found = [sent(nd.random_k, (4,), x, seed) for seed in range(3)]
    assert [int(y.sum()) for y in found] == [4, 4, 4]
    assert not torch.equal(found[0], found[1])


def test_quantized_entries_lie_on_a_grid_of_so_many_bits():
    x = torch.randn(M, N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps = sent(nd.quantize, (3,), x) / (x.abs().max() / 3)
    torch.testing.assert_close(steps, steps.round())
    assert steps.abs().max() == pytest.approx(3)
    assert torch.equal(sent(nd.quantize, (3,), 0 * x), 0 * x)


@pytest.mark.parametrize("k", [0, -1, 1.5, 1.0, True])
def test_a_number_of_entries_is_one_or_a_share(k):
    with pytest.raises(DomainError, match="entries"):
        nd.top_k(G, k)


@pytest.mark.parametrize("bits", [1, 0, 2.5])
def test_bits_are_a_sign_and_a_magnitude(bits):
    with pytest.raises(DomainError, match="one bit is the sign"):
        nd.quantize(G, bits)
