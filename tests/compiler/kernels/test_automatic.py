"""What is chosen where nothing is: one way for each device, dtype and shape, within its error."""

import pytest
import torch
from spectra import with_values

from normdsl.compiler.kernels import automatic
from normdsl.compiler.kernels.automatic import polar_automatic, polar_way, root_automatic, root_way
from normdsl.compiler.kernels.halley import polar_halley
from normdsl.compiler.kernels.newton_schulz import polar_gram_newton_schulz
from normdsl.compiler.kernels.polar import polar_svd
from normdsl.compiler.kernels.symmetric import symmetric_power
from normdsl.compiler.kernels.zolotarev import polar_zolotarev
from normdsl.schedules.coefficients import polar_express

#: From which singular value on, relative to ρ = ‖X Xᵀ‖_F^½, each comes within 1e-4 of 1.
COVERED = {polar_zolotarev: 4e-3, polar_halley: 1e-5}
SHAPES = [(24, 24), (24, 60), (60, 24)]


@pytest.fixture(params=COVERED, ids=lambda k: k.__name__)
def kernel(request):
    return request.param


def values_of(x):
    return torch.linalg.svdvals(x.double())


def graded(lowest, rows, cols, signal=3):
    """Return a matrix with a few large singular values and many down to `lowest` of ρ."""
    k = min(rows, cols)
    values = torch.logspace(0, torch.log10(torch.tensor(lowest)).item(), k - signal).double()
    x = with_values(torch.cat([torch.ones(signal).double(), values]), rows, cols)
    return x / (values_of(x) ** 4).sum() ** 0.25


