"""Symmetric products by quack-kernels: when they are its, and that they are the same products.

Its place is taken by a module of the same interface; itself it runs on GPUs alone.
"""

import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace

import pytest
import torch

import normdsl as nd
from normdsl.compiler.eject.eject import ejected
from normdsl.compiler.kernels import hopper, products
from normdsl.compiler.lowering.program import load, lower

CUDA, HALF = torch.device("cuda"), torch.bfloat16


@pytest.fixture
def installed(monkeypatch):
    """Say which version of quack-kernels is installed."""

    def say(version):
        def found(name):
            assert name == "quack-kernels"
            if version is None:
                raise metadata.PackageNotFoundError
            return version

        monkeypatch.setattr(metadata, "version", found)
        hopper.refusal.cache_clear()

    yield say
    hopper.refusal.cache_clear()


@pytest.fixture
def quack(monkeypatch):
    """A module that stands for quack's, whose calls are collected."""
    calls = []

    def gemm_symmetric(A, B, C=None, out=None, out_dtype=None, alpha=1.0, beta=1.0):
        assert isinstance(alpha, float)
        assert isinstance(beta, float)
        calls.append((A.shape, C is not None))
        return torch.bmm(A, B) if C is None else torch.baddbmm(C, A, B, beta=beta, alpha=alpha)

    module = ModuleType("quack.gemm_interface")
    module.gemm_symmetric = gemm_symmetric
    monkeypatch.setitem(sys.modules, "quack", ModuleType("quack"))
    monkeypatch.setitem(sys.modules, "quack.gemm_interface", module)
    return calls


def on(monkeypatch, major):
    properties = SimpleNamespace(major=major)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


@pytest.mark.parametrize(("version", "why"), [
    (None, "pip install 'normdsl[hopper]'"), ("0.3.11", "older than 0.4"),
    ("0.4.0", None), ("0.6.5", None), ("1.0", None),
])  # fmt: skip
def test_it_must_be_installed_in_a_version_that_is_known(installed, version, why):
    installed(version)
    assert (hopper.refusal() is None) is (why is None)
    assert why is None or why in hopper.refusal()


@pytest.mark.parametrize(("major", "dtype", "size", "why"), [
    (9, HALF, (768, 3072), None), (10, torch.float16, (512, 512), None),
    (8, HALF, (768, 768), "Hopper"), (9, torch.float32, (768, 768), "float32"),
    (9, HALF, (256, 768), "one tile"), (9, HALF, (300, 768), "multiple of 8"),
    (9, HALF, (768, 1001), "multiple of 8"),
])  # fmt: skip
def test_device_dtype_and_size_decide(monkeypatch, major, dtype, size, why):
    on(monkeypatch, major)
    found = hopper.unfit(CUDA, dtype, *size)
    assert found is None if why is None else why in found
    assert hopper.unfit(torch.device("cpu"), dtype, *size)


def test_where_it_fits_its_products_are_called(monkeypatch, quack):
    x = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0))
    gram = x @ x.mT
    assert torch.equal(hopper.symmetric_product(x, x.mT), gram)
    assert quack == []
    monkeypatch.setattr(hopper, "unfit", lambda *_: None)
    torch.testing.assert_close(hopper.symmetric_product(x, x.mT), gram)
    found = hopper.symmetric_product(gram, gram, gram, 2, -3)
    torch.testing.assert_close(found, products.symmetric_product(gram, gram, gram, 2, -3))
    assert quack == [((2, 8, 16), False), ((2, 8, 8), True)]
    graph = torch.compile(hopper.symmetric_product, fullgraph=True, backend="eager")
    torch.testing.assert_close(graph(x, x.mT), gram)


def test_what_is_emitted_calls_it_where_it_is_installed_and_what_is_ejected_does_not(
    installed, monkeypatch, quack
):
    code = lower(nd.algorithms.muon, nd.Schedule()).code
    installed(None)
    assert load("muon", code)["symmetric_product"] is not hopper.symmetric_product
    installed("0.6.5")
    loaded = load("muon", code)
    assert loaded["symmetric_product"] is hopper.symmetric_product
    assert "hopper" not in code
    assert "hopper" not in ejected(nd.algorithms.muon, nd.Schedule(), proofs=False)
    monkeypatch.setattr(hopper, "unfit", lambda *_: None)
    x = torch.randn(1, 24, 40, generator=torch.Generator().manual_seed(0))
    steps = ((3.4445, -4.775, 2.0315),) * 3
    newton = load("jordan", lower(nd.algorithms.muon, nd.Schedule(polar=nd.jordan())).code)
    newton["polar_newton_schulz"](x, steps, torch.float32)
    assert len(quack) == 6  # a Gram matrix and its polynomial, in each step


@pytest.mark.parametrize("k", [7, 513, 600])
def test_blocks_of_rows_are_the_whole_product(k):
    x = torch.randn(2, k, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gram = x @ x.mT
    torch.testing.assert_close(products.symmetric_product(x, x.mT), gram)
    found = products.symmetric_product(gram, gram, gram, 2.0, -0.5)
    torch.testing.assert_close(found, 2 * gram - 0.5 * gram @ gram)
    block = -(-k // 4)
    if k >= 256:
        assert torch.equal(found[:, :block, block:], found[:, block:, :block].mT)


@pytest.mark.cuda
@pytest.mark.skipif(hopper.refusal() is not None, reason=hopper.refusal() or "")
def test_on_a_gpu_they_are_torch_s_products_but_for_rounding():
    x = torch.randn(3, 512, 768, device=CUDA, dtype=HALF) / 30
    if hopper.unfit(CUDA, HALF, 512, 768):
        pytest.skip("this GPU is older than Hopper")
    gram = x @ x.mT
    for found, expected in (
        (hopper.symmetric_product(x, x.mT), gram),
        (
            hopper.symmetric_product(gram, gram, gram, -4.5, 2.0),
            torch.baddbmm(gram, gram, gram, beta=-4.5, alpha=2.0),
        ),
    ):
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
        assert torch.equal(found, found.mT)
