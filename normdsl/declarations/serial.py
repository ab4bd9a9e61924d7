"""Declarations as JSON: a table of nodes, children first, and back; nothing is ever executed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextvars import ContextVar
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.identifiers import is_name
from normdsl.declarations.rule import Rule
from normdsl.declarations.text_limits import parse
from normdsl.declarations.text_limits import refused as _refused
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes import FUNCTIONS, Function, legal_rank
from normdsl.expressions.shapes import Dim, Length, Rank, Space
from normdsl.expressions.traversal import walk
from normdsl.norms.base import Norm
from normdsl.norms.maps import LinearMap
from normdsl.source import located

FORMAT = 1
#: Kinds of which a text may name any class that has been imported.
_OPEN = (Norm, LinearMap, Gauge)

T = TypeVar("T", bound=Rule)

#: The nodes that are written, each with its place, and those that have been read so far.
_PLACES: ContextVar[dict[Expr, int]] = ContextVar("places")
_NODES: ContextVar[Sequence[Expr]] = ContextVar("nodes")


def to_json(declaration: Rule, indent: int | None = None) -> str:
    """Return a declaration as JSON text; `nd.from_json` gives an equal declaration back.

    Example:
        >>> import normdsl as nd
        >>> text = nd.to_json(nd.algorithms.adam)
        >>> nd.from_json(text) == nd.algorithms.adam
        True
    """
    table: dict[Expr, int] = {}
    nodes: list[dict[str, Any]] = []
    _PLACES.set(table)
    roots = [declaration.update, *(x for _, x in declaration.names)]
    for node in (x for root in roots for x in walk(root)):
        if node not in table:
            nodes.append({"op": type(node).__name__, **_writer(type(node))(node)})
            table[node] = len(nodes) - 1
    document = {
        "normdsl": FORMAT,
        "name": declaration.name,
        "doc": declaration.doc,
        "hyper": [_converter().unstructure(h) for h in declaration.hyper],
        "nodes": nodes,
        "update": table[declaration.update],
        "names": [[name, table[x]] for name, x in declaration.names],
    }
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)


def read(text: str, made: type[T]) -> T:
    """Return the rule that a JSON text describes, of the class that is asked for.

    Raises:
        SerializationError: if it is not one: malformed, beyond the limits of `text_limits`, or with
            nodes, norms or functions this version (and the modules already imported) do not define.
    """
    try:
        return _read(parse(text), made)
    except NormdslError:
        raise
    except Exception as error:
        raise _refused(f"{type(error).__name__}: {str(error)[:200]}") from error


def _read(document: Any, made: type[T]) -> T:
    keys = {"normdsl", "name", "doc", "hyper", "nodes", "update", "names"}
    if not isinstance(document, dict) or document.keys() != keys:
        raise _refused(f"its keys are not {', '.join(sorted(keys))}")
    if type(document["normdsl"]) is not int or document["normdsl"] != FORMAT:
        raise _refused(f"it is of format {document['normdsl']!r}, not {FORMAT}")
    nodes: list[Expr] = []
    _NODES.set(nodes)
    converter = _converter()
    classes: dict[str, type[Expr]] = _subclasses(Expr)
    with located(None):
        for entry in document["nodes"]:
            fields = dict(entry)
            op = fields.pop("op")
            if op not in classes or classes[op].internal:
                raise _refused(f"it has an unknown node {op!r}")
            nodes.append(_builder(classes[op])(fields, classes[op]))
        place = converter.get_structure_hook(Expr)
        return made(
            name=converter.structure(document["name"], str),
            hyper=tuple(converter.structure(h, Hyperparameter) for h in document["hyper"]),
            update=place(document["update"], Expr),
            names=tuple((name, place(i, Expr)) for name, i in document["names"]),
            doc=converter.structure(document["doc"], str),
        )


@lru_cache(maxsize=512)  # each is compiled
def _builder(cls: type) -> Any:
    """Return a function that builds a value of a class from its fields, and refuses others."""
    omitted: Any = {"where": override(omit=True)} if issubclass(cls, Expr) else {}
    return make_dict_structure_fn(
        cls,
        _converter(),
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=False,
        **omitted,
    )


@lru_cache(maxsize=512)
def _writer(cls: type) -> Any:
    """Return a function that writes the fields of a value of a class."""
    return make_dict_unstructure_fn(cls, _converter(), where=override(omit=True))


def _is_expr(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Expr)


def _is_open(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, _OPEN)


def _subclasses(cls: type) -> dict[str, type]:
    """Return the concrete classes below `cls` that have been imported, by name."""
    found: dict[str, type] = {}
    sub: Any
    for sub in cls.__subclasses__():
        found.update(_subclasses(sub))
        if not getattr(sub, "__abstractmethods__", None):
            found[sub.__name__] = sub
    return found


@cache
def _converter() -> cattrs.Converter:
    """Return the converter for fields; expressions are places in the table of nodes."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)

    def structure_place(value: Any, _: Any) -> Any:
        nodes = _NODES.get()
        if type(value) is not int or not 0 <= value < len(nodes):
            raise _refused(f"a node refers to {value!r}, which does not come before it")
        return nodes[value]

    def structure_open(value: Any, cls: Any) -> Any:
        fields = dict(value)
        name = fields.pop("type")
        base = next(kind for kind in _OPEN if issubclass(cls, kind))
        known = _subclasses(base)
        if name not in known:
            raise _refused(f"it has an unknown {base.__name__} {name!r}")
        return _builder(known[name])(fields, known[name])

    def write_open(value: Norm | LinearMap | Gauge) -> dict[str, Any]:
        return {"type": type(value).__name__, **_writer(type(value))(value)}

    def structure_length(value: Any, _: Any) -> Length:
        if not isinstance(value, dict):
            return _dim(value, Dim)
        if value.keys() == {"name"} and is_name(value["name"]):
            return Space(value["name"])
        share = value.get("share", False)
        if value.keys() - {"share"} != {"size"} or not isinstance(share, bool):
            raise _refused(f"{str(value)[:50]!r} is not a length")
        return legal_rank(Rank(structure_place(value["size"], Expr), share))

    def structure_exactly(value: Any, cls: Any) -> Any:
        if type(value) is not cls:
            raise _refused(f"{str(value)[:50]!r} is not a {cls.__name__}")
        return value

    converter.register_structure_hook_func(_is_expr, structure_place)
    converter.register_unstructure_hook_func(_is_expr, lambda x: _PLACES.get()[x])
    converter.register_structure_hook_func(_is_open, structure_open)
    converter.register_unstructure_hook_func(_is_open, write_open)
    for exact_type in (int, bool, str):
        converter.register_structure_hook(exact_type, structure_exactly)
    converter.register_unstructure_hook(Fraction, str)
    converter.register_structure_hook(Fraction, _fraction)
    converter.register_structure_hook_func(
        lambda cls: cls in (Length, Space | Dim), structure_length
    )
    converter.register_structure_hook(Dim, _dim)
    converter.register_unstructure_hook(float, _write_float)
    converter.register_structure_hook(float, _read_float)
    converter.register_unstructure_hook(Function, lambda f: f.name)
    converter.register_structure_hook(Function, lambda name, _: FUNCTIONS[name])
    return converter


def _fraction(value: Any, _: Any) -> Fraction:
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,400}(/[0-9]{1,400})?", value):
        raise _refused(f"{str(value)[:50]!r} is not an exact number")
    return Fraction(value)


def _dim(value: Any, _: Any) -> Dim:
    """Return a length of arrays in declarations: 1, m or n; min(m, n) is for the compiler alone."""
    if value == Dim.K.value:
        raise _refused(f"an array has the length {value}, and W is m×n")
    return Dim(value)


def _write_float(value: float) -> float | str:
    return value if math.isfinite(value) else repr(float(value))


def _read_float(value: Any, _: Any) -> float:
    """Return a number; a whole one, such as the default of a rank, stays one."""
    if value in ("inf", "-inf"):
        return float(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise _refused(f"{str(value)[:50]!r} is not a number")
    exactly: float = value if isinstance(value, int) and value == float(value) else float(value)
    return exactly
