"""A grammar of the language, from which `programs` draws.

A production makes a value of one sort from values of others. A sort is a shape and a kind; kinds
keep the grammar inside the domains of its functions (≥ 0, psd), or are roles (primal, dual, …) that
keep it inside what moves well. A new node is one line in the grammars it belongs to.
"""

from collections.abc import Sequence

import attrs

from grammar.chance import CHANCE
from grammar.core import Loop, Operation, Sort, matrix, primal
from grammar.entrywise import ENTRYWISE
from grammar.queries import QUERIES
from grammar.roles import AFFINE, SCALE
from grammar.spectral import SPECTRAL


@attrs.frozen(eq=False)
class Grammar:
    """Productions, and the sort of the steps they make."""

    productions: Sequence[Operation | Loop]
    step: Sort

    def options(self, sort: Sort, depth: int) -> list[Operation | Loop]:
        """Return the productions of a sort, the shallow ones first."""
        found = [x for x in self.productions if x.makes == sort]
        closed = [x for x in found if not x.parts]
        return closed + [x for x in found if x.parts] if depth > 0 else closed


GRAMMARS = (
    Grammar(ENTRYWISE, matrix),
    Grammar(SPECTRAL, matrix),
    Grammar([*ENTRYWISE, *SPECTRAL], matrix),
    Grammar([*SPECTRAL, *CHANCE], matrix),
    Grammar([*AFFINE, *QUERIES], primal),
    Grammar([*SCALE, *QUERIES], primal),
)