@pytest.mark.parametrize("shape", SHAPES)
def test_covered_singular_values_come_within_the_stated_error_of_one(kernel, shape):
    x = graded(COVERED[kernel] * 1.01 * (shape[0] ** 0.25), *shape).float()
    assert values_of(x).min() > COVERED[kernel]
    assert (values_of(kernel(x)) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_smaller_ones_end_between_0_and_1_and_directions_stay(kernel, shape):
    x = graded(COVERED[kernel] / 20, *shape).float()
    got = kernel(x)
    assert values_of(got).max() < 1 + 1e-4
    assert (torch.linalg.svd(x.double()).U.mT @ got.double()).isfinite().all()
    assert (got * x).sum() > 0.999 * values_of(x).sum()


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_polar_factor_of_well_conditioned_matrices(kernel, shape):
    x = torch.stack([graded(0.05, *shape), 1e3 * graded(0.5, *shape)]).float()
    torch.testing.assert_close(kernel(x), polar_svd(x.double()).float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_zero_stays_zero_and_scale_changes_nothing(kernel, scale):
    x = graded(0.1, 24, 60).float()
    x[3:5] = 0
    both = kernel(torch.stack([torch.zeros_like(x), scale * x, x]))
    assert not both[0].any()
    assert not both[1, 3:5].any()
    torch.testing.assert_close(both[1], both[2], rtol=1e-5, atol=1e-5)


def test_a_vector_and_any_batch_in_front(kernel):
    x = torch.arange(1.0, 7.0).reshape(1, 6, 1)
    torch.testing.assert_close(kernel(x), x / x.norm(), rtol=1e-4, atol=1e-4)
    batch = graded(0.1, 4, 6).float() * torch.ones(2, 3, 1, 1)
    torch.testing.assert_close(kernel(batch), kernel(batch[0, 0]).expand(2, 3, 4, 6))


@pytest.mark.parametrize(
    ("device", "exact", "size", "way"),
    [
        ("cpu", True, (64, 64), "svd"),
        ("cuda", True, (64, 64), "svd"),
        ("cpu", False, (255, 4000), "zolotarev"),
        ("cpu", False, (4000, 1), "zolotarev"),
        ("cpu", False, (64, 64), "halley"),
        ("cpu", False, (256, 512), "zolotarev"),
        ("cpu", False, (1024, 512), "zolotarev"),
        ("cpu", False, (256, 511), "halley"),
        ("cuda", False, (64, 64), "products"),
        ("mps", False, (1024, 64), "products"),
    ],
)
def test_metadata_decides(device, exact, size, way):
    assert polar_way(device, exact, *size) == way


@pytest.mark.parametrize("size", [(30, 40), (40, 20), (256, 520), (300, 260)])
def test_it_is_that_way_and_one_graph(size):
    x = torch.randn(2, *size, generator=torch.Generator().manual_seed(0))
    way = {"zolotarev": polar_zolotarev, "halley": polar_halley}
    expected = way[polar_way("cpu", False, *size)](x)
    captured = torch.compile(polar_automatic, backend="eager", fullgraph=True)
    # In a graph, products are formed at once.
    torch.testing.assert_close(captured(x), expected, rtol=0, atol=1e-5)
    assert torch.equal(polar_automatic(x.double()), polar_svd(x.double()))


@pytest.mark.parametrize("name", ["ones", "twice", "few"])
def test_large_matrices_without_full_rank(kernel, name):
    """Halves of such Gram matrices are nearly singular."""
    draw = torch.Generator().manual_seed(0)
    x = {
        "ones": torch.ones(512, 1100),
        "twice": torch.randn(256, 1100, generator=draw).repeat(2, 1),
        "few": torch.randn(512, 30, generator=draw) @ torch.randn(30, 1100, generator=draw),
    }[name]
    rank = {"ones": 1, "twice": 256, "few": 30}[name]
    values = values_of(kernel(x))
    assert (values[:rank] - 1).abs().max() < 1e-4
    assert values[rank:].max() < 0.5


@pytest.mark.parametrize("size", [(30, 40), (260, 300), (260, 520)])
def test_it_has_derivatives_and_takes_many_at_once(size):
    x, way = with_values(torch.linspace(0.5, 1, min(size)), *size).float(), polar_automatic
    direction = torch.randn(*size, generator=torch.Generator().manual_seed(1))
    direction /= torch.linalg.matrix_norm(direction, 2)
    expected = (way(x + 1e-2 * direction) - way(x - 1e-2 * direction)) / 2e-2
    slope = torch.func.grad(lambda y: (way(y) * expected).sum())(x)
    torch.testing.assert_close(
        (slope * direction).sum(), expected.square().sum(), rtol=1e-2, atol=0
    )
    both = torch.stack([x, direction]).unsqueeze(1)
    together = torch.func.vmap(way)(both)
    torch.testing.assert_close(together, torch.stack([way(y) for y in both]), rtol=0, atol=1e-4)


def test_roots_go_by_products_off_cpus_where_these_can():
    assert all(root_way("cuda", False, -1 / r) for r in (2, 3, 4, 8))
    refused = [("cuda", False, p) for p in (-1.0, 0.5, -0.4, None)]
    refused += [("cpu", False, -0.5), ("cuda", True, -0.5)]
    assert not any(root_way(*case) for case in refused)
    s = torch.eye(3) * 4
    for p in (-0.5, torch.tensor(-0.5)):
        assert torch.equal(root_automatic(s, p), symmetric_power(s, p))


@pytest.mark.parametrize(("half", "low", "high"), [(False, 0.99, 1.01), (True, 0.83, 1.16)])
def test_what_other_devices_do_is_polar_express_within_its_stated_error(
    half, low, high, monkeypatch
):
    monkeypatch.setattr(automatic, "polar_way", lambda *_: "products")
    monkeypatch.setattr(automatic, "has_bfloat16", lambda _: half)
    x = graded(1e-2 if half else 2e-3, 24, 60)
    dtype = torch.bfloat16 if half else torch.float32
    named = polar_express(5 if half else 7, dtype=str(dtype).removeprefix("torch."))
    found = polar_automatic(x)
    expected = polar_gram_newton_schulz(x, named.coefficients, dtype, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    values = values_of(found)
    assert low <= values.min()
    assert values.max() <= high
