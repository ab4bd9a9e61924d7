"""Declarations as JSON: faithful both ways, and every other text refused without being run."""

import json
import sys
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import quickly, refuses, within
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W

ALGORITHMS = list(in_turn(6).values())
SCALAR, MATRIX = {"rows": "1", "cols": "1"}, {"rows": "m", "cols": "n"}
SQUARE = {"rows": "m", "cols": "m"}
LP = {"type": "Lp", "inverse": "0"}
UNKNOWN = {"low": "-inf", "high": "inf", "symmetric": False, "psd": False}


@nd.optimizer
def rule(lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.9):
    """One of everything that a text can lie about."""
    m = nd.ema(G, beta)
    gram = nd.accumulate(G @ G.T, nd.eye_like(G @ G.T))
    norm = nd.preconditioned(nd.spectral, left=nd.matrix_power(gram, 1 / 4))
    return W + lr * norm.lmo(m) * nd.sum(nd.abs(G))


TEXT = nd.to_json(rule)


def document():
    return json.loads(TEXT)


def read(doc):
    with within(3):
        return nd.from_json(json.dumps(doc))


def refused(doc):
    """Expect a refusal in four parts, soon."""
    with within(3), pytest.raises(nd.NormdslError) as caught:
        nd.from_json(doc if isinstance(doc, str) else json.dumps(doc))
    assert "  why: " in str(caught.value)
    return caught.value


def extended(*nodes, **fields):
    """Return a document with more nodes, the last of which multiplies the update."""
    doc = document()
    start = len(doc["nodes"])
    for node in nodes:
        doc["nodes"].append(node)
    last = {"op": "Mul", "left": len(doc["nodes"]) - 1, "right": doc["update"]}
    doc["nodes"].append(last)
    doc["update"] = len(doc["nodes"]) - 1
    assert start < doc["update"]
    return {**doc, **fields}


def place(op, doc=None):
    """Return where the first node of a kind stands."""
    return next(i for i, n in enumerate((doc or document())["nodes"]) if n["op"] == op)


def changed(op, /, **fields):
    """Return a document in which the first node of a kind has other fields."""
    doc = document()
    doc["nodes"][place(op)].update(fields)
    return doc


# Faithful


@pytest.mark.parametrize("declaration", [*ALGORITHMS, rule], ids=lambda d: d.name)
def test_round_trip(declaration):
    again = nd.from_json(nd.to_json(declaration))
    assert again == declaration
    assert hash(again) == hash(declaration)
    assert str(again) == str(declaration)
    assert again.doc == declaration.doc
    assert again.names == declaration.names
    assert [h.domain for h in again.hyper] == [h.domain for h in declaration.hyper]


@pytest.mark.parametrize("declaration", [*ALGORITHMS, rule], ids=lambda d: d.name)
def test_text_is_plain_and_stable(declaration):
    text = nd.to_json(declaration, indent=1)
    assert nd.to_json(nd.from_json(text), indent=1) == text
    assert json.loads(text)["name"] == declaration.name


def test_reading_gives_what_torch_code_is_made_of():
    assert nd.from_json(nd.to_json(rule)).source() == rule.source()


def test_a_bound_declaration_round_trips():
    bound = rule.bind(beta=0.123456789)
    assert nd.from_json(nd.to_json(bound)) == bound


@pytest.mark.parametrize("number", [1e-300, 1.17549435e-38, 1e300, 1 / 3, 0.1 + 0.2, -7])
def test_every_number_that_can_be_declared_round_trips(number):
    declaration = nd.Declaration("number", (), W - (G + number))
    assert nd.from_json(nd.to_json(declaration)) == declaration


def test_coupled_and_nested_states_round_trip():
    zero = nd.zeros_like(G)
    first, second = nd.fix(lambda a, b: (nd.ema(a + G, 0.9) + b, a), (zero, zero))
    declaration = nd.Declaration("states", (), W - first * nd.prev(second, 2))
    assert nd.from_json(nd.to_json(declaration)) == declaration


