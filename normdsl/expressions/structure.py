"""Generic traversal of frozen attrs values that contain expressions.

Expressions, norms, linear maps and recursions are all frozen attrs classes whose fields hold
expressions, numbers, enums, or one another. What a pass needs of them (their parts, a copy with
other parts, a fingerprint) is read off the fields, so a new class needs no entry anywhere.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import attrs

#: A class, or several, as isinstance takes them.
Kind = type | tuple[type, ...]

_FIELDS: dict[type, tuple[str, ...]] = {}


def content_fields(cls: type) -> tuple[str, ...]:
    """Return the names of the constructor fields of an attrs class, notes left out."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(
            f.name for f in attrs.fields(cls) if f.init and not f.metadata.get("note")
        )
    return _FIELDS[cls]


def parts(value: Any, kind: Kind) -> Iterator[Any]:
    """Yield the values of type `kind` that stand directly in `value`'s fields, in order."""
    for name in content_fields(type(value)):
        yield from _inside(getattr(value, name), kind)


def notes(value: Any, kind: type) -> tuple[Any, ...]:
    """Return what stands in `value`'s fields besides its parts of type `kind`, in order."""
    fields = (getattr(value, name) for name in content_fields(type(value)))
    return tuple(x for x in fields if not isinstance(x, kind))


def _inside(value: Any, kind: Kind) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _inside(item, kind)
    elif attrs.has(type(value)):
        yield from parts(value, kind)


def rebuild(value: Any, kind: Kind, change: Callable[[Any], Any]) -> Any:
    """Return a copy of `value` in which each part of type `kind` is replaced by `change(part)`.

    The value itself is returned when no part changed, so that untouched graphs stay shared.
    Expressions hand on what is assured of them to what takes their place.
    """
    updates = {}
    for name in content_fields(type(value)):
        old = getattr(value, name)
        new = _replace(old, kind, change)
        if new is not old:
            updates[name] = new
    return attrs.evolve(value, **updates) if updates else value


def _replace(value: Any, kind: Kind, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, kind):
        old: Any = value
        new = change(old)
        hand_on = getattr(old, "_inherited_by", None)
        return new if new is old or hand_on is None else hand_on(new)
    if isinstance(value, tuple):
        new = tuple(_replace(item, kind, change) for item in value)
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new
    if attrs.has(type(value)):
        return rebuild(value, kind, change)
    return value


def fingerprint(value: Any) -> bytes:
    """Return a digest of a value's class and contents; equal digests mean equal structure."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value)
    return digest.digest()


def _feed(digest: Any, value: Any, top: bool = True) -> None:
    known = None if top else getattr(value, "fingerprint", None)
    if known is not None:
        digest.update(b"#" + known)
    elif attrs.has(type(value)):
        digest.update(f"<{type(value).__module__}.{type(value).__qualname__}".encode())
        for name in content_fields(type(value)):
            _feed(digest, getattr(value, name), top=False)
        digest.update(b">")
    elif isinstance(value, tuple):
        digest.update(b"(")
        for item in value:
            _feed(digest, item, top=False)
        digest.update(b")")
    elif isinstance(value, enum.Enum | Fraction | int | float | str | None):
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    else:
        raise TypeError(f"a {type(value).__name__} cannot be part of a declaration")
