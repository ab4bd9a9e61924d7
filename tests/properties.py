"""What every norm, refusal and recursion has to satisfy, written once for all tests."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import Phase, settings
from torch import Tensor

import normdsl as nd
from normdsl.compiler.runtime.functional import Functional
from normdsl.expressions.matrix_classes import MatrixClass

_SHAPES = ((3, 5), (5, 3), (4, 4), (1, 4), (4, 1), (1, 1))
_CLOSE = {"rtol": 1e-9, "atol": 1e-9}
#: The state of a rule without recursions before its first step.
_AT_FIRST = {"t": torch.zeros((), dtype=torch.int64)}


#: For tests over drawn examples that lower a rule each: few, the same ones each time, not shrunk.
quickly = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)


# Refusals


def assert_four_parts(error: nd.NormdslError) -> None:
    """Check that a message says what was asked, where, why and what to try, in this order."""
    asked, *rest = str(error).split("\n  ")
    assert asked.strip() == error.asked.strip() != ""
    marks = [part.split(":")[0] for part in rest if re.match(r"(at|why|try):", part)]
    assert marks == (["why", "try"] if error.at is None else ["at", "why", "try"])
    assert error.why.strip()
    assert error.hint.strip()
    if error.at is not None:
        place = str(error).split("  at:  ")[1].split("\n  why: ")[0]
        assert re.search(r"[\w>]:\d+", place), f"no source line in:\n{error}"


@contextmanager
def refuses(kind: type[nd.NormdslError], *fragments: str) -> Iterator[Any]:
    """Expect an error of exactly this kind, in four parts, whose text has all the fragments."""
    with pytest.raises(nd.NormdslError) as caught:
        yield caught
    assert type(caught.value) is kind
    assert_four_parts(caught.value)
    for fragment in fragments:
        assert fragment in str(caught.value)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# Values


def rule(expr: nd.Expr) -> nd.Declaration:
    """Return the declaration without hyper-parameters whose new weights are `expr`, broadcast."""
    return nd.Declaration("probe", (), nd.zeros_like(nd.W) + expr)


def run(expr: nd.Expr, gradients: Sequence[Tensor], weights: Tensor | None = None) -> list[Tensor]:
    """Return the values of an expression along a sequence of gradients, the weights kept fixed."""
    pure = nd.functional(rule(expr), nd.exact)
    weights = torch.zeros_like(gradients[0]) if weights is None else weights
    state, values = pure.init(weights), []
    for gradient in gradients:
        value, state = pure.update(gradient, state, weights)
        values.append(value)
    return values


def evaluate(expr: nd.Expr, gradient: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the value of an expression at the first step, as an m×n matrix."""
    return run(expr, [gradient], weights)[0]


def random_matrix(rows: int, cols: int, seed: int = 0) -> Tensor:
    """Return a matrix of normal entries in double precision."""
    return torch.randn(rows, cols, dtype=torch.float64, generator=_generator(seed))


def matrices() -> list[Tensor]:
    """Return matrices of wide, tall, square and vector shapes, and degenerate ones.

    These have rank one, zeros among the entries, repeated singular values, or equal entries.
    """
    full = [random_matrix(m, n, seed) for seed, (m, n) in enumerate(_SHAPES)]
    rank_one = random_matrix(4, 1, 11) @ random_matrix(1, 3, 12)
    sparse = random_matrix(4, 3, 13) * (random_matrix(4, 3, 14) > 0)
    left, right = (torch.linalg.qr(random_matrix(3, 3, seed)).Q for seed in (15, 16))
    repeated = left @ torch.diag(torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64)) @ right
    equal = torch.tensor([[2.0, -2.0, 1.0], [0.0, 2.0, -1.0]], dtype=torch.float64)
    return [*full, rank_one, sparse, repeated, equal]


def member(kind: MatrixClass, size: int, seed: int = 0) -> Tensor:
    """Return a random member of a class of square matrices."""
    if kind.monomial:
        diagonal = torch.ones(size, dtype=torch.float64)
        if kind.signed:
            diagonal = torch.randn(size, generator=_generator(seed)).double().sign()
        elif not kind.orthogonal:
            diagonal = torch.rand(size, generator=_generator(seed)).double() + 0.5
        permuted = kind.orthogonal and kind.name.endswith("permutation")
        order = torch.randperm(size, generator=_generator(seed)) if permuted else slice(None)
        return torch.diag(diagonal)[order]
    square = random_matrix(size, size, seed)
    return torch.linalg.qr(square).Q if kind.orthogonal else square + 3 * torch.eye(size)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Probe:
    """The operations of a norm, evaluated; W is a fixed matrix that preconditioners may use."""

    def __init__(self, norm: nd.Norm) -> None:
        self.norm = norm
        self._lowered: dict[str, Functional] = {}

    def lmo(self, m: Tensor) -> Tensor:
        """Return lmo(m)."""
        return self._matrix("lmo", m)

    def sharp(self, m: Tensor) -> Tensor:
        """Return sharp(m)."""
        return self._matrix("sharp", m)

    def value(self, x: Tensor) -> Tensor:
        """Return ‖x‖."""
        return self._matrix("value", x)[0, 0]

    def dual(self, m: Tensor) -> Tensor:
        """Return ‖m‖_*."""
        return self._matrix("dual", m)[0, 0]

    def _matrix(self, operation: str, at: Tensor) -> Tensor:
        """Return the value of an operation; lowered once, as it is asked for at many matrices."""
        if operation not in self._lowered:
            node = getattr(self.norm, operation)(nd.G)
            self._lowered[operation] = nd.functional(rule(node), nd.exact)
        weights = random_matrix(*at.shape, seed=99)
        return self._lowered[operation].update(at, _AT_FIRST, weights)[0]


