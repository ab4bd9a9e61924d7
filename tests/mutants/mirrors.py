"""Mirror images and normal forms broken."""

from __future__ import annotations

from typing import Any

import attrs
from falsify import answer, rule
from faults import Fault, dispatched, replaced
from grammar.core import EPS
from norms_catalogue import brief

import normdsl as nd
from mutants.common import (
    GRAM,
    NO,
    NOISE,
    OUTER,
    PICK,
    ROWS,
    STACK,
    UNDER,
    Mutant,
    kept,
    step,
)  # fmt: skip
from normdsl import G, W
from normdsl.compiler.invariance import forms, linear, mirror, normal_form, pushing, terms
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import NONE
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import Before, Carry, last
from normdsl.expressions.shapes import Dim
from normdsl.norms import operator_norm
from normdsl.norms.iterated import Iterated

original_chain, original_image = normal_form.chain, mirror.judge


def commuting(left: Any, right: Any) -> Any:
    found = original_chain(left, right)
    if found.kind != "MatMul":
        return found
    return attrs.evolve(found, parts=tuple(sorted(found.parts, key=lambda x: x.digest)))


def one_way(node: Any, image: Any) -> Expr:
    x, y = image(node.left), image(node.right)
    return n.matmul(x, y) if node.shape.square and node.left.shape.square else n.matmul(y, x)


def undrawn(inference: Any, expr: Expr) -> Any:
    found = original_image(inference, expr)
    return tuple(attrs.evolve(j, conditions=NONE) for j in found)


def unturned(node: Any, image: Any) -> Expr:
    return last(nodes.Eigenbasis(image(node.recursion.remembers(node.index).arg)))


TWO = (G @ G.T) @ (W @ W.T)


def as_it_is(node: Any, image: Any) -> Expr:
    return node


def imaged(cls: type, change: Any) -> Fault:
    """Return the fault of another mirror image for a node."""
    return dispatched(mirror.image, cls, lambda original: change)


def summed(node: Any, image: Any) -> Expr:
    return nodes.Reduce(nodes.Reducer.SUM, image(node.arg), node.over_cols, node.over_rows)


def same_axis(node: Any, image: Any) -> Expr:
    return nodes.Inner(image(node.left), image(node.right), node.over_rows, node.over_cols)


def untransposed(node: Any, image: Any) -> Expr:
    return image(node.arg) if node.shape.square else image(node.arg).T


