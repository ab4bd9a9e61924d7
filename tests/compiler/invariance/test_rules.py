"""Every typing rule: a positive case, a refusal, and both sides of its law evaluated."""

import functools
import operator

import proofs
import pytest
from falsify import several

import normdsl as nd
from normdsl import G, W, t
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.judgement import Failure, Judgement
from normdsl.compiler.invariance.laws import INVARIANT
from normdsl.compiler.invariance.rules import rule
from normdsl.compiler.invariance.verdict import Status, Verdict, proof_lines
from normdsl.compiler.verdicts.check import check
from normdsl.declaration import Declaration
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import Carry, Placeholder, State
from normdsl.norms import Top, operator_norm
from normdsl.norms.iterated import Iterated
from normdsl.vocabulary.ports import Parameter

p = nodes.Param("p", nd.NonNegative.__metadata__[0])
GRAM = G @ G.T
ROWS = nd.sum(G, over="cols")
v = nd.ema(G * G, 0.9)
L = nd.accumulate(G @ G.T)
START = nd.start(W)
LEFT_SCALE = g.Group("left_scale", "W = D W̃", rows=g.row_column_scale.rows)
Q = nd.eigenbasis(L)
COLUMNS = operator_norm(1, 2)
BOTH = Iterated(G, (nd.spectral, 2 * nd.max_entry), nd.lp(1), 20)
TOP = nd.top_singular(G, 2)
PICK = nd.selection(nd.sum(nd.abs(G), over="cols"), 2)
THIN = G @ nd.top_singular(G.T, 2)  # m×2
SIGNED = "(signed permutation P, signed permutation Q)"
STACK = nd.vec(G)
FISHER = nd.accumulate(STACK @ STACK.T)  # mn×mn
#: Of full rank after four steps.
DUALS = [G, nd.output_moment @ W @ nd.input_moment, G @ W.T @ G, G @ W.T @ G @ W.T @ G]
METRIC = nd.accumulate(functools.reduce(operator.add, (nd.vec(x) @ nd.vec(x).T for x in DUALS)))
DIAGONAL = FISHER + nd.diag(STACK**2)
LAMBDA = nd.eigenvalues(L)

#: Laws of rules over several parameters are evaluated in test_ports.
PAIR = nd.algorithms.scaled_gd.ports
A, B = map(Parameter, PAIR)
TURNED = (PAIR[0], nd.Matrix("n", "r").port("B"))
GAUGE, UNITS = g.gauge.on(PAIR), g.loss_scale.on(PAIR)
STEP_OF_A = nd.inverse(B.W.T @ B.W) @ A.G

