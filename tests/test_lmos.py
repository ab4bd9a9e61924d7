"""The LMOs of random programs against their definition: ‖lmo‖ = 1 and ⟨M, lmo⟩ = −‖M‖_*.

Where a weight of the norm is singular there is no norm, and a pseudo-inverse in its place.
"""

import functools

import programs
import proofs
import pytest
import torch
from grammar import GRAMMARS
from grammar.core import PARAMETERS

import normdsl as nd
from normdsl import G, W
from normdsl.declaration import Declaration
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.expressions.expr import Expr
from normdsl.expressions.recursion import free_carries
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.structure import parts
from normdsl.expressions.traversal import walk
from normdsl.norms import Scaled
from normdsl.norms.base import Lmo, Norm
from normdsl.norms.maps import Hadamard, LinearMap, Rotate

SHAPES = ((3, 4), (4, 3), (3, 3))
SAMPLE = 120
#: How long a run is: the second step is the first that reads what another one wrote.
STEPS = 2
#: How near to singular a weight may be, and how near to zero an argument.
SINGULAR, SMALL = 1e-5, 1e-9
TOLERANCE = 1e-7
#: A rule with every hyper-parameter of the grammar.
EVERYTHING = Declaration(
    "everything", tuple(Hyperparameter(k, v, d) for k, (d, v) in PARAMETERS.items()), W - G
)


def lmos(expr):
    """Return the LMOs in an expression that read no state of a recursion around them."""
    return [x for x in walk(expr) if isinstance(x, Lmo) and not free_carries(x)]


@functools.cache
def simplest():
    """Return the simplest LMO of every production."""
    found = {}
    for grammar in GRAMMARS:
        for production in grammar.productions:
            term = production.draw(lambda sort, *_, g=grammar: g.options(sort, 0)[0].draw(None))
            found.update(dict.fromkeys(lmos(term(()))))
    return tuple(found)


@functools.cache
def programmed():
    """Return the LMOs of random programs."""
    return tuple(x for k in range(SAMPLE) for x in lmos(programs.drawn(k).update))


def inside(norm):
    """Return a norm, and the norms and maps that it is made of."""
    found = [norm]
    for kind in (Norm, LinearMap):
        for part in parts(norm, kind):
            found += inside(part)
    return found


def weights(norm):
    """Return the expressions that must be invertible for it to be a norm."""
    made = [x for x in inside(norm) if not isinstance(x, Rotate | Norm)]
    factors = [x.factor for x in inside(norm) if isinstance(x, Scaled)]
    return factors + [w for x in made for w in parts(x, Expr)]


def is_invertible(weight, value, entrywise):
    sizes = value.abs() if weight.shape == SCALAR or entrywise else torch.linalg.svdvals(value)
    finite = bool(torch.isfinite(value).all())
    return finite and bool(sizes.min() > SINGULAR * max(1.0, float(sizes.max())))


@functools.cache
def probed(found):
    """Return what evaluates ‖lmo‖, ⟨M, lmo⟩, ‖M‖_*, ‖M‖_F and the weights for every LMO."""
    exprs = []
    for x in found:
        norm, m = x.norm, x.arg
        exprs += [norm.value(x), nd.inner(m, x), norm.dual(m), nd.frobenius.value(m)]
        exprs += weights(norm)
    return proofs.Probe(EVERYTHING, exprs)


def measured(found, shape, seed):
    """Yield, for every LMO, ‖lmo‖ − 1 and ⟨M, lmo⟩/‖M‖_* + 1, where there are both."""
    probe = probed(found)
    hyper = {h.name: 0.3 for h in EVERYTHING.hyper}
    streams = proofs.random_streams(shape, seed)[:STEPS]
    values = iter(probe.run(streams, probe.start(streams[0][0], hyper), hyper)[-1])
    for x in found:
        size, product, dual, length = (float(next(values)) for _ in range(4))
        entrywise = {w for part in inside(x.norm) if isinstance(part, Hadamard)
                     for w in parts(part, Expr)}  # fmt: skip
        at = [(w, next(values)) for w in weights(x.norm)]
        legal = all(is_invertible(w, value, w in entrywise) for w, value in at)
        if legal and length > SMALL and SMALL < dual < 1 / SMALL:
            yield x, size - 1, product / dual + 1


def worst(found, shape, seed):
    """Return the LMOs that are off, and how many were looked at."""
    seen, off = 0, []
    for start in range(0, len(found), 20):
        for x, size, gap in measured(found[start : start + 20], shape, seed):
            seen += 1
            slack = TOLERANCE + max(y.tolerance for y in inside(x.norm) if isinstance(y, Norm))
            if not (abs(size) < slack and abs(gap) < slack):
                off.append(f"{x}: ‖lmo‖ − 1 = {size:.1g}, ⟨M, lmo⟩/‖M‖_* + 1 = {gap:.1g}")
    return off, seen


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_lmo_of_the_grammar_is_one(shape):
    off, seen = worst(simplest(), shape, 1)
    assert off == []
    assert seen > 30


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_every_lmo_of_random_programs_is_one(shape):
    off, seen = worst(programmed(), shape, 2)
    assert off == []
    assert seen > 30
