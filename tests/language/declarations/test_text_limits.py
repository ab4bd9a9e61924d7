"""Texts that take long, hide something or say two things are refused before they are built."""

import json
from time import perf_counter

import pytest
from properties import refuses, within
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W

SCALAR, MATRIX = {"rows": "1", "cols": "1"}, {"rows": "m", "cols": "n"}
UNKNOWN = {"low": "-inf", "high": "inf", "symmetric": False, "psd": False}
SPECTRAL = {"type": "Unitary", "gauge": {"type": "Lp", "inverse": "0"}}
ENTRIES = {"type": "Entrywise", "gauge": {"type": "Lp", "inverse": "0"}}


@nd.optimizer
def rule(lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.9):
    m = nd.ema(G, beta)
    return W + lr * nd.spectral.lmo(m)


def document(**fields):
    return {**json.loads(nd.to_json(rule)), **fields}


FIRST = len(document()["nodes"])


def extended(*nodes):
    """Return a document with more nodes, counted from `FIRST`; the last multiplies the update."""
    doc = document()
    doc["nodes"] += nodes
    doc["nodes"].append({"op": "Mul", "left": len(doc["nodes"]) - 1, "right": doc["update"]})
    return {**doc, "update": len(doc["nodes"]) - 1}


def refused(doc, *fragments):
    text = doc if isinstance(doc, str) else json.dumps(doc)
    with within(3), refuses(nd.SerializationError, *fragments):
        nd.from_json(text)


@pytest.mark.parametrize("text", [None, 5, b"{}", bytearray(b"{}"), ["{}"], {}], ids=repr)
def test_only_texts_are_read(text):
    with refuses(nd.SerializationError, "not str"):
        nd.from_json(text)


@pytest.mark.parametrize("key", ["name", "op", "value", "low", "default"])
def test_one_key_twice_is_refused(key):
    text = nd.to_json(rule)
    assert f'"{key}": ' in text
    refused(text.replace(f'"{key}": ', f'"{key}": 0, "{key}": ', 1), "one key twice")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number):
    refused(nd.to_json(rule).replace('"default": 0.1', f'"default": {number}'), number)


def test_a_bound_that_overflows_is_refused():
    refused(nd.to_json(rule).replace('"low": 0.0', '"low": -1e999', 1), "not a number")


def test_whole_numbers_have_64_bits():
    refused(document(update=2**64), "64 bits")


def test_many_hyper_parameters_names_nodes_and_bodies_are_refused_soon():
    doc = document()
    many = [{**doc["hyper"][0], "name": f"h{i}"} for i in range(24_000)]
    refused({**doc, "hyper": many}, "24000 items")
    refused({**doc, "names": [["a", 1]] * 200_000}, "200000 items")
    refused({**doc, "nodes": doc["nodes"] + [{"op": "Eye", "dim": "m"}] * 10_000}, "items")
    states = {"inits": [0] * 20_000, "bodies": [0] * 20_000, "level": 1, "known": []}
    refused(extended({"op": "After", "recursion": states, "index": 0}), "20000 items")


def test_recursions_over_a_large_graph_are_refused_before_they_are_checked():
    state = {"inits": [FIRST], "bodies": [FIRST], "level": 1, "known": [UNKNOWN]}
    nodes = [{"op": "After", "recursion": state, "index": 0}] * 2_000
    refused(extended({"op": "Constant", "value": "0", "dims": MATRIX}, *nodes), "2001 bodies")


def test_deeply_nested_norms_are_refused():
    norm = SPECTRAL
    for _ in range(400):
        norm = {"type": "Scaled", "factor": FIRST, "base": norm}
    two = {"op": "Constant", "value": "2", "dims": SCALAR}
    lmo = {"op": "Lmo", "norm": norm, "arg": FIRST + 1}
    refused(extended(two, {"op": "Stream", "source": "G"}, lmo), "levels deep")


@pytest.mark.parametrize("text", ["\ud800", "\x1b]0;owned\x07", "a\x00b", "\u202ecod"], ids=ascii)
def test_characters_that_do_not_print_are_refused(text):
    """Half a surrogate pair breaks files; escape sequences are commands to a terminal."""
    refused(document(doc=text), "do not print")
    refused(document(name=text), "do not print")
    refused({**document(), text: 1}, "do not print")


def test_long_names_are_refused_and_long_descriptions_are_not():
    refused(document(name="a" * 2_000), "2000 characters")
    assert len(nd.from_json(json.dumps(document(doc="word " * 10_000))).doc) == 50_000


@pytest.mark.parametrize("steps", [10**9, 0, -1, 100_001])
def test_an_inner_iteration_that_would_not_come_back_is_refused(steps):
    parts = {"parts": [SPECTRAL, ENTRIES], "gauge": SPECTRAL["gauge"], "steps": steps}
    stream = {"op": "Stream", "source": "G"}
    for lmo in (
        {"op": "Lmo", "norm": {"type": "Combined", **parts}, "arg": FIRST},
        {"op": "Iterated", "arg": FIRST, **parts},
    ):
        with within(3), refuses(nd.DeclarationError, "100,000"):
            nd.from_json(json.dumps(extended(stream, lmo)))


@pytest.mark.parametrize("declaration", in_turn(5).values(), ids=lambda r: r.name)
def test_the_limits_leave_room_for_a_hundred_times_the_rules_that_come_along(declaration):
    text = nd.to_json(declaration)
    assert len(text) * 100 < 5_000_000
    assert len(json.loads(text)["nodes"]) * 50 < 10_000
    start = perf_counter()
    nd.from_json(text)
    assert perf_counter() - start < 1
