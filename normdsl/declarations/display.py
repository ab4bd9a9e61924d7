"""A declaration as lines of mathematics: one per name its author gave, then the new weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from normdsl.show.latex import Latex
from normdsl.show.notation import LENGTHS, Notation
from normdsl.show.symbols import clashing, unicode_symbol
from normdsl.show.text import Text


class Declared(Protocol):
    """What is shown of a declaration."""

    @property
    def name(self) -> str:
        """The name of the rule."""
        ...

    @property
    def hyper(self) -> tuple[Any, ...]:
        """Its hyper-parameters."""
        ...

    @property
    def weights(self) -> Any:
        """The new weights."""
        ...

    @property
    def ports(self) -> tuple[Any, ...]:
        """The parameters of a rule over several; none for a rule of one matrix W."""
        ...

    @property
    def evaluate(self) -> Any:
        """The point at which the model is evaluated; None if that is W."""
        ...

    @property
    def labels(self) -> dict[Any, str]:
        """Names of sub-expressions and states, in order."""
        ...


def _plain(declaration: Declared) -> frozenset[str]:
    hyper = [h.name for h in declaration.hyper]
    return clashing([*hyper, *declaration.labels.values()]) | LENGTHS.keys() & set(hyper)


def _lines(declaration: Declared, notation: Notation) -> Iterator[tuple[str, str]]:
    """Yield the written name and formula of each definition, the new weights last."""
    notation.plain = _plain(declaration)
    for expr, name in notation.names.items():
        yield notation.symbol(name).text, notation.define(expr).text
    for name, new in _weights(declaration):
        yield notation.symbol(name).text, notation(new).text
    if declaration.evaluate is not None:
        yield notation.symbol("evaluate").text, notation(declaration.evaluate).text


def _weights(declaration: Declared) -> list[tuple[str, Any]]:
    """Return the name of each parameter with its new weights; that of a single one is W."""
    if not declaration.ports:
        return [("W", declaration.weights)]
    new = zip(declaration.ports, declaration.weights.weights, strict=True)
    return [(port.name, x) for port, x in new]


def declared_text(declaration: Declared) -> str:
    """Return the declaration as Unicode text."""
    plain = _plain(declaration)
    head = ", ".join(_setting(h.name, h.default, plain) for h in declaration.hyper)
    rows = list(_lines(declaration, Text(declaration.labels)))
    width = max(len(name) for name, _ in rows)
    body = [f"  {name:<{width}} ← {formula}" for name, formula in rows]
    return "\n".join([f"{declaration.name}({head})", *body])


def described(doc: str) -> str:
    """Return a docstring without its examples, which are for readers at a Python prompt."""
    return "\n\n".join(part for part in doc.split("\n\n") if ">>> " not in part)


def _setting(name: str, default: float | None, plain: frozenset[str]) -> str:
    symbol = name if name in plain else unicode_symbol(name)
    shown = name if symbol == name else f"{symbol}: {name}"
    return shown if default is None else f"{shown} = {default:g}"


def declared_latex(declaration: Declared) -> str:
    """Return the declaration as a LaTeX display, one aligned line per definition."""
    rows = [
        rf"{name} &\leftarrow {formula}"
        for name, formula in _lines(declaration, Latex(declaration.labels))
    ]
    return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"
