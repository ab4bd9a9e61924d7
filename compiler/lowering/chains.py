"""Chains: polar factors as functions of Gram matrices, for matrices whose long side is divided.

An odd polynomial of the singular values of Y is a polynomial of its Gram matrix times Y, and so is
any iteration that is made of such steps:

    polar(X) ≈ Y_k,    Y_i = q_i(Y_{i−1} Y_{i−1}ᵀ) Y_{i−1},    Y_0 = X / ‖X‖,

for wide X; of a tall X the same is true of Xᵀ. Where the long side of X is cut among processes,
Y Yᵀ is a sum of terms, q(Y Yᵀ) the same on all, and its product with Y in parts: the placements of
`sharding` follow, and nothing else of a method must know that it is divided. A q may be several
polynomials, one after the other, for which one sum is formed. In exact arithmetic it is the method;
in rounding it is `GramNewtonSchulz` of as many steps between two restarts.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import attrs
import torch

from normdsl.compiler.kernels.automatic import gram_steps, has_bfloat16, polar_way
from normdsl.compiler.lowering.links import Link, OfGram, ProductIn, Scaled
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.rewrites import RewritingPass
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Inner, Polar, Reduce, Reducer
from normdsl.expressions.nodes.entrywise import absolute
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.shapes import MATRIX
from normdsl.schedules.methods import Automatic, Method
from normdsl.schedules.polynomials import GramNewtonSchulz, NewtonSchulz, Step
from normdsl.source import located


@attrs.frozen
class Chain:
    """How a polar factor is computed from Gram matrices.

    Args:
        links: in order. dtype: name of the dtype of products; None for that of the step.
        unit: whether the matrix has Frobenius norm 1 at first, and not only entries up to 1.
    """

    links: tuple[Link, ...]
    dtype: str | None = None
    unit: bool = True


def chain(method: Method, size: tuple[int, int], device: str, exact: bool) -> Chain | None:
    """Return the chain that a method of polar factors is; None if it is none.

    Args:
        method: of a schedule. size: rows and columns. device: its type. exact: if in float64.
    """
    match method:
        case GramNewtonSchulz(coefficients=steps, dtype=dtype, restart=restart):
            return _quintics(steps, restart, dtype)
        case NewtonSchulz(coefficients=steps, dtype=dtype):
            return _quintics(steps, 1, dtype)
        case Automatic():
            return _automatic(polar_way(device, exact, *size), device)
    return None


def _quintics(steps: tuple[Step, ...], restart: int, dtype: str | None) -> Chain:
    """Return the chain of polynomials, of which so many follow from one Gram matrix."""
    starts = range(0, len(steps), restart)
    links = (Link("quintic_factor", steps[k : k + restart], dtype=dtype) for k in starts)
    return Chain(tuple(links), dtype)


def _automatic(way: str, device: str) -> Chain | None:
    """Return the chain of one of the ways of `Automatic`; None for an SVD, and for Halley's steps.

    The first of these needs a Gram matrix in float64, and sums travel in the dtype of the step.
    """
    if way == "zolotarev":
        return Chain((Link("zolotarev_first"), Link("zolotarev_last")), unit=False)
    if way == "products":
        half = has_bfloat16(torch.device(device))
        return _quintics(gram_steps(half), 2, "bfloat16" if half else None)
    return None


class Chaining(RewritingPass):
    """polar(X) = q_k(A_k) … q_1(A_1) X / ‖X‖, A_i = Y Yᵀ of the Y so far; Yᵀ Y for tall X.

    Args:
        chain: the one for all of them. tall: whether matrices m × n have m ≥ n.

    Attributes:
        names: of what polar factors are made of, for people and for emitted code.
    """

    name = "chain"
    does = "polar factors become products with functions of Gram matrices"

    def __init__(self, chain: Chain, tall: bool) -> None:
        super().__init__()
        self.chain, self.tall = chain, tall
        self.names: dict[Expr, str] = {}

    def _visit(self, expr: Expr) -> Expr:
        expr = self._rebuilt(expr)
        if not isinstance(expr, Polar) or expr.shape not in (MATRIX, MATRIX.transposed):
            return expr
        return self.note("chain", type(self).__doc__, expr, self._written(expr.arg))

    def _written(self, x: Expr) -> Expr:
        tall = self.tall is (x.shape == MATRIX)
        largest = Reduce(Reducer.MAX, absolute(x), over_rows=True, over_cols=True)
        y: Expr = Scaled(x, self._named(largest, "largest"))
        if self.chain.unit:
            y = Scaled(y, self._named(Inner(y, y), "square") ** Fraction(1, 2))
        for k, link in enumerate(self.chain.links, 1):
            self._named(y, f"Y{k}")
            gram = self._product(transpose(y), y) if tall else self._product(y, transpose(y))
            factor = OfGram(self._named(gram, f"A{k}"), link)
            y = self._product(y, factor) if tall else self._product(factor, y)
        return self._named(y, "polar")

    def _product(self, left: Expr, right: Expr) -> Expr:
        return ProductIn(left, right, self.chain.dtype)

    def _named(self, x: Expr, name: str) -> Expr:
        """Name an expression; what belongs to a further polar factor by its number too."""
        count = len(self.used)
        self.names[x] = f"{name}_{count + 1}" if count else name
        return x


@lru_cache(maxsize=256)
def chained(program: Program, size: tuple[int, int], device: str, exact: bool) -> Program | None:
    """Return a program whose polar factors are chains; None if it has none, or its method is none.

    Its states, its source and all else are those of the program.

    Args:
        program: the rule. size: rows and columns. device: its type. exact: if in float64.
    """
    found = chain(program.schedule.polar, size, device, exact)
    if found is None:
        return None
    rewrite = Chaining(found, size[0] >= size[1])
    with located(None):
        update, after = rewrite(program.update), tuple(map(rewrite, program.after))
        names = {rewrite(x): name for x, name in program.names.items()}
    names = {**rewrite.names, **names}
    if not rewrite.used:
        return None
    return attrs.evolve(program, update=update, after=after, names=names)
