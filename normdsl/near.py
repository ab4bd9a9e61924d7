"""Which known name was probably meant by one that is not known."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from normdsl.errors import DeclarationError

T = TypeVar("T")

#: What other packages call a hyper-parameter.
_ELSEWHERE = {"learning_rate": "lr", "wd": "weight_decay", "epsilon": "eps"}


def nearest(word: object, known: Iterable[str], alike: float = 0.7) -> str | None:
    """Return the known name that looks most like a word; None if none does.

    Capitals, underscores and hyphens make no difference.

    Args:
        word: what was written. known: the names there are.
        alike: how much of the letters must agree, from 0 to 1.
    """
    names = list(known)
    if not isinstance(word, str):
        return None
    elsewhere = _ELSEWHERE.get(word.lower())
    if elsewhere in names:
        return elsewhere
    plain_names = {plain(name): name for name in reversed(names)}
    for name in names:
        if sorted(plain(name)) == sorted(plain(word)):
            return name  # letters that changed places: esp for eps
    found = difflib.get_close_matches(plain(word), plain_names, n=1, cutoff=alike)
    return plain_names[found[0]] if found else None


def did_you_mean(
    word: object, known: Iterable[str], those: str, besides: Iterable[str] = ()
) -> str:
    """Return a hint for an unknown name: the one that was probably meant, then all there are.

    Args:
        word: what was written. known: the names there are.
        those: how the list of them begins, "the groups are".
        besides: further names that may have been meant, and are not listed.
    """
    names = list(known)
    listed = f"{those} {', '.join(names) or 'none'}"
    meant = nearest(word, [*names, *besides])
    return listed if meant is None else f"did you mean {meant}? {listed[0].upper()}{listed[1:]}"


def plain(name: str) -> str:
    """Return a name without what is easily written otherwise."""
    return name.lower().replace("_", "").replace("-", "")


def unknown_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module lacks, which asks for the one that was meant."""
    meant = None if name.startswith("__") else nearest(name, known)
    asks = "" if meant is None else f"; did you mean {meant}?"
    # With the name, but without the module, Python adds no second suggestion of its own.
    return AttributeError(f"module {module!r} has no attribute {name!r}{asks}", name=name)


def module_face(
    module: str, known: Iterable[str], besides: Iterable[str] = ()
) -> tuple[Callable[[str], NoReturn], Callable[[], list[str]]]:
    """Return a module's `__getattr__`, to which unknown names are typing errors, and `__dir__`.

    Args:
        module: what users call it, "nd.groups". known: its public names.
        besides: those that are listed, and that nobody means who mistypes another.
    """
    listed = sorted({*known, *besides})

    def refuse(name: str) -> NoReturn:
        raise unknown_attribute(module, name, known)

    return refuse, lambda: [*listed]


def known_fields(cls: type[T]) -> type[T]:
    """Decorate a frozen class: an unknown argument is refused with the one that was meant."""
    plain_init: Callable[..., None] = cls.__init__
    names = [f.name for f in getattr(cls, "__attrs_attrs__", ()) if f.init]

    @functools.wraps(plain_init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs.keys() - set(names):
            raise DeclarationError(
                f"make nd.{cls.__name__} with {name}=…",
                why=f"it has no argument {name!r}",
                hint=did_you_mean(name, names, "its arguments are"),
            )
        plain_init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[method-assign]
    return cls
