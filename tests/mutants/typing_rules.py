"""Typing rules broken: wrong units, lost indices, dropped assumptions, missing refusals."""

from __future__ import annotations

from typing import Any

import attrs
import faults
import sympy
from falsify import answer, rule, several
from faults import claims, law, lenient, member, replaced, without
from grammar.core import EPS, LR, K, P

import normdsl as nd
from mutants.common import GRAM, NO, ONES, OUTER, PICK, ROWS, STACK, THIN, UNDER, Mutant, kept, step
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import rules, stacking
from normdsl.compiler.invariance.conditions import NONE, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import ANYTHING, FIXED, INVARIANT, ONE, ZERO, Law
from normdsl.compiler.invariance.witness import PARTED, Experiment
from normdsl.compiler.verdicts.check import check
from normdsl.compiler.verdicts.simulate import twins
from normdsl.declaration import Declaration
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.matrix_classes import GENERAL, ORTHOGONAL, Isometries
from normdsl.norms import Entrywise, Lines, operator_norm
from normdsl.norms.base import NormOperation
from normdsl.norms.iterated import Iterated
from normdsl.vocabulary.ports import Parameter


def same_unit(o: Law, known: Any) -> dict[str, Any]:
    return {"unit": known[0].unit}


def doubled(o: Law, known: Any) -> dict[str, Any]:
    return {"unit": 2 * o.unit}


def covariant(group: Group) -> Law:
    return Law(group.weights.rows.dual, group.weights.rows.dual)


def of_steps(group: Group) -> Law:
    """What vec(W) vec(W)ᵀ is moved by."""
    index = stacking.stacked(group.weights.rows, group.weights.cols) or FIXED
    return Law(index, index)


def tamed(group: Group) -> Law:
    return attrs.evolve(group.weights, offset=ZERO)


BOTH = Iterated(G, (nd.spectral, 2 * nd.max_entry), nd.lp(1), 20)
anything = Isometries(GENERAL, GENERAL, GENERAL)


def pair(update: Expr, group: Group) -> list[str]:
    """What is wrong with the verdict on a rule over several parameters: a proof, and runs part."""
    made = Declaration("pair", (), update)
    if not check(made, group, witnesses=False).invariant:
        return []
    run = Experiment(made, group, {}, seed=3, steps=2)
    return [f"proved, and runs part in {group}"] if max(twins(run).drift) > PARTED else []


PORTS = nd.algorithms.scaled_gd.ports
A, B = map(Parameter, PORTS)


