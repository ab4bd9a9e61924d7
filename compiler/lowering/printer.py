"""Printer: how each primitive node is written in torch, given the code of its operands."""

from __future__ import annotations

import abc
from collections.abc import Callable, Container, Mapping
from fractions import Fraction
from functools import singledispatchmethod

from normdsl.compiler.kernels import (
    combined,
    draws,
    entrywise,
    frames,
    products,
    singular,
    sums,
    symmetric,
)
from normdsl.compiler.lowering import kernel_calls
from normdsl.compiler.lowering.constant_bounds import is_small
from normdsl.compiler.lowering.derive import Part, Singular
from normdsl.compiler.lowering.fragments import (
    PLACES,
    axes_of,
    bracketed,
    drawn_key,
    floating,
    length,
    rational,
    stream_name,
)
from normdsl.compiler.lowering.links import OfGram, ProductIn, Scaled
from normdsl.compiler.lowering.powers import SEVERAL, method_of, together
from normdsl.compiler.lowering.value_types import Type
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.shapes import SCALAR, Dim, Length
from normdsl.norms.iterated import Iterated, exponent, graph
from normdsl.schedules.methods import Eigh, Method
from normdsl.schedules.schedule import Schedule
from normdsl.show.notation import Level, Piece

_DRAWN = {
    nodes.Distribution.NORMAL: draws.drawn_normal,
    nodes.Distribution.SIGNS: draws.drawn_signs,
    nodes.Distribution.UNIFORM: draws.drawn_uniform,
}


