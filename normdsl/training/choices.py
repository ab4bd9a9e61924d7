"""What `normdsl train` may be asked for: data, and courses of the rate."""

from __future__ import annotations

import enum
from typing import TypeVar

from normdsl.errors import NormdslError
from normdsl.near import did_you_mean


class Dataset(enum.StrEnum):
    """What is trained on."""

    DIGITS = "digits"
    CHARS = "chars"


class Course(enum.StrEnum):
    """How the rate goes on."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"
    WSD = "wsd"


T = TypeVar("T", bound=enum.StrEnum)


def chosen(what: type[T], name: str, asked: str) -> T:
    """Return the choice of a name.

    Raises:
        NormdslError: if there is none of that name.
    """
    if name in set(what):
        return what(name)
    raise NormdslError(
        f"{asked} {name!r}",
        why="there is none of that name",
        hint=did_you_mean(name, what, "there are"),
    )
