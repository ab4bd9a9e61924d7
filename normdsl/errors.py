"""The one error of normdsl: what was asked, the expression at fault, why, and what to try."""

from __future__ import annotations

from normdsl.source import here


class NormdslError(ValueError):
    """Something asked of normdsl cannot be done; says what, where, why and what to try.

    Args:
        asked: what the user asked for, in the user's words.
        why: the reason, as a formula or a fact.
        hint: what to try instead.
        at: the smallest expression at fault (anything with a `where`), if there is one.

    Example:
        >>> import normdsl as nd
        >>> try:
        ...     nd.G @ nd.G
        ... except nd.NormdslError as error:
        ...     print(type(error).__name__)
        ShapeError
    """

    def __init__(self, asked: str, *, why: str, hint: str, at: object | None = None) -> None:
        self.asked = asked
        self.why = why
        self.hint = hint
        self.at = at
        super().__init__(self._message())

    def _message(self) -> str:
        where = None if self.at is None else getattr(self.at, "where", None) or here()
        return told(self.asked, why=self.why, hint=self.hint, at=self.at, where=where)


class NormdslWarning(UserWarning):
    """A rule that is probably not what is meant; it says what, where, why and what to try.

    Example:
        >>> import warnings
        >>> import normdsl as nd
        >>> with warnings.catch_warnings(record=True) as seen:
        ...     up = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.spectral.lmo(nd.G))
        >>> [x.category.__name__ for x in seen]
        ['NormdslWarning']
    """


def told(
    asked: str, *, why: str, hint: str, at: object | None = None, where: object | None = None
) -> str:
    """Return the four parts of a message: what was asked, what is at fault, why, what to try."""
    lines = [asked]
    if at is not None:
        lines.append(f"  at:  {_shortened(str(at))}")
    if where is not None:
        lines.append(f"       {where}")
    return "\n".join([*lines, f"  why: {why}", f"  try: {hint}"])


def _shortened(text: str, longest: int = 1000) -> str:
    return text if len(text) <= longest else text[:longest] + " …"


def shown(value: object) -> str:
    """Return a value as messages show it: as Python writes it, on one line, and not at length."""
    return _shortened(" ".join(repr(value).split()), 60)


def kind(value: object) -> str:
    """Return what a value is, with an article: "a str", "an int"; None is "None"."""
    return "None" if value is None else with_article(type(value).__name__)


def with_article(word: str) -> str:
    """Return a word after "a" or, if one says it with a vowel in front, "an"."""
    return f"{'an' if word.lower().startswith((*'aeiou', 'nd', 'm×', 'n×')) else 'a'} {word}"


class ShapeError(NormdslError):
    """Two expressions have shapes that the operation cannot join.

    Example:
        >>> import normdsl as nd
        >>> nd.G @ nd.G
        Traceback (most recent call last):
            ...
        normdsl.errors.ShapeError: ...
    """


class DomainError(NormdslError):
    """A value does not lie, or is not known to lie, where an operation is defined.

    Example:
        >>> import normdsl as nd
        >>> nd.sqrt(nd.G)
        Traceback (most recent call last):
            ...
        normdsl.errors.DomainError: ...
    """


class DeclarationError(NormdslError):
    """A declaration is not well formed: undeclared names, leaked states, a wrong result.

    Example:
        >>> import normdsl as nd
        >>> nd.optimizer(lambda lr=0.1: nd.G)
        Traceback (most recent call last):
            ...
        normdsl.errors.DeclarationError: ...
    """


class HyperparameterError(NormdslError):
    """A hyper-parameter is unknown, missing or outside its domain.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adam.bind(beta1=2)
        Traceback (most recent call last):
            ...
        normdsl.errors.HyperparameterError: ...
    """


class GradientError(NormdslError):
    """A gradient, loss or parameter was refused; weights and state are untouched.

    Example:
        >>> import normdsl as nd
        >>> import torch
        >>> nd.functional(nd.algorithms.muon).init(torch.zeros(3))
        Traceback (most recent call last):
            ...
        normdsl.errors.GradientError: ...
    """


class FactorisationError(GradientError):
    """A matrix factorisation inside a step did not converge; weights and state are untouched.

    Example:
        >>> import normdsl as nd
        >>> issubclass(nd.FactorisationError, nd.GradientError)
        True
    """


class SerializationError(NormdslError):
    """A JSON text is not a declaration of this version of normdsl.

    Example:
        >>> import normdsl as nd
        >>> nd.from_json("{}")
        Traceback (most recent call last):
            ...
        normdsl.errors.SerializationError: ...
    """
