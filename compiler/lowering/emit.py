"""Emit: a graph of primitive nodes as one readable torch function."""

from __future__ import annotations

import enum
import keyword
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import singledispatchmethod

from normdsl import expr as e
from normdsl import nodes
from normdsl.compiler.kernels import combined, entrywise, singular, symmetric
from normdsl.compiler.lowering import methods, refresh
from normdsl.compiler.lowering.derive import Part, Singular
from normdsl.compiler.lowering.numbers import is_small
from normdsl.expr import Constant, Expr, is_constant
from normdsl.methods import Eigh, Method
from normdsl.nodes import Source
from normdsl.norms.iterated import Iterated, exponent, graph
from normdsl.schedule import Schedule
from normdsl.shapes import SCALAR, Dim
from normdsl.show.notation import Level, Piece
from normdsl.streams import MOMENTS

_LINE = 92
_LENGTH = {Dim.ONE: "1", Dim.M: "rows", Dim.N: "cols"}
_STREAMS = {
    Source.GRADIENT: "G",
    Source.WEIGHTS: "W",
    Source.STEP: "t",
    Source.LOSS: "loss",
    Source.ROWS: "rows",
    Source.COLS: "cols",
    **MOMENTS,
}
_TAKEN = {"W", "G", "t", "loss", "rows", "cols", "batch", "torch", "step", "init", "max"}
_TAKEN |= {"layers", "own", *MOMENTS.values()}


class Type(enum.IntEnum):
    """What an expression is in the emitted code."""

    NUMBER = 0  # a Python number, known from the shape
    HYPER = 1  # a number or a scalar tensor, made of hyper-parameters
    CLOCK = 2  # a float64 tensor, made of the step index
    ARRAY = 3  # a batch of matrices in the dtype of W


