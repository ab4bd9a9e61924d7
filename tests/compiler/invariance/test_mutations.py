"""Each rule of the checker broken in turn: a falsifier must notice, and be silent otherwise.

Three falsifiers look at a fault: every law of an expression at a random group element (`laws`), the
verdict on a rule against runs (`rule`), and answers known by theory (`answer`) for faults that lose
proofs, or that no run can show.
"""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import faults
import pytest
import sympy
from falsify import Falsifier, answer, laws, rule
from faults import Fault, claims, dispatched, law, lenient, member, replaced, without
from grammar.core import BETA, DECAY, EPS, LR, K, P

import normdsl as nd
from normdsl import G, W, nodes
from normdsl import expr as e
from normdsl.classes import GENERAL, ORTHOGONAL, Isometries
from normdsl.compiler.invariance import (
    canonical,
    conditions,
    decide,
    exponents,
    guess,
    indices,
    induction,
    judgement,
    mirror,
    rules,
)
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import laws as lawbook
from normdsl.compiler.invariance.conditions import NONE, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.laws import FIXED, INVARIANT, ONE, ZERO, Index, Law
from normdsl.errors import NormdslError
from normdsl.expr import Expr
from normdsl.norms.base import NormOperation
from normdsl.norms.frobenius import Frobenius
from normdsl.norms.max_entry import MaxEntry
from normdsl.recursion import After, Carry

NO = "unknown"


@attrs.frozen(eq=False)
class Mutant:
    """A fault, and where a falsifier notices it."""

    name: str
    fault: Fault
    expr: Expr
    group: Group
    falsifier: Falsifier = laws


GRAM, UNDER = G @ G.T, G.T @ G
ONES = nd.zeros_like(G) + 1
ROWS = nd.sum(G, over="cols")
NOISE = nd.normal_like(G)


def step(x: Expr) -> Expr:
    return W - LR * x


def kept(x: Expr) -> Expr:
    """A state that gathers x, from zero."""
    return nd.fix(lambda s: BETA * s + x, nd.zeros_like(x))


def same_unit(o: Law, known: Any) -> dict[str, Any]:
    return {"unit": known[0].unit}


def unmoved(o: Law, known: Any) -> dict[str, Any]:
    return {"rows": FIXED, "cols": FIXED}


def doubled(o: Law, known: Any) -> dict[str, Any]:
    return {"unit": 2 * o.unit}


def covariant(group: Group) -> Law:
    return Law(group.weights.rows.dual, group.weights.rows.dual)


def tamed(group: Group) -> Law:
    return attrs.evolve(group.weights, offset=ZERO)


anything = Isometries(GENERAL, GENERAL, GENERAL)