MIRRORS = [
    Mutant("products are not read backwards", imaged(n.MatMul, one_way), TWO, g.transpose),
    Mutant("an array of ones keeps its shape", imaged(n.Constant, as_it_is),
           G.T @ (nd.zeros_like(ROWS) + 1), g.transpose),
    Mutant("m is not exchanged for n", imaged(nodes.Stream, as_it_is), nd.rows * G, g.transpose),
    Mutant("an identity keeps its size", imaged(nodes.Eye, as_it_is),
           GRAM + nd.eye_like(GRAM), g.transpose),
    Mutant("a state keeps its shape", imaged(Carry, as_it_is), kept(GRAM), g.transpose),
    Mutant("a draw keeps its shape", imaged(nodes.Draw, as_it_is),
           step(G * nd.normal_like(ROWS)), g.transpose, answer(NO)),
    Mutant("a sum of products keeps its axis", imaged(nodes.Inner, same_axis),
           nd.sum(G * W, over="cols"), g.transpose),
    Mutant("a maximum is mirrored by a sum", imaged(nodes.Reduce, summed),
           nd.max(G, over="cols"), g.transpose),
    Mutant("the k-th largest keeps its axis",
           imaged(nodes.KthLargest, lambda node, image: attrs.evolve(node, arg=image(node.arg))),
           nd.kth_largest(nd.abs(G), 2, over="cols"), g.transpose),
    Mutant("a quantile keeps its axis",
           imaged(nodes.Quantile, lambda node, image: attrs.evolve(node, arg=image(node.arg))),
           nd.quantile(G, 0.7, over="cols"), g.transpose),
    Mutant("a block keeps its sides",
           imaged(nodes.BlockMean, lambda node, image: attrs.evolve(node, arg=image(node.arg))),
           nd.block_mean(G, rows=2, cols=3), g.transpose),
    Mutant("the norms of an iteration are not turned",
           imaged(Iterated, lambda node, image: attrs.evolve(node, arg=image(node.arg))),
           brief(nd.sum_of(nd.spectral, operator_norm(1, 2))).lmo(G).definition, g.transpose),
    Mutant("a transpose is left out", imaged(n.Transpose, untransposed), (G @ W.T).T, g.transpose),
    Mutant("eigenvectors are not transposed",
           imaged(nodes.Eigenbasis, lambda node, image: nodes.Eigenbasis(image(node.arg))),
           nd.eigenbasis(GRAM), g.transpose),
    Mutant("eigenvectors of a step ago are not transposed", imaged(Before, unturned),
           nd.prev(nd.eigenbasis(GRAM)), g.transpose),
    Mutant("eigenvalues are not transposed",
           imaged(nodes.Eigenvalues, lambda node, image: nodes.Eigenvalues(image(node.arg))),
           nd.eigenvalues(GRAM), g.transpose),
    Mutant("a triangle is above the diagonal in both runs", imaged(
        nodes.UpperTriangle, lambda node, image: nodes.UpperTriangle(image(node.arg))),
           nd.triu(G @ W.T), g.transpose),
    Mutant("entries in one column stay a column",
           imaged(nodes.Vec, lambda node, image: nodes.Vec(image(node.arg))),
           STACK, g.transpose),
    Mutant("a matrix of entries is transposed",
           imaged(nodes.Unvec, lambda node, image: nodes.Unvec(image(node.arg).T).T),
           nd.unvec(OUTER @ STACK), g.transpose),
    Mutant("an order of all entries is the same in both runs",
           replaced(mirror._orders, lambda expr: False), nd.cholesky(OUTER + nd.eye_like(OUTER)),
           g.transpose),
    Mutant("a triangle is not transposed",
           imaged(nodes.Cholesky, lambda node, image: nodes.Cholesky(image(node.arg))),
           nd.cholesky(GRAM), g.transpose),
    Mutant("orthonormal columns are not transposed",
           imaged(nodes.Qr, lambda node, image: nodes.Qr(image(node.arg))),
           nd.qr(GRAM), g.transpose),
    Mutant("singular vectors are not those of the transpose",
           imaged(nodes.TopSingular, lambda node, image: nodes.TopSingular(
               image(node.arg), node.rank).T),
           nd.top_singular(GRAM @ W @ G.T, 2), g.transpose),
    Mutant("selected columns are those of rows",
           imaged(nodes.Selection, lambda node, image: nodes.Selection(
               image(node.arg).T, node.rank)), PICK, g.transpose),
    Mutant("cosines are not transposed", imaged(nodes.Dct, lambda node, image: nodes.Dct(
        Dim.N if node.dim is Dim.M else Dim.M)), G @ nd.dct_basis(nd.cols), g.transpose),
    Mutant("draws are the same in both runs", replaced(mirror.judge, undrawn),
           step(nd.polar(G)) + EPS * NOISE, g.transpose, answer("invariant in law")),
    Mutant("matrices commute", replaced(normal_form.chain, commuting),
           step(G @ G.T @ W), g.transpose, rule),
    Mutant("any polar factor turns with a Gram matrix", replaced(
        pushing._turns_with, lambda form, inner: form.kind == "Polar"),
        step(nd.matrix_power(GRAM, 0.5) @ nd.polar(W) + nd.polar(W) @ nd.matrix_power(UNDER, 0.25)
             + nd.matrix_power(GRAM, 0.25) @ nd.polar(W)), g.transpose, rule),
    Mutant("letters of a word commute", replaced(
        terms.shortened, lambda word: tuple(sorted(word, key=lambda x: x.digest))),
        step(G @ G.T @ W), g.transpose, rule),
    Mutant("a word is read backwards as it is", replaced(terms.turned, lambda word: word),
           step((UNDER @ (W + G).T + G.T).T + GRAM @ W + GRAM @ G), g.transpose,
           answer("invariant")),
    Mutant("sums of states are not states of sums", replaced(
        linear.carried_through, lambda *_: None), step(G / nd.trace(kept(GRAM))), g.transpose,
        answer("invariant")),
    Mutant("transposes are not seen", replaced(forms.flipped, lambda form: form),
           step(nd.abs(GRAM @ W) + nd.abs(UNDER @ W.T).T), g.transpose, answer("invariant")),
]  # fmt: skip
