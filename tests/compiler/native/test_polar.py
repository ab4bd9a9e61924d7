"""Native polar factors: those of the kernels in torch, and where they are used."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl.compiler.kernels import halley, zolotarev
from normdsl.compiler.kernels.automatic import polar_way
from normdsl.compiler.kernels.polar import polar_svd
from normdsl.compiler.native import build, polar

HERE = polar.refusal()
NATIVE = pytest.mark.skipif(HERE is not None, reason=HERE or "")
SHAPES = [(3, 17, 17), (2, 16, 30), (2, 64, 64), (4, 40, 100), (2, 2, 100, 40), (255, 255)]
SHAPES += [(33, 270), (270, 33), (2, 384, 300), (2, 260, 700), (2, 512, 512), (2, 129, 256)]
KERNELS = {"halley": halley.polar_halley, "zolotarev": zolotarev.polar_zolotarev}
OURS = {"halley": polar.polar_halley, "zolotarev": polar.polar_zolotarev}


def conditioned(shape, lowest=0.1, seed=0):
    """Return matrices with singular values from 1 to the lowest, evenly in their logarithms."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    s = torch.logspace(0, torch.tensor(lowest).log10(), min(shape[-2:]), dtype=torch.float64)
    return ((u * s) @ vh).float()


@pytest.fixture
def one_thread():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(params=KERNELS)
def way(request):
    return request.param


@pytest.fixture
def calls(monkeypatch):
    """Which shapes go to the kernels in torch."""
    seen = []
    for module, name in ((halley, "polar_halley"), (zolotarev, "polar_zolotarev")):
        kernel = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda x, kernel=kernel: (seen.append(x.shape), kernel(x))[1]
        )
    return seen


@NATIVE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_polar_factor_as_near_as_in_torch(shape, calls, one_thread):
    x = conditioned(shape)
    way = polar_way("cpu", False, *shape[-2:])
    found = OURS[way](x)
    assert not calls
    exact = polar_svd(x.double())
    error, usual = ((y - exact).norm() for y in (found, KERNELS[way](x)))
    assert error < 1.5 * usual  # which is some 1e-6 an entry


@NATIVE
@pytest.mark.parametrize("size", [(48, 48), (64, 100), (260, 300)])
def test_small_singular_values_come_to_one_as_in_torch(size, way, one_thread):
    lowest = {"halley": 1e-4, "zolotarev": 2e-2}[way]
    found = OURS[way](conditioned(size, lowest))
    assert (torch.linalg.svdvals(found.double()) - 1).abs().max() < 3e-5


@NATIVE
def test_sums_over_a_long_side_are_as_exact_as_in_torch():
    """Once: formed entry by entry, Gram matrices were off by 1e-5, and singular values by 2e-3."""
    x = conditioned((100_000, 17), 1e-2)
    exact = polar_svd(x.double())
    error, usual = (
        torch.linalg.matrix_norm(f(x) - exact, 2) for f in (OURS["zolotarev"], KERNELS["zolotarev"])
    )
    assert error < 1.5 * usual < 2e-4


@NATIVE
@pytest.mark.parametrize("name", ["ones", "twice", "few"])
def test_matrices_without_full_rank(name, way, one_thread):
    draw = torch.Generator().manual_seed(0)
    x = {
        "ones": torch.ones(256, 512),
        "twice": torch.randn(128, 512, generator=draw).repeat(2, 1),
        "few": torch.randn(256, 30, generator=draw) @ torch.randn(30, 512, generator=draw),
    }[name]
    rank = {"ones": 1, "twice": 128, "few": 30}[name]
    values = torch.linalg.svdvals(OURS[way](x).double())
    assert (values[:rank] - 1).abs().max() < 1e-4
    assert values[rank:].max() < 0.5


@NATIVE
def test_zero_stays_zero_and_scales_of_one_batch_may_differ(way):
    x = conditioned((4, 48, 64))
    scales = torch.tensor([1.0, 0.0, 1e-30, 1e30]).reshape(4, 1, 1)
    found = OURS[way](x * scales)
    alone = torch.stack([OURS[way](y) for y in x * scales])
    assert torch.equal(found, alone)
    assert found[1].norm() == 0
    torch.testing.assert_close(found, KERNELS[way](x * scales), rtol=0, atol=1e-5)
    least = OURS[way](x[0] * 1e-39)  # whose reciprocal is infinite
    assert (torch.linalg.svdvals(least) - 1).abs().max() < 1e-4


@NATIVE
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_does_not_become_finite(bad, way):
    x = conditioned((2, 48, 64))
    x[1, 3, 5] = bad
    found = OURS[way](x)
    assert torch.equal(found[0], OURS[way](x[0]))
    assert not found[1].isfinite().all()


@NATIVE
def test_bits_are_the_same_on_any_number_of_threads_and_for_any_strides(way):
    x, usual = conditioned((5, 64, 32)), torch.get_num_threads()
    found = OURS[way](x)
    try:
        torch.set_num_threads(3)
        assert torch.equal(OURS[way](x), found)
    finally:
        torch.set_num_threads(usual)
    strided = x.mT.contiguous().mT
    assert torch.equal(OURS[way](strided), found)


@pytest.mark.parametrize("x", [
    conditioned((2, 15, 20)), conditioned((2, 64, 64)).double(),
    conditioned((2, 64, 64)).requires_grad_(), torch.empty(0, 64, 64),
    torch.empty(2, 1100, 1100, device="meta"), torch.empty(2, 64, 64, device="meta"),
], ids=["thin", "double", "derivatives", "none", "large", "meta"])  # fmt: skip
def test_all_else_is_for_torch(x, way, calls):
    assert OURS[way](x).shape == x.shape
    assert calls == [x.shape]


def test_long_matrices_have_no_room_for_steps_in_double_precision(calls):
    polar.polar_halley(conditioned((2, 16, 33)))
    assert len(calls) == 1


def test_threads_share_one_large_matrix_in_torch(way, calls):
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        OURS[way](conditioned((1, 260, 300)))
    finally:
        torch.set_num_threads(usual)
    assert len(calls) == 1


@pytest.mark.parametrize("why", ["the processor has no AVX-512", "there is no C++ compiler"])
def test_where_there_is_none_torch_computes_them(why, way, monkeypatch, calls):
    capability = "AVX2" if "AVX" in why else "AVX512"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    def fails(source):
        raise OSError("there is no C++ compiler: install g++")

    monkeypatch.setattr(build, "build", fails)
    for cached in (polar.refusal, polar._functions):
        cached.cache_clear()
    try:
        assert why in polar.refusal()
        x = conditioned((2, 64, 64))
        OURS[way](x)
        assert calls == [x.shape]
    finally:
        monkeypatch.undo()
        for cached in (polar.refusal, polar._functions):
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
@pytest.mark.parametrize("size", [(300, 300), (300, 100), (300, 200), (300, 15)], ids=str)
def test_steps_in_stages_use_it_and_say_so(size, monkeypatch):
    monkeypatch.setattr("normdsl.compiler.buckets.executors.MANY", 1)
    ours, opt = stepped(size)
    native = min(size) in polar.SIZES
    assert ("polar factors by one" in str(opt.explain())) is native
    theirs, other = stepped(size, schedule=nd.Schedule(compile=False))
    assert "polar factors by one" not in str(other.explain())
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=2e-5)
    assert native is not all(map(torch.equal, ours, theirs))
