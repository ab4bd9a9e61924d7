"""What CONTRIBUTING says of additions, followed: one of each kind, made by what it names alone.

Run as a program, since what is added here stays for the rest of the process.
"""

from __future__ import annotations

import attrs
import numpy as np
import sympy
import torch
from torch import Tensor
from typer.testing import CliRunner

import normdsl as nd
from normdsl import G, W
from normdsl.cli import main as cli
from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.rules import Outcome, rule
from normdsl.compiler.kernels import polar
from normdsl.compiler.lowering.printer import Printer
from normdsl.expressions.expr import Entrywise, Expr
from normdsl.expressions.facts import Facts
from normdsl.norms import Norm
from normdsl.schedules.methods import Method
from normdsl.show.notation import Level, Piece

# A node: its class with its facts, a law rule, and a line of the printer.


@attrs.frozen(eq=False, repr=False)
class Cube(Entrywise):
    """x³, entry by entry."""

    slope = 1
    jumps_with = ()

    arg: Expr

    @property
    def zero_with(self):
        return (self.arg,)

    def _infer_shape(self):
        return self.arg.shape

    def _infer_facts(self):
        return Facts(0.0) if self.arg.facts.nonnegative else Facts()

    def _notate(self, n):
        return n.power(self.arg, n.integer_or_ratio(3))


@rule.register
def _cube(node: Cube, laws, group):
    (x,) = laws
    three = sympy.Integer(3)
    places = (index_rules.entrywise(ix, three, True, False) for ix in (x.rows, x.cols, x.entries))
    return [Outcome(Law(*places, None if x.unit is None else 3 * x.unit), "a third power")]


@Printer.__dict__["_write"].register
def _write_cube(self, expr: Cube):
    return Piece(f"{self._put(expr.arg, Level.ATOM, self.type(expr))} ** 3", Level.POWER)


def step_of(optimizer, gradient: Tensor) -> Tensor:
    """Return the weights after one step from zero."""
    param = torch.nn.Parameter(torch.zeros_like(gradient))
    opt = optimizer([param])
    param.grad = gradient
    opt.step()
    return param.detach()


def node() -> None:
    @nd.optimizer
    def cubed(lr=0.1, beta=0.9):
        return W - lr * Cube(nd.ema(G, beta))

    report = {v.group.name: v for v in cubed.check()}
    assert {name for name, v in report.items() if v.invariant} >= {
        "permutations", "sign_flips", "transpose", "translation",
    }  # fmt: skip
    assert report["orthogonal"].witness is not None
    assert report["scale"].witness is not None
    assert report["loss_scale"].witness is not None
    assert nd.from_json(nd.to_json(cubed)) == cubed
    assert "** 3" in cubed.source()
    assert "^{3}" in cubed._repr_latex_()
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(step_of(cubed, g), -0.1 * (0.1 * g) ** 3)
    assert step_of(cubed, torch.ones(2, 2, 2)).shape == (2, 2, 2)


# A group: how W moves, and how an element is drawn.


def _blocks(rng: np.random.Generator, size: int) -> np.ndarray:
    matrix = np.eye(size)
    for k in range(0, size - 1, 2):
        matrix[k : k + 2, k : k + 2] = nd.Action.orthogonal("P").draw(rng, 2)
    return matrix


def group() -> None:
    rows = nd.Action.orthogonal("P", _blocks, name="block rotation", verb="rotated in blocks")
    own = nd.Group("block_rotations", "W = P W̃", rows=rows)
    assert nd.algorithms.muon.check(own).invariant
    assert nd.algorithms.adam.check(own).witness is not None


# A norm: value, dual, LMO and isometries.


@attrs.frozen(repr=False)
class Twice(Norm):
    """2 ‖X‖_F."""

    isometries = nd.frobenius.isometries

    def define_value(self, x):
        return 2 * nd.frobenius.value(x)

    def define_dual(self, m):
        return nd.frobenius.dual(m) / 2

    def define_lmo(self, m):
        return nd.frobenius.lmo(m) / 2

    def write(self, inner, n):
        return n.norm(inner, "_twice")


def norm() -> None:
    rule = nd.Declaration("twice", (), W + Twice().lmo(G))
    assert rule.check(nd.groups.orthogonal).invariant
    assert rule.check(nd.groups.loss_scale).invariant
    assert "twice" in str(rule)
    assert nd.from_json(nd.to_json(rule)) == rule
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(step_of(rule, g), -g / g.norm() / 2)


# A kernel: a function of tensors, and the method that names it.


def polar_by_halley(x: Tensor, steps: int) -> Tensor:
    """Return the polar factor of a matrix of full rank by Halley's iteration."""
    x = x / torch.linalg.matrix_norm(x)[..., None, None]
    for _ in range(steps):
        gram = x.mT @ x
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        x = torch.linalg.solve(eye + 3 * gram, x @ (3 * eye + gram), left=False)
    return x


@attrs.frozen
class Halley(Method):
    """Polar factor by Halley's iteration."""

    steps: int = 12
    kernels = {"polar": "polar_by_halley"}  # noqa: RUF012


def kernel() -> None:
    polar.polar_by_halley = polar_by_halley
    schedule = nd.Schedule(polar=Halley(), dtype="float64")
    rule = nd.Declaration("polar", (), W - nd.polar(G))
    g = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = step_of(lambda params: rule(params, schedule=schedule), g)
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    torch.testing.assert_close(found, -u @ v)
    assert "polar_by_halley" in rule.source(schedule=schedule)


# A command: a function of the command line.


def command() -> None:
    @cli.app.command()
    def lines(name: str) -> None:
        """Count the lines of a rule."""
        cli.console.print(len(str(cli.find(name)).splitlines()))

    runner = CliRunner()
    assert "lines" in runner.invoke(cli.app, ["--help"]).output
    assert runner.invoke(cli.app, ["lines", "adamw"]).output.strip().isdigit()


if __name__ == "__main__":
    for recipe in (node, group, norm, kernel, command):
        recipe()
        print(recipe.__name__)