# rule, expression, group, its law
POSITIVE = [
    ("extent", A.rows * A.G, UNITS, "unit c"),
    ("joint", nodes.Joint((A.W - STEP_OF_A, B.W), PAIR), GAUGE, "(contra_M, fixed)"),
    ("constant", nd.zeros_like(G), g.scale, "zero"),
    ("constant", nd.zeros_like(G) + 1, g.loss_scale, "fixed"),
    ("param", p * G, g.scale, "entries S^(-1)"),
    ("stream", W, g.affine, "(contra_A, contra_B)"),
    ("stream", G, g.affine, "(cov_A, cov_B)"),
    ("stream", G, g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("stream", nd.loss * G, g.loss_scale, "unit c^(2)"),
    ("stream", nd.input_moment, g.affine, "(cov_B, cov_B)"),
    ("stream", nd.output_moment, g.affine, "(cov_A, cov_A)"),
    ("stream", nd.output_moment, g.uniform_scale, "unit c^(-2)"),
    ("stream", nd.output_moment, g.loss_transform, "unit c^(2)"),
    ("stream", nd.input_moment, g.uniform_scale, "fixed"),
    ("stream", nd.input_moment, g.scale, "fixed"),
    ("stream", nd.trace(nd.output_moment), g.orthogonal, "fixed"),
    ("query", nd.gradient(at=2 * W), g.affine, "(cov_A, cov_B)"),
    ("query", nd.gradient(at=W - nd.frobenius.lmo(G)), g.translation, "fixed"),
    ("query", nd.gradient(at=nd.prev(W, init=W)), g.uniform_scale, "unit c^(-1)"),
    ("query", nd.loss_at(W - nd.sign(G)), g.loss_scale, "unit c"),
    ("query", nd.loss_at(-W), g.affine, "fixed"),
    ("query", nd.hessian_product(W), g.affine, "(cov_A, cov_B)"),
    ("query", nd.gauss_newton_product(W, at=2 * W), g.affine, "(cov_A, cov_B)"),
    ("query", nd.gauss_newton_product(1 / G), g.scale, "entries S^(-1)"),
    ("query", nd.hessian(at=2 * W), g.affine, "(cov_(A⊗B), cov_(A⊗B))"),
    ("query", nd.hessian(), g.scale, "(S^(-1), S^(-1))"),
    ("query", nd.hessian(), g.uniform_scale, "unit c^(-2)"),
    ("query", nd.hessian(at=-W), g.orthogonal, "(orthogonal (P⊗Q), orthogonal (P⊗Q))"),
    ("query", nd.gradient(fresh=True) * nd.loss_at(W, fresh=True), g.loss_scale, "unit c^(2)"),
    (
        "query",
        nd.hessian_product(nd.polar(G), at=2 * W),
        g.orthogonal,
        "(orthogonal P, orthogonal Q)",
    ),
    ("query", nd.hessian_product(G), g.uniform_scale, "unit c^(-3)"),
    ("query", nd.hessian_product(1 / G), g.scale, "entries S^(-1)"),
    ("query", nd.hessian_product(W - nd.prev(W, init=W)), g.translation, "fixed"),
    ("query", nd.hessian_product(nd.zeros_like(W)), g.affine, "zero"),
    ("returned", nd.step(W - G, evaluate=START - G), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("returned", nd.step(W - G, evaluate=START), g.translation, "shifted by T"),
    ("eye", nd.eye_like(GRAM) + L, g.orthogonal, "(orthogonal P, orthogonal P)"),
    ("add", G + 2 * G, g.affine, "(cov_A, cov_B)"),
    ("maximum", nd.maximum(nd.abs(G), v / nd.abs(G)), g.scale, "entries S^(-1)"),
    ("where", nd.where(nd.abs(G) > v / nd.abs(G), G, 0), g.scale, "entries S^(-1)"),
    ("where", nd.where(nd.abs(G) > v / nd.abs(G), W, -W), g.sign_flips, "entries diagonal signs S"),
    ("where", nd.where(nd.abs(G) >= nd.max(nd.abs(G)), G, 0), g.signed_permutations, SIGNED),
    ("where", nd.where(nd.loss < 0, G, 2 * G), g.affine, "(cov_A, cov_B)"),
    ("where", nd.where(nd.loss <= nd.prev(nd.loss), G, 2 * G), g.loss_scale, "unit c"),
    ("where", nd.where(W > W + G, W, W + G), g.translation, "shifted by T"),
    ("remainder", nd.mod(nd.abs(G), v / nd.abs(G)), g.scale, "entries S^(-1)"),
    ("remainder", nd.mod(nd.loss, nd.frobenius.value(G)), g.loss_scale, "unit c"),
    ("remainder", nd.mod(t, 3), g.affine, "fixed"),
    ("mul", G * W, g.scale, "fixed"),
    ("mul", nd.inner(G, W) * G, g.affine, "(cov_A, cov_B)"),
    ("pow", (G * G) ** 0.25, g.scale, "entries S^(-1/2)"),
    ("pow", G**3, g.loss_scale, "unit c^(3)"),
    ("pow", nd.abs(G) ** (1 / t), g.loss_scale, "unit c^(1/t)"),
    ("mul", (1 - 1 / t) * W, g.translation, "shifted by (1 - 1/t) T"),
    ("mul", nd.frobenius.value(G) * W, g.translation, "shifted by (‖G‖_F) T"),
    ("add", (1 - 1 / t) * W + W / t, g.translation, "shifted by T"),
    ("apply", nd.sign(G), g.scale, "fixed"),
    ("apply", nd.reciprocal(G), g.scale, "entries S"),
    ("apply", nd.tanh(G * W), g.scale, "fixed"),
    ("matmul", W @ G.T, g.affine, "(contra_A, cov_A)"),
    ("matmul", GRAM, g.orthogonal, "(orthogonal P, orthogonal P)"),
    ("transpose", G.T, g.affine, "(cov_B, cov_A)"),
    ("inverse", nd.inverse(W @ G.T), g.affine, "(contra_A, cov_A)"),
    ("matrix power", nd.matrix_power(L, -0.25), g.orthogonal, "(orthogonal P, orthogonal P)"),
    ("matrix power", nd.matrix_power(L, -0.25), g.loss_scale, "unit c^(-1/2)"),
    ("matrix power", nd.matrix_power(0 * L, p), g.orthogonal, "fixed"),
    ("polar", nd.polar(3 * G), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("polar", nd.polar(G), g.loss_scale, "fixed"),
    ("eigenbasis", Q, g.orthogonal, "(orthogonal P, signs[L])"),
    ("eigenbasis", nd.sign(Q.T @ G @ W.T @ Q), g.orthogonal, "(signs[L], signs[L])"),
    ("qr", nd.qr(THIN), g.left_orthogonal, "(orthogonal P, fixed)"),
    ("qr", nd.qr(THIN), g.orthogonal, "(orthogonal P, signs[top[2](Gᵀ)])"),
    ("qr", nd.qr(GRAM), g.orthogonal, "(orthogonal P, frame[qr(G Gᵀ)])"),
    ("qr", nd.qr(nd.polar(G) @ W.T @ TOP), g.loss_scale, "fixed"),
    ("qr", nd.qr(0 * TOP), g.orthogonal, "fixed"),
    ("top singular", TOP, g.orthogonal, "(orthogonal P, signs[top[2](G)])"),
    ("top singular", TOP, g.right_orthogonal, "fixed"),
    ("top singular", TOP, g.loss_scale, "fixed"),
    ("top singular", nd.sign(TOP.T @ G), g.left_orthogonal, "(signs[top[2](G)], fixed)"),
    ("top singular", TOP @ TOP.T @ G, g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("selection", PICK, g.signed_permutations, "(permutation P, fixed)"),
    ("selection", PICK @ nd.polar(PICK.T @ G), g.signed_permutations, SIGNED),
    ("selection", PICK, g.loss_scale, "fixed"),
    ("dct", G @ nd.dct_basis(nd.cols), g.left_affine, "(cov_A, fixed)"),
    ("draw", nd.mask(0.5, nd.rows) * G, g.loss_scale, "unit c"),
    ("eigenvalues", LAMBDA, g.orthogonal, "fixed"),
    ("eigenvalues", LAMBDA, g.loss_scale, "unit c^(2)"),
    ("eigenvalues", nd.eigenvalues(0 * L), g.affine, "zero"),
    ("eigenvalues", nd.eigenvalues(L + p * nd.eye_like(L)), g.orthogonal, "fixed"),
    ("eigenvalues", Q @ nd.diag(LAMBDA) @ Q.T, g.orthogonal, "(orthogonal P, orthogonal P)"),
    ("upper triangle", nd.triu(L), LEFT_SCALE, "(D^(-1), D^(-1))"),
    ("upper triangle", nd.triu(Q.T @ L @ Q), g.orthogonal, "(signs[L], signs[L])"),
    ("upper triangle", nd.triu(G @ W.T), g.loss_scale, "unit c"),
    ("upper triangle", nd.triu(0 * L), g.affine, "zero"),
    ("mul", nd.diag(nd.diagonal(L)), LEFT_SCALE, "(D^(-2), fixed)"),
    ("inner", nd.diagonal(L), LEFT_SCALE, "(D^(-2), fixed)"),
    ("inner", nd.diagonal(L), g.signed_permutations, "(permutation P, fixed)"),
    ("vec", STACK, g.affine, "(cov_(A⊗B), fixed)"),
    ("vec", STACK, g.left_affine, "(cov_(A⊗I), fixed)"),
    ("vec", nd.vec(W), g.right_orthogonal, "(orthogonal (I⊗Q), fixed)"),
    ("vec", STACK, g.scale, "(S^(-1), fixed)"),
    ("vec", STACK, g.permutations, "(permutation Π, fixed)"),
    ("vec", STACK**2, g.row_column_scale, "((D⊗E)^(-2), fixed)"),
    ("vec", STACK, g.loss_scale, "unit c"),
    ("vec", nd.vec(0 * G), g.affine, "zero"),
    ("vec", nd.inner(nd.vec(W), STACK), g.affine, "fixed"),
    ("vec", nd.inverse(METRIC), g.affine, "(contra_(A⊗B), contra_(A⊗B))"),
    ("vec", nd.abs(STACK), g.signed_permutations, "(permutation (P⊗Q), fixed)"),
    ("vec", nd.abs(STACK) * STACK, g.signed_permutations, "(signed permutation (P⊗Q), fixed)"),
    ("unvec", nd.unvec(FISHER @ STACK), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("unvec", nd.unvec(nd.inverse(METRIC) @ STACK), g.affine, "(contra_A, contra_B)"),
    ("unvec", nd.unvec(nd.inverse(METRIC) @ STACK), g.right_affine, "(fixed, contra_B)"),
    ("unvec", nd.unvec(nd.inverse(DIAGONAL) @ STACK), g.scale, "entries S"),
    ("unvec", nd.unvec(STACK / nd.vec(W) ** 2), g.row_column_scale, "(D^(-3), E^(-3))"),
    ("unvec", nd.unvec(nd.abs(STACK)), g.signed_permutations, "(permutation P, permutation Q)"),
    ("unvec", nd.unvec(FISHER @ STACK), g.loss_scale, "unit c^(3)"),
    ("unvec", nd.unvec(STACK + nd.vec(W)), g.translation, "shifted by T"),
    ("unvec", nd.unvec(0 * STACK), g.affine, "zero"),
    ("cholesky", nd.cholesky(L), g.orthogonal, "(orthogonal P, frame[chol(L)])"),
    ("cholesky", nd.cholesky(L), g.left_affine, "(cov_A, frame[chol(L)])"),
    ("cholesky", nd.cholesky(L), LEFT_SCALE, "(D^(-1), fixed)"),
    ("cholesky", nd.cholesky(L), g.loss_scale, "unit c"),
    ("draw", nd.normal_like(G), g.scale, "fixed"),
    ("draw", nd.normal_like(G), g.loss_scale, "fixed"),
    ("inner", nd.inner(G, W), g.affine, "fixed"),
    ("inner", nd.inner(G, W), g.scale, "fixed"),
    ("inner", nd.inner(G, G), g.loss_scale, "unit c^(2)"),
    ("reduce", nd.sum(G), g.loss_scale, "unit c"),
    ("reduce", nd.max(nd.abs(G * W), over="rows"), g.scale, "fixed"),
    ("norm operation", nd.spectral.lmo(G), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("norm operation", nd.frobenius.sharp(G), g.loss_scale, "unit c"),
    ("norm operation", nd.spectral.dual(G), g.orthogonal, "fixed"),
    ("norm operation", nd.spectral.value(W), g.orthogonal, "fixed"),
    ("norm operation", nd.max_entry.dual(G * W), g.scale, "fixed"),
    ("norm operation", nd.sum_entries.lmo(G), g.permutations, "entries permutation Π"),
    ("norm operation", COLUMNS.lmo(G), g.left_orthogonal, "(orthogonal P, fixed)"),
    ("norm operation", COLUMNS.lmo(G), g.signed_permutations, SIGNED),
    ("norm operation", nd.rms_to_rms.lmo(G), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("norm operation", nd.nuclear.dual(G), g.loss_scale, "unit c"),
    ("singular norm", nodes.SingularNorm(G, nd.lp(1)), g.orthogonal, "fixed"),
    ("singular norm", nodes.SingularNorm(G, nd.lp(1)), g.loss_scale, "unit c"),
    ("singular lmo", nodes.SingularLmo(G, nd.lp(1)), g.orthogonal, "(orthogonal P, orthogonal Q)"),
    ("singular lmo", nodes.SingularLmo(G, Top(2)), g.loss_scale, "fixed"),
    ("iterated", BOTH, g.signed_permutations, SIGNED),
    ("iterated", BOTH, g.loss_scale, "fixed"),
    (
        "iterated",
        Iterated(G, (nd.frobenius, nd.spectral), nd.lp(1), 20),
        g.orthogonal,
        "(orthogonal P, orthogonal Q)",
    ),
    ("kth largest", nd.kth_largest(nd.abs(G), 2), g.permutations, "fixed"),
    ("kth largest", nd.kth_largest(nd.abs(G), 2), g.signed_permutations, "fixed"),
    ("kth largest", nd.kth_largest(nd.abs(G), 2), g.loss_scale, "unit c"),
    ("kth largest", nd.kth_largest(nd.abs(G), 2, over="cols"), LEFT_SCALE, "(D^(-1), fixed)"),
    ("kth largest", nd.kth_largest(nd.abs(G), 9), g.signed_permutations, "fixed"),
    ("quantile", nd.quantile(nd.abs(G), 0.7), g.signed_permutations, "fixed"),
    ("quantile", nd.quantile(G, 0.7), g.permutations, "fixed"),
    ("quantile", nd.quantile(G, 0.7), g.uniform_scale, "unit c^(-1)"),
    ("quantile", nd.quantile(G, 0.7, over="cols"), LEFT_SCALE, "(D^(-1), fixed)"),
    ("block mean", nd.block_mean(G, cols=2), g.left_affine, "(cov_A, fixed)"),
    ("block mean", nd.block_mean(G, rows=2), g.right_orthogonal, "(fixed, orthogonal Q)"),
    ("block mean", nd.block_mean(G * W, rows=2, cols=3), g.scale, "fixed"),
    ("block mean", nd.block_mean(G, rows=2, cols=3), g.loss_scale, "unit c"),
    ("across", nd.sum(nd.inner(G, W), over="layers"), g.affine, "fixed"),
    ("across", nd.max(nd.frobenius.value(G), over="layers"), g.loss_scale, "unit c"),
    ("across", nd.sum(nd.spectral.dual(G), over="layers"), g.orthogonal, "fixed"),
    ("workers mean", nd.mean(W, over="workers"), g.affine, "(contra_A, contra_B)"),
    ("workers mean", nd.mean(W - G, over="workers"), g.translation, "shifted by T"),
    ("workers mean", nd.mean(nd.loss * G, over="workers"), g.loss_scale, "unit c^(2)"),
    ("workers mean", nd.mean(nd.sign(G), over="workers"), g.loss_transform, "fixed"),
]

# rule, expression, group, part of the reason
REFUSED = [
    ("joint", nodes.Joint((A.W - STEP_OF_A, B.W - B.G), PAIR), GAUGE, "joins a term that is"),
    (
        "joint",
        nodes.Joint((A.W, A.W.T), TURNED),
        g.gauge.on(TURNED),
        "the new B is",
    ),
    ("constant", G + (nd.zeros_like(G) + 1), g.scale, "joins a term that is"),
    ("stream", nd.output_moment @ G, g.scale, "a matrix product changes"),
    ("stream", nd.ema(nd.output_moment, 0.5), g.loss_transform, "some power of c"),
    ("inner", nd.trace(nd.input_moment), g.affine, "left alone in one factor and mixed by B⁻ᵀ"),
    ("add", G + W, g.affine, "mixed by A⁻ᵀ with one that is mixed by A"),
    ("add", v + 1, g.scale, "joins a number with a quantity that is rescaled"),
    ("add", G * G + G, g.loss_scale, "multiplied by c^(2) with one that is multiplied by c"),
    ("maximum", nd.maximum(G, -G), g.orthogonal, "compares entries"),
    ("maximum", nd.maximum(G, G * G), g.loss_scale, "multiplied by"),
    ("where", nd.where(G > 0, G, 0), g.sign_flips, "compares entries, but its arguments are flip"),
    ("where", nd.where(G > 0, G, 0), g.orthogonal, "compares entries, but its arguments are rota"),
    ("where", nd.where(G > 1, G, 0), g.loss_scale, "multiplied by c with one that is left alone"),
    ("where", nd.where(nd.loss > 0, G, W), g.loss_scale, "multiplied by c with one that is left"),
    ("where", nd.where(W > 0, W, 2 * W), g.translation, "compares two terms that are shifted"),
    ("where", nd.where(G > 0, W, 0), g.translation, "chooses between two terms that are shifted"),
    ("where", nd.where(nd.abs(G) > 1, G, 2 * G), g.orthogonal, "single entries"),
    ("where", nd.where(nd.t > 2, G, W), g.affine, "mixed by A⁻ᵀ with one that is mixed by A"),
    ("remainder", nd.mod(G, 1), g.loss_scale, "multiplied by c with one that is left alone"),
    ("remainder", nd.mod(G, G * G), g.sign_flips, "flipped in sign"),
    ("remainder", nd.mod(W, nd.abs(W)), g.orthogonal, "rotated"),
    ("remainder", nd.mod(W, 1), g.translation, "shift"),
    ("mul", G * G, g.orthogonal, "multiplies entry by entry"),
    ("pow", (G * G) ** nd.sum(nd.abs(G)), g.loss_scale, "exponent itself moves"),
    ("pow", nd.abs(G) ** 0.5, g.affine, "looks at single entries"),
    ("apply", nd.sign(G), g.orthogonal, "looks at single entries"),
    ("apply", nd.exp(G), g.scale, "not homogeneous"),
    ("apply", nd.exp(G), g.loss_scale, "not homogeneous"),
    ("matmul", GRAM, g.affine, "contracts two covariant indices of B"),
    ("matmul", GRAM, g.scale, "a matrix product changes"),
    ("matrix power", nd.matrix_power(W @ W.T, 0.25), g.affine, "two contravariant"),
    ("matrix power", nd.matrix_power(L, nd.frobenius.value(G)), g.loss_scale, "itself moves"),
    ("add", W / t + nd.sign(W), g.translation, "does not commute with the shift"),
    ("cholesky", nd.cholesky((G @ G.T) * (G @ G.T)), g.orthogonal, "entry by entry"),
    ("draw", nd.normal_like(G) + G, g.scale, "joins a term that is"),
    ("draw", nd.signs_like(G) + G, g.orthogonal, "joins a term that is"),
    ("polar", nd.polar(G), g.affine, "a polar factor changes when its argument is mixed by A⁻ᵀ"),
    ("polar", nd.polar(G), g.scale, "a polar factor changes"),
    ("eigenbasis", nd.sign(Q), g.orthogonal, "looks at single entries"),
    ("qr", nd.qr(W @ G.T), g.left_affine, "a QR decomposition changes"),
    ("qr", nd.sign(nd.qr(GRAM).T @ G), g.left_orthogonal, "looks at single entries"),
    ("qr", nd.qr(nd.eye_like(GRAM)) @ G + G, g.orthogonal, "left alone in one factor"),
    ("top singular", TOP, g.affine, "a basis of singular vectors changes"),
    ("top singular", nd.sign(TOP), g.orthogonal, "looks at single entries"),
    ("top singular", nd.tanh(TOP.T @ G) + TOP.T @ G**2, g.left_orthogonal, "entries"),
    (
        "selection",
        nd.selection(ROWS, 2),
        g.left_orthogonal,
        "an order of scores changes",
    ),
    ("selection", PICK, LEFT_SCALE, "an order of scores changes"),
    ("selection", nd.tanh(PICK.T @ G) + nd.abs(PICK.T @ G), g.signed_permutations, "joins a term"),
    ("dct", G @ nd.dct_basis(nd.cols), g.right_orthogonal, "left alone in the other"),
    ("eigenvalues", LAMBDA, LEFT_SCALE, "a function of eigenvalues changes when its argument is"),
    ("eigenvalues", nd.eigenvalues(L), g.left_affine, "a function of eigenvalues changes"),
    ("upper triangle", nd.triu(L), g.orthogonal, "kept by diagonals alone, and its argument is"),
    ("upper triangle", nd.triu(L), g.signed_permutations, "kept by diagonals alone"),
    ("vec", nd.vec(Q.T @ G), g.orthogonal, "have no law"),
    ("vec", nd.vec(G @ nd.inverse(nd.input_moment)), g.affine, "have no law"),
    ("vec", nd.matrix_power(FISHER, -0.5) @ STACK + STACK, g.affine, "joins a term that is"),
    ("unvec", nd.unvec(nd.matrix_power(FISHER, -0.5) @ STACK), g.affine, "moves no entries"),
    ("unvec", nd.unvec(nd.eigenbasis(FISHER).T @ STACK), g.scale, "changes"),
    ("unvec", nd.unvec(FISHER @ STACK), g.scale, "rescaled by S"),
    ("draw", nd.mask(0.5, nd.rows) * G + G @ G.T @ G, g.left_orthogonal, "entry by entry"),
    ("inner", nd.inner(G, G), g.affine, "contracts two covariant"),
    ("inner", nd.inner(G, G), g.scale, "sums over an index that is rescaled by S"),
    ("reduce", nd.sum(G), g.orthogonal, "changes when its argument is rotated by P"),
    ("reduce", nd.sum(G), g.scale, "changes when its argument is rescaled by S"),
    ("norm operation", nd.max_entry.lmo(G), g.orthogonal, "‖X‖∞ changes"),
    ("norm operation", nd.spectral.dual(G), g.affine, "‖X‖₂ changes"),
    ("norm operation", COLUMNS.lmo(G), g.right_orthogonal, "‖X‖_1→2 changes"),
    ("norm operation", COLUMNS.lmo(G), g.permutations, "‖X‖_1→2 changes"),
    ("norm operation", nd.nuclear.value(G), g.sign_flips, "‖X‖_* changes"),
    (
        "singular norm",
        nodes.SingularNorm(G, nd.lp(1)),
        g.affine,
        "a norm of singular values changes",
    ),
    ("singular norm", nodes.SingularNorm(G, nd.lp(1)), g.sign_flips, "changes"),
    (
        "singular lmo",
        nodes.SingularLmo(G, nd.lp(1)),
        g.scale,
        "a function of singular values changes",
    ),
    ("iterated", BOTH, g.orthogonal, "the iteration changes"),
    ("iterated", BOTH, g.permutations, "the iteration changes"),
    (
        "kth largest",
        nd.kth_largest(nd.abs(G), 2, over="cols"),
        g.permutations,
        "at place 2 changes",
    ),
    ("kth largest", nd.kth_largest(G * G, 2), g.scale, "at place 2 changes"),
    ("quantile", nd.quantile(G, 0.7), g.orthogonal, "a quantile changes"),
    ("quantile", nd.quantile(G, 0.7), g.sign_flips, "a quantile changes"),
    ("quantile", nd.quantile(G, nd.tanh(nd.loss**2)), g.loss_scale, "not homogeneous"),
    ("quantile", nd.quantile(G, 0.7, over="cols"), g.permutations, "a quantile changes"),
    ("block mean", nd.block_mean(G, cols=2), g.right_orthogonal, "a mean over a block changes"),
    ("block mean", nd.block_mean(G, cols=2), g.signed_permutations, "a mean over a block changes"),
    ("block mean", nd.block_mean(G, rows=2), g.scale, "a mean over a block changes"),
    ("block mean", nd.block_mean(W, cols=2), g.translation, "shift"),
    ("query", nd.gradient(at=W + G), g.affine, "joins a term"),
    (
        "query",
        nd.gradient(at=G),
        g.scale,
        "the point is rescaled by S^(-1), and W is rescaled by S",
    ),
    ("query", nd.gradient(at=2 * W), g.translation, "the point is shifted by (2) T"),
    ("query", nd.loss_at(G), g.uniform_scale, "the point is multiplied by c^(-1)"),
    ("query", nd.gradient(fresh=True), g.loss_transform, "another slope"),
    ("query", nd.gradient(at=W + nd.sign(W)), g.loss_transform, "another slope"),
    ("query", nd.hessian_product(G), g.affine, "the direction is mixed by A⁻ᵀ"),
    ("query", nd.gauss_newton_product(G), g.affine, "the direction is mixed by A⁻ᵀ"),
    ("query", nd.hessian(at=G), g.affine, "the point is mixed by A⁻ᵀ"),
    ("query", nd.hessian(), g.loss_transform, "an unknown curvature"),
    ("query", nd.hessian_product(W), g.translation, "the direction is shifted by T"),
    ("returned", nd.step(W, evaluate=nd.accumulate(G)), g.affine, "the point to evaluate is mixed"),
    ("returned", nd.step(W, evaluate=2 * W), g.translation, "is shifted by (2) T"),
    ("across", nd.sum(nd.inner(G, W), over="layers") + nd.inner(G, G), g.loss_scale, "joins"),
    ("workers mean", nd.mean(Q.T @ G, over="workers"), g.orthogonal, "signs of its own"),
    ("workers mean", nd.mean(G, over="workers"), g.loss_transform, "a slope of its own"),
]


def ids(rows):
    return [f"{row[0]}: {row[1]} in {row[2]}" for row in rows]


NAMES = {L: "L"}


def best(expr: Expr, group) -> Judgement:
    return min(Inference(group).judge(expr), key=lambda j: len(j.conditions))


@pytest.mark.parametrize(("_", "expr", "group", "law"), POSITIVE, ids=ids(POSITIVE))
def test_the_rule_proves_the_law(_, expr, group, law):
    assert law in {j.law.show(NAMES) for j in Inference(group).judge(expr) if not j.conditions} | {
        best(expr, group).law.show(NAMES)
    }


@pytest.mark.parametrize(("_", "expr", "group", "law"), POSITIVE, ids=ids(POSITIVE))
def test_the_law_holds_numerically(_, expr, group, law):
    if group.ports:
        pytest.skip("in test_ports")
    judgement = best(expr, group)
    scalar = nd.sum(expr) if expr.shape != G.shape else expr
    hyper = (
        (nd.Hyperparameter("p", 1.0, p.domain),) if p in nd.expressions.traversal.walk(expr) else ()
    )
    update = expr if isinstance(expr, nodes.Returned) else W + G + 0 * G + scalar * G
    carrier = Declaration("carrier", hyper, update)
    lines = tuple(proof_lines(judgement, carrier.labels))
    verdict = Verdict(carrier, group, Status.INVARIANT, proof=lines)
    if lines and not any(isinstance(x, nodes.Draw) for x in nd.expressions.traversal.walk(expr)):
        proofs.assert_proof_holds(verdict)


MEANS = [row for row in POSITIVE if row[0] == "workers mean"]


@pytest.mark.parametrize(("_", "expr", "group", "law"), MEANS, ids=ids(MEANS))
def test_a_mean_of_several_workers_moves_by_its_law(_, expr, group, law):
    assert several(expr, group) == []


@pytest.mark.parametrize(("_", "expr", "group", "reason"), REFUSED, ids=ids(REFUSED))
def test_the_rule_refuses(_, expr, group, reason):
    with pytest.raises(Failure) as caught:
        Inference(group).judge(expr)
    assert reason in caught.value.reason


def concrete(cls: type) -> set[type]:
    below = {x for sub in cls.__subclasses__() for x in concrete(sub)}
    return below | ({cls} if not getattr(cls, "__abstractmethods__", None) else set())


def test_every_node_has_a_rule():
    elsewhere = {Carry, Placeholder, *concrete(State)}
    known = set(rule.registry) - {object}
    missing = [
        c.__name__
        for c in concrete(Expr) - elsewhere
        if c.__module__.startswith("normdsl")
        and not c.internal
        and not any(issubclass(c, k) for k in known - {Expr})
    ]
    assert missing == []


def test_both_tables_cover_every_rule():
    names = {f.__name__.strip("_").replace("_", " ") for f in rule.registry.values()} - {"rule"}
    assert names <= {row[0] for row in POSITIVE}
    unconditional = {"param", "stream", "extent", "eye", "transpose", "inverse"}
    assert names - unconditional <= {row[0] for row in REFUSED}


def test_a_node_without_a_rule_is_an_error():
    with pytest.raises(TypeError, match="no typing rule"):
        rule(Placeholder(0, G.shape, G.facts), [], g.scale)


def test_square_roots_under_congruence_have_a_frame():
    verdict = check(klike(0.5), g.affine)
    assert verdict.status is Status.CONDITIONAL
    proofs.assert_proof_holds(verdict)


@pytest.mark.parametrize("exponent", [0.25, 1.0, 0.3])
def test_other_powers_of_congruent_matrices_have_none(exponent):
    verdict = check(klike(exponent), g.affine)
    assert verdict.status is Status.REFUTED


def klike(exponent):
    @nd.optimizer
    def coupled(lr=0.1, beta: nd.Fraction = 0.9):
        left, right = nd.fix(
            lambda S, T: (
                beta * S + (1 - beta) * (G @ nd.inverse(T) @ G.T),
                beta * T + (1 - beta) * (G.T @ nd.inverse(S) @ G),
            ),
            (nd.eye_like(G @ G.T), nd.eye_like(G.T @ G)),
        )
        S, T = nd.matrix_power(left, exponent), nd.matrix_power(right, exponent)
        return W + lr * nd.preconditioned(nd.spectral, left=S, right=T).lmo(nd.ema(G, beta))

    return coupled


def test_the_exponent_of_a_symbolic_power_becomes_a_condition():
    judgements = Inference(g.scale).judge(nd.polar(nd.reciprocal(v**p) * G))
    assert {str(c) for j in judgements for c in j.conditions} == {"Eq(p, 1/2)"}


def test_invariant_law_is_the_default():
    assert str(INVARIANT) == "fixed"