def test_every_kind_of_node_round_trips():
    gram, square = G @ G.T, W @ G.T
    values = nd.max(nd.maximum(G, W)) + nd.inner(G, W) + nd.sum(nd.sum(G, over="rows"))
    norms = nd.spectral.value(G) + nd.frobenius.dual(W) + nd.spectral.value(W).definition
    rotate = (nd.eigenbasis(gram), nd.eigenbasis(G.T @ G))
    norms += nd.nuclear.dual(G) + nd.max_of(nd.spectral, 2 * nd.max_entry).value(G)
    norms += nd.sum(nd.kth_largest(nd.abs(G), 2), over="layers")
    soap = nd.preconditioned(nd.max_entry, rotate=rotate, hadamard=nd.abs(W), left=gram)
    step = nd.inverse(square) @ nd.polar(G) + soap.sharp(G) + nd.sqrt(nd.t * nd.rows / nd.cols)
    step += nd.block_mean(G, rows=2) + nd.ky_fan(2).lmo(G).definition
    step += nd.max_of(nd.spectral, 2 * nd.max_entry).lmo(G).definition
    declaration = nd.Declaration("all", (), W - step * nd.loss * (values + norms))
    assert nd.from_json(nd.to_json(declaration)) == declaration


def test_a_long_declaration_round_trips_or_is_refused_when_written():
    x = G
    for k in range(1, 100):
        x = x + k * W
    declaration = nd.Declaration("long", (), x)
    try:
        text = nd.to_json(declaration)
    except nd.SerializationError:
        return
    assert nd.from_json(text) == declaration


def test_read_expressions_claim_no_source_line_of_the_reader():
    update = nd.from_json(nd.to_json(rule)).update
    assert update.where is None or update.where.file == __file__


def test_text_names_no_file():
    assert "test_serial" not in nd.to_json(rule)
    assert "where" not in nd.to_json(rule)


# Not a declaration


