"""Norms certified by convex programs that know nothing of how they are computed here.

Each norm is written down a second time for cvxpy, as the least r under constraints on X. Norms of
singular values are written by Fan's dominance theorem (1951): φ(σ(X)) ≤ r if there are sorted
s ≥ 0 with φ(s) ≤ r whose sums of the k largest bound the Ky Fan norms of X, for every k.
"""

import functools

import cvxpy as cp
import numpy as np
import pytest
import torch
from norms_catalogue import EXACT, INEXACT, INF, PLAIN
from pairwise import rotated
from properties import Probe, random_matrix

from normdsl.norms import Infimal


def lp(p):
    return lambda x: cp.norm(x, "inf") if p == INF else cp.norm(x, p)


def top(k):
    return lambda x: cp.sum_largest(cp.abs(x), min(k, x.size))


def top_dual(k):
    return lambda x: cp.maximum(cp.norm(x, "inf"), cp.norm(x, 1) / k)


def entries(gauge):
    return lambda x: (gauge(cp.vec(x, order="F")), [])


def singular(gauge):
    def norm(x):
        m, n = x.shape
        k = min(m, n)
        s = cp.Variable(k, nonneg=True)
        dilation = cp.bmat([[np.zeros((m, m)), x], [x.T, np.zeros((n, n))]])
        fan = [cp.lambda_sum_largest(dilation, i) <= cp.sum(s[:i]) for i in range(1, k + 1)]
        return gauge(s), [*fan, s[:-1] >= s[1:]]

    return norm


def spectral(x):
    return cp.sigma_max(x), []


def nuclear(x):
    return cp.normNuc(x), []


def lines(inner, outer, rows):
    def norm(x):
        count = x.shape[0] if rows else x.shape[1]
        each = [inner(x[i, :] if rows else x[:, i]) for i in range(count)]
        return outer(cp.hstack(each)), []

    return norm


def times(factor, norm):
    """A multiple by a function of the numbers of rows and columns."""

    def multiple(x):
        value, needs = norm(x)
        return factor(*x.shape) * value, needs

    return multiple


def combined(outer, *norms):
    def norm(x):
        values, needs = zip(*(f(x) for f in norms), strict=True)
        return outer(cp.hstack(values)), [c for need in needs for c in need]

    return norm


def infimal(outer, *norms):
    def norm(x):
        parts = [cp.Variable(x.shape) for _ in norms]
        values, needs = zip(*(f(y) for f, y in zip(norms, parts, strict=True)), strict=True)
        return outer(cp.hstack(values)), [sum(parts) == x, *(c for need in needs for c in need)]

    return norm


