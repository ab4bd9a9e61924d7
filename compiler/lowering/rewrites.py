"""Rewrites: passes that replace expressions by equal ones, and note by which identities."""

from __future__ import annotations

from typing import ClassVar

import attrs

from normdsl.expressions.expr import Expr
from normdsl.expressions.traversal import Equivalent


@attrs.frozen
class Rewrite:
    """One use of an identity: `before` = `after`.

    Args:
        name: of the identity. identity: as a formula. before: what was replaced. after: by what.
    """

    name: str
    identity: str
    before: Expr
    after: Expr


class RewritingPass(Equivalent):
    """A pass of lowering that replaces expressions by equal ones.

    Class attributes say its `name`, and what it `does`, in words; `used` is what it did.
    """

    name: ClassVar[str]
    does: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.used: list[Rewrite] = []

    def note(self, name: str, identity: str | None, before: Expr, after: Expr) -> Expr:
        """Note an identity, told by the first line of a docstring; return what replaces."""
        told = (identity or "").strip().partition("\n")[0]
        self.used.append(Rewrite(name, told, before, after))
        return after
