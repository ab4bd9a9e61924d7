"""Generic traversal of frozen attrs values that contain expressions.

Expressions, norms, linear maps and recursions are all frozen attrs classes whose fields hold
expressions, numbers, enums, or one another. What a pass needs of them (their parts, a copy with
other parts, a fingerprint) is read off the fields, so a new class needs no entry anywhere.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import attrs

#: A class, or several, as isinstance takes them.
Kind = type | tuple[type, ...]

#: Classes of values that have no parts.
_PLAIN = frozenset({int, float, str, bool, Fraction, type(None)})
#: Classes of values that a digest takes as they are written.
_WRITTEN = (enum.Enum, Fraction, int, float, str)


class _Fields(dict[type, tuple[str, ...]]):
    def __missing__(self, cls: type) -> tuple[str, ...]:
        fields = (f for f in attrs.fields(cls) if f.init and not f.metadata.get("note"))
        return self.setdefault(cls, tuple(f.name for f in fields))


class _Known(dict[type, bool]):
    def __missing__(self, cls: type) -> bool:
        return self.setdefault(cls, attrs.has(cls))


class _Heads(dict[type, bytes]):
    def __missing__(self, cls: type) -> bytes:
        return self.setdefault(cls, f"<{cls.__module__}.{cls.__qualname__}".encode())


#: By attrs class, the names of its constructor fields, notes left out.
content_fields = _Fields().__getitem__
#: By class, whether it is one of attrs, whose fields have parts.
_has_parts = _Known().__getitem__
#: By class, what a digest of its values starts with.
_head = _Heads().__getitem__


def parts(value: Any, kind: Kind) -> list[Any]:
    """Return the values of type `kind` that stand directly in `value`'s fields, in order."""
    found: list[Any] = []
    for name in content_fields(type(value)):
        field = getattr(value, name)
        if isinstance(field, kind):
            found.append(field)
        elif type(field) not in _PLAIN:
            _collect(field, kind, found)
    return found


def _collect(value: Any, kind: Kind, found: list[Any]) -> None:
    if isinstance(value, kind):
        found.append(value)
    elif isinstance(value, tuple):
        for item in value:
            _collect(item, kind, found)
    elif _has_parts(type(value)):
        found += parts(value, kind)


def notes(value: Any, kind: type) -> tuple[Any, ...]:
    """Return what stands in `value`'s fields besides its parts of type `kind`, in order."""
    fields = (getattr(value, name) for name in content_fields(type(value)))
    return tuple(x for x in fields if not isinstance(x, kind))


def rebuild(value: Any, kind: Kind, change: Callable[[Any], Any]) -> Any:
    """Return a copy of `value` in which each part of type `kind` is replaced by `change(part)`.

    The value itself is returned when no part changed, so that untouched graphs stay shared.
    Expressions hand on what is assured of them to what takes their place.
    """
    updates = {}
    for name in content_fields(type(value)):
        old = getattr(value, name)
        new = old if type(old) in _PLAIN else _replace(old, kind, change)
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
    return rebuild(value, kind, change) if _has_parts(type(value)) else value


def fingerprint(value: Any) -> bytes:
    """Return a digest of a value's class and contents; equal digests mean equal structure."""
    digest = hashlib.blake2b(digest_size=16)
    _feed_fields(digest, value)
    return digest.digest()


def _feed_fields(digest: Any, value: Any) -> None:
    digest.update(_head(type(value)))
    for name in content_fields(type(value)):
        _feed(digest, getattr(value, name))
    digest.update(b">")


def _feed(digest: Any, value: Any) -> None:
    known = getattr(value, "fingerprint", None)
    if known is not None:
        digest.update(b"#" + known)
    elif type(value) in _PLAIN:
        _feed_written(digest, value)
    elif _has_parts(type(value)):
        _feed_fields(digest, value)
    elif isinstance(value, tuple):
        digest.update(b"(")
        for item in value:
            _feed(digest, item)
        digest.update(b")")
    elif isinstance(value, _WRITTEN):
        _feed_written(digest, value)
    else:
        raise TypeError(f"a {type(value).__name__} cannot be part of a declaration")


def _feed_written(digest: Any, value: Any) -> None:
    digest.update(f"{type(value).__name__}:{value!r};".encode())
