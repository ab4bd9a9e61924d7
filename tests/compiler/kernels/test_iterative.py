"""Coupled Newton roots and the QR power step, against eigenvalues."""

import pytest
import torch
from spectra import DOUBLE, gram_matrix, orthonormal, spectra

from normdsl.compiler.kernels.iterative import (
    columns_as_rows,
    coupled_newton,
    orthonormalised,
    qr_power_step,
)
from normdsl.compiler.kernels.symmetric import sorted_eigenvectors, symmetric_power

ROOTS = [1, 2, 3, 4, 8]


def ridge(s):
    """Return ρ I with the ρ that the kernel documents."""
    size = 4 * torch.finfo(s.dtype).eps * s.shape[-1] * torch.linalg.matrix_norm(s)
    return size * torch.eye(s.shape[-1], dtype=s.dtype)


@pytest.mark.parametrize("r", ROOTS)
@pytest.mark.parametrize("size", [1, 2, 8, 32])
@pytest.mark.parametrize("name", spectra(4))
def test_it_is_the_inverse_root(r, size, name):
    s = gram_matrix(spectra(size)[name])
    got, expected = coupled_newton(s, -1 / r, 30), symmetric_power(s, -1 / r)
    assert (got - expected).norm() < 1e-10 * expected.norm()


@pytest.mark.parametrize("r", ROOTS)
def test_after_convergence_more_steps_do_no_harm(r):
    s = gram_matrix(torch.logspace(0, -6, 16, dtype=DOUBLE))
    expected = symmetric_power(s, -1 / r)
    for steps in (30, 300):
        assert (coupled_newton(s, -1 / r, steps) - expected).norm() < 3e-8 * expected.norm()


def test_too_few_steps_leave_small_eigenvalues_short_of_their_root():
    s = gram_matrix(torch.tensor([1.0, 1e-6], dtype=DOUBLE))
    reached = [torch.linalg.eigvalsh(coupled_newton(s, -0.5, k))[-1].item() for k in (3, 8, 30)]
    assert reached[0] < reached[1] < 500
    assert reached[2] == pytest.approx(1000, rel=1e-6)


@pytest.mark.parametrize("r", ROOTS)
@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_a_rank_deficient_matrix_gets_the_root_of_its_ridge(r, rank, dtype):
    """Never NaN, never negative; on its range the inverse root, beside it at most ρ^{-1/r}.

    Rounding leaks eps ρ^{-1/r} into the range: a few percent for r = 1.
    """
    values = torch.cat([torch.ones(rank), torch.zeros(8 - rank)]).double()
    s, q = gram_matrix(values).to(dtype), orthonormal(8, 8, 3)
    for steps in (10, 30, 100):
        got = coupled_newton(s, -1 / r, steps).double()
        assert torch.isfinite(got).all()
        on_range = (q.mT @ got @ q)[:rank, :rank]
        slack = 5e-2 if r == 1 else 1e-2 if dtype == torch.float32 else 1e-6
        torch.testing.assert_close(on_range, torch.eye(rank).double(), rtol=slack, atol=slack)
        largest = ridge(s)[0, 0].double() ** (-1 / r)
        found = torch.linalg.eigvalsh(got)
        assert found[-1] <= 1.2 * largest
        assert found[0] > 0
    assert found[-1] >= 0.8 * largest


@pytest.mark.parametrize("r", ROOTS)
@pytest.mark.parametrize("lowest", [-1e-10, -1e-3, -1.0])
def test_an_eigenvalue_far_below_zero_stops_the_iteration_before_it_overflows(r, lowest):
    """It is no input, but rounding elsewhere may produce it; a matrix beside it is untouched."""
    bad = gram_matrix(torch.tensor([1.0, 0.5, lowest], dtype=DOUBLE))
    good = gram_matrix(torch.tensor([1.0, 0.5, 0.1], dtype=DOUBLE))
    got = coupled_newton(torch.stack([bad, good]), -1 / r, 100)
    assert got.abs().max() < 1e12
    torch.testing.assert_close(got[1], symmetric_power(good, -1 / r))


def test_zero_gives_zero_also_beside_others():
    s = torch.stack([torch.zeros(3, 3), torch.eye(3), 2 * torch.eye(3)]).double()
    got = coupled_newton(s, -1.0, 30)
    assert got[0].norm() == 0
    torch.testing.assert_close(got[1:], s[1:].inverse())


@pytest.mark.parametrize("r", ROOTS)
def test_a_batch_is_a_loop_although_its_matrices_converge_at_different_steps(r):
    rows = [gram_matrix(v) for v in spectra(6).values()]
    loop = torch.stack([coupled_newton(s, -1 / r, 30) for s in rows])
    torch.testing.assert_close(coupled_newton(torch.stack(rows), -1 / r, 30), loop)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("factor", [1e-20, 1e20])
@pytest.mark.parametrize("kernel", [lambda s, p: coupled_newton(s, p, 30), symmetric_power])
def test_scale_comes_out_as_its_root(kernel, factor, dtype):
    s = gram_matrix(spectra(6)["repeated"]).to(dtype)
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    for p in (-1.0, -0.5, -0.25):
        torch.testing.assert_close(kernel(s * factor, p) / factor**p, kernel(s, p), **near)


def test_a_root_is_captured_in_one_graph():
    s = gram_matrix(spectra(4)["geometric"]).expand(2, 4, 4)
    captured = torch.compile(coupled_newton, backend="eager", fullgraph=True)
    torch.testing.assert_close(captured(s, -0.25, 20), coupled_newton(s, -0.25, 20))


# Eigenbases


def off_diagonal(s, q):
    b = q.mT @ s @ q
    return (b - torch.diag_embed(b.diagonal(dim1=-2, dim2=-1))).norm() / b.norm()