class Emitter:
    """Writes the body of one function, a line per named or shared sub-expression.

    Args:
        names: variable names for some expressions. inputs: code for what the function is given: the
            states before the step, and what is known of all layers.
        schedule: which kernels to call. kept: names of the last results of values that are kept.
        phase: name of the argument that says what to do with them.
    """

    def __init__(
        self,
        names: Mapping[Expr, str],
        inputs: Mapping[Expr, str],
        schedule: Schedule,
        kept: Mapping[Expr, str] | None = None,
        phase: str = "phase",
    ) -> None:
        self.inputs = inputs
        self.schedule = schedule
        self.kept = kept or {}
        self.phase = phase
        self.kernels: dict[str, Callable[..., object]] = {}
        self.lines: list[str] = []
        self._wishes = names
        self._pieces: dict[Expr, Piece] = {}
        self._types: dict[Expr, Type] = {}
        self._uses: dict[Expr, int] = {}
        self._taken = _TAKEN | set(inputs.values()) | methods.kernel_names()
        self._taken |= {*self.kept.values(), phase} if kept else set()

    def reserve(self, names: Sequence[str]) -> None:
        """Keep names from being used for variables."""
        self._taken |= set(names)

    def count(self, roots: Sequence[Expr]) -> None:
        """Count how often each sub-expression of the roots is used, to share what is used twice."""
        seen: set[Expr] = set()
        stack = list(roots)
        for root in roots:
            self._uses[root] = self._uses.get(root, 0) + 1
        while stack:
            expr = stack.pop()
            if expr in seen or expr in self.inputs:
                continue
            seen.add(expr)
            for child in expr.children:
                self._uses[child] = self._uses.get(child, 0) + 1
                stack.append(child)

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
            given = self.inputs.get(expr)
            piece = (
                self._keep(expr, self._write(expr)) if given is None else Piece(given, Level.ATOM)
            )
            cheap = self.type(expr) <= Type.HYPER or isinstance(expr, e.Transpose)
            drawn = isinstance(expr, nodes.Draw) or expr in self.kept
            shared = self._uses.get(expr, 0) > 1 and not cheap
            leaf = piece.text.isidentifier()
            if not leaf and (expr in self._wishes or shared or drawn or len(piece.text) > _LINE):
                variable = self.variable(self._wishes.get(expr, "x"))
                self.lines.append(f"{variable} = {piece.text}")
                piece = Piece(variable, Level.ATOM)
            self._pieces[expr] = piece
        return self._pieces[expr]

    def _keep(self, expr: Expr, first: Piece) -> Piece:
        """Return the code that computes a kept value when it is time, or takes the old one."""
        if expr not in self.kept:
            return first
        old, later, method = self.kept[expr], None, self.schedule.eigenbasis
        if isinstance(expr, nodes.Eigenbasis) and method.iterative:
            later = self._by(method, "eigenbasis", self._arg(expr.arg), old).text
        return Piece(refresh.conditional(self.phase, first.text, later, old), Level.SUM)

    def variable(self, wish: str) -> str:
        """Return a name that is still free, as wished or with a number, and take it."""
        name, k = wish, 1
        while name in self._taken or keyword.iskeyword(name):
            name, k = f"{wish}{k}", k + 1
        self._taken.add(name)
        return name

    def type(self, expr: Expr) -> Type:
        """Return what an expression is in the emitted code."""
        if expr not in self._types:
            self._types[expr] = self._type(expr)
        return self._types[expr]

    def _type(self, expr: Expr) -> Type:
        if expr in self.inputs:
            return Type.ARRAY
        match expr:
            case Constant():
                return Type.NUMBER if expr.shape == SCALAR else Type.ARRAY
            case nodes.Param():
                return Type.HYPER
            case nodes.Stream(source=Source.STEP):
                return Type.CLOCK
            case nodes.Stream(source=Source.ROWS | Source.COLS):
                return Type.NUMBER
            case nodes.Stream() | nodes.Eye() | nodes.Draw():
                return Type.ARRAY
            case _:
                return max(self.type(child) for child in expr.children)

    def _put(self, expr: Expr, level: Level, beside: Type) -> str:
        """Return the code of an operand, cast to W's dtype where it meets a matrix."""
        piece = self(expr)
        if self.type(expr) is Type.CLOCK and beside is Type.ARRAY:
            return f"{_brackets(piece, Level.ATOM)}.to(W.dtype)"
        return _brackets(piece, level)

    def _arg(self, expr: Expr) -> str:
        return self._put(expr, Level.SUM, Type.ARRAY)

    def _call(self, kernel: Callable[..., object], *args: str) -> Piece:
        self.kernels[kernel.__name__] = kernel
        return Piece(f"{kernel.__name__}({', '.join(args)})", Level.ATOM)

    @singledispatchmethod
    def _write(self, expr: Expr) -> Piece:
        raise TypeError(f"no lowering for the node {type(expr).__name__}")

    @_write.register
    def _constant(self, expr: Constant) -> Piece:
        number = _number(expr.value)
        if expr.shape == SCALAR:
            return number
        lengths = f"({_LENGTH[expr.shape.rows]}, {_LENGTH[expr.shape.cols]})"
        return Piece(f"W.new_full({lengths}, {number.text})", Level.ATOM)

    @_write.register
    def _param(self, expr: nodes.Param) -> Piece:
        return Piece(expr.name, Level.ATOM)

    @_write.register
    def _stream(self, expr: nodes.Stream) -> Piece:
        return Piece(_STREAMS[expr.source], Level.ATOM)

    @_write.register
    def _eye(self, expr: nodes.Eye) -> Piece:
        size = _LENGTH[expr.dim]
        return Piece(f"torch.eye({size}, dtype=W.dtype, device=W.device)", Level.ATOM)

    @_write.register
    def _add(self, expr: e.Add) -> Piece:
        kind = self.type(expr)
        first = self._put(expr.left, Level.SUM, kind)
        tail, sign = expr.right, "+"
        if isinstance(tail, e.Mul) and is_constant(tail.left, -1) and tail not in self._wishes:
            tail, sign = tail.right, "-"
        return Piece(f"{first} {sign} {self._put(tail, Level.PRODUCT, kind)}", Level.SUM)

    @_write.register
    def _mul(self, expr: e.Mul) -> Piece:
        kind, x, y = self.type(expr), expr.left, expr.right
        small = kind is not Type.NUMBER or is_small(expr)
        if is_constant(x, -1):
            return Piece(f"-{self._put(y, Level.POWER, kind)}", Level.PRODUCT)
        first = self._put(x, Level.PRODUCT if small else Level.SUM, kind)
        first = first if small else f"float({first})"
        if isinstance(y, e.Pow) and is_constant(y.exponent, -1) and self._uses.get(y, 0) <= 1:
            return Piece(f"{first} / {self._put(y.base, Level.POWER, kind)}", Level.PRODUCT)
        return Piece(f"{first} * {self._put(y, Level.POWER, kind)}", Level.PRODUCT)

    @_write.register
    def _pow(self, expr: e.Pow) -> Piece:
        kind, p = self.type(expr), expr.exponent
        small = kind is not Type.NUMBER or is_small(expr)
        if is_constant(p, -1):
            return Piece(f"1 / {self._put(expr.base, Level.POWER, kind)}", Level.PRODUCT)
        half = isinstance(p, Constant) and p.value == Fraction(1, 2)
        match expr.base:
            case nodes.Inner(left=x, right=y) if half and x == y:
                axes = _axes(expr.base.over_rows, expr.base.over_cols)
                return self._call(entrywise.length, self._arg(x), axes)
        if half and kind >= Type.CLOCK:
            return Piece(f"torch.sqrt({self._put(expr.base, Level.SUM, kind)})", Level.ATOM)
        base = self._put(expr.base, Level.ATOM if small else Level.SUM, kind)
        base = base if small else f"float({base})"
        return Piece(f"{base} ** {self._put(p, Level.ATOM, kind)}", Level.POWER)

    @_write.register
    def _apply(self, expr: nodes.Apply) -> Piece:
        arg = self._arg(expr.arg)
        if self.type(expr.arg) <= Type.HYPER:
            arg = f"torch.as_tensor({arg}, dtype=W.dtype, device=W.device)"
        if expr.function == nodes.RECIPROCAL:
            return self._call(entrywise.reciprocal, arg)
        return Piece(f"torch.{expr.function.name}({arg})", Level.ATOM)

    @_write.register
    def _maximum(self, expr: nodes.Maximum) -> Piece:
        kind, pair = self.type(expr), (expr.left, expr.right)
        if kind is Type.NUMBER:
            return Piece(f"max({', '.join(self(x).text for x in pair)})", Level.ATOM)
        written = []
        for x in pair:
            code = self._put(x, Level.SUM, Type.ARRAY)
            plain = self.type(x) <= Type.HYPER
            written.append(
                f"torch.as_tensor({code}, dtype=W.dtype, device=W.device)" if plain else code
            )
        return Piece(f"torch.maximum({', '.join(written)})", Level.ATOM)

    @_write.register
    def _matmul(self, expr: e.MatMul) -> Piece:
        first = self._put(expr.left, Level.PRODUCT, Type.ARRAY)
        return Piece(f"{first} @ {self._put(expr.right, Level.POWER, Type.ARRAY)}", Level.PRODUCT)

    @_write.register
    def _transpose(self, expr: e.Transpose) -> Piece:
        return Piece(f"{self._put(expr.arg, Level.ATOM, Type.ARRAY)}.mT", Level.ATOM)

    @_write.register
    def _matrix_power(self, expr: nodes.MatrixPower) -> Piece:
        method, p = self.schedule.root, expr.exponent
        if not method.takes(p.value if isinstance(p, Constant) else None):
            self.lines.append(f"# {method} does not take the exponent {p}: by eigenvalues.")
            method = Eigh()
        return self._by(method, "root", self._arg(expr.arg), _brackets(self(p), Level.SUM))

    @_write.register
    def _cholesky(self, expr: nodes.Cholesky) -> Piece:
        return self._call(symmetric.cholesky_factor, self._arg(expr.arg))

    @_write.register
    def _draw(self, expr: nodes.Draw) -> Piece:
        lengths = f"{_LENGTH[expr.shape.rows]}, {_LENGTH[expr.shape.cols]}"
        like = f"(*W.shape[:-2], {lengths}), dtype=W.dtype, device=W.device"
        if expr.distribution is nodes.Distribution.NORMAL:
            return Piece(f"torch.randn({like})", Level.ATOM)
        return Piece(f"torch.randint(0, 2, {like}) * 2 - 1", Level.SUM)

    @_write.register
    def _inverse(self, expr: nodes.Inverse) -> Piece:
        return self._call(symmetric.pseudo_inverse, self._arg(expr.arg))

    @_write.register
    def _eigenbasis(self, expr: nodes.Eigenbasis) -> Piece:
        method = self.schedule.eigenbasis
        method = Eigh() if method.iterative else method
        return self._by(method, "eigenbasis", self._arg(expr.arg))

    @_write.register
    def _polar(self, expr: nodes.Polar) -> Piece:
        return self._by(self.schedule.polar, "polar", self._arg(expr.arg))

    def _by(self, method: Method, role: str, *operands: str) -> Piece:
        """Call a method's kernel; arguments of several lines get a variable."""
        kernel, rest = methods.kernel(method, role), []
        for name, code in methods.arguments(kernel, method, len(operands)):
            if name == "coefficients":
                self.lines.append(f"{(name := self.variable(name))} = {code}")
                code = name
            rest.append(code)
        return self._call(kernel, *operands, *rest)

    @_write.register
    def _singular(self, expr: Singular) -> Piece:
        parts = {part: Singular(expr.arg, part) for part in Part}
        values = parts[Part.VALUES]
        if expr == values and all(x == values or x not in self._uses for x in parts.values()):
            return self._call(singular.singular_values, self._arg(expr.arg))
        names = [self.variable(wish) for wish in ("u", "s", "vh")]
        code = self._call(singular.singular_triple, self._arg(expr.arg)).text
        self.lines.append(f"{', '.join(names)} = {code}")
        for x, name in zip(parts.values(), names, strict=True):
            self._pieces[x] = Piece(name, Level.ATOM)
        return self._pieces[expr]

    @_write.register
    def _iterated(self, expr: Iterated) -> Piece:
        graphs = (graph(part) for part in expr.parts)
        parts = ", ".join(f"({g.place!r}, {_float(g.p)}, {_float(g.weight)})" for g in graphs)
        outer = _float(exponent(expr.gauge))
        kernel = combined.combined_lmo
        return self._call(kernel, self._arg(expr.arg), f"({parts})", outer, str(expr.steps))

    @_write.register
    def _inner(self, expr: nodes.Inner) -> Piece:
        product = self(e.Mul(expr.left, expr.right))
        axes = _axes(expr.over_rows, expr.over_cols)
        return Piece(f"({product.text}).sum({axes}, keepdim=True)", Level.ATOM)

    @_write.register
    def _kth_largest(self, expr: nodes.KthLargest) -> Piece:
        axes = _axes(expr.over_rows, expr.over_cols)
        return self._call(entrywise.kth_largest, self._arg(expr.arg), str(expr.k), axes)

    @_write.register
    def _block_mean(self, expr: nodes.BlockMean) -> Piece:
        sizes = (str(expr.rows), str(expr.cols))
        return self._call(entrywise.block_mean, self._arg(expr.arg), *sizes)

    @_write.register
    def _reduce(self, expr: nodes.Reduce) -> Piece:
        axes = _axes(expr.over_rows, expr.over_cols)
        name = "sum" if expr.reducer is nodes.Reducer.SUM else "amax"
        arg = self._put(expr.arg, Level.ATOM, Type.ARRAY)
        return Piece(f"{arg}.{name}({axes}, keepdim=True)", Level.ATOM)


def _axes(over_rows: bool, over_cols: bool) -> str:
    return str(tuple(axis for axis, on in ((-2, over_rows), (-1, over_cols)) if on))


def _float(value: float) -> str:
    return "torch.inf" if math.isinf(value) else repr(value)


def _brackets(piece: Piece, level: Level) -> str:
    return piece.text if piece.level >= level else f"({piece.text})"


def _number(value: Fraction) -> Piece:
    whole = value.denominator == 1 and abs(value) < 2**53
    text = str(value) if whole else repr(float(value))
    return Piece(text, Level.ATOM if value >= 0 else Level.PRODUCT)
