"""Native products: those of the kernels in torch, of all strides, and where they are used."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl.algorithms import soap
from normdsl.compiler.buckets import staged
from normdsl.compiler.native import products

HERE = products.refusal()
NATIVE = pytest.mark.skipif(HERE is not None, reason=HERE or "")
#: Count, rows, columns, and what is summed over.
SIZES = [
    (1, 48, 48, 48),
    (3, 100, 77, 53),
    (2, 96, 512, 256),
    (1, 97, 513, 257),
    (5, 64, 64, 64),
    (1, 385, 50, 700),
    (1, 12, 300, 300),
]


def drawn(*shape, turned=False):
    """Return matrices, maybe as transposes."""
    *count, m, n = shape
    return torch.randn(*count, n, m).mT if turned else torch.randn(shape)


def assert_near(found, exact, depth):
    """Compare at the rounding of sums of so many products."""
    error = (found.double() - exact).abs().max()
    assert error <= 4e-7 * depth**0.5 * exact.abs().max(), float(error)


@pytest.fixture(params=[1, 2])
def threads(request):
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


@pytest.fixture
def counted(monkeypatch):
    """How many products are formed by native code."""
    found, multiplied = [], products._multiplied

    def noted(*given, **told):
        found.append(1)
        return multiplied(*given, **told)

    monkeypatch.setattr(products, "_multiplied", noted)
    return found


@NATIVE
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_are_those_of_torch(size, turned, threads, counted):
    count, m, n, depth = size
    a, b = drawn(count, m, depth, turned=turned[0]), drawn(count, depth, n, turned=turned[1])
    exact = a.double() @ b.double()
    assert_near(products.matrix_product(a, b), exact, depth)
    base = torch.randn(count, m, n)
    found = products.plus_product(base, a, b, 0.3, -2.0)
    assert_near(found, 0.3 * base.double() - 2 * exact, depth)
    assert products.plus_product(base, a, b, 0.3, -2.0, into=base) is base
    assert torch.equal(base, found)
    assert len(counted) == (3 if min(m, n, depth) >= products.LEAST else 0)


@NATIVE
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [(1, 48, 60), (3, 100, 53), (2, 530, 300), (1, 1040, 64)], ids=str)
def test_symmetric_ones_are_symmetric_to_the_bit(size, turned, threads, counted):
    count, k, depth = size
    x = drawn(count, k, depth, turned=turned)
    exact = x.double() @ x.double().mT
    base = torch.randn(count, k, k)
    base = base + base.mT
    for found, expected in [
        (products.symmetric_product(x, x.mT), exact),
        (products.symmetric_product(x, x.mT, base, 0.5, 2.0), 0.5 * base.double() + 2 * exact),
        (products.plus_symmetric(base, x, x.mT, 0.9, 0.1), 0.9 * base.double() + 0.1 * exact),
    ]:
        assert_near(found, expected, depth)
        assert torch.equal(found, found.mT)
    assert products.plus_symmetric(base, x, x.mT, 0.9, 0.1, into=base) is base
    assert torch.equal(base, found)
    assert len(counted) == 4


@pytest.mark.parametrize(
    ("capability", "maker", "why"),
    [
        ("AVX2", "AuthenticAMD", "the processor has no AVX-512"),
        ("AVX512", "GenuineIntel", "is made for the processor"),
        ("AVX512", "AuthenticAMD", "there is no C++ compiler"),
    ],
)
def test_where_there_is_none_it_says_why(capability, maker, why, monkeypatch):
    def fails(source):
        raise OSError("there is no C++ compiler: install g++")

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(products, "_maker", lambda: f"vendor_id : {maker}")
    monkeypatch.setattr(products.build, "build", fails)
    for cached in (products.refusal, products._function):
        cached.cache_clear()
    try:
        assert why in products.refusal()
    finally:
        monkeypatch.undo()
        for cached in (products.refusal, products._function):
            cached.cache_clear()


@NATIVE
def test_nothing_that_is_not_finite_is_lost(threads):
    a, b = torch.randn(1, 64, 300), torch.randn(1, 300, 64)
    a[0, 3, 299] = float("nan")
    found = products.matrix_product(a, b)
    assert found[0, 3].isnan().all()
    assert found[0, :3].isfinite().all()


@NATIVE
@pytest.mark.parametrize(
    "given",
    [
        lambda x: (x.double(), x.double()),
        lambda x: (x[0], x[0]),
        lambda x: (x, x[:1]),
        lambda x: (x[:, ::2, ::2], x[:, ::2, ::2]),
        lambda x: (x.to("meta"), x.to("meta")),
        lambda x: (x.clone().requires_grad_(), x),
    ],
    ids=["double", "one", "fewer", "apart", "meta", "derivative"],
)
def test_what_it_does_not_take_goes_to_torch(given, counted):
    a, b = given(torch.randn(2, 128, 128))
    found = products.matrix_product(a, b)
    assert not counted
    assert found.shape == (a @ b).shape
    assert found.requires_grad == a.requires_grad


@NATIVE
def test_derivatives_go_through(counted):
    x = torch.randn(1, 64, 64)
    slope = torch.func.grad(lambda y: products.matrix_product(y, y).sum())(x)
    ones = torch.ones_like(x)
    assert not counted
    assert torch.allclose(slope, ones @ x.mT + x.mT @ ones, atol=1e-4)


@NATIVE
def test_steps_and_refreshes_use_them_and_are_as_exact_as_by_torch(counted, monkeypatch):
    """Each is compared with double precision, from which rounding leads away in both."""
    schedule = nd.Schedule(eigenbasis=nd.QRPower(), refresh=2)

    def moved(dtype):
        torch.manual_seed(0)
        first = torch.randn(512, 512, dtype=torch.float64)
        w = nn.Parameter(first.to(dtype, copy=True))
        opt = soap([w], lr=0.01, schedule=schedule)
        for _ in range(5):
            w.grad = torch.randn(512, 512, dtype=torch.float64).to(dtype)
            opt.step()
        return (w.detach() - first).double(), str(opt.explain())

    ours, told = moved(torch.float32)
    assert "products in C++" in told
    assert len(counted) >= 5 * 6
    counted.clear()
    exact, told = moved(torch.float64)
    monkeypatch.setattr(staged, "_takes_products", lambda *_: False)
    staged.stages.cache_clear()
    theirs, also = moved(torch.float32)
    staged.stages.cache_clear()
    assert "products in C++" not in told + also
    assert not counted
    assert (ours - exact).norm() <= 2 * (theirs - exact).norm()
    assert (ours - exact).norm() <= 0.05 * exact.norm()
