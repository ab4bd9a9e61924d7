"""Origins: what a value comes from, and where the checker asks."""

import attrs
import pytest
from grammar import GRAMMARS
from properties import refuses

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance.initial_values import starts_constant
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.domains import LOSS_VALUE, POSITIVE
from normdsl.expressions.expr import Expr, Operation
from normdsl.expressions.facts import NONNEGATIVE
from normdsl.expressions.nodes import Across, Draw, Param, Query, Source, Stream
from normdsl.expressions.origins import ANYTHING, Origin, joined
from normdsl.expressions.recursion import Carry, Placeholder, State
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.traversal import walk
from normdsl.norms import Infimal

FLOOR, RATE = Param("floor", LOSS_VALUE), Param("rate", POSITIVE)
LENGTH, COUNT = nd.frobenius.value(G), nd.fix(lambda s: s + 1, 0)

ORIGINS = {
    "number": (2 * nd.eye_like(G @ G.T), Origin.NOTHING),
    "gradient": (G, Origin.GRADIENT),
    "both": (nd.inner(G, W), Origin.GRADIENT | Origin.WEIGHTS),
    "moment": (nd.trace(nd.input_moment), Origin.MOMENTS),
    "schedule": (nd.sqrt(nd.t / nd.rows), Origin.STEP | Origin.LENGTHS),
    "hyper-parameters": (RATE * FLOOR, Origin.HYPER | Origin.LOSS_UNIT),
    "draw": (nd.signs_like(G), Origin.CHANCE),
    "layers": (nd.sum(nd.loss, over="layers"), Origin.LOSS | Origin.LAYERS),
    "counter": (COUNT, Origin.STATE),
    "state": (nd.fix(lambda s: s + G, W), Origin.STATE | Origin.GRADIENT | Origin.WEIGHTS),
    "norm's factor": ((LENGTH * nd.spectral).lmo(W), Origin.GRADIENT | Origin.WEIGHTS),
    "preconditioner": (nd.preconditioned(nd.spectral, left=G @ G.T).value(2 * G), Origin.GRADIENT),
    "norm in a norm": (nd.over_layers(nd.t * nd.spectral, nd.lp(2)).lmo(W).definition,
                       Origin.WEIGHTS | Origin.STEP | Origin.LAYERS),
}  # fmt: skip


@pytest.mark.parametrize("name", ORIGINS)
def test_a_value_comes_from_what_it_is_made_of(name):
    expr, origins = ORIGINS[name]
    assert expr.origins == origins


@pytest.mark.parametrize("name", ORIGINS)
def test_what_may_differ_between_runs_varies(name):
    still = {"number", "schedule"}
    assert ORIGINS[name][0].varies == (name not in still)


def test_origins_are_those_of_the_leaves():
    found, own = set(), State | Carry | Across | Query | Draw
    for grammar in GRAMMARS:
        for production in grammar.productions:
            term = production.draw(lambda sort, *_, g=grammar: g.options(sort, 0)[0].draw(None))
            found.update(walk(term(())))
    assert len(found) > 300
    for expr in found:
        below = [x for x in walk(expr) if not x.children or isinstance(x, own)]
        assert expr.origins == joined(below)


def test_every_node_says_what_it_comes_from():
    def below(cls):
        return {x for sub in cls.__subclasses__() for x in ({sub} | below(sub))}

    ours = {c for c in below(Expr) if c.__module__.startswith("normdsl")}
    concrete = {c for c in ours if not c.__abstractmethods__}
    silent = {c for c in concrete if c._infer_origins is Expr._infer_origins}
    assert len(ours) > 30
    assert silent == set()


@attrs.frozen(eq=False, repr=False)
class Thermometer(Expr):
    """A scalar from outside that nobody has told the checker of."""

    internal = True
    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()

    def _infer_shape(self):
        return SCALAR

    def _infer_facts(self):
        return NONNEGATIVE

    def _notate(self, n):
        return n.symbol("heat")


@attrs.frozen(eq=False, repr=False)
class Blurred(Operation):
    """A function of its argument, as its base class says."""

    internal = True
    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()

    arg: Expr

    def _infer_shape(self):
        return self.arg.shape

    def _notate(self, n):
        return n.call("blur", self.arg)


def test_a_new_node_is_suspect_until_it_says_otherwise():
    heat = Thermometer()
    assert heat.origins == ANYTHING
    assert (1 + heat).varies
    assert (heat * nd.spectral).isometries is None
    assert not starts_constant(heat)
    with refuses(nd.DeclarationError, "a non-causal recursion", "depends on heat"):
        nd.fix(lambda s: s, heat)


def test_an_operation_is_as_suspect_as_its_operands():
    assert not Blurred(RATE).varies
    assert Blurred(RATE * Thermometer()).origins == ANYTHING


def test_a_source_without_an_origin_is_suspect():
    strange = object.__new__(Stream)
    object.__setattr__(strange, "source", "weather")
    assert strange._infer_origins() == ANYTHING
    assert {Stream(s).origins for s in Source} == {
        Origin.GRADIENT,
        Origin.WEIGHTS,
        Origin.LOSS,
        Origin.MOMENTS,
        Origin.STEP,
        Origin.LENGTHS,
    }


CARRIED = Carry(1, 0, SCALAR, NONNEGATIVE)
MOVING = {
    "carry": CARRIED,
    "placeholder": Placeholder(0, SCALAR, NONNEGATIVE),
    "draw": nd.abs(nd.sum(nd.normal_like(G))),
    "state": COUNT,
    "gradient": LENGTH,
    "loss": nd.abs(nd.loss),
    "value of the loss": nd.abs(FLOOR),
}


@pytest.mark.parametrize("name", MOVING)
def test_the_isometries_of_a_norm_are_not_those_of_a_norm_that_varies(name):
    norm = MOVING[name] * nd.spectral
    assert norm.varies
    assert norm.isometries is None
    assert Infimal((norm, nd.spectral), nd.lp(1)).isometries is None


@pytest.mark.parametrize("factor", [2, nd.t, nd.rows / nd.cols, RATE, nd.exp(-RATE * nd.t)])
def test_a_factor_that_is_the_same_in_both_runs_keeps_the_isometries(factor):
    assert (factor * nd.spectral).isometries == nd.spectral.isometries
    assert not (factor * nd.spectral).varies
