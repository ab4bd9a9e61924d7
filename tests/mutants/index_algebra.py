"""The algebra of one index broken."""

from __future__ import annotations

from typing import Any

import attrs
from falsify import answer
from faults import member, replaced

import normdsl as nd
from mutants.common import GRAM, Mutant, step
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import index_rules
from normdsl.compiler.invariance import laws as lawbook
from normdsl.compiler.invariance.conditions import NONE
from normdsl.compiler.invariance.laws import FIXED, Index


def spread(x: Index, y: Index, a: bool, b: bool) -> Any:
    return (y if a else x), NONE


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
    Mutant("frames do not turn", replaced(lawbook.frame, lambda *_: FIXED),
           nd.matrix_power(GRAM, 0.5), g.left_affine),
    Mutant("|x| keeps its signs", replaced(lawbook.without_signs, lambda ix: ix),
           nd.abs(G), g.signed_permutations),
]  # fmt: skip
