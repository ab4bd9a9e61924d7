"""Random rules over a pair of factors, A of r×n and B of m×r."""

from __future__ import annotations

import random
from collections.abc import Callable

import normdsl as nd
from normdsl.declaration import Declaration
from normdsl.expressions.expr import Expr
from normdsl.vocabulary.ports import Parameter

A, B = (Parameter(nd.Matrix(*axes).port(name)) for name, axes in (("A", "rn"), ("B", "mr")))


class Chance:
    """Draws expressions of the shapes r×n, m×r and, symmetric, r×r."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def of_A(self, depth: int) -> Expr:
        """An r×n array."""
        return self._array(A, depth, lambda S, X: S @ X, self.of_A)

    def of_B(self, depth: int) -> Expr:
        """An m×r array."""
        return self._array(B, depth, lambda S, X: X @ S, self.of_B)

    def _array(
        self,
        own: Parameter,
        depth: int,
        times: Callable[[Expr, Expr], Expr],
        again: Callable[[int], Expr],
    ) -> Expr:
        if depth == 0:
            return self.rng.choice([own.G, own.G, own.W])
        kinds = [
            lambda x: times(self.square(depth - 1), x),
            lambda x: times(nd.inverse(self.square(depth - 1)), x),
            lambda x: times(nd.matrix_power(self.square(depth - 1), self.power()), x),
            lambda x: nd.ema(x, 0.6),
            lambda x: x + 0.5 * again(depth - 1),
            lambda x: nd.sign(x),
            nd.polar,
            lambda x: nd.frobenius.value(x) * x,
            lambda x: own.cols * x,
        ]
        return self.rng.choice(kinds)(again(depth - 1))

    def power(self) -> float:
        return self.rng.choice([0.5, -0.5, -0.25])

    def square(self, depth: int) -> Expr:
        """A positive semidefinite r×r matrix."""
        x, y = self.of_A(depth), self.of_B(depth)
        found = self.rng.choice([x @ x.T, y.T @ y])
        return nd.ema(found, 0.7) if self.rng.random() < 0.3 else found


class Roles:
    """Draws steps that move like A and B under the gauge, a slip now and then."""

    def __init__(self, seed: int, slips: float = 0.1) -> None:
        self.rng, self.slips = random.Random(seed), slips

    def of_A(self, depth: int) -> Expr:
        """What moves like A."""
        if depth == 0:
            return A.W
        inverse = self.metric(depth - 1, covariant=self.rng.random() > self.slips)
        kinds = [
            lambda x: nd.inverse(inverse) @ x,
            lambda x: self.metric(depth - 1, covariant=False) @ x,
            lambda x: -nd.preconditioned(nd.spectral, left=nd.matrix_power(inverse, 0.5)).lmo(x),
        ]
        return self._shaken(self.rng.choice(kinds)(self._shaken(A.G)))

    def of_B(self, depth: int) -> Expr:
        """What moves like B."""
        if depth == 0:
            return B.W
        inverse = self.metric(depth - 1, covariant=self.rng.random() < self.slips)
        kinds = [
            lambda x: x @ nd.inverse(inverse),
            lambda x: x @ self.metric(depth - 1, covariant=True),
            lambda x: -nd.preconditioned(nd.spectral, right=nd.matrix_power(inverse, 0.5)).lmo(x),
        ]
        return self._shaken(self.rng.choice(kinds)(self._shaken(B.G)))

    def metric(self, depth: int, covariant: bool) -> Expr:
        """A symmetric r×r matrix that moves like BᵀB, or like A Aᵀ."""
        x, y = (A.G, self.of_B(depth)) if covariant else (self.of_A(depth), B.G)
        return self._shaken(self.rng.choice([x @ x.T, y.T @ y]))

    def _shaken(self, x: Expr) -> Expr:
        return self.rng.choice([x, x, x, 2 * x, nd.ema(x, 0.6)])


def rules(count: int, depth: int = 2) -> list[Declaration]:
    """Random rules over the pair, two of three made of roles."""
    return [rule((Roles if seed % 3 else Chance)(seed), depth) for seed in range(count)]


def rule(draw: Chance | Roles, depth: int) -> Declaration:
    """A rule whose steps are drawn; equal parameters of any rule over a pair are the same."""
    steps = draw.of_A(depth), draw.of_B(depth)

    def drawn(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr: nd.Positive = 0.02):
        return A.W - lr * steps[0], B.W - lr * steps[1]

    drawn.__annotations__ = {"A": nd.Matrix("r", "n"), "B": nd.Matrix("m", "r"), "lr": nd.Positive}
    return nd.optimizer(drawn)
