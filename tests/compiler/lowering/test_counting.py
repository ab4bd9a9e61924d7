"""Counting: entries, bytes, views and moves; loops counted from two of their steps."""

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.kernels import combined, iterative
from normdsl.compiler.lowering.cost import cost
from normdsl.compiler.lowering.counting import Tally, tally
from normdsl.compiler.lowering.program import lower


def meta(*shape, dtype=torch.float32):
    return torch.empty(*shape, dtype=dtype, device="meta")


CALLS = {
    "pointwise": (lambda x: x * 2, Tally(0, 0, 24, 192)),
    "broadcast": (lambda x: x + x[:1], Tally(0, 0, 24, 4 * (24 + 12 + 24))),
    "reduction": (lambda x: x.sum((-2, -1)), Tally(0, 0, 24, 4 * (24 + 2))),
    "norm": (lambda x: torch.linalg.vector_norm(x, dim=-1), Tally(0, 0, 24, 4 * (24 + 6))),
    "view": (lambda x: x.mT.unsqueeze(0)[..., :1].expand(9, 2, 4, 3), Tally()),
    "cast": (lambda x: x.to(torch.float64), Tally(0, 0, 0, 24 * 12)),
    "no cast": (lambda x: x.to(torch.float32), Tally()),
    "copy": (lambda x: torch.stack([x, x]), Tally(0, 0, 0, 4 * 96)),
    "product": (lambda x: x @ x.mT, Tally(2 * 24 * 3, 0, 0, 4 * (24 + 24 + 18))),
    "product with one matrix": (lambda x: x @ x[0].mT, Tally(2 * 24 * 3, 0, 0, 4 * (24 + 12 + 18))),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_kind_of_operation(name):
    call, expected = CALLS[name]
    assert tally(lambda: call(meta(2, 3, 4))) == expected


def test_an_operation_without_a_formula_raises():
    with pytest.raises(TypeError, match="no count of operations for"):
        tally(lambda: torch.linalg.eig(meta(3, 3)))


def test_tallies_add():
    assert Tally(1, 2, 3, 4).plus(Tally(1, 1, 1, 1), 2) == Tally(3, 4, 5, 6)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_loops_are_counted_as_if_they_ran(steps):
    root = nd.matrix_power(nd.ema(G @ G.T, 0.9), -1 / 2)
    schedule = nd.Schedule(root=nd.CoupledNewton(steps))
    direct = tally(lambda: iterative.coupled_newton(meta(2, 4, 4), -0.5, steps))
    plain = lower(nd.Declaration("probe", (), W - root @ G), nd.Schedule())
    other = lower(nd.Declaration("probe", (), W - root @ G), schedule)
    by_eigenvalues, by_products = (cost(p, (4, 6), batch=2) for p in (plain, other))
    eigh_products = 2 * 2 * 4**3
    assert by_products.products == by_eigenvalues.products - eigh_products + direct.products
    assert by_products.factorisations == 0


def test_a_thousand_steps_are_counted():
    norm = nd.max_of(nd.spectral, 2 * nd.frobenius)
    found = cost(lower(nd.Declaration("probe", (), norm.lmo(G)), nd.Schedule()), (4, 3))
    parts = (("singular", torch.inf, 1.0), ("entries", 2.0, 2.0))
    one, two, three = (
        tally(lambda k=k: combined.combined_lmo(meta(1, 4, 3), parts, torch.inf, k))
        for k in (1, 2, 3)
    )
    assert three == two.plus(two).plus(one, -1)
    every = one.plus(two, 999).plus(one, -999)
    assert (found.products, found.factorisations) == (every.products, every.factorisations)
    assert found.entrywise == every.entrywise
