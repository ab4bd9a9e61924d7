"""Emit: a graph of primitive nodes as one readable torch function."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

import attrs

from normdsl.compiler.kernels import entrywise
from normdsl.compiler.lowering import kernel_calls, refresh
from normdsl.compiler.lowering.printer import Printer
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.declarations.identifiers import CODE
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import Before
from normdsl.expressions.streams import MOMENTS
from normdsl.schedules.schedule import Schedule
from normdsl.show.notation import Level, Piece

_LINE = 92
_TAKEN = CODE | {*MOMENTS.values()}


def uses(roots: Iterable[Expr], given: Container[Expr]) -> dict[Expr, int]:
    """Return how often each sub-expression of the roots is used; what is given has no parts."""
    found = dict(Counter(roots))
    seen: set[Expr] = set()
    stack = list(found)
    while stack:
        expr = stack.pop()
        if expr in seen or expr in given:
            continue
        seen.add(expr)
        for child in expr.children:
            found[child] = found.get(child, 0) + 1
            stack.append(child)
    return found


@attrs.frozen
class Call:
    """A function that is called for an expression, which is all that it returns.

    Args:
        name: of the function. arguments: of what it makes the expression, after W.
        told: names of numbers, and of what else it is told.
    """

    name: str
    arguments: tuple[Expr, ...]
    told: tuple[str, ...] = ()


class Emitter(Printer):
    """Writes the body of one function, a line per named or shared sub-expression.

    Args:
        names: variable names for some expressions. inputs: code for what the function is given: the
            states before the step, and what is known of all layers.
        schedule: which kernels to call. kept: names of the last results of values that are kept, if
            the function computes them anew. phase: name of the argument that says if there are any.
        numbers: names of numbers that the function is given.
        reuse: name of the argument that says whether it may use the memory of weights and states,
            except those that are needed after it.
        divided: whether it computes a part of each matrix, of which there may be nothing.
        calls: expressions for which a function is called.
        products: whether products of matrices are calls of a function.
    """

    def __init__(
        self,
        names: Mapping[Expr, str],
        inputs: Mapping[Expr, str],
        schedule: Schedule,
        kept: Mapping[Expr, str] | None = None,
        phase: str = "phase",
        numbers: Mapping[Expr, str] | None = None,
        reuse: str = "",
        needed: Container[Expr] = (),
        divided: bool = False,
        calls: Mapping[Expr, Call] | None = None,
        products: bool = False,
    ) -> None:
        self.calls, self.products = calls or {}, products
        self.reuse, self.needed, self.divided = reuse, needed, divided
        self.inputs = inputs
        self.numbers = numbers or {}
        self.schedule = schedule
        self.kept = kept or {}
        self.phase = phase
        self.kernels: dict[str, Callable[..., object]] = {}
        self.lines: list[str] = []
        self._wishes = names
        self._pieces: dict[Expr, Piece] = {}
        self._types = Types(inputs, self.numbers)
        self._uses: dict[Expr, int] = {}
        self._taken = {*_TAKEN} | set(inputs.values()) | kernel_calls.kernel_names()
        self._taken |= set(self.numbers.values())
        self._taken |= {*self.kept.values(), phase} if kept else set()
        self._taken |= {call.name for call in self.calls.values()}

    def reserve(self, names: Sequence[str]) -> None:
        """Keep names from being used for variables."""
        self._taken |= set(names)

    def count(self, roots: Sequence[Expr]) -> None:
        """Count how often each sub-expression of the roots is used, to share what is used twice."""
        arguments = [x for call in self.calls.values() for x in call.arguments]
        self._uses = uses([*roots, *arguments], {*self.inputs, *self.numbers, *self.calls})

    def value(self, expr: Expr, name: str | None = None) -> str:
        """Emit what `expr` needs and return the name of a variable that holds it."""
        piece = self(expr)
        if piece.text.isidentifier():
            return piece.text
        variable = self.variable(name or "x")
        self.lines.append(f"{variable} = {piece.text}")
        self._pieces[expr] = Piece(variable, Level.ATOM)
        return variable

    def __call__(self, expr: Expr) -> Piece:
        """Return the code of an expression, emitting lines for what deserves a name."""
        if expr not in self._pieces:
            given = self.inputs.get(expr, self.numbers.get(expr))
            piece = (
                self._keep(expr, self._made(expr)) if given is None else Piece(given, Level.ATOM)
            )
            cheap = self.type(expr) <= Type.HYPER or isinstance(expr, n.Transpose)
            drawn = isinstance(expr, nodes.Draw) or expr in self.kept or expr in self.calls
            shared = self._uses.get(expr, 0) > 1 and not cheap
            leaf = piece.text.isidentifier()
            if not leaf and (expr in self._wishes or shared or drawn or len(piece.text) > _LINE):
                variable = self.variable(self._wishes.get(expr, "x"))
                self.lines.append(f"{variable} = {piece.text}")
                piece = Piece(variable, Level.ATOM)
            self._pieces[expr] = piece
        return self._pieces[expr]

    def _made(self, expr: Expr) -> Piece:
        """Return the code that computes an expression, or calls a function for it."""
        call = self.calls.get(expr)
        if call is None:
            return self._write(expr)
        told = [*map(self._arg, call.arguments), *(f"{name}={name}" for name in call.told)]
        return Piece(f"{call.name}({', '.join(['W', *told])})[0]", Level.ATOM)

    def _keep(self, expr: Expr, first: Piece) -> Piece:
        """Return the code that computes a kept value; a method may improve the last one."""
        method = self.schedule.eigenbasis
        if expr not in self.kept or not isinstance(expr, nodes.Eigenbasis) or not method.iterative:
            return first
        later = self._by(method, "eigenbasis", self._arg(expr.arg), self.kept[expr]).text
        return Piece(f"{first.text} if {self.phase} == {refresh.FIRST} else {later}", Level.SUM)

    def number(self, expr: Expr) -> str:
        """Return the code of a number, as it meets matrices."""
        piece = self(expr)
        clocked = self.type(expr) is Type.CLOCK
        return self._call(entrywise.as_entry, piece.text, "W").text if clocked else piece.text

    def owned(self, expr: Expr) -> bool:
        """Return whether an expression is the weights, or a state before the step."""
        weights = isinstance(expr, nodes.Stream) and expr.source is nodes.Source.WEIGHTS
        return weights or isinstance(expr, Before)

    def variable(self, wish: str) -> str:
        """Return a name that is still free, as wished or with a number, and take it."""
        name, k = wish, 1
        while name in self._taken or keyword.iskeyword(name):
            name, k = f"{wish}{k}", k + 1
        self._taken.add(name)
        return name

    def type(self, expr: Expr) -> Type:
        """Return the type of an expression in the emitted code."""
        return self._types(expr)
