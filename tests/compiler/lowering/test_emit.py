"""Emission: every node has a lowering; names, types and shared sub-expressions."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.emit import Emitter
from normdsl.expr import Expr
from normdsl.norms.base import NormOperation
from normdsl.recursion import Carry, Placeholder, State
from normdsl.schedule import Schedule


def concrete(cls):
    below = {x for sub in cls.__subclasses__() for x in concrete(sub)}
    return below | ({cls} if not getattr(cls, "__abstractmethods__", None) else set())


def code(expr, **names):
    emitter = Emitter({v: k for k, v in names.items()}, {}, Schedule())
    emitter.count([expr])
    return "\n".join([*emitter.lines, emitter(expr).text]), emitter


def test_every_primitive_node_has_a_lowering():
    known = set(vars(Emitter)["_write"].dispatcher.registry) - {object, Expr}
    derived = {Carry, Placeholder, *concrete(State), *concrete(NormOperation)}
    missing = [
        c.__name__
        for c in concrete(Expr) - derived
        if c.__module__.startswith("normdsl") and not any(issubclass(c, k) for k in known)
    ]
    assert missing == []


def test_what_is_used_twice_is_computed_once():
    polar = nd.polar(G)
    text, emitter = code(polar * polar + W)
    assert (text + "".join(emitter.lines)).count("polar_svd(") == 1


def test_the_authors_names_are_kept():
    u = nd.polar(G)
    _, emitter = code(W - u, direction=u)
    assert emitter.lines == ["direction = polar_svd(G)"]


def test_names_that_would_shadow_are_changed():
    u = nd.polar(G)
    _, emitter = code(W - u, polar_svd=u)
    assert emitter.lines == ["polar_svd1 = polar_svd(G)"]


def test_bias_corrections_are_cast_where_they_meet_a_matrix():
    text, _ = code(G / (1 - nd.expr.as_expr(0.9) ** nd.t))
    assert text == "G / (1 - 0.9 ** t).to(W.dtype)"


def test_factors_of_the_shape_stay_python_numbers():
    text, _ = code(nd.sqrt(nd.maximum(1, nd.rows / nd.cols)) * G)
    assert text == "max(1, rows / cols) ** 0.5 * G"
