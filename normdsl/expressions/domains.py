"""Where a hyper-parameter may lie; written as its annotation, `beta: nd.Fraction`."""

from __future__ import annotations

import math
import numbers
from typing import Annotated, Any

import attrs

from normdsl.errors import DomainError, kind, shown


@attrs.frozen
class Domain:
    """An interval of real numbers, in which a hyper-parameter lies.

    Args:
        name: its name in messages.
        low: lower end. high: upper end.
        low_open: whether `low` itself is excluded. high_open: whether `high` is excluded.
        stated: False for the domain of an unannotated hyper-parameter, which a use may narrow.
        loss_unit: whether it is a value of the loss, measured in the units of the loss.
        whole: whether it holds whole numbers alone, as lengths are.
        share: whether it is a share of a length, of the shorter side of W.

    Example:
        >>> import normdsl as nd
        >>> unit = nd.Domain("Fraction", 0, 1, high_open=True)
        >>> unit.contains(0.5), unit.contains(1)
        (True, False)
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    stated: bool = True
    loss_unit: bool = False
    whole: bool = False
    share: bool = False

    @property
    def length(self) -> bool:
        """Whether it says how long states are, and so is fixed before the first step."""
        return self.whole or self.share

    def contains(self, value: float) -> bool:
        """Return whether `value` lies in the interval (NaN lies nowhere)."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below and (not self.whole or value == math.floor(value))

    def borders(self, value: float) -> bool:
        """Return whether `value` is an end of the interval that does not belong to it."""
        ends = ((self.low, self.low_open), (self.high, self.high_open))
        return any(is_open and value == end for end, is_open in ends)

    def in_words(self, name: str) -> str:
        """Return what a value called `name` is: "a number ≥ 0", "a number with 0 ≤ beta < 1"."""
        if self.whole:
            return f"a whole number ≥ {self.low:g}"
        above, below = ">" if self.low_open else "≥", "<" if self.high_open else "≤"
        if -math.inf < self.low and self.high < math.inf:
            left = "<" if self.low_open else "≤"
            return f"a number with {self.low:g} {left} {name} {below} {self.high:g}"
        if -math.inf < self.low:
            return f"a number {above} {self.low:g}"
        return "any real number" if self.high == math.inf else f"a number {below} {self.high:g}"

    def refusal(self, name: str, value: Any, use: str = "") -> str:
        """Return why a value is none that `name` may have, in a use of it, if that is why."""
        needs = f"{name}{use} must be {self.in_words(name)}"
        known = number(value)
        if known is None:
            given = "None" if value is None else f"{shown(value)}, {kind(value)},"
            return f"{needs}, and {given} is not one"
        return needs if math.isfinite(known) else f"{needs}, and {known} is not finite"


REAL = Domain("Real", low_open=True, high_open=True)
NON_NEGATIVE = Domain("NonNegative", 0.0, high_open=True)
POSITIVE = Domain("Positive", 0.0, low_open=True, high_open=True)
FRACTION = Domain("Fraction", 0.0, 1.0, high_open=True)
LOSS_VALUE = Domain("LossValue", low_open=True, high_open=True, loss_unit=True)
RANK = Domain("Rank", 1.0, high_open=True, whole=True)
SHARE = Domain("Share", 0.0, 1.0, low_open=True, share=True)
COUNT = attrs.evolve(RANK, name="Count")

#: Hyper-parameters without an annotation: never negative; used as a rate, narrowed to `FRACTION`.
UNSTATED = attrs.evolve(NON_NEGATIVE, stated=False)


def number(value: Any) -> float | None:
    """Return a real number as an int or float; None for anything else, truth values included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return value if isinstance(value, int) else float(value)
    except OverflowError:
        # Of a fraction beyond floating point, which no domain contains.
        return math.inf


# The annotations. To a type checker they are plain types; the domain is their metadata (PEP 593).
#: Any finite number.
Real = Annotated[Any, REAL]
#: A number ≥ 0, such as a learning rate or an ε.
NonNegative = Annotated[Any, NON_NEGATIVE]
#: A number > 0.
Positive = Annotated[Any, POSITIVE]
#: A number β with 0 ≤ β < 1, such as the rate of an average.
Fraction = Annotated[Any, FRACTION]
#: A value of the loss, in its units, such as a bound from below.
LossValue = Annotated[Any, LOSS_VALUE]
#: A whole number ≥ 1 that says how long states are: a rank, at most min(m, n).
Rank = Annotated[Any, RANK]
#: A number s with 0 < s ≤ 1: a rank of ⌈s · min(m, n)⌉.
Share = Annotated[Any, SHARE]
#: A whole number ≥ 1 that says how long states are: how many gradients, or examples.
Count = Annotated[Any, COUNT]


def domain_of(annotation: Any) -> Domain | None:
    """Return the domain an annotation states; None if it states none."""
    metadata = getattr(annotation, "__metadata__", ())
    return next((x for x in metadata if isinstance(x, Domain)), None)


class NarrowDomain(DomainError):  # noqa: N818 (a request to trace again, not a fault)
    """Raised while a declaration is traced: an unannotated hyper-parameter is used as a rate."""

    def __init__(self, name: str, domain: Domain) -> None:
        self.name = name
        self.domain = domain
        super().__init__(
            f"use the hyper-parameter {name!r} as a rate",
            why=f"a rate is {domain.in_words(name)}",
            hint=f"annotate it: {name}: nd.{domain.name}",
        )