RULES = [
    Mutant("the second of several parameters may move anyhow", lenient(nodes.Joint),
           nodes.Joint((A.W - 0.01 * A.G, 0.5 * B.G), PORTS), g.left_affine, pair),
    Mutant("a length has a unit", claims(nodes.Extent, lambda _: Law(unit=-ONE)),
           nodes.Joint((A.W - 0.01 * A.rows * A.G, B.W), PORTS), g.loss_scale, pair),
    Mutant("a constant array moves like W", claims(n.Constant, tamed), W + ONES, g.orthogonal),
    Mutant("a number has a unit", claims(n.Constant, lambda _: Law(unit=ONE)),
           2 * G, g.loss_scale),
    Mutant("a hyper-parameter has a unit", claims(nodes.Param, lambda _: Law(unit=ONE)),
           nd.abs(G) + EPS, g.loss_scale),
    Mutant("signs are drawn rotated",
           faults.changed(nodes.Draw, lambda o, _, group: attrs.evolve(
               o, law=tamed(group), conditions=NONE)),
           step(nd.polar(G)) + K * nd.signs_like(G), g.orthogonal,
           answer("invariant in the limit k → 0, where continuous")),
    Mutant("a gradient moves like W", claims(nodes.Stream, lambda group: group.weights),
           W + G, g.affine),
    Mutant("the identity is covariant", claims(nodes.Eye, covariant),
           GRAM + nd.eye_like(GRAM), g.left_affine),
    Mutant("a sum takes any terms", lenient(n.Add), G + W, g.affine),
    Mutant("a sum ignores the second shift",
           law(n.Add, lambda o, known: {"offset": known[0].offset}), W + W, g.translation),
    Mutant("a maximum ignores signs", lenient(nodes.Maximum), nd.maximum(G, 0), g.sign_flips),
    Mutant("a maximum ignores shifts", law(nodes.Maximum, lambda o, known: {"offset": ZERO}),
           nd.maximum(W, W + G), g.translation),
    Mutant("a remainder ignores signs", lenient(nodes.Remainder), nd.mod(G, 1), g.sign_flips),
    Mutant("a remainder has no unit", law(nodes.Remainder, lambda o, known: {"unit": ZERO}),
           nd.mod(G, nd.frobenius.value(G)), g.loss_scale),
    Mutant("a comparison ignores signs", lenient(nodes.Where),
           nd.where(G > 0, G, W * W * G), g.sign_flips),
    Mutant("a comparison ignores units",
           replaced(rules.entrywise._compared, lambda *_: (ANYTHING, NONE)),
           nd.where(G > 1, G, 2 * G), g.loss_scale),
    Mutant("a choice ignores which entries are compared",
           replaced(rules.entrywise._chosen, lambda pair, _: pair[1]),
           nd.where(nd.abs(G) > nd.abs(W), nd.zeros_like(G) + 1, 2), g.permutations),
    Mutant("a choice has no unit", law(nodes.Where, lambda o, known: {"unit": ZERO}),
           nd.where(nd.loss > 0, G, 2 * G), g.loss_scale),
    Mutant("a choice ignores shifts", law(nodes.Where, lambda o, known: {"offset": ZERO}),
           nd.where(W > W + G, W, W + G), g.translation),
    Mutant("a product takes one unit", law(n.Mul, same_unit), G * G, g.loss_scale),
    Mutant("a product ignores shifts",
           replaced(rules.entrywise._shift_of_product, lambda *_: (ZERO, NONE)),
           W * G, g.translation),
    Mutant("a power has the wrong exponent", law(n.Pow, doubled), (G * G) ** 0.25, g.loss_scale),
    Mutant("a power takes signs for even", lenient(n.Pow), G**3 + 0 * G, g.orthogonal),
    Mutant("an exponent may move", lenient(n.Pow), (G * G) ** nd.frobenius.value(G), g.loss_scale),
    Mutant("a function keeps the unit", law(nodes.Apply, same_unit), nd.sign(G), g.loss_scale),
    Mutant("any function is homogeneous", lenient(nodes.Apply), nd.tanh(G), g.loss_scale),
    Mutant("a function of rotated entries", lenient(nodes.Apply), nd.sign(G), g.orthogonal),
    Mutant("a matrix product contracts anything", lenient(n.MatMul), GRAM, g.affine),
    Mutant("a matrix product takes one unit", law(n.MatMul, same_unit), GRAM, g.loss_scale),
    Mutant("a transpose exchanges nothing",
           law(n.Transpose, lambda o, known: {"rows": o.cols, "cols": o.rows}),
           G.T, g.left_orthogonal),
    Mutant("an inverse moves like its argument",
           law(nodes.Inverse, lambda o, known: {"rows": known[0].rows, "cols": known[0].cols}),
           nd.inverse(-GRAM), g.left_affine),
    Mutant("an inverse keeps the unit", law(nodes.Inverse, same_unit),
           nd.inverse(G @ W.T), g.loss_scale),
    Mutant("an inverse needs no rank", without(nodes.Inverse, Kind.FULL_RANK),
           nd.inverse(-UNDER), g.right_affine),
    Mutant("a power −1 needs no rank", without(nodes.MatrixPower, Kind.FULL_RANK),
           nd.inverse(UNDER), g.right_affine),
    Mutant("zero to the power 0 is zero", claims(nodes.MatrixPower, lambda group: ANYTHING),
           step(nd.polar(G) + nd.matrix_power(0 * GRAM, P) @ G), g.loss_scale, answer(NO)),
    Mutant("a quarter passes for a root", replaced(rules.matrices.HALF, sympy.Rational(1, 4)),
           nd.matrix_power(GRAM, 0.25), g.left_affine),
    Mutant("a root has no frame", law(nodes.MatrixPower, lambda o, known: {"cols": FIXED}),
           nd.matrix_power(GRAM, 0.5), g.left_affine),
    Mutant("a matrix power keeps the unit", law(nodes.MatrixPower, same_unit),
           nd.matrix_power(GRAM, 0.5), g.loss_scale),
    Mutant("a triangle keeps the unit", law(nodes.Cholesky, same_unit),
           nd.cholesky(kept(GRAM)), g.loss_scale),
    Mutant("a triangle has no frame", law(nodes.Cholesky, lambda o, known: {"cols": FIXED}),
           nd.cholesky(GRAM), g.left_orthogonal),
    Mutant("a polar factor keeps the unit", law(nodes.Polar, same_unit), nd.polar(G), g.loss_scale),
    Mutant("a polar factor takes any matrix", replaced(rules.matrices.SPECTRAL, anything),
           nd.polar(G), g.affine),
    Mutant("eigenvectors need no gaps", without(nodes.Eigenbasis, Kind.DISTINCT),
           nd.eigenbasis(nd.polar(G) @ nd.polar(G).T), g.orthogonal),
    Mutant("eigenvectors have signs", law(nodes.Eigenbasis, lambda o, known: {"cols": FIXED}),
           nd.tanh(nd.eigenbasis(GRAM).T @ G), g.left_orthogonal),
    Mutant("eigenvectors do not turn", law(nodes.Eigenbasis, lambda o, known: {"rows": FIXED}),
           nd.eigenbasis(GRAM), g.left_orthogonal),
    Mutant("orthonormal columns do not turn", law(nodes.Qr, lambda o, known: {"rows": FIXED}),
           nd.qr(THIN), g.left_orthogonal),
    Mutant("orthonormal columns keep the unit", law(nodes.Qr, same_unit),
           nd.qr(THIN), g.loss_scale),
    Mutant("orthonormal columns have no frame",
           law(nodes.Qr, lambda o, known: {"cols": known[0].cols}), nd.qr(GRAM), g.orthogonal),
    Mutant("orthonormal columns need no rank", without(nodes.Qr, Kind.FULL_RANK),
           nd.qr(THIN @ (nd.zeros_like(THIN.T @ THIN) + 1)), g.left_orthogonal),
    Mutant("orthonormal columns of any matrix", lenient(nodes.Qr), nd.qr(W @ G.T), g.left_affine),
    Mutant("singular vectors need no gaps", without(nodes.TopSingular, Kind.SEPARATED),
           nd.top_singular(nd.polar(G), 2), g.orthogonal),
    Mutant("singular vectors have signs", law(nodes.TopSingular, lambda o, known: {"cols": FIXED}),
           nd.tanh(nd.top_singular(G, 2).T @ G), g.left_orthogonal),
    Mutant("singular vectors do not turn", law(nodes.TopSingular, lambda o, known: {"rows": FIXED}),
           nd.top_singular(G, 2), g.left_orthogonal),
    Mutant("singular vectors of any matrix", lenient(nodes.TopSingular),
           nd.top_singular(G, 2), g.right_affine),
    Mutant("selected rows stay where they are", law(nodes.Selection, lambda o, known: {
        "rows": FIXED}), PICK, g.signed_permutations),
    Mutant("selected rows have no signs",
           law(nodes.Selection, lambda o, known: {"cols": FIXED}),
           nd.tanh(PICK.T @ G), g.signed_permutations),
    Mutant("selected rows may be tied", without(nodes.Selection, Kind.UNTIED),
           nd.selection(nd.sum(nd.sign(nd.abs(G)), over="cols"), 2), g.signed_permutations),
    Mutant("selected by scores of any kind", lenient(nodes.Selection), nd.selection(ROWS, 2),
           g.left_orthogonal),
    Mutant("eigenvalues have no unit", law(nodes.Eigenvalues, lambda o, known: {"unit": ZERO}),
           nd.eigenvalues(GRAM), g.loss_scale),
    Mutant("eigenvalues of any matrix", lenient(nodes.Eigenvalues),
           nd.eigenvalues(GRAM), g.left_affine),
    Mutant("a triangle is kept by rotations", lenient(nodes.UpperTriangle),
           nd.triu(GRAM), g.left_orthogonal),
    Mutant("a triangle has no unit", law(nodes.UpperTriangle, lambda o, known: {"unit": ZERO}),
           nd.triu(GRAM), g.loss_scale),
    Mutant("entries in one column have no unit", law(nodes.Vec, lambda o, known: {"unit": ZERO}),
           STACK, g.loss_scale),
    Mutant("entries in one column are not shifted",
           law(nodes.Vec, lambda o, known: {"offset": ZERO}), nd.vec(W), g.translation),
    Mutant("entries in one column do not move", law(nodes.Vec, lambda o, known: {"rows": FIXED}),
           STACK, g.scale),
    Mutant("entries in one column have any law", lenient(nodes.Vec),
           nd.vec(G * nd.diagonal(nd.input_moment).T), g.row_column_scale),
    Mutant("entries of a matrix do not move",
           law(nodes.Unvec, lambda o, known: {"entries": FIXED}), nd.unvec(2 * STACK), g.scale),
    Mutant("rows of a matrix of entries are its columns",
           law(nodes.Unvec, lambda o, known: {"rows": o.cols, "cols": o.rows}),
           nd.unvec(OUTER @ STACK), g.orthogonal),
    Mutant("a matrix of entries known up to a frame", lenient(nodes.Unvec),
           nd.unvec(nd.matrix_power(OUTER + nd.diag(STACK**2), -0.5) @ STACK), g.scale),
    Mutant("cosines move like weights", claims(nodes.Dct, lambda group: Law(
        group.weights.rows, group.weights.rows)), GRAM + nd.dct_basis(nd.rows), g.left_orthogonal),
    Mutant("uniform numbers are drawn with signs",
           faults.changed(nodes.Draw, lambda o, _, group: attrs.evolve(
               o, law=tamed(group), conditions=NONE)),
           step(nd.polar(G)) + K * nodes.Draw(nodes.Distribution.UNIFORM, G.shape),
           g.signed_permutations, answer("invariant in the limit k → 0, where continuous")),
    Mutant("an inner product takes one unit", law(nodes.Inner, same_unit),
           nd.inner(G, G), g.loss_scale),
    Mutant("an inner product contracts anything", claims(nodes.Inner, lambda _: INVARIANT),
           nd.inner(G, G), g.affine),
    Mutant("a sum ignores the unit", law(nodes.Reduce, lambda o, known: {"unit": ZERO}),
           nd.sum(G), g.loss_scale),
    Mutant("a sum ignores its index", lenient(nodes.Reduce), ROWS, g.right_orthogonal),
    Mutant("a sum over columns sums over rows",
           law(nodes.Reduce, lambda o, known: {"rows": FIXED}), ROWS, g.left_orthogonal),
    Mutant("a maximum over rows ignores signs",
           replaced(rules.contractions._require_unsigned, lambda *_: None),
           nd.max(G, over="rows"), Group("signs", "W = W̃ Q", cols=g.signed_permutations.cols)),
    Mutant("a norm of singular values has no unit",
           law(nodes.SingularNorm, lambda o, known: {"unit": ZERO}),
           nodes.SingularNorm(G, nd.lp(1)), g.loss_scale),
    Mutant("a norm of singular values takes any matrix", lenient(nodes.SingularNorm),
           nodes.SingularNorm(G, nd.lp(1)), g.affine),
    Mutant("an LMO of singular values has degree 1", law(nodes.SingularLmo, same_unit),
           nodes.SingularLmo(G, nd.lp(3)), g.loss_scale),
    Mutant("an LMO of singular values takes any matrix", lenient(nodes.SingularLmo),
           nodes.SingularLmo(G, nd.lp(1)), g.scale),
    Mutant("an iteration takes any isometry", lenient(Iterated), BOTH, g.orthogonal),
    Mutant("an iteration has degree 1", law(Iterated, same_unit), BOTH, g.loss_scale),
    Mutant("the k-th largest takes any matrix", lenient(nodes.KthLargest),
           nd.kth_largest(nd.abs(G), 2, over="cols"), g.permutations),
    Mutant("the k-th largest has no unit", law(nodes.KthLargest, lambda o, known: {"unit": ZERO}),
           nd.kth_largest(nd.abs(G), 2), g.loss_scale),
    Mutant("a quantile takes any matrix", lenient(nodes.Quantile),
           nd.quantile(G, 0.7), g.sign_flips),
    Mutant("a quantile has no unit", law(nodes.Quantile, lambda o, known: {"unit": ZERO}),
           nd.quantile(G, 0.7), g.loss_scale),
    Mutant("a mean over a block takes any permutation", lenient(nodes.BlockMean),
           nd.block_mean(G, cols=2), g.signed_permutations),
    Mutant("a mean over a block drops the unit",
           law(nodes.BlockMean, lambda o, known: {"unit": ZERO}),
           nd.block_mean(G, cols=2), g.loss_scale),
    Mutant("a gradient may be taken anywhere", replaced(rules.queries._like, lambda *_: NONE),
           nd.gradient(at=G), g.scale),
    Mutant("a gradient elsewhere moves like W", claims(nodes.Query, lambda group: group.weights),
           nd.gradient(at=2 * W), g.scale),
    Mutant("a product with H moves like its direction",
           law(nodes.Query, lambda o, known: attrs.asdict(known[-1], recurse=False)),
           nd.hessian_product(W), g.affine),
    Mutant("a product with H has no unit of its own",
           law(nodes.Query, lambda o, known: {"unit": known[-1].unit}),
           nd.hessian_product(G), g.uniform_scale),
    Mutant("the Hessian moves like a product of gradients",
           law(nodes.Query, lambda o, known: {"unit": 2 * o.unit}),
           nd.hessian(at=2 * W), g.loss_scale),
    Mutant("the Hessian moves like one of steps", claims(nodes.Query, of_steps),
           nd.hessian(at=2 * W), g.affine),
    Mutant("a loss elsewhere has no unit", law(nodes.Query, lambda o, known: {"unit": ZERO}),
           nd.loss_at(-W), g.loss_scale),
    Mutant("a point beside the weights may move in any way",
           claims(nodes.Returned, lambda group: group.weights),
           nd.step(W + LR * nd.spectral.lmo(G), evaluate=nd.accumulate(G)), g.loss_scale, rule),
    Mutant("what layers share has no unit", law(nodes.Across, lambda o, known: {"unit": ZERO}),
           nd.sum(nd.nuclear.value(G), over="layers"), g.loss_scale),
    Mutant("a mean over workers drops the unit",
           law(nodes.WorkersMean, lambda o, known: {"unit": ZERO}),
           nd.mean(G, over="workers"), g.loss_scale),
    Mutant("workers have the signs of their eigenvectors in common", lenient(nodes.WorkersMean),
           nd.mean(nd.eigenbasis(GRAM).T @ G, over="workers"), g.orthogonal, several),
    Mutant("workers have the slope of their losses in common", lenient(nodes.WorkersMean),
           nd.mean(G, over="workers"), g.loss_transform, several),
    Mutant("an LMO has degree 1", law(NormOperation, same_unit), nd.max_entry.lmo(G), g.loss_scale),
    Mutant("a dual norm has degree 0", law(NormOperation, lambda o, known: {"unit": ZERO}),
           nd.spectral.dual(G), g.loss_scale),
    Mutant("‖X‖_F is preserved by any matrix", member(Entrywise, "isometries", anything),
           nd.frobenius.value(G), g.left_affine),
    Mutant("ℓ∞ is preserved by rotations",
           member(Entrywise, "isometries", Isometries(ORTHOGONAL, ORTHOGONAL, ORTHOGONAL)),
           nd.max_entry.lmo(G), g.orthogonal),
    Mutant("the longest column is preserved by rotations of rows and columns",
           member(Lines, "isometries", Isometries(ORTHOGONAL, ORTHOGONAL, FIXED.cls)),
           operator_norm(1, 2).lmo(G), g.right_orthogonal),
]  # fmt: skip
