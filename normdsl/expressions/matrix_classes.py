"""Classes of square matrices closed under products, ordered by inclusion.

A group acts on an index of W through one of them, and a norm states, per index, the largest class
whose members are isometries of it.
"""

from __future__ import annotations

import attrs


@attrs.frozen(eq=False)
class MatrixClass:
    """A set of matrices that contains products and inverses of its members.

    Args:
        name: what proofs call it. verb: what its members do to an index, for explanations.
        inside: the classes that contain this one.
        orthogonal: every member P has PᵀP = I.
        diagonal: every member is diagonal, so exponents of members make sense.
        monomial: every member has one nonzero entry per row, so entrywise functions make sense.
        signed: members may have negative entries where monomial.
    """

    name: str
    inside: tuple[MatrixClass, ...] = ()
    orthogonal: bool = False
    diagonal: bool = False
    monomial: bool = False
    signed: bool = False
    verb: str = "moved"

    def __le__(self, other: MatrixClass) -> bool:
        return self is other or any(parent <= other for parent in self.inside)

    def __repr__(self) -> str:
        return self.name


GENERAL = MatrixClass("invertible", verb="mixed")
ORTHOGONAL = MatrixClass("orthogonal", (GENERAL,), orthogonal=True, verb="rotated")
SIGNED_PERMUTATION = MatrixClass(
    "signed permutation",
    (ORTHOGONAL,),
    orthogonal=True,
    monomial=True,
    signed=True,
    verb="permuted with signs",
)
PERMUTATION = MatrixClass(
    "permutation", (SIGNED_PERMUTATION,), orthogonal=True, monomial=True, verb="permuted"
)
SIGNS = MatrixClass(
    "diagonal signs",
    (SIGNED_PERMUTATION,),
    orthogonal=True,
    diagonal=True,
    monomial=True,
    signed=True,
    verb="flipped in sign",
)
POSITIVE = MatrixClass(
    "positive diagonal", (GENERAL,), diagonal=True, monomial=True, verb="rescaled"
)
TRIVIAL = MatrixClass("identity", (PERMUTATION, SIGNS, POSITIVE), orthogonal=True, monomial=True)

#: Every class, none before one that contains it.
_ALL = (GENERAL, ORTHOGONAL, SIGNED_PERMUTATION, PERMUTATION, SIGNS, POSITIVE, TRIVIAL)


def smallest(*classes: MatrixClass) -> MatrixClass:
    """Return the smallest class that has the members of all of these, and their products P ⊗ Q."""
    return next(c for c in reversed(_ALL) if all(x <= c for x in classes))


@attrs.frozen
class Isometries:
    """The linear isometries of a norm, as the largest matrix class on each of three places.

    X ↦ P X Qᵀ is an isometry for P in `rows` and Q in `cols`; vec X ↦ E vec X for E in `entries`.
    """

    rows: MatrixClass
    cols: MatrixClass
    entries: MatrixClass


def meet(first: Isometries, second: Isometries) -> Isometries:
    """Return, place by place, the largest class that both have."""
    pairs = ((first.rows, second.rows), (first.cols, second.cols), (first.entries, second.entries))
    return Isometries(*(next(c for c in _ALL if c <= a and c <= b) for a, b in pairs))
