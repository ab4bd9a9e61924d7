"""Texts that pretend to be declarations, with something to break, to hide or to run."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import attrs
from properties import within

import normdsl as nd
from normdsl import G, W

REFUSED, HARMLESS = "refused", "read, and lowered to the same code"
SCALAR, MATRIX = {"rows": "1", "cols": "1"}, {"rows": "m", "cols": "n"}
UNKNOWN = {"low": "-inf", "high": "inf", "symmetric": False, "psd": False}
MAXIMUM = {"type": "Lp", "inverse": "0"}
SPECTRAL, ENTRIES = ({"type": kind, "gauge": MAXIMUM} for kind in ("Unitary", "Entrywise"))
CODE = '__import__("sys").modules.setdefault("owned", 1)'
#: Longest time, in seconds, that reading and lowering may take before they refuse.
LONGEST = 5.0


@nd.optimizer
def plain(lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.9):
    """An average, and its LMO."""
    m = nd.ema(G, beta)
    return W + lr * nd.spectral.lmo(m)


@attrs.frozen
class Text:
    """A text.

    Args:
        name: what is wrong with it. text: the text. result: what must come of it.
    """

    name: str
    text: str
    result: str = REFUSED


def document(**fields: Any) -> dict[str, Any]:
    return {**json.loads(nd.to_json(plain)), **fields}


FIRST = len(document()["nodes"])


def extended(*nodes: dict[str, Any]) -> str:
    """Return a text with more nodes, counted from `FIRST`; the last multiplies the update."""
    doc = document()
    doc["nodes"] += nodes
    doc["nodes"].append({"op": "Mul", "left": len(doc["nodes"]) - 1, "right": doc["update"]})
    return json.dumps({**doc, "update": len(doc["nodes"]) - 1})


def node(op: str, **fields: Any) -> dict[str, Any]:
    return {"op": op, **fields}


def number(value: str) -> dict[str, Any]:
    return node("Constant", value=value, dims=SCALAR)


def tower(op: str, leaf: dict[str, Any], height: int, other: str) -> str:
    """Return a text in which each node is made of the one before, twice or with a constant."""
    nodes, names = [leaf, number(other)], ("base", "exponent") if op == "Pow" else ("left", "right")
    last = FIRST
    for _ in range(height):
        pair = (last, FIRST + 1 if op == "Pow" else last)
        nodes.append(node(op, **dict(zip(names, pair, strict=True))))
        last = FIRST + len(nodes) - 1
    return extended(*nodes)


def renamed(what: str, name: str) -> str:
    text = json.dumps(document())
    assert json.dumps(what) in text
    return text.replace(json.dumps(what), json.dumps(name))


def loose(op: str, **fields: Any) -> dict[str, Any]:
    """Return a node for a state, of no recursion."""
    return node(op, dims=MATRIX, known=UNKNOWN, **fields)


def lmo(norm: dict[str, Any]) -> str:
    return extended(number("2"), node("Stream", source="G"), node("Lmo", norm=norm, arg=FIRST + 1))


def scaled(times: int) -> dict[str, Any]:
    norm: dict[str, Any] = SPECTRAL
    for _ in range(times):
        norm = {"type": "Scaled", "factor": FIRST, "base": norm}
    return norm


def grown() -> str:
    """Return a text in which constants of 399 digits multiply three by three, fifty times."""
    nodes = [number("1" + "0" * 398 + "/" + "9" * 398)]
    for _ in range(50):
        last = FIRST + len(nodes) - 1
        nodes += [node("Mul", left=last, right=last), node("Mul", left=last, right=last + 1)]
    return extended(*nodes)


def states(count: int, entries: int) -> str:
    zero = node("Constant", value="0", dims=MATRIX)
    body = {"inits": [FIRST] * count, "bodies": [FIRST] * count, "level": 1,
            "known": [UNKNOWN] * count}  # fmt: skip
    return extended(zero, *[node("After", recursion=body, index=0)] * entries)


def hypers(count: int) -> str:
    first = document()["hyper"][0]
    return json.dumps(document(hyper=[{**first, "name": f"h{k}"} for k in range(count)]))


def described(doc: str) -> str:
    return json.dumps(document(doc=doc))


ROWS, STEP = (node("Stream", source=source) for source in "mt")
SUM, READ = "a sum of 2¹⁰⁰ terms", "read, and lowered"
_COMBINED = {"type": "Combined", "parts": [SPECTRAL, ENTRIES], "gauge": MAXIMUM}
TEXTS = (
    Text("nothing wrong", nd.to_json(plain), HARMLESS),
    Text("not JSON", "def f(): pass"),
    Text("half a text", nd.to_json(plain)[:700]),
    Text("100,000 brackets", "[" * 100_000),
    Text("5 MB of blanks", " " * 5_000_001),
    Text("one key twice", nd.to_json(plain).replace('"name": "', '"name": "x", "name": "', 1)),
    Text("a NaN", nd.to_json(plain).replace('"default": 0.1', '"default": NaN')),
    Text("1e999", nd.to_json(plain).replace('"default": 0.1', '"default": 1e999')),
    Text("an unknown node", extended(node("Eval", arg=FIRST - 1))),
    Text("a node of the compiler's own", extended(loose("Placeholder", number=0))),
    Text("a node that refers to itself", extended(node("Transpose", arg=FIRST))),
    Text("an unknown norm", lmo({"type": "os.system"})),
    Text("an unknown gauge", lmo({"type": "Unitary", "gauge": {"type": "Popen"}})),
    Text("a norm for a gauge", lmo({"type": "Unitary", "gauge": SPECTRAL})),
    Text("code as the rule's name", renamed("plain", f'x"""; {CODE}; """')),
    Text("code as a hyper-parameter", renamed("lr", f"lr={CODE}")),
    Text("code as a state's name", renamed("m", f"m\n    {CODE}\n    m")),
    Text("a hyper-parameter `torch`", renamed("lr", "torch")),
    Text("a hyper-parameter `ｔorch`, which Python reads as `torch`", renamed("lr", "\uff54orch")),
    Text("a hyper-parameter `__debug__`", renamed("lr", "__debug__")),
    Text("a hyper-parameter like a function of the code", renamed("lr", "polar_svd")),
    Text("a hyper-parameter `lambda`", renamed("lr", "lambda")),
    Text("a terminal's escape sequence in the description", described("\x1b]0;x\x07")),
    Text("code as the description", described(f'"""\n{CODE}\n"""'), HARMLESS),
    Text("half a surrogate pair", described("\ud800")),
    Text("a number of 5,000 digits", extended(number("9" * 5_000))),
    Text("a number 1e999999999", extended(number("1e999999999"))),
    Text("products of numbers of 399 digits", grown()),
    Text("2 to the power of 10⁹", tower("Pow", number("2"), 1, "1000000000")),
    Text("a tower of twenty powers of 64", tower("Pow", number("3"), 20, "64")),
    Text("rows squared a hundred times", tower("Mul", ROWS, 100, "1")),
    Text(SUM, tower("Add", STEP, 100, "1"), READ),
    Text("operations nested 500 deep", tower("Add", STEP, 500, "1")),
    Text("norms nested 400 deep", lmo(scaled(400))),
    Text("an LMO of 10⁹ iterations", lmo({**_COMBINED, "steps": 10**9})),
    Text("25,000 hyper-parameters", hypers(25_000)),
    Text("200,000 names", json.dumps(document(names=[["m", 2]] * 200_000))),
    Text("100,000 nodes", extended(*[node("Eye", dim="m")] * 100_000)),
    Text("a recursion of 20,000 states", states(20_000, 1)),
    Text("2,000 recursions", states(1, 2_000)),
    Text("a state outside a recursion", extended(loose("Carry", level=1, index=0))),
)  # fmt: skip


@cache
def outcome(text: Text) -> str:
    """Read and lower a text, and say what came of it."""
    with within(LONGEST):
        try:
            found = nd.from_json(text.text)
            source = found.source()
        except nd.NormdslError:
            return REFUSED
    assert str(found)
    return HARMLESS if source == plain.source() else READ