RULES = [
    Mutant("a constant array moves like W", claims(e.Constant, tamed), W + ONES, g.orthogonal),
    Mutant("a number has a unit", claims(e.Constant, lambda _: Law(unit=ONE)),
           2 * G, g.loss_scale),
    Mutant("a hyper-parameter has a unit", claims(nodes.Param, lambda _: Law(unit=ONE)),
           nd.abs(G) + EPS, g.loss_scale),
    Mutant("signs are drawn rotated",
           faults.changed(nodes.Draw, lambda o, _, group: attrs.evolve(
               o, law=tamed(group), conditions=NONE)),
           step(nd.polar(G)) + K * nd.signs_like(G), g.orthogonal,
           answer("invariant in the limit k → 0")),
    Mutant("a gradient moves like W", claims(nodes.Stream, lambda group: group.weights),
           W + G, g.affine),
    Mutant("the identity is covariant", claims(nodes.Eye, covariant),
           GRAM + nd.eye_like(GRAM), g.left_affine),
    Mutant("a sum takes any terms", lenient(e.Add), G + W, g.affine),
    Mutant("a sum ignores the second shift",
           law(e.Add, lambda o, known: {"offset": known[0].offset}), W + W, g.translation),
    Mutant("a maximum ignores signs", lenient(nodes.Maximum), nd.maximum(G, 0), g.sign_flips),
    Mutant("a maximum ignores shifts", law(nodes.Maximum, lambda o, known: {"offset": ZERO}),
           nd.maximum(W, W + G), g.translation),
    Mutant("a product takes one unit", law(e.Mul, same_unit), G * G, g.loss_scale),
    Mutant("a product ignores shifts", replaced(rules._shift_of_product, lambda *_: (ZERO, NONE)),
           W * G, g.translation),
    Mutant("a power has the wrong exponent", law(e.Pow, doubled), (G * G) ** 0.25, g.loss_scale),
    Mutant("a power takes signs for even", lenient(e.Pow), G**3 + 0 * G, g.orthogonal),
    Mutant("an exponent may move", lenient(e.Pow), (G * G) ** nd.frobenius.value(G), g.loss_scale),
    Mutant("a function keeps the unit", law(nodes.Apply, same_unit), nd.sign(G), g.loss_scale),
    Mutant("any function is homogeneous", lenient(nodes.Apply), nd.tanh(G), g.loss_scale),
    Mutant("a function of rotated entries", lenient(nodes.Apply), nd.sign(G), g.orthogonal),
    Mutant("a matrix product contracts anything", lenient(e.MatMul), GRAM, g.affine),
    Mutant("a matrix product takes one unit", law(e.MatMul, same_unit), GRAM, g.loss_scale),
    Mutant("a transpose exchanges nothing",
           law(e.Transpose, lambda o, known: {"rows": o.cols, "cols": o.rows}),
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
    Mutant("a quarter passes for a root", replaced(rules.HALF, sympy.Rational(1, 4)),
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
    Mutant("a polar factor takes any matrix", replaced(rules.SPECTRAL, anything),
           nd.polar(G), g.affine),
    Mutant("eigenvectors need no gaps", without(nodes.Eigenbasis, Kind.DISTINCT),
           nd.eigenbasis(nd.polar(G) @ nd.polar(G).T), g.orthogonal),
    Mutant("eigenvectors have signs", law(nodes.Eigenbasis, lambda o, known: {"cols": FIXED}),
           nd.tanh(nd.eigenbasis(GRAM).T @ G), g.left_orthogonal),
    Mutant("eigenvectors do not turn", law(nodes.Eigenbasis, lambda o, known: {"rows": FIXED}),
           nd.eigenbasis(GRAM), g.left_orthogonal),
    Mutant("an inner product takes one unit", law(nodes.Inner, same_unit),
           nd.inner(G, G), g.loss_scale),
    Mutant("an inner product contracts anything", claims(nodes.Inner, lambda _: INVARIANT),
           nd.inner(G, G), g.affine),
    Mutant("a sum ignores the unit", law(nodes.Reduce, lambda o, known: {"unit": ZERO}),
           nd.sum(G), g.loss_scale),
    Mutant("a sum ignores its index", lenient(nodes.Reduce), ROWS, g.right_orthogonal),
    Mutant("a sum over columns sums over rows",
           law(nodes.Reduce, lambda o, known: {"rows": FIXED}), ROWS, g.left_orthogonal),
    Mutant("a maximum over rows ignores signs", replaced(rules._require_unsigned, lambda *_: None),
           nd.max(G, over="rows"), Group("signs", "W = W̃ Q", cols=g.signed_permutations.cols)),
    Mutant("a Schatten norm has no unit", law(nodes.SchattenNorm, lambda o, known: {"unit": ZERO}),
           nodes.SchattenNorm(G, 1.0), g.loss_scale),
    Mutant("a Schatten norm takes any matrix", lenient(nodes.SchattenNorm),
           nodes.SchattenNorm(G, 1.0), g.affine),
    Mutant("an LMO has degree 1", law(NormOperation, same_unit), nd.max_entry.lmo(G), g.loss_scale),
    Mutant("a dual norm has degree 0", law(NormOperation, lambda o, known: {"unit": ZERO}),
           nd.spectral.dual(G), g.loss_scale),
    Mutant("‖X‖_F is preserved by any matrix", member(Frobenius, "isometries", anything),
           nd.frobenius.value(G), g.left_affine),
    Mutant("ℓ∞ is preserved by rotations",
           member(MaxEntry, "isometries", Isometries(ORTHOGONAL, ORTHOGONAL, ORTHOGONAL)),
           nd.max_entry.lmo(G), g.orthogonal),
]  # fmt: skip


def spread(x: Index, y: Index, a: bool, b: bool) -> Any:
    return (y if a else x), NONE


INDICES = [
    Mutant("terms may move apart", replaced(indices.same, spread), G + W, g.scale),
    Mutant("a number joins anything", replaced(indices.same, spread), G * G + 1, g.scale),
    Mutant("signs are never dropped", replaced(indices.unsigned, lambda ix: ix),
           nd.abs(G), g.sign_flips),
    Mutant("signs are dropped with their permutation", replaced(indices.unsigned, lambda ix: FIXED),
           nd.abs(G), g.signed_permutations),
    Mutant("functions ignore exponents", replaced(indices.entrywise, lambda x, *_: x),
           nd.reciprocal(G), g.scale),
    Mutant("a product subtracts exponents", replaced(indices.product, lambda x, y, *_: attrs.evolve(
        x, power=x.power - y.power)), G * G, g.scale),
    Mutant("a product of signs has signs", replaced(indices.product, lambda x, *_: x),
           G * G, g.sign_flips),
    Mutant("covariant contracts with covariant", replaced(indices.contract, lambda *_: NONE),
           GRAM, g.affine),
    Mutant("any matrix is an isometry", replaced(indices.within, lambda x, *_: (x, NONE)),
           nd.spectral.lmo(G), g.affine),
    Mutant("the dual of an index is itself", member(Index, "dual", property(lambda ix: ix)),
           nd.inverse(-GRAM), g.left_affine),
    Mutant("power 0 still moves", replaced(lawbook.index, Index),
           step(nd.reciprocal(G) * nd.tanh(G * W)), g.scale, answer("invariant")),
    Mutant("frames do not turn", replaced(lawbook.frame, lambda *_: FIXED),
           nd.matrix_power(GRAM, 0.5), g.left_affine),
    Mutant("|x| keeps its signs", replaced(lawbook.without_signs, lambda ix: ix),
           nd.abs(G), g.signed_permutations),
]  # fmt: skip


def guessed(inference: Any, recursion: Any, where: Any) -> Any:
    found = []
    with contextlib.suppress(judgement.Failure):
        for proposal in guess.guesses(inference, recursion):
            found.append(induction.Settled(proposal, NONE, ()))
    return found


original_start, original_alike = induction._start, induction.alike
original_state = induction.judge_state


def unproved(inference: Any, recursion: Any, known: Any) -> Any:
    begun = original_start(inference, recursion, known)
    return [] if begun is None else [induction.Settled(known, *begun)]


def read_early(inference: Any, expr: Any) -> Any:
    return original_state(inference, After(expr.recursion, expr.index))


def started(inference: Any, recursion: Any, known: Any) -> Any:
    found = original_start(inference, recursion, known)
    return found and (faults.unassumed(found[0], Kind.TRANSPORTED), found[1])


def alike_up_to(**parts: Any) -> Any:
    def alike(found: Law, wanted: Law) -> Any:
        return original_alike(attrs.evolve(found, **parts), attrs.evolve(wanted, **parts))

    return alike


RECURSIONS = [
    Mutant("a unit is carried from step to step", replaced(
        induction.a_step_ago, lambda group, known: known), step(nd.sign(kept(G))), g.loss_transform,
        rule),
    Mutant("what is guessed is proved", replaced(induction.settle, guessed),
           step(nd.fix(lambda s: nd.tanh(s) + G, nd.zeros_like(G))), g.loss_scale, rule),
    Mutant("bodies need not keep the law", replaced(induction.prove, unproved),
           step(nd.fix(lambda s: nd.tanh(s) + G, nd.zeros_like(G))), g.loss_scale, rule),
    Mutant("the last value is today's", replaced(induction.judge_state, read_early),
           step(nd.sign(G + nd.prev(G))), g.loss_transform, rule),
    Mutant("nothing is guessed", replaced(guess.guesses, lambda *_: iter(())),
           step(nd.sign(kept(G))), g.loss_scale, answer("invariant")),
    Mutant("frames are kept from step to step", member(Law, "frames", property(lambda law: [])),
           step(nd.eigenbasis(kept(GRAM)) @ kept(nd.eigenbasis(kept(GRAM)).T @ G)),
           g.left_orthogonal, rule),
    Mutant("the identity starts transformed", replaced(induction._start, started),
           step(nd.inverse(nd.accumulate(GRAM, nd.eye_like(GRAM))) @ G), g.left_affine, rule),
    Mutant("conditions stay inside a recursion", replaced(induction._outside, lambda *_: NONE),
           step(kept(G @ nd.inverse(UNDER))), g.right_affine, rule),
    Mutant("units need not agree", replaced(induction.alike, alike_up_to(unit=ZERO)),
           G, g.loss_scale, rule),
    Mutant("shifts need not agree", replaced(induction.alike, alike_up_to(offset=ZERO)),
           2 * W - LR * G, g.translation, rule),
    Mutant("indices need not agree", replaced(induction._alike_index, lambda *_: NONE),
           G, g.affine, rule),
    Mutant("images need not agree", replaced(induction.alike, alike_up_to(twin=None)),
           step(GRAM @ W), g.transpose, rule),
]  # fmt: skip

original_equal, original_roots = exponents.equal, exponents.solutions
original_without, original_prune = exponents.without_unknowns, judgement.prune


def doubled_roots(*args: Any) -> Any:
    return [{x: 2 * root for x, root in found.items()} for found in original_roots(*args)]


def unasked(found: Any) -> Any:
    needed, chosen = original_without(found)
    return frozenset(c for c in needed if isinstance(c, conditions.Assumption)), chosen


def unconditional(judgements: Any) -> Any:
    return tuple(attrs.evolve(j, conditions=NONE) for j in original_prune(judgements))


def sign_of(param: Any) -> Any:
    return sympy.Symbol(param.name, positive=True)


def added(expr: Expr) -> Any:
    """Read products as sums."""
    match expr:
        case e.Constant(value=value):
            return sympy.Rational(value.numerator, value.denominator)
        case nodes.Param():
            return exponents.symbol(expr)
        case e.Add(left=x, right=y) | e.Mul(left=x, right=y):
            return added(x) + added(y)


ROOT = step(nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G))
CONSTANT = nd.fix(lambda s: s, W)
FLOORED = step(G / (nd.abs(G) + EPS))

EXPONENTS = [
    Mutant("p ≥ 0 is read as p > 0", replaced(exponents.symbol, sign_of),
           step(nd.inner(G, W) * nd.abs(nd.zeros_like(G)) ** P), g.affine, answer(NO)),
    Mutant("products are read as sums", replaced(exponents.to_sympy, added),
           nd.abs(G) ** (3 * P), g.loss_scale),
    Mutant("a limit passes for a value", replaced(exponents.is_zero, lambda param: sympy.Eq(
        exponents.symbol(param), 0)), step(G / (nd.abs(G) + K)), g.loss_scale,
        answer("invariant in the limit k → 0")),
    Mutant("all exponents agree", replaced(exponents.equal, lambda *_: NONE),
           G + G * G, g.loss_scale),
    Mutant("the step before had today's unit", replaced(
        exponents._whatever_the_step_before, lambda gap: NONE), step(nd.sign(kept(G))),
        g.loss_transform, rule),
    Mutant("roots are doubled", replaced(exponents.solutions, doubled_roots), ROOT, g.scale, rule),
    Mutant("equations are not asked for", replaced(exponents.without_unknowns, unasked),
           ROOT, g.scale, rule),
    Mutant("contradictions are consistent", replaced(exponents.consistent, lambda _: True),
           step(nd.preconditioned(nd.spectral, hadamard=(G * G) ** P).lmo(G)
                + nd.preconditioned(nd.spectral, hadamard=nd.abs(G) ** P).lmo(G)), g.scale,
           answer(NO)),
    Mutant("unknown exponents pass for hyper-parameters",
           replaced(exponents.on_unknowns, lambda _: False),
           step(nd.sign(nd.maximum(nd.reciprocal(G), CONSTANT))), g.loss_scale,
           answer("invariant if s₁ starts transformed along with the weights")),
]  # fmt: skip

DECISIONS = [
    Mutant("domains exclude nothing", replaced(decide.possible, lambda *_: True),
           step(G * nd.abs(G) ** -BETA), g.loss_scale, answer(NO)),
    Mutant("no step may be left", replaced(decide.leaves_a_step, lambda *_: True),
           W - EPS * G, g.scale, answer(NO)),
    Mutant("idle hyper-parameters may vanish", replaced(
        decide.idle_parameters, lambda _: frozenset()), W - EPS * (G + DECAY * W), g.translation,
        answer("invariant if decay = 0")),
    Mutant("conditions are forgotten", replaced(judgement.prune, unconditional),
           FLOORED, g.loss_scale, rule),
    Mutant("a draw is the same and moved", replaced(conditions.coupled, lambda _: True),
           step(G * nd.inner(NOISE, NOISE) + nd.sign(nd.sum(nd.sign(NOISE))) * NOISE),
           g.orthogonal, answer(NO)),
]  # fmt: skip

original_chain, original_image = canonical.chain, mirror.judge


def commuting(left: Any, right: Any) -> Any:
    found = original_chain(left, right)
    if found.kind != "MatMul":
        return found
    return attrs.evolve(found, parts=tuple(sorted(found.parts, key=lambda x: x.digest)))


def one_way(node: Any, image: Any) -> Expr:
    x, y = image(node.left), image(node.right)
    return e.matmul(x, y) if node.shape.square and node.left.shape.square else e.matmul(y, x)


def undrawn(inference: Any, expr: Expr) -> Any:
    found = original_image(inference, expr)
    return tuple(attrs.evolve(j, conditions=NONE) for j in found)


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
    Mutant("products are not read backwards", imaged(e.MatMul, one_way), TWO, g.transpose),
    Mutant("an array of ones keeps its shape", imaged(e.Constant, as_it_is),
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
    Mutant("a transpose is left out", imaged(e.Transpose, untransposed), (G @ W.T).T, g.transpose),
    Mutant("eigenvectors are not transposed",
           imaged(nodes.Eigenbasis, lambda node, image: nodes.Eigenbasis(image(node.arg))),
           nd.eigenbasis(GRAM), g.transpose),
    Mutant("a triangle is not transposed",
           imaged(nodes.Cholesky, lambda node, image: nodes.Cholesky(image(node.arg))),
           nd.cholesky(GRAM), g.transpose),
    Mutant("draws are the same in both runs", replaced(mirror.judge, undrawn),
           step(nd.polar(G)) + EPS * NOISE, g.transpose, answer("invariant in law")),
    Mutant("matrices commute", replaced(canonical.chain, commuting),
           step(G @ G.T @ W), g.transpose, rule),
    Mutant("transposes are not seen", replaced(canonical.flipped, lambda form: form),
           step(GRAM @ W + (UNDER @ W.T).T), g.transpose, answer("invariant")),
]  # fmt: skip

#: Helpers that claim nothing: they make symbols, or are covered by those that call them.
WITHOUT_CLAIMS = {"unknown", "_solved"}
MUTANTS = [*RULES, *INDICES, *RECURSIONS, *EXPONENTS, *DECISIONS, *MIRRORS]


def noticed(mutant: Mutant) -> list[str]:
    """Return what gives a mutant away; one that breaks down gives itself away."""
    try:
        return mutant.falsifier(mutant.expr, mutant.group)
    except (NormdslError, TypeError) as error:
        return [str(error)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_falsifier_notices(mutant):
    assert mutant.falsifier(mutant.expr, mutant.group) == []
    with mutant.fault.put():
        assert noticed(mutant) != []
    assert mutant.falsifier(mutant.expr, mutant.group) == []


def test_every_rule_is_broken():
    broken = {mutant.fault.target for mutant in MUTANTS}
    for dispatcher in (rules.rule, mirror.image):
        assert set(dispatcher.registry) - {object, Expr} <= broken


@pytest.mark.parametrize("module", [indices, exponents, induction], ids=lambda m: m.__name__)
def test_every_helper_is_broken(module):
    broken = [mutant.fault.target for mutant in MUTANTS]
    helpers = {
        name
        for name, value in vars(module).items()
        if callable(value)
        and getattr(value, "__module__", "") == module.__name__
        and not isinstance(value, type)
        and not any(value is target for target in broken)
    }
    assert helpers <= WITHOUT_CLAIMS