# Norms


def assert_norm_axioms(norm: nd.Norm) -> None:
    """Check that ‖·‖ is definite, homogeneous and subadditive."""
    _assert_axioms(Probe(norm).value)


def assert_dual_norm_axioms(norm: nd.Norm) -> None:
    """Check that ‖·‖_* is definite, homogeneous and subadditive."""
    _assert_axioms(Probe(norm).dual)


def _assert_axioms(value: Callable[[Tensor], Tensor]) -> None:
    for x in matrices():
        y = random_matrix(*x.shape, seed=50)
        assert value(torch.zeros_like(x)) == 0
        assert value(x) > 0
        torch.testing.assert_close(value(-2.5 * x), 2.5 * value(x), **_CLOSE)
        assert value(x + y) <= (value(x) + value(y)) * (1 + 1e-9)


def assert_dual_norm_inequality(norm: nd.Norm) -> None:
    """Check ⟨M, X⟩ ≤ ‖M‖_* ‖X‖ on random X."""
    probe = Probe(norm)
    for m in matrices():
        dual = probe.dual(m)
        for seed in range(20, 25):
            x = random_matrix(*m.shape, seed=seed)
            assert (m * x).sum().abs() <= dual * probe.value(x) * (1 + 1e-9)


def assert_lmo_attains_dual(norm: nd.Norm) -> None:
    """Check ⟨M, lmo(M)⟩ = −‖M‖_*."""
    probe = Probe(norm)
    for m in matrices():
        torch.testing.assert_close((m * probe.lmo(m)).sum(), -probe.dual(m), **_CLOSE)


def assert_lmo_has_norm_one(norm: nd.Norm) -> None:
    """Check ‖lmo(M)‖ = 1 for M ≠ 0: on the ball's boundary, never outside."""
    probe = Probe(norm)
    for m in matrices():
        torch.testing.assert_close(probe.value(probe.lmo(m)).item(), 1.0, **_CLOSE)


def assert_lmo_ignores_scale(norm: nd.Norm) -> None:
    """Check lmo(c M) = lmo(M) for c > 0, small and large, and that nothing overflows."""
    probe = Probe(norm)
    for m in matrices():
        step = probe.lmo(m)
        for c in (1e-90, 1e-3, 1e90):
            torch.testing.assert_close(probe.lmo(c * m), step, rtol=1e-7, atol=1e-7)


def assert_vanishes_at_zero(norm: nd.Norm) -> None:
    """Check that lmo(0), sharp(0) and ‖0‖_* are 0, not NaN."""
    probe = Probe(norm)
    for m, n in _SHAPES:
        zero = torch.zeros(m, n, dtype=torch.float64)
        for operation in (probe.lmo, probe.sharp):
            assert torch.equal(operation(zero).abs(), zero)
        assert probe.dual(zero) == 0


def assert_sharp_is_scaled_lmo(norm: nd.Norm) -> None:
    """Check sharp(M) = −‖M‖_* lmo(M)."""
    probe = Probe(norm)
    for m in matrices():
        torch.testing.assert_close(probe.sharp(m), -probe.dual(m) * probe.lmo(m), **_CLOSE)


def assert_sharp_is_maximal(norm: nd.Norm) -> None:
    """Check that no X tried has a larger ⟨M, X⟩ − ½‖X‖² than sharp(M), whose value is ½‖M‖_*²."""
    probe = Probe(norm)
    for m in matrices():
        best = probe.sharp(m)
        top = _ascent(probe, m, best)
        torch.testing.assert_close(top, probe.dual(m) ** 2 / 2, **_CLOSE)
        for x in (best * 0.9, best * 1.1, best + 0.1 * random_matrix(*m.shape, seed=31)):
            assert _ascent(probe, m, x) < top


def _ascent(probe: Probe, m: Tensor, x: Tensor) -> Tensor:
    return (m * x).sum() - probe.value(x) ** 2 / 2


def assert_isometries(norm: nd.Norm) -> None:
    """Check that members of the stated classes keep the norm and move its LMO along."""
    claim, probe = norm.isometries, Probe(norm)
    assert claim is not None
    for x in matrices():
        P, Q = member(claim.rows, x.shape[0], 1), member(claim.cols, x.shape[1], 2)
        E = member(claim.entries, x.numel(), 3)
        for move in (lambda y, P=P, Q=Q: P @ y @ Q.mT, lambda y, E=E: (E @ y.ravel()).view_as(y)):
            torch.testing.assert_close(probe.value(move(x)), probe.value(x), **_CLOSE)
            torch.testing.assert_close(probe.lmo(move(x)), move(probe.lmo(x)), **_CLOSE)


#: What holds of every norm.
NORM_PROPERTIES = (
    assert_norm_axioms,
    assert_dual_norm_axioms,
    assert_dual_norm_inequality,
    assert_lmo_attains_dual,
    assert_lmo_has_norm_one,
    assert_lmo_ignores_scale,
    assert_vanishes_at_zero,
    assert_sharp_is_scaled_lmo,
    assert_sharp_is_maximal,
)
