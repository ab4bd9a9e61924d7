"""Native polar factors of small matrices: those of the kernel in torch, and where they are used."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl.compiler.kernels import express
from normdsl.compiler.kernels.polar import polar_svd
from normdsl.compiler.native import build, small_polar

HERE = small_polar.refusal()
NATIVE = pytest.mark.skipif(HERE is not None, reason=HERE or "")
SHAPES = [(3, 24, 24), (2, 64, 64), (40, 100), (2, 2, 100, 40), (255, 255), (33, 270), (270, 33)]


def conditioned(shape, lowest=0.1, seed=0):
    """Return matrices with singular values from 1 to the lowest."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    s = torch.linspace(1, lowest, min(shape[-2:]), dtype=torch.float64)
    return ((u * s) @ vh).float()


@pytest.fixture
def calls(monkeypatch):
    """Which shapes go to the kernel in torch."""
    seen, kernel = [], express.polar_express_small
    monkeypatch.setattr(
        express, "polar_express_small", lambda x: (seen.append(x.shape), kernel(x))[1]
    )
    return seen


@NATIVE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_polar_factor(shape, calls):
    x = conditioned(shape)
    found = small_polar.polar_express_small(x)
    assert not calls
    exact = polar_svd(x.double())
    error, usual = ((y - exact).norm() for y in (found, express.polar_express_small(x)))
    assert error < 1.5 * usual  # which is some 1e-6 an entry


@NATIVE
@pytest.mark.parametrize("lowest", [1e-2, 1e-4])
def test_small_singular_values_come_to_one_as_in_torch(lowest):
    found = small_polar.polar_express_small(conditioned((64, 64), lowest))
    values = torch.linalg.svdvals(found.double())
    assert (values - 1).abs().max() < 3e-6


@NATIVE
def test_zero_stays_zero_and_scales_of_one_batch_may_differ():
    x = conditioned((4, 48, 64))
    scales = torch.tensor([1.0, 0.0, 1e-30, 1e30]).reshape(4, 1, 1)
    found = small_polar.polar_express_small(x * scales)
    alone = torch.stack([small_polar.polar_express_small(y) for y in x * scales])
    assert torch.equal(found, alone)
    assert found[1].norm() == 0
    usual = express.polar_express_small(x * scales)
    torch.testing.assert_close(found, usual, rtol=0, atol=1e-4)
    least = small_polar.polar_express_small(x[0] * 1e-39)  # whose reciprocal is infinite
    assert (torch.linalg.svdvals(least) - 1).abs().max() < 1e-5


@NATIVE
def test_bits_are_the_same_on_any_number_of_threads_and_for_any_strides():
    x, usual = conditioned((5, 64, 32)), torch.get_num_threads()
    found = small_polar.polar_express_small(x)
    try:
        torch.set_num_threads(3)
        assert torch.equal(small_polar.polar_express_small(x), found)
    finally:
        torch.set_num_threads(usual)
    strided = x.mT.contiguous().mT
    assert torch.equal(small_polar.polar_express_small(strided), found)


@pytest.mark.parametrize("x", [
    conditioned((2, 16, 64)), conditioned((2, 256, 300)), conditioned((2, 64, 64)).double(),
    conditioned((2, 64, 64)).requires_grad_(), torch.empty(0, 64, 64),
    torch.empty(2, 64, 64, device="meta"),
], ids=["thin", "large", "double", "derivatives", "none", "meta"])  # fmt: skip
def test_all_else_is_for_torch(x, calls):
    assert small_polar.polar_express_small(x).shape == x.shape
    assert calls == [x.shape]


@pytest.mark.parametrize("why", ["the processor has no AVX-512", "there is no C++ compiler"])
def test_where_there_is_none_torch_computes_them(why, monkeypatch, calls):
    capability = "AVX2" if "AVX" in why else "AVX512"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    def fails(source):
        raise OSError("there is no C++ compiler: install g++")

    monkeypatch.setattr(build, "build", fails)
    for cached in (small_polar.refusal, small_polar._function):
        cached.cache_clear()
    try:
        assert why in small_polar.refusal()
        x = conditioned((2, 64, 64))
        small_polar.polar_express_small(x)
        assert calls == [x.shape]
    finally:
        monkeypatch.undo()
        for cached in (small_polar.refusal, small_polar._function):
            cached.cache_clear()


def stepped(size, **options):
    draw = torch.Generator().manual_seed(1)
    params = [nn.Parameter(torch.randn(size, generator=draw)) for _ in range(3)]
    opt = nd.algorithms.muon(params, **options)
    for _ in range(2):
        for p in params:
            p.grad = torch.randn(size, generator=draw)
        opt.step()
    return params, opt


@NATIVE
@pytest.mark.parametrize("size", [(300, 300), (300, 200), (300, 20)], ids=str)
def test_steps_in_stages_use_it_and_say_so(size, monkeypatch):
    monkeypatch.setattr("normdsl.compiler.buckets.executors.MANY", 1)
    ours, opt = stepped(size)
    native = min(size) in small_polar.SIZES
    assert ("polar factors by one" in str(opt.explain())) is native
    theirs, other = stepped(size, schedule=nd.Schedule(compile=False))
    assert "polar factors by one" not in str(other.explain())
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=2e-5)
    assert native is not all(map(torch.equal, ours, theirs))