class Printer(abc.ABC):
    """Writes a node: one method for each class. What has a name, and which, an emitter decides."""

    schedule: Schedule
    kernels: dict[str, Callable[..., object]]
    lines: list[str]
    numbers: Mapping[Expr, str]
    inputs: Mapping[Expr, str]
    reuse: str
    needed: Container[Expr]
    divided: bool
    products: bool
    _wishes: Mapping[Expr, str]
    _pieces: dict[Expr, Piece]
    _uses: dict[Expr, int]

    @abc.abstractmethod
    def __call__(self, expr: Expr) -> Piece:
        """Return the code of an expression, emitting lines for what deserves a name."""

    @abc.abstractmethod
    def type(self, expr: Expr) -> Type:
        """Return the type of an expression in the emitted code."""

    @abc.abstractmethod
    def owned(self, expr: Expr) -> bool:
        """Return whether an expression is the weights, or a state before the step."""

    def given(self, expr: Expr) -> bool:
        """Return whether the function is given an expression, whose parts it may not have then."""
        return expr in self.inputs or expr in self.numbers

    @abc.abstractmethod
    def variable(self, wish: str) -> str:
        """Return a name that is still free, as wished or with a number, and take it."""

    def _put(self, expr: Expr, level: Level, beside: Type) -> str:
        """Return the code of an operand, cast to W's dtype where it meets a matrix."""
        piece = self(expr)
        if self.type(expr) is Type.CLOCK and beside is Type.ARRAY:
            return f"{bracketed(piece, Level.ATOM)}.to(W.dtype)"
        return bracketed(piece, level)

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
        number = rational(expr.value)
        if expr.shape == SCALAR:
            return number
        lengths = f"({length(expr.shape.rows)}, {length(expr.shape.cols)})"
        return Piece(f"W.new_full({lengths}, {number.text})", Level.ATOM)

    @_write.register
    def _param(self, expr: nodes.Param) -> Piece:
        return Piece(expr.name, Level.ATOM)

    @_write.register
    def _stream(self, expr: nodes.Stream) -> Piece:
        return Piece(stream_name(expr), Level.ATOM)

    @_write.register
    def _extent(self, expr: nodes.Extent) -> Piece:
        return Piece(length(expr.space), Level.ATOM)

    @_write.register
    def _returned(self, expr: nodes.Returned) -> Piece:
        return self(expr.weights)

    @_write.register
    def _query(self, expr: nodes.Query) -> Piece:
        arguments = [repr(expr.asked.name), *map(self._arg, expr.children)]
        arguments += ["fresh=True"] if expr.fresh else []
        return Piece(f"ask({', '.join(arguments)})", Level.ATOM)

    @_write.register
    def _eye(self, expr: nodes.Eye) -> Piece:
        size = length(expr.dim)
        return Piece(f"W.new_ones({size}).diag_embed()", Level.ATOM)

    @_write.register
    def _add(self, expr: n.Add) -> Piece:
        kind = self.type(expr)
        if (power := self._as_one_minus_power(expr)) is not None:
            return power
        if (joined := self._as_plus_product(expr)) is not None:
            return joined
        first = self._put(expr.left, Level.SUM, kind)
        tail, sign = expr.right, "+"
        whole = tail in self._wishes or self.given(tail)
        if isinstance(tail, n.Mul) and is_constant(tail.left, -1) and not whole:
            tail, sign = tail.right, "-"
        return Piece(f"{first} {sign} {self._put(tail, Level.PRODUCT, kind)}", Level.SUM)

    def _as_plus_product(self, expr: n.Add) -> Piece | None:
        """Return the code of β s + α x y, for a state or the weights s; None for any other sum.

        In the memory of s, if the function may use it and nothing else reads it.
        """
        for first, second in ((expr.left, expr.right), (expr.right, expr.left)):
            (beta, base), (alpha, product) = self._multiple(first), self._multiple(second)
            taken = self.given(product) or product in self._wishes
            if not isinstance(product, n.MatMul) or taken or self._uses.get(product, 0) > 1:
                continue
            if not self.owned(base) or base.shape != product.shape:
                continue
            factors = [self._put(x, Level.SUM, Type.ARRAY) for x in (product.left, product.right)]
            told = [self._arg(base), *factors]
            told += [f"{name}={code}" for name, code in (("beta", beta), ("alpha", alpha)) if code]
            if self.reuse and base not in self.needed and self._uses.get(base, 0) <= 1:
                told.append(f"into={told[0]} if {self.reuse} else None")
            mirrored = base.facts.symmetric and product.facts.symmetric
            return self._call(sums.plus_symmetric if mirrored else sums.plus_product, *told)
        return None

    def _multiple(self, expr: Expr) -> tuple[str, Expr]:
        """Return the code of a number, empty for 1, and what it multiplies."""
        whole = expr in self._wishes or self.given(expr)
        if isinstance(expr, n.Mul) and not whole and self._uses.get(expr, 0) <= 1:
            if is_constant(expr.left, -1):
                code, rest = self._multiple(expr.right)
                return f"-{code or 1}", rest
            if self.type(expr.left) <= Type.HYPER:
                return bracketed(self(expr.left), Level.ATOM), expr.right
        return "", expr

    @_write.register
    def _mul(self, expr: n.Mul) -> Piece:
        kind, x, y = self.type(expr), expr.left, expr.right
        small = kind is not Type.NUMBER or is_small(expr)
        if is_constant(x, -1):
            return Piece(f"-{self._put(y, Level.POWER, kind)}", Level.PRODUCT)
        first = self._put(x, Level.PRODUCT if small else Level.SUM, kind)
        first = first if small else f"float({first})"
        inverse = isinstance(y, n.Pow) and is_constant(y.exponent, -1) and not self.given(y)
        if inverse and self._uses.get(y, 0) <= 1:
            return Piece(f"{first} / {self._put(y.base, Level.POWER, kind)}", Level.PRODUCT)
        return Piece(f"{first} * {self._put(y, Level.POWER, kind)}", Level.PRODUCT)

    @_write.register
    def _pow(self, expr: n.Pow) -> Piece:
        kind, p = self.type(expr), expr.exponent
        small = kind is not Type.NUMBER or is_small(expr)
        if is_constant(p, -1):
            return Piece(f"1 / {self._put(expr.base, Level.POWER, kind)}", Level.PRODUCT)
        if self._is_geometric(expr):
            return self._call(entrywise.power, self(expr.base).text, self(p).text)
        half = isinstance(p, Constant) and p.value == Fraction(1, 2)
        match expr.base:
            case nodes.Inner(left=x, right=y) if half and x == y and not self.given(expr.base):
                axes = axes_of(expr.base.over_rows, expr.base.over_cols)
                return self._call(entrywise.length, self._arg(x), axes)
        if half and kind > Type.CLOCK:
            return Piece(f"torch.sqrt({self._put(expr.base, Level.SUM, kind)})", Level.ATOM)
        base = self._put(expr.base, Level.ATOM if small else Level.SUM, kind)
        base = base if small else f"float({base})"
        return Piece(f"{base} ** {self._put(p, Level.ATOM, kind)}", Level.POWER)

    def _is_geometric(self, expr: Expr) -> bool:
        """Return whether an expression is b^t, of a number b ≥ 0 and the step index."""
        return (
            isinstance(expr, n.Pow)
            and self.type(expr.base) <= Type.HYPER
            and self.type(expr.exponent) is Type.CLOCK
            and expr.base.facts.low >= 0
        )

    def _as_one_minus_power(self, expr: n.Add) -> Piece | None:
        """Return the code of 1 − b^t or b^t − 1; None for any other sum."""
        match expr:
            case n.Add(left=one, right=n.Mul(left=minus, right=n.Pow() as p)):
                sign = "" if is_constant(one, 1) and is_constant(minus, -1) else None
            case n.Add(left=n.Pow() as p, right=minus):
                sign = "-" if is_constant(minus, -1) else None
            case _:
                return None
        if sign is None or expr.shape != SCALAR or not self._is_geometric(p):
            return None
        code = self._call(entrywise.one_minus_power, self(p.base).text, self(p.exponent).text)
        return Piece(f"-{code.text}", Level.PRODUCT) if sign else code

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
        return Piece(f"torch.maximum({', '.join(map(self._tensor, pair))})", Level.ATOM)

    @_write.register
    def _remainder(self, expr: nodes.Remainder) -> Piece:
        x, y = (self._tensor(side) for side in (expr.left, expr.right))
        return self._call(entrywise.remainder, x, y)

    def _tensor(self, expr: Expr) -> str:
        """Return the code of an expression as a tensor, of numbers too."""
        code = self._put(expr, Level.SUM, Type.ARRAY)
        plain = self.type(expr) <= Type.HYPER
        return f"torch.as_tensor({code}, dtype=W.dtype, device=W.device)" if plain else code

    @_write.register
    def _where(self, expr: nodes.Where) -> Piece:
        kind, sides = self.type(expr), (expr.left, expr.right)
        beside = max(map(self.type, sides))
        left, right = (self._put(x, Level.SUM, beside) for x in sides)
        condition = f"{left} {expr.relation.value} {right}"
        if kind is Type.NUMBER:
            yes, no = (self(x).text for x in (expr.yes, expr.no))
            return Piece(f"({yes} if {condition} else {no})", Level.ATOM)
        if beside <= Type.HYPER:
            condition = f"torch.as_tensor({condition}, device=W.device)"
        yes, no = (self._put(x, Level.SUM, kind) for x in (expr.yes, expr.no))
        if max(map(self.type, (expr.yes, expr.no))) <= Type.HYPER:
            yes = f"torch.as_tensor({yes}, dtype=W.dtype, device=W.device)"
        return Piece(f"torch.where({condition}, {yes}, {no})", Level.ATOM)

    @_write.register
    def _matmul(self, expr: n.MatMul) -> Piece:
        if self.products:
            return self._call(products.matrix_product, self._arg(expr.left), self._arg(expr.right))
        first = self._put(expr.left, Level.PRODUCT, Type.ARRAY)
        return Piece(f"{first} @ {self._put(expr.right, Level.POWER, Type.ARRAY)}", Level.PRODUCT)

    @_write.register
    def _product_in(self, expr: ProductIn) -> Piece:
        dtype = f"torch.{expr.dtype}" if expr.dtype else ""
        sides = [self._put(x, Level.ATOM, Type.ARRAY) for x in (expr.left, expr.right)]
        sides = [f"{x}.to({dtype})" for x in sides] if dtype else sides
        if expr.facts.symmetric:
            code = self._call(products.symmetric_product, *sides).text
        else:
            code = f"torch.bmm({', '.join(sides)})"
        return Piece(f"{code}.to(W.dtype)" if dtype else code, Level.ATOM)

    @_write.register
    def _of_gram(self, expr: OfGram) -> Piece:
        kernel = kernel_calls.named(expr.link.kernel)
        told = (code for _, code in kernel_calls.arguments(kernel, expr.link, 1))
        return self._call(kernel, self._arg(expr.arg), *told)

    @_write.register
    def _scaled(self, expr: Scaled) -> Piece:
        return self._call(entrywise.scaled, self._arg(expr.arg), self._arg(expr.by))

    @_write.register
    def _transpose(self, expr: n.Transpose) -> Piece:
        return Piece(f"{self._put(expr.arg, Level.ATOM, Type.ARRAY)}.mT", Level.ATOM)

    @_write.register
    def _matrix_power(self, expr: nodes.MatrixPower) -> Piece:
        method, asked = method_of(expr, self.schedule), self.schedule.root
        wanted = dict.fromkeys([*(x for x in self._uses if x not in self.inputs), expr])
        alike = together(expr, wanted, self.schedule)
        for x in alike if method != asked else []:
            self.lines.append(f"# {asked} does not take the exponent {x.exponent}: by eigenvalues.")
        exponents = [bracketed(self(x.exponent), Level.SUM) for x in alike]
        if len(alike) == 1:
            return self._by(method, "root", self._arg(expr.arg), *exponents)
        code = self._by(method, SEVERAL, self._arg(expr.arg), f"({', '.join(exponents)})").text
        names = [self.variable(self._wishes.get(x, "x")) for x in alike]
        self.lines.append(f"{', '.join(names)} = {code}")
        self._pieces |= {x: Piece(y, Level.ATOM) for x, y in zip(alike, names, strict=True)}
        return self._pieces[expr]

    @_write.register
    def _cholesky(self, expr: nodes.Cholesky) -> Piece:
        return self._call(symmetric.cholesky_factor, self._arg(expr.arg))

    @_write.register
    def _draw(self, expr: nodes.Draw) -> Piece:
        kernel = _DRAWN[expr.distribution]
        rows, cols = expr.shape.rows, expr.shape.cols
        stream = "stream"
        if (rows, cols) == (Dim.M, Dim.N):
            where = "places"
        elif cols is Dim.ONE:
            where = self._places(rows)
        else:
            where = f"{self._places(cols)}.mT"
            if rows is not Dim.ONE:  # a stream for each row
                stream = self._call(draws.folded, stream, self._places(rows)).text
        return self._call(kernel, stream, str(drawn_key(expr)), where, "W.dtype")

    def _places(self, dim: Length) -> str:
        """Return the code of the places along an axis, as a column; directions are numbered."""
        if isinstance(dim, Dim):
            return PLACES[dim]
        return self._call(draws.numbered, length(dim), "W").text

    @_write.register
    def _inverse(self, expr: nodes.Inverse) -> Piece:
        return self._call(symmetric.pseudo_inverse, self._arg(expr.arg))

    @_write.register
    def _eigenbasis(self, expr: nodes.Eigenbasis) -> Piece:
        method = self.schedule.eigenbasis
        method = Eigh() if method.iterative else method
        return self._by(method, "eigenbasis", self._arg(expr.arg))

    @_write.register
    def _eigenvalues(self, expr: nodes.Eigenvalues) -> Piece:
        return self._call(symmetric.sorted_eigenvalues, self._arg(expr.arg))

    @_write.register
    def _upper_triangle(self, expr: nodes.UpperTriangle) -> Piece:
        return Piece(f"{self._put(expr.arg, Level.ATOM, Type.ARRAY)}.triu()", Level.ATOM)

    @_write.register
    def _vec(self, expr: nodes.Vec) -> Piece:
        arg = self._put(expr.arg, Level.ATOM, Type.ARRAY)
        return Piece(f"{arg}.flatten(-2).unsqueeze(-1)", Level.ATOM)

    @_write.register
    def _unvec(self, expr: nodes.Unvec) -> Piece:
        arg = self._put(expr.arg, Level.ATOM, Type.ARRAY)
        return Piece(f"{arg}.squeeze(-1).unflatten(-1, (rows, cols))", Level.ATOM)

    @_write.register
    def _qr(self, expr: nodes.Qr) -> Piece:
        return self._call(frames.orthonormal_columns, self._arg(expr.arg))

    @_write.register
    def _top_singular(self, expr: nodes.TopSingular) -> Piece:
        return self._call(frames.leading_vectors, self._arg(expr.arg), length(expr.shape.cols))

    @_write.register
    def _selection(self, expr: nodes.Selection) -> Piece:
        return self._call(frames.selected, self._arg(expr.arg), length(expr.shape.cols))

    @_write.register
    def _dct(self, expr: nodes.Dct) -> Piece:
        return self._call(frames.cosines, length(expr.dim), "W")

    @_write.register
    def _polar(self, expr: nodes.Polar) -> Piece:
        return self._by(self.schedule.polar, "polar", self._arg(expr.arg))

    def _by(self, method: Method, role: str, *operands: str) -> Piece:
        """Call a method's kernel; arguments of several lines get a variable."""
        kernel, rest = kernel_calls.kernel(method, role), []
        for name, code in kernel_calls.arguments(kernel, method, len(operands)):
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
        parts = ", ".join(f"({g.place!r}, {floating(g.p)}, {floating(g.weight)})" for g in graphs)
        outer = floating(exponent(expr.gauge))
        kernel = combined.combined_lmo
        return self._call(kernel, self._arg(expr.arg), f"({parts})", outer, str(expr.steps))

    @_write.register
    def _inner(self, expr: nodes.Inner) -> Piece:
        product = self(n.Mul(expr.left, expr.right))
        axes = axes_of(expr.over_rows, expr.over_cols)
        return Piece(f"({product.text}).sum({axes}, keepdim=True)", Level.ATOM)

    @_write.register
    def _kth_largest(self, expr: nodes.KthLargest) -> Piece:
        axes = axes_of(expr.over_rows, expr.over_cols)
        return self._call(entrywise.kth_largest, self._arg(expr.arg), str(expr.k), axes)

    @_write.register
    def _quantile(self, expr: nodes.Quantile) -> Piece:
        axes = axes_of(expr.over_rows, expr.over_cols)
        return self._call(entrywise.quantile, self._arg(expr.arg), self._tensor(expr.share), axes)

    @_write.register
    def _block_mean(self, expr: nodes.BlockMean) -> Piece:
        sizes = (str(expr.rows), str(expr.cols))
        return self._call(entrywise.block_mean, self._arg(expr.arg), *sizes)

    @_write.register
    def _reduce(self, expr: nodes.Reduce) -> Piece:
        axes = axes_of(expr.over_rows, expr.over_cols)
        name = "sum" if expr.reducer is nodes.Reducer.SUM else "amax"
        if self.divided and expr.reducer is nodes.Reducer.MAX:  # of which there may be no part here
            return self._call(entrywise.largest_over, self._arg(expr.arg), axes)
        arg = self._put(expr.arg, Level.ATOM, Type.ARRAY)
        return Piece(f"{arg}.{name}({axes}, keepdim=True)", Level.ATOM)