def test_repeated_steps_converge_to_the_eigenvectors():
    s = gram_matrix(torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5], dtype=DOUBLE))
    q = orthonormal(5, 5, 9)
    for _ in range(60):
        q = qr_power_step(s, q)
    torch.testing.assert_close(q, sorted_eigenvectors(s), rtol=1e-7, atol=1e-7)


def test_eigenvectors_in_the_wrong_order_are_put_in_order_by_one_step():
    s = gram_matrix(torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=DOUBLE))
    q = sorted_eigenvectors(s)
    torch.testing.assert_close(qr_power_step(s, -q[:, [2, 0, 3, 1]]), q)


def test_a_step_brings_the_basis_of_a_moved_matrix_closer():
    values = torch.logspace(0, -2, 8, dtype=DOUBLE)
    s = gram_matrix(values)
    x = orthonormal(8, 3, 5)
    moved = 0.95 * s + 0.05 * x @ x.mT
    old = sorted_eigenvectors(s)
    new = qr_power_step(moved, old)
    assert off_diagonal(moved, new) < 0.6 * off_diagonal(moved, old)


@pytest.mark.parametrize("rank", [0, 1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_the_basis_is_orthonormal_and_finite_for_every_rank(rank, dtype):
    values = torch.cat([torch.ones(rank), torch.zeros(5 - rank)]).double()
    q = qr_power_step(gram_matrix(values).to(dtype), orthonormal(5, 5, 9).to(dtype))
    torch.testing.assert_close(q.mT @ q, torch.eye(5, dtype=dtype), rtol=1e-5, atol=1e-5)
    largest = q.gather(-2, q.abs().argmax(-2, keepdim=True))
    assert (largest > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_an_eigenbasis_has_no_scale(factor, dtype):
    s, q = gram_matrix(spectra(6)["geometric"]).to(dtype), orthonormal(6, 6, 9).to(dtype)
    near = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {}
    torch.testing.assert_close(qr_power_step(s * factor, q), qr_power_step(s, q), **near)
    torch.testing.assert_close(sorted_eigenvectors(s * factor), sorted_eigenvectors(s), **near)


def test_a_step_on_a_batch_is_a_loop_and_is_captured_in_one_graph():
    s = torch.stack([gram_matrix(v) for v in spectra(6).values()])
    q = torch.stack([orthonormal(6, 6, k) for k in range(4)])
    loop = torch.stack([qr_power_step(a, b) for a, b in zip(s, q, strict=True)])
    torch.testing.assert_close(qr_power_step(s, q), loop)
    captured = torch.compile(qr_power_step, backend="eager", fullgraph=True)
    torch.testing.assert_close(captured(s, q), loop)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("size", [5, 256])
def test_columns_are_rows_in_the_order_of_their_numbers(size, batch):
    x = torch.randn(*batch, size, size, generator=torch.Generator().manual_seed(5))
    assert torch.equal(columns_as_rows(x), x.mT)
    order = torch.rand(*batch, size, generator=torch.Generator().manual_seed(6)).argsort(-1)
    expected = x.mT.gather(-2, order.unsqueeze(-1).expand_as(x))
    assert torch.equal(columns_as_rows(x, order), expected)
    assert columns_as_rows(x).is_contiguous() is (size == 256)


def test_a_large_step_is_that_of_small_ones_in_batches():
    """Of 256 rows and more columns are copied matrix by matrix, and decomposed in place."""
    draw = torch.Generator().manual_seed(7)
    x = torch.randn(2, 256, 300, generator=draw, dtype=DOUBLE)
    s, q = x @ x.mT, torch.linalg.qr(torch.randn(2, 256, 256, generator=draw, dtype=DOUBLE)).Q
    before = s.clone(), q.clone()
    found = qr_power_step(s, q)
    assert torch.equal(s, before[0])
    assert torch.equal(q, before[1])
    order = (q * (s @ q)).sum(-2).argsort(dim=-1, descending=True, stable=True)
    expected = torch.linalg.qr((s @ q).gather(-1, order.unsqueeze(-2).expand_as(q))).Q
    top = expected.gather(-2, expected.abs().argmax(-2, keepdim=True))
    torch.testing.assert_close(found, expected * top.sign())


@pytest.mark.parametrize("size", [5, 256, 300])
@pytest.mark.parametrize("rank", [1, 40])
def test_orthonormal_columns_are_those_of_a_qr_decomposition(size, rank):
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(2, size, size, generator=draw, dtype=DOUBLE)
    found = orthonormalised(x)
    torch.testing.assert_close(found, torch.linalg.qr(x).Q)
    low = x[..., :rank] @ x[:, :rank]  # fewer directions than columns
    q = orthonormalised(low.float())
    torch.testing.assert_close(q.mT @ q, torch.eye(size).expand(2, -1, -1), rtol=0, atol=1e-5)
    assert (q @ (q.mT @ low.float()) - low.float()).norm() < 1e-5 * low.norm()


def test_below_columns_of_a_cpu_stand_zeros_and_derivatives_pass(monkeypatch):
    """Columns 2¹⁰ bytes apart displace one another; derivatives are those of torch's own."""
    seen, kernel = [], torch.geqrf
    monkeypatch.setattr(
        torch, "geqrf", lambda x, **out: (seen.append(x.stride()), kernel(x, **out))[1]
    )
    x = torch.randn(1, 256, 256, generator=torch.Generator().manual_seed(4))
    orthonormalised(x)
    assert seen == [(256 * 264, 1, 264)]
    x.requires_grad_()
    orthonormalised(x).sum().backward()
    assert len(seen) == 1
    assert x.grad.isfinite().all()
