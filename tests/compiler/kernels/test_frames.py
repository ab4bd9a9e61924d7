"""Orthonormal columns: signs, order, batches."""

import torch
from properties import random_matrix

from normdsl.compiler.kernels.frames import (
    cosines,
    leading_vectors,
    orthonormal_columns,
    selected,
)


def test_columns_are_orthonormal_and_r_has_a_positive_diagonal():
    x = torch.stack([random_matrix(5, 3, 1), -random_matrix(5, 3, 2)])
    q = orthonormal_columns(x)
    r = q.mT @ x
    torch.testing.assert_close(q.mT @ q, torch.eye(3, dtype=x.dtype).expand(2, 3, 3))
    torch.testing.assert_close(r, r.triu())
    assert bool((r.diagonal(dim1=-2, dim2=-1) > 0).all())


def test_a_scaled_column_keeps_its_direction():
    x = random_matrix(5, 3, 1)
    flipped = x * torch.tensor([2.0, -3.0, 0.5], dtype=x.dtype)
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=x.dtype)
    torch.testing.assert_close(orthonormal_columns(flipped), orthonormal_columns(x) * signs)


def test_leading_vectors_come_in_order_with_their_largest_entry_positive():
    x = torch.diag(torch.tensor([1.0, 3.0, 2.0]).double())[[0, 1, 2]]
    expected = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).double()
    torch.testing.assert_close(leading_vectors(-x, 2), expected)


def test_selected_columns_pick_the_largest_rows_of_each_matrix():
    scores = torch.tensor([[[1.0], [3.0], [2.0]], [[5.0], [4.0], [5.0]]]).double()
    x = torch.arange(6.0).double().reshape(3, 2)
    picked = selected(scores, 2).mT @ x
    torch.testing.assert_close(picked, torch.stack([x[[1, 2]], x[[0, 2]]]))


def test_cosines_are_orthogonal_and_transform_a_cosine_to_one_frequency():
    c = cosines(8, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(c @ c.mT, torch.eye(8, dtype=torch.float64))
    wave = torch.cos(torch.pi * (2 * torch.arange(8.0).double() + 1) * 3 / 16)
    torch.testing.assert_close(wave @ c, 2 * torch.eye(8, dtype=torch.float64)[3])
