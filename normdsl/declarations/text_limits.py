"""What a text of a declaration may hold, checked before anything is built from it.

The largest rule of normdsl.algorithms has 17,000 characters, 91 nodes and 7 names, so the limits
leave room for fifty times that, and keep reading and lowering of whatever passes a matter of
seconds.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from normdsl.errors import SerializationError

MAX_CHARACTERS = 5_000_000
_MAX_NESTING = 60
_MAX_ITEMS = 64
_MAX_NAME = 100
_MAX_WHOLE = 2**63
#: Lists that are longer than those inside a node, and how long they may be.
_LONGER = {"nodes": 10_000, "names": 10_000}
#: Bodies of recursions × nodes they may read: checking a recursion walks through its bodies.
_MAX_WALK = 1_000_000


def parse(text: object) -> Any:
    """Return the JSON value of a text whose size, depth, names and numbers are within limits.

    Raises:
        SerializationError: for a text beyond a limit, one key twice, a number that is not finite,
            or characters that no terminal prints.
        ValueError: for a text that is not JSON. RecursionError: for one that is nested so deeply
            that Python's own reader gives up.
    """
    if not isinstance(text, str):
        raise refused(f"it is of type {type(text).__name__}, not str")
    if len(text) > MAX_CHARACTERS:
        raise refused(f"it has {len(text)} characters, more than {MAX_CHARACTERS}")
    document = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_not_finite)
    _require_limits(document)
    _require_walks(document)
    return document


def refused(why: str) -> SerializationError:
    """Return the refusal of a text."""
    return SerializationError(
        "read a declaration from JSON", why=why, hint="pass a text written by nd.to_json"
    )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise refused("an object has one key twice, and readers differ on which of the two holds")
    return found


def _not_finite(name: str) -> NoReturn:
    raise refused(f"it has the number {name}")


def _require_limits(document: Any) -> None:
    """Refuse what is nested too deeply, too long, or beyond 64 bits."""
    longer = _LONGER if isinstance(document, dict) else {}
    stack: list[tuple[Any, int, int]] = [(document, 0, _MAX_ITEMS)]
    while stack:
        value, depth, limit = stack.pop()
        if depth > _MAX_NESTING:
            raise refused(f"it is nested more than {_MAX_NESTING} levels deep")
        if isinstance(value, str):
            _require_text(value, MAX_CHARACTERS if limit < 0 else 1_000)
        elif isinstance(value, list | dict):
            if len(value) > limit:
                raise refused(f"a list has {len(value)} items, more than {limit}")
            stack += _inside(value, depth + 1, longer if depth == 0 else {})
        elif isinstance(value, int) and abs(value) > _MAX_WHOLE:
            raise refused("a whole number has more than 64 bits")


def _inside(
    value: list[Any] | dict[str, Any], depth: int, longer: dict[str, int]
) -> list[tuple[Any, int, int]]:
    if isinstance(value, list):
        return [(x, depth, _MAX_ITEMS) for x in value]
    for key in value:
        _require_text(key, _MAX_NAME)
    allowed = {**longer, "doc": -1} if depth == 1 else longer
    return [(x, depth, allowed.get(key, _MAX_ITEMS)) for key, x in value.items()]


def _require_text(text: str, longest: int) -> None:
    if len(text) > longest:
        raise refused(f"a name or number has {len(text)} characters, more than {longest}")
    if not all(c.isprintable() or c in "\n\t" for c in text):
        raise refused(f"{text[:20]!a} has characters that do not print")


def _require_walks(document: Any) -> None:
    """Refuse recursions with so many bodies that checking them all would take long."""
    nodes = document.get("nodes") if isinstance(document, dict) else None
    recursions = (
        node["recursion"]
        for node in (nodes if isinstance(nodes, list) else [])
        if isinstance(node, dict) and isinstance(node.get("recursion"), dict)
    )
    bodies = sum(len(b) for r in recursions if isinstance(b := r.get("bodies"), list))
    if nodes and bodies * len(nodes) > _MAX_WALK:
        raise refused(f"its recursions have {bodies} bodies over {len(nodes)} nodes")