frobenius, max_entry = entries(lp(2)), entries(lp(INF))
PRIMAL = {
    "frobenius": frobenius,
    "max_entry": max_entry,
    "sum_entries": entries(lp(1)),
    "l3": entries(lp(3)),
    "l4/3": entries(lp(4 / 3)),
    "top_entries": entries(top(3)),
    "top_entries dual": entries(top_dual(3)),
    "spectral": spectral,
    "nuclear": nuclear,
    "schatten 3": singular(lp(3)),
    "schatten 3/2": singular(lp(1.5)),
    "ky_fan": singular(top(2)),
    "ky_fan dual": singular(top_dual(2)),
    "1→2": lines(lp(2), lp(INF), rows=False),
    "2→∞": lines(lp(2), lp(INF), rows=True),
    "1→1": lines(lp(1), lp(INF), rows=False),
    "∞→∞": lines(lp(1), lp(INF), rows=True),
    "1→3": lines(lp(3), lp(INF), rows=False),
    "3→∞": lines(lp(1.5), lp(INF), rows=True),
    "sum of columns": lines(lp(2), lp(1), rows=False),
    "sum of rows": lines(lp(2), lp(1), rows=True),
    "rows 3 by 3/2": lines(lp(3), lp(1.5), rows=True),
    "columns ∞ by 2": lines(lp(INF), lp(2), rows=False),
    "rows top 2 by 1": lines(top(2), lp(1), rows=True),
    "columns 2 by top 2": lines(lp(2), top(2), rows=False),
    "rms": times(lambda m, n: (m * n) ** -0.5, frobenius),
    "rms→rms": times(lambda m, n: (n / m) ** 0.5, spectral),
    "1→rms": times(lambda m, n: m**-0.5, lines(lp(2), lp(INF), rows=False)),
    "rms→∞": times(lambda m, n: n**0.5, lines(lp(2), lp(INF), rows=True)),
    "n max_entry": times(lambda m, n: n, max_entry),
    "3 nuclear": times(lambda m, n: 3, nuclear),
    "max of spectral and max_entry": combined(lp(INF), spectral, times(lambda m, n: 2, max_entry)),
    "sum of nuclear and frobenius": combined(lp(1), nuclear, frobenius),
    "l2 of columns and rows": combined(
        lp(2),
        lines(lp(2), lp(INF), rows=False),
        times(lambda m, n: 2, lines(lp(2), lp(INF), rows=True)),
    ),
    "infimal sum": infimal(lp(1), spectral, times(lambda m, n: 2, max_entry)),
    "infimal l2": infimal(lp(2), nuclear, frobenius),
    "blend": infimal(lp(INF), times(lambda m, n: 3, spectral), frobenius),
}


def repeated():
    left, right = (np.linalg.qr(random_matrix(3, 3, seed).numpy())[0] for seed in (1, 2))
    return left @ np.diag([2.0, 2.0, 0.5]) @ right


MATRICES = {
    "wide": random_matrix(3, 4, 1).numpy(),
    "tall": random_matrix(4, 3, 2).numpy(),
    "row": random_matrix(1, 4, 3).numpy(),
    "column": random_matrix(4, 1, 4).numpy(),
    "rank one": np.outer([1.0, -2.0, 0.5], [0.3, 1.0, -1.0, 2.0]),
    "repeated": repeated(),
    "zero": np.zeros((2, 3)),
}
EXACTLY = [name for name in PLAIN if name in EXACT]
CASES = [*rotated(EXACTLY, MATRICES, 2), *rotated(INEXACT, MATRICES, 2)]


@functools.cache
def measured(name, which):
    """Return the norm of one of the matrices by a convex program."""
    return norm_of(name, MATRICES[which])


def norm_of(name, x):
    value, needs = PRIMAL[name](cp.Constant(x))
    return solved(cp.Minimize(value), needs)


@functools.cache
def best(name, which):
    """Return max ⟨M, X⟩ over ‖X‖ ≤ 1 by a convex program."""
    m = MATRICES[which]
    x = cp.Variable(m.shape)
    value, needs = PRIMAL[name](x)
    return solved(cp.Maximize(cp.sum(cp.multiply(m, x))), [value <= 1, *needs])


def solved(objective, needs):
    return cp.Problem(objective, needs).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )


def exactly(value, expected, tolerance=0.0):
    assert abs(value - expected) <= max(tolerance, 1e-6) * max(abs(expected), 1e-3)


def test_every_norm_of_one_matrix_is_certified():
    assert PRIMAL.keys() == PLAIN.keys()


@pytest.mark.parametrize(("name", "which"), CASES, ids=map(": ".join, CASES))
def test_value_dual_and_lmo_are_those_of_a_convex_program(name, which):
    norm, m = PLAIN[name], MATRICES[which]
    probe, x = Probe(norm), torch.as_tensor(MATRICES[which])
    inexact = norm.dual_norm.tolerance if isinstance(norm, Infimal) else 0.0
    exactly(float(probe.value(x)), measured(name, which), inexact)
    exactly(float(probe.dual(x)), best(name, which), norm.tolerance)
    step = probe.lmo(x).numpy()
    assert norm_of(name, step) <= 1 + 1e-6
    exactly(-(m * step).sum(), best(name, which), norm.tolerance)
