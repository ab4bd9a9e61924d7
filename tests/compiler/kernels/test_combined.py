"""The iterated LMO of several norms, and the projections it is made of."""

import cvxpy as cp
import numpy as np
import pytest
import torch

from normdsl.compiler.kernels.combined import (
    combined_lmo,
    combined_size,
    counted,
    onto_ball,
    onto_cone,
    profile,
    running_sums,
)

INF = float("inf")
PLACES = ("entries", "singular", "rows", "cols")


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("t", [-3.0, -0.2, 0.0, 0.3, 1.5, 40.0])
@pytest.mark.parametrize("weight", [0.3, 1.0, 5.0])
def test_the_projection_on_a_cone_is_the_nearest_point(p, t, weight):
    v = random(5).abs()
    w, here = torch.tensor([weight]).double(), torch.tensor([t]).double()
    found, radius = onto_cone(v, here, p, w)
    x, r = cp.Variable(5), cp.Variable()
    gap = cp.sum_squares(x - v.numpy()) + cp.square(r - t)
    cp.Problem(cp.Minimize(gap), [weight * cp.norm(x, "inf" if p == INF else int(p)) <= r]).solve(
        solver=cp.CLARABEL
    )
    np.testing.assert_allclose(found.numpy(), x.value, atol=1e-5)
    np.testing.assert_allclose(radius.item(), r.value, atol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_the_projection_on_a_ball_is_the_nearest_point(p, size):
    r = size * random(4)
    x = cp.Variable(4)
    ball = cp.norm(x, "inf" if p == INF else int(p)) <= 1
    cp.Problem(cp.Minimize(cp.sum_squares(x - r.numpy())), [ball]).solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(onto_ball(r, p).numpy(), x.value, atol=1e-5)


@pytest.mark.parametrize("place", PLACES)
def test_a_profile_rebuilds_its_matrix(place):
    x = random(2, 3, 4)
    sizes, rebuild = profile(x, place)
    assert sizes.min() >= 0
    torch.testing.assert_close(rebuild(sizes), x)
    torch.testing.assert_close(profile(rebuild(2 * sizes), place)[0], 2 * sizes)


@pytest.mark.parametrize("outer", [1.0, 2.0, INF])
def test_matrices_of_a_batch_do_not_meet(outer):
    parts = (("singular", INF, 1.0), ("entries", 1.0, 0.2))
    m = random(3, 4, 3) * torch.tensor([1e-6, 1.0, 1e6]).double().reshape(3, 1, 1)
    together = combined_lmo(m, parts, outer, 300)
    alone = torch.cat([combined_lmo(x[None], parts, outer, 300) for x in m])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-8)
    size = combined_size(together, parts, outer)
    torch.testing.assert_close(size, torch.ones_like(size))


def test_the_step_at_zero_is_zero():
    m = torch.stack([torch.zeros(3, 2), torch.ones(3, 2)])
    found = combined_lmo(m, (("entries", INF, 1.0), ("rows", 1.0, 1.0)), INF, 50)
    assert not found[0].any()
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100])
def test_running_sums_are_those_of_torch(size):
    x = torch.randn(2, 3, size, dtype=torch.float64)
    torch.testing.assert_close(running_sums(x), x.cumsum(-1))
    assert counted(x).tolist() == list(range(1, size + 1))
