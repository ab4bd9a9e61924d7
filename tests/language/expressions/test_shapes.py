"""Shapes: pairs of 1, m and n."""

import itertools

import numpy as np
import pytest
import torch

from normdsl.expressions.shapes import (
    LEFT,
    MATRIX,
    RIGHT,
    SCALAR,
    STACK,
    Dim,
    Shape,
    are_lengths,
    broadcast,
)

SHAPES = [Shape(rows, cols) for rows, cols in itertools.product(Dim, Dim)]
LENGTHS = {Dim.ONE: 1, Dim.M: 2, Dim.N: 3, Dim.K: 5, Dim.MN: 6}
SINGULAR = Shape(Dim.K, Dim.K)
PAIRS = Shape(Dim.MN, Dim.MN)


def lengths(shape):
    return LENGTHS[shape.rows], LENGTHS[shape.cols]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(SHAPES, SHAPES)), ids=str)
def test_broadcast_is_torchs(first, second):
    try:
        expected = tuple(torch.broadcast_shapes(lengths(first), lengths(second)))
    except RuntimeError:
        expected = None
    found = broadcast(first, second)
    assert (found and lengths(found)) == expected


def test_transposed_exchanges_the_axes():
    assert MATRIX.transposed == Shape(Dim.N, Dim.M)
    assert all(s.transposed.transposed == s for s in SHAPES)
    assert [s for s in SHAPES if s.transposed == s] == [SCALAR, LEFT, RIGHT, SINGULAR, PAIRS]


def test_square_means_a_proper_square_matrix():
    assert [s for s in SHAPES if s.square] == [LEFT, RIGHT, SINGULAR, PAIRS]


def test_shown():
    assert [str(s) for s in (SCALAR, MATRIX, LEFT, Shape(Dim.ONE, Dim.N), STACK)] == [
        "scalar", "m×n", "m×m", "1×n", "mn×1",
    ]  # fmt: skip


def test_lengths_are_two_whole_numbers_above_zero():
    legal = [(2, 3), [1, 1], torch.Size((4, 5)), np.array([2, 3]), range(1, 3)]
    assert all(map(are_lengths, legal))
    assert not any(
        map(are_lengths, [5, None, "23", (), (2,), (2, 0), (2, -1), (2, 3.0), (1, 2, 3)])
    )
