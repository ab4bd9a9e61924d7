"""Classes of square matrices and their order."""

import itertools

import pytest
import torch
from properties import member

from normdsl.expressions import matrix_classes
from normdsl.expressions.matrix_classes import (
    GENERAL,
    ORTHOGONAL,
    PERMUTATION,
    POSITIVE,
    SIGNED_PERMUTATION,
    SIGNS,
    TRIVIAL,
    MatrixClass,
)

ALL = [x for x in vars(matrix_classes).values() if isinstance(x, MatrixClass)]


def is_diagonal(x):
    return torch.equal(x, torch.diag(torch.diag(x)))


def is_orthogonal(x):
    return torch.allclose(x.mT @ x, torch.eye(len(x), dtype=x.dtype))


def is_monomial(x):
    return bool(((x != 0).sum(0) == 1).all() and ((x != 0).sum(1) == 1).all())


CONTAINS = {
    GENERAL: lambda x: torch.linalg.matrix_rank(x) == len(x),
    ORTHOGONAL: is_orthogonal,
    SIGNED_PERMUTATION: lambda x: is_monomial(x) and is_orthogonal(x),
    PERMUTATION: lambda x: is_monomial(x) and is_orthogonal(x) and bool((x >= 0).all()),
    SIGNS: lambda x: is_diagonal(x) and is_orthogonal(x),
    POSITIVE: lambda x: is_diagonal(x) and bool((torch.diag(x) > 0).all()),
    TRIVIAL: lambda x: torch.equal(x, torch.eye(len(x), dtype=x.dtype)),
}


def test_all_classes_are_covered():
    assert set(CONTAINS) == set(ALL)


@pytest.mark.parametrize(("small", "large"), list(itertools.product(ALL, ALL)), ids=repr)
def test_order_is_inclusion(small, large):
    """Members of a smaller class lie in the larger; otherwise a member is found that does not."""
    inside = [CONTAINS[large](member(small, 4, seed)) for seed in range(6)]
    assert all(inside) if small <= large else not all(inside)


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_flags_hold_of_members(kind):
    draws = [member(kind, 4, seed) for seed in range(6)]
    assert all(map(is_diagonal, draws)) or not kind.diagonal
    assert all(map(is_orthogonal, draws)) == kind.orthogonal
    assert all(map(is_monomial, draws)) == kind.monomial
    assert any(bool((x < 0).any()) for x in draws if kind.monomial) == kind.signed


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_classes_are_closed_under_products_and_inverses(kind):
    a, b = member(kind, 4, 1), member(kind, 4, 2)
    assert CONTAINS[kind](a @ b)
    assert CONTAINS[kind](torch.linalg.inv(a))


def test_order_is_a_partial_order():
    for a, b, c in itertools.product(ALL, repeat=3):
        assert a <= a
        assert not (a <= b and b <= a) or a is b
        assert not (a <= b and b <= c) or a <= c


def test_shown_by_name():
    assert repr(SIGNS) == "diagonal signs"


def test_a_meet_is_the_largest_class_inside_both():
    every = matrix_classes._ALL
    for a in every:
        for b in every:
            same = [matrix_classes.Isometries(x, x, x) for x in (a, b)]
            found = matrix_classes.meet(*same).rows
            assert found <= a
            assert found <= b
            assert all(c <= found for c in every if c <= a and c <= b)
