"""The grammar covers the language, and random programs are reproducible."""

import functools
import gc

import programs
import pytest
from grammar import GRAMMARS, pairs

from normdsl import G
from normdsl.expressions.domains import FRACTION, NON_NEGATIVE, POSITIVE, REAL
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import FUNCTIONS, Apply, Draw, Param, Source, Stream
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import After, Carry, State
from normdsl.expressions.structure import parts
from normdsl.expressions.traversal import walk
from normdsl.norms.base import Norm, NormOperation
from normdsl.norms.maps import Compose, LinearMap
from normdsl.norms.preconditioned import Preconditioned


@functools.cache
def built():
    """Return one value of every production, made of the simplest parts."""
    found = []
    for grammar in GRAMMARS:
        for production in grammar.productions:
            term = production.draw(lambda sort, *_, g=grammar: g.options(sort, 0)[0].draw(None))
            found.append((production, term(())))
    return found


@functools.cache
def nodes():
    """Return every node of them, and of how steps enter rules."""
    values = [*(value for _, value in built()), *(update(G) for update in programs.UPDATES)]
    values += [rule.update for rule in pairs.rules(6)]
    return {x for value in values for x in walk(value)}


def concrete(cls):
    below = {x for sub in cls.__subclasses__() for x in concrete(sub)}
    return below | ({cls} if not getattr(cls, "__abstractmethods__", None) else set())


def ours(cls):
    gc.collect()  # attrs leaves behind the class that a slotted one replaced
    return {c for c in concrete(cls) if c.__module__.startswith("normdsl")}


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_every_sort_has_a_leaf(grammar):
    sorts = {grammar.step}
    for production in grammar.productions:
        sorts |= {production.makes, *filter(None, production.parts)}
    assert [s for s in sorts if not grammar.options(s, 0)] == []


def test_productions_make_what_they_say():
    wrong = [(p.makes, value) for p, value in built() if value.shape != p.makes.shape]
    assert wrong == []


def test_every_node_occurs():
    made = {c for c in ours(Expr) if not c.internal}
    assert made - {type(x) for x in nodes()} == set()


def test_every_function_stream_norm_map_and_domain_occurs():
    assert {x.function.name for x in nodes() if isinstance(x, Apply)} == set(FUNCTIONS)
    assert {x.source for x in nodes() if isinstance(x, Stream)} == set(Source)
    pulled = [x.norm for x in nodes() if isinstance(x, NormOperation)]
    assert {type(x) for x in pulled} == ours(Norm)
    maps = [x.map for x in pulled if isinstance(x, Preconditioned)]
    parts = [part for x in maps for part in (x.maps if isinstance(x, Compose) else (x,))]
    assert {type(x) for x in (*maps, *parts)} == ours(LinearMap)
    domains = {x.domain for x in nodes() if isinstance(x, Param)}
    assert domains == {REAL, NON_NEGATIVE, POSITIVE, FRACTION}


def test_factors_and_weights_of_norms_come_from_everywhere():
    """Bodies of recursions are drawn, so that what is carried is met in a few programs."""
    found = nodes() | {x for k in range(200) for x in walk(programs.drawn(k).update)}
    norms = {x.norm for x in found if isinstance(x, NormOperation)}
    made = {x for norm in norms for part in parts(norm, Expr) for x in walk(part)}
    assert {Carry, Draw, Param, After} <= {type(x) for x in made}
    sources = {x.source for x in made if isinstance(x, Stream)}
    assert {Source.GRADIENT, Source.WEIGHTS, Source.LOSS, Source.STEP, Source.COLS} <= sources


def test_starts_read_the_weights_in_every_shape():
    starts = {x.shape for s in nodes() if isinstance(s, State) for x in s.recursion.inits
              if Origin.WEIGHTS in x.origins}  # fmt: skip
    assert {str(x) for x in starts} >= {"m×n", "scalar", "m×m"}


def test_states_are_carried_and_coupled():
    states = [x for x in nodes() if isinstance(x, State)]
    assert any(isinstance(x, Carry) for x in nodes())
    assert any(len(x.recursion.inits) > 1 for x in states)


def test_a_key_draws_one_program():
    assert programs.drawn(7) == programs.drawn(7)
    assert len(set(programs.sample(20, 3).values())) == 20


def test_failures_shrink():
    def reads_a_state(declaration):
        return any(isinstance(x, State) for x in walk(declaration.update))

    def large(declaration):
        return reads_a_state(declaration) and len(walk(declaration.update)) > 40

    key = next(k for k in range(500) if large(programs.drawn(k)))
    small = programs.smallest(key, reads_a_state)
    assert reads_a_state(small)
    assert len(walk(small.update)) < 30
