"""Forms: nodes of normal forms, with sums and products in order and transposes pushed inwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import attrs

#: The identity next to other matrices, whose size they decide.
EYE = "Eye"


@attrs.frozen(eq=False)
class Form:
    """A node of a normal form; two are equal when their digests are.

    Args:
        kind: the operation. parts: the forms it is made of. note: what else it depends on.
        still: whether it is its own transpose. scalar: whether it is a number.
        commutes: whether its transpose is the same operation of transposed parts.
    """

    kind: str
    parts: tuple[Form, ...] = ()
    note: Any = None
    still: bool = False
    scalar: bool = False
    commutes: bool = False
    digest: bytes = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        digest = hashlib.blake2b(repr((self.kind, self.note)).encode(), digest_size=16)
        for part in self.parts:
            digest.update(part.digest)
        object.__setattr__(self, "digest", digest.digest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def by_digest(form: Form) -> bytes:
    """Return what forms are ordered by."""
    return form.digest


def joined(kind: str, parts: Iterable[Form]) -> Form:
    """Return a commutative, associative operation, flat and with its operands in order."""
    flat = [x for part in parts for x in (part.parts if part.kind == kind else (part,))]
    if kind == "Add" and not all(x.scalar or _is_eye(x) for x in flat):
        flat = [_sizeless(x) if _is_eye(x) else x for x in flat]
    flat.sort(key=by_digest)
    still, scalar = all(x.still for x in flat), all(x.scalar for x in flat)
    return Form(kind, tuple(flat), None, still, scalar)


def _is_eye(form: Form) -> bool:
    """Return whether a form is a multiple of the identity."""
    return form.kind == EYE or (
        form.kind == "Mul"
        and all(x.scalar or x.kind == EYE for x in form.parts)
        and not form.scalar
    )


def _sizeless(form: Form) -> Form:
    """Return a multiple of the identity without its size, which the terms beside it decide."""
    if form.kind == EYE:
        return Form(EYE, (), (), True)
    return joined("Mul", map(_sizeless, form.parts)) if form.kind == "Mul" else form


@lru_cache(maxsize=65536)
def flipped(form: Form) -> Form:
    """Return the normal form of a transpose."""
    if form.still:
        return form
    if form.kind == "Transpose":
        return form.parts[0]
    if form.kind == "MatMul":
        parts = tuple(flipped(x) for x in reversed(form.parts))
        return Form("MatMul", parts, None, False)
    if form.kind in ("Add", "Mul", "Maximum"):
        return joined(form.kind, map(flipped, form.parts))
    if form.commutes:
        return Form(form.kind, tuple(map(flipped, form.parts)), form.note, commutes=True)
    return Form("Transpose", (form,))
