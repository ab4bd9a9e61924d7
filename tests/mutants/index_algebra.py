"""The algebra of one index broken."""

from __future__ import annotations

from typing import Any

import attrs
from falsify import answer
from faults import member, replaced

import normdsl as nd
from mutants.common import GRAM, OUTER, STACK, Mutant, step
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import index_rules, stacking
from normdsl.compiler.invariance import laws as lawbook
from normdsl.compiler.invariance.conditions import NONE
from normdsl.compiler.invariance.laws import FIXED, Index


def spread(x: Index, y: Index, a: bool, b: bool) -> Any:
    return (y if a else x), NONE


original_stacked = stacking.stacked


def one_power(rows: Index, cols: Index) -> Index | None:
    return original_stacked(rows, attrs.evolve(cols, power=rows.power))


INDICES = [
    Mutant("terms may move apart", replaced(index_rules.same, spread), G + W, g.scale),
    Mutant("a number joins anything", replaced(index_rules.same, spread), G * G + 1, g.scale),
    Mutant("signs are never dropped", replaced(index_rules.unsigned, lambda ix: ix),
           nd.abs(G), g.sign_flips),
    Mutant("signs are dropped with their permutation",
           replaced(index_rules.unsigned, lambda ix: FIXED), nd.abs(G), g.signed_permutations),
    Mutant("functions ignore exponents", replaced(index_rules.entrywise, lambda x, *_: x),
           nd.reciprocal(G), g.scale),
    Mutant("a product subtracts exponents", replaced(
        index_rules.product, lambda x, y, *_: attrs.evolve(x, power=x.power - y.power)),
           G * G, g.scale),
    Mutant("a product of signs has signs", replaced(index_rules.product, lambda x, *_: x),
           G * G, g.sign_flips),
    Mutant("covariant contracts with covariant", replaced(index_rules.contract, lambda *_: NONE),
           GRAM, g.affine),
    Mutant("any matrix is an isometry", replaced(index_rules.within, lambda x, *_: (x, NONE)),
           nd.spectral.lmo(G), g.affine),
    Mutant("the dual of an index is itself", member(Index, "dual", property(lambda ix: ix)),
           nd.inverse(-GRAM), g.left_affine),
    Mutant("power 0 still moves", replaced(lawbook.index, Index),
           step(nd.reciprocal(G) * nd.tanh(G * W)), g.scale, answer("invariant")),
    Mutant("a product P ⊗ Q is Q ⊗ P", replaced(
        stacking.stacked, lambda rows, cols: original_stacked(cols, rows)), STACK, g.affine),
    Mutant("products of different powers have one", replaced(stacking.stacked, one_power),
           nd.vec(G * nd.diagonal(nd.input_moment).T), g.row_column_scale),
    Mutant("what acts on all entries acts on rows", replaced(
        stacking.unstacked, lambda ix: (FIXED, FIXED)), nd.unvec(OUTER @ STACK), g.orthogonal),
    Mutant("an identity of all entries is one of rows", replaced(
        stacking.acting, lambda weights, dim: weights.rows),
        step(nd.unvec(nd.matrix_power(OUTER + nd.eye_like(OUTER), -0.5) @ STACK)), g.orthogonal,
        answer("invariant")),
    Mutant("functions of all entries ignore powers",
           replaced(index_rules._side_by_side, lambda function, x, *rest: x),
           STACK**2, g.row_column_scale),
    Mutant("frames do not turn", replaced(lawbook.frame, lambda *_: FIXED),
           nd.matrix_power(GRAM, 0.5), g.left_affine),
    Mutant("|x| keeps its signs", replaced(lawbook.without_signs, lambda ix: ix),
           nd.abs(G), g.signed_permutations),
]  # fmt: skip
