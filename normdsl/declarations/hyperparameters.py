"""Hyper-parameters of a rule: a name, a default, and the numbers that each may be."""

from __future__ import annotations

from typing import Any

import attrs

from normdsl.errors import HyperparameterError, shown
from normdsl.expressions.domains import Domain, number
from normdsl.show.page import Shown


def _plain(default: Any) -> Any:
    """Return a default as a number of Python, which JSON can hold; the rest is for `check`."""
    known = number(default)
    return default if known is None else known


@attrs.frozen(repr=False)
class Hyperparameter(Shown):
    """A hyper-parameter of a rule: its name, its default, and the numbers it may be.

    Args:
        name: its name. default: its value if none is passed (None: it must be passed).
        domain: where its values lie.

    Example:
        >>> import normdsl as nd
        >>> beta = nd.algorithms.signum.hyperparameter("beta")
        >>> print(f"{beta.default}, {beta.domain.in_words('beta')}")
        0.9, a number with 0 ≤ beta < 1
    """

    name: str
    default: float | None = attrs.field(converter=_plain)
    domain: Domain

    def __str__(self) -> str:
        default = "" if self.default is None else f" = {self.default}"
        return f"{self.name}{default}, {self.domain.in_words(self.name)}"

    def check(self, value: Any) -> float:
        """Return a number of the domain as an int or float, also if it is one of numpy's.

        Raises:
            HyperparameterError: if the value is not a number of the domain.
        """
        known = number(value)
        if known is None or not self.domain.contains(known):
            raise HyperparameterError(
                f"set {self.name} = {shown(value)}",
                why=self.domain.refusal(self.name, value),
                hint=f"pass such a number{self._legal_default()}",
            )
        return known

    def _legal_default(self) -> str:
        """Return what tells a legal default, if there is one."""
        legal = self.default is not None and self.domain.contains(self.default)
        return f"; the default is {self.default}" if legal else f", {self.name}=…"