@pytest.mark.parametrize(
    "text",
    ["", "null", "1", "[]", "{}", "true", '"rule"', "{", "\x00", "NaN", '{"normdsl": 1}',
     '{"normdsl": 2}', '{"normdsl": "1"}', "def f(): pass", "[" * 100_000, '{"a":' * 100_000,
     "1" * 10_000, '{"normdsl": 1, "nodes": 5}', '{"normdsl": 1, "nodes": [5]}',
     '{"normdsl": 1, "nodes": {"op": "Eye"}}', '{"normdsl": 1, "nodes": [{}]}'],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_other_texts_are_refused(text):
    assert isinstance(refused(text), nd.SerializationError)


def test_refusals_have_four_parts():
    with refuses(nd.SerializationError, "read a declaration from JSON", "nd.to_json"):
        nd.from_json("{}")


def test_truncated_texts_are_refused():
    text = nd.to_json(rule)
    for end in range(0, len(text), 97):
        assert isinstance(refused(text[:end]), nd.SerializationError)


def test_texts_that_are_too_long_are_refused():
    assert "characters" in str(refused(" " * 5_000_001 + nd.to_json(rule)))


@pytest.mark.parametrize("key", ["normdsl", "name", "doc", "hyper", "nodes", "update", "names"])
def test_every_key_is_needed(key):
    doc = document()
    del doc[key]
    refused(doc)


@pytest.mark.parametrize("key", ["normdsl", "name", "doc", "hyper", "nodes", "update", "names"])
@pytest.mark.parametrize("value", [None, 5.5, {"a": 1}, True, -1])
def test_values_of_another_type_are_refused(key, value):
    refused({**document(), key: value})


def test_extra_keys_of_the_document_are_refused():
    refused({**document(), "extra": 1})


def test_extra_keys_inside_are_refused():
    refused(changed("Mul", extra=1))
    refused(changed("Mul", where={"file": "a", "line": 1}))
    refused(changed("Mul", shape=MATRIX))
    doc = document()
    doc["hyper"][0]["extra"] = 1
    refused(doc)
    doc = document()
    doc["hyper"][0]["domain"]["extra"] = 1
    refused(doc)


@pytest.mark.parametrize(
    "op",
    ["Nothing", "", None, 5, ["Mul"], "Expr", "State", "NormOperation", "Placeholder", "Recursion",
     "Declaration", "object", "__class__", "normdsl.expressions.nodes.arithmetic.Mul", "Spectral",
     "Left"],
    ids=repr,
)  # fmt: skip
def test_unknown_and_abstract_nodes_are_refused(op):
    refused(changed("Mul", op=op))


def test_abstract_nodes_with_fitting_fields_are_refused():
    doc = document()
    state = doc["nodes"][place("After")]
    refused(extended({**state, "op": "State"}))
    refused(extended({"op": "NormOperation", "norm": {"type": "Spectral"}, "arg": doc["update"]}))
    refused(extended({"op": "Expr"}))


def test_placeholders_are_refused():
    node = {"op": "Placeholder", "number": 0, "dims": MATRIX, "known": UNKNOWN}
    assert "unknown node 'Placeholder'" in str(refused(extended(node)))


@pytest.mark.parametrize("to", [10**6, -1, "0", 0.0, None, True, [0], {}, {"op": "Stream"}])
def test_references_to_what_does_not_come_before_are_refused(to):
    doc = document()
    at = place("Mul")
    doc["nodes"][at]["left"] = to
    refused(doc)


def test_forward_and_self_references_are_refused():
    doc = document()
    at = place("Mul")
    for to in (at, at + 1, len(doc["nodes"]) - 1):
        doc["nodes"][at]["right"] = to
        assert isinstance(refused(doc), nd.SerializationError)


def test_an_expression_written_in_place_is_refused():
    refused(extended({"op": "SingularNorm", "arg": {}, "gauge": {"type": "Lp", "inverse": "1"}}))
    refused(extended({"op": "Inner", "left": {}, "right": {}}))
    refused(extended({"op": "Transpose", "arg": {"op": "Stream", "source": "G"}}))


@pytest.mark.parametrize("to", [-1, 10**6, True, None, "0", 1.0, [0]])
def test_results_and_names_refer_to_nodes(to):
    refused({**document(), "update": to})
    refused({**document(), "names": [["m", to]]})


# Numbers


@pytest.mark.parametrize(
    "value",
    ["1e999999999", "9" * 5000, "1/0", "nan", "inf", "1.5", "0x10", "", " 1", "1 ", "1_000", "--1",
     "1/-2", 1, 1.5, None, True, [], "1e5", "__import__('os')"],
    ids=lambda v: str(v)[:20],
)  # fmt: skip
def test_numbers_that_are_not_exact_are_refused(value):
    refused(changed("Constant", value=value))


@pytest.mark.parametrize("value", ["1e999999999", "nan", None, True, [], "0", {}, "Infinity"])
def test_bounds_that_are_no_numbers_are_refused(value):
    doc = document()
    doc["hyper"][0]["domain"]["low"] = value
    refused(doc)


@pytest.mark.parametrize("text", ["NaN", "1e999999999", "-Infinity", "9" * 400 + ".0"])
def test_defaults_that_are_no_finite_numbers_are_refused(text):
    doc = nd.to_json(rule).replace('"default": 0.1', f'"default": {text}')
    assert text in doc
    refused(doc)


@pytest.mark.parametrize("default", [-1, "0.1", True, [], {}])
def test_defaults_outside_their_domain_are_refused(default):
    doc = document()
    doc["hyper"][0]["default"] = default
    refused(doc)


@pytest.mark.parametrize("value", ["no", 1, 0, None, "False", []])
def test_flags_are_true_or_false(value):
    refused(changed("Reduce", over_rows=value))


@pytest.mark.parametrize("index", [1, -1, "0", 0.7, True, None])
def test_indices_of_states_are_those_of_the_recursion(index):
    refused(changed("After", index=index))


# Claims


@pytest.mark.parametrize(
    "claim", [{"low": 0.0}, {"low": 1.0}, {"high": 1.0}, {"symmetric": True}, {"psd": True}]
)
def test_false_facts_of_a_recursion_are_refused(claim):
    doc = document()
    average = next(
        n for n in doc["nodes"] if n["op"] == "After" and not n["recursion"]["known"][0]["psd"]
    )
    average["recursion"]["known"][0].update(claim)
    refused(doc)


def test_false_facts_of_a_carried_symbol_are_refused():
    """The body may rest on what the symbol claims; the recursion must have proved it."""
    update = document()["update"]
    zero = len(document()["nodes"])
    lie = {"low": "-inf", "high": "inf", "symmetric": True, "psd": True}
    recursion = {"inits": [zero], "bodies": [zero + 3], "level": 1, "known": [UNKNOWN]}
    nodes = [
        {"op": "Constant", "value": "0", "dims": SQUARE},
        {"op": "Carry", "level": 1, "index": 0, "dims": SQUARE, "known": lie},
        {"op": "Constant", "value": "1/2", "dims": SCALAR},
        {"op": "MatrixPower", "arg": zero + 1, "exponent": zero + 2},
        {"op": "After", "recursion": recursion, "index": 0},
        {"op": "MatMul", "left": zero + 4, "right": update},
    ]
    refused(extended(*nodes))


def test_a_carried_symbol_outside_a_recursion_is_refused():
    refused(extended({"op": "Carry", "level": 1, "index": 0, "dims": MATRIX, "known": UNKNOWN}))


def test_a_recursion_inside_another_of_its_level_is_refused():
    """The inner state would be taken for the outer one."""
    zero = len(document()["nodes"])
    inner = {"inits": [zero], "bodies": [zero + 1], "level": 1, "known": [UNKNOWN]}
    outer = {"inits": [zero], "bodies": [zero + 2], "level": 1, "known": [UNKNOWN]}
    nodes = [
        {"op": "Constant", "value": "0", "dims": MATRIX},
        {"op": "Carry", "level": 1, "index": 0, "dims": MATRIX, "known": UNKNOWN},
        {"op": "After", "recursion": inner, "index": 0},
        {"op": "After", "recursion": outer, "index": 0},
    ]
    refused(extended(*nodes))


def test_an_initial_value_that_reads_a_state_is_refused():
    doc = document()
    state, start = place("After"), len(doc["nodes"])
    recursion = {"inits": [state], "bodies": [state], "level": 2, "known": [UNKNOWN]}
    doc = extended({"op": "After", "recursion": recursion, "index": 0})
    assert doc["nodes"][start]["recursion"]["inits"] == [state]
    refused(doc)


def test_a_symbol_with_another_domain_is_refused():
    doc = document()
    doc["nodes"][place("Param")]["domain"]["low"] = 1.0
    refused(doc)


def test_illegal_operations_are_refused():
    update = document()["update"]
    refused(extended({"op": "MatMul", "left": update, "right": update}))
    refused(extended({"op": "Eigenbasis", "arg": update}))
    refused(extended({"op": "Inverse", "arg": update}))


@pytest.mark.parametrize("function", ["eval", "Exp", "", None, 5, {"name": "exp"}, ["exp"]])
def test_unknown_functions_are_refused(function):
    refused(changed("Apply", function=function))


@pytest.mark.parametrize(
    "norm",
    [{"type": "Nuclear7"}, {"type": "Norm"}, {"type": "LinearMap"}, {"type": "Left"}, {}, None,
     "Unitary", {"type": "Unitary"}, {"type": ["Unitary"]}, {"type": "Preconditioned"},
     {"type": "Unitary", "gauge": LP, "p": 1}, {"type": "Unitary", "gauge": {"type": "Unitary"}},
     {"type": "Preconditioned", "base": {"type": "Unitary", "gauge": LP}, "map": LP},
     {"type": "Combined", "parts": [], "gauge": LP, "steps": 10}],
    ids=str,
)  # fmt: skip
def test_unknown_norms_are_refused(norm):
    refused(changed("Lmo", norm=norm))


@pytest.mark.parametrize("source", ["X", "", None, 1, ["G"]])
def test_unknown_streams_are_refused(source):
    refused(changed("Stream", source=source))


@pytest.mark.parametrize(
    "gauge",
    [{"type": "Gauge"}, {"type": "Lp"}, {"type": "Lp", "inverse": "3/2"}, {"type": "Top", "k": 0},
     {"type": "Lp", "inverse": "-1"}, {"type": "Lp", "inverse": 1}, {"type": "Top", "k": True},
     {"type": "TopDual", "k": 1.5}, {"type": "Left"}, {"type": "Norm"}, None, "Lp"],
    ids=str,
)  # fmt: skip
def test_unknown_gauges_are_refused(gauge):
    refused(extended({"op": "SingularNorm", "arg": document()["update"], "gauge": gauge}))


def test_a_node_that_only_passes_make_is_refused():
    """It has no typing rule, and would end in an error that is none of the reader's."""
    assert "normdsl.compiler.lowering.derive" in sys.modules or rule.source()
    refused(extended({"op": "Singular", "arg": document()["update"], "part": 0}))


def test_a_length_that_only_passes_know_is_refused():
    singular = {"rows": "min(m, n)", "cols": "1"}
    refused(extended({"op": "Constant", "value": "1", "dims": singular}))
    refused(extended({"op": "Eye", "dim": "min(m, n)"}))


def test_two_hyper_parameters_of_one_name_are_refused():
    doc = document()
    doc["hyper"].append(doc["hyper"][0])
    refused(doc)


# Nothing is executed, nothing hangs

CODE = [
    'x"""\n    import sys; sys.modules["owned"] = sys\n    """',
    "x\nimport sys\n",
    "x=1): pass\nimport sys\ndef f(y",
    "a.b",
    "a b",
    "",
    "1a",
    "lambda",
    "x; y",
    "x\\",
    "x'",
    "x{}",
    "\u202ex",
]


@pytest.mark.parametrize("name", CODE, ids=repr)
def test_names_that_are_no_identifiers_are_refused(name):
    """Names become part of the torch code, which is run."""
    refused({**document(), "name": name})
    refused({**document(), "names": [["m", place("After")], [name, place("MatMul")]]})
    doc = json.loads(json.dumps(document()).replace('"lr"', json.dumps(name)))
    assert doc["hyper"][0]["name"] == name
    refused(doc)


def test_running_a_text_runs_nothing_else():
    code = '__import__("sys").modules.setdefault("owned", 1)'
    weights = torch.eye(2, dtype=torch.float64)
    with suppress(nd.NormdslError):
        nd.functional(read({**document(), "name": f'x"""; {code}; """'})).init(weights)
    assert sys.modules.pop("owned", None) is None


def test_deep_expressions_are_refused():
    doc = document()
    for _ in range(500):
        last = len(doc["nodes"]) - 1
        doc["nodes"].append({"op": "Add", "left": last, "right": last})
    doc["update"] = len(doc["nodes"]) - 1
    assert "deep" in str(refused(doc))


@pytest.mark.parametrize("op", ["Add", "Mul", "MatMul"])
def test_shared_expressions_do_not_hang(op):
    """2^100 paths through 100 nodes, and a refusal at the end that has to show them."""
    doc = document()
    doc["nodes"].append({"op": "Eye", "dim": "m"})
    for _ in range(100):
        last = len(doc["nodes"]) - 1
        doc["nodes"].append({"op": op, "left": last, "right": last})
    doc["update"] = len(doc["nodes"]) - 1
    refused(doc)


def test_reading_takes_time_in_proportion_to_the_text():
    doc = document()
    doc["nodes"] += [{"op": "Eye", "dim": "m"}] * 4000
    assert read({**doc}) == rule


@st.composite
def corruptions(draw):
    """Return a document with one value somewhere replaced by another."""
    doc = document()
    at, key = {"": doc}, ""
    while isinstance(at[key], dict | list) and at[key] and (at[key] is doc or draw(st.booleans())):
        at = at[key]
        key = draw(st.sampled_from(range(len(at)) if isinstance(at, list) else sorted(at)))
    junk = st.sampled_from(
        [
            None,
            True,
            -1,
            0,
            3,
            10**9,
            0.5,
            "",
            "G",
            "1e999999999",
            "After",
            [],
            {},
            [0],
            {"op": "W"},
        ]
    )
    at[key] = draw(junk)
    return doc


@quickly
@given(corruptions())
def test_any_corruption_is_refused_or_still_a_legal_declaration(doc):
    with within(3):
        try:
            found = nd.from_json(json.dumps(doc))
        except nd.NormdslError:
            return
    assert nd.from_json(nd.to_json(found)) == found
    assert found.update.shape == W.shape
    assert str(found)
    assert found.source()
