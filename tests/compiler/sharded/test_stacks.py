"""Stacks: what is written is what was asked for, and all else keeps its bits."""

import pytest
import torch

from normdsl.compiler.sharded.stacks import Stack, plain
from normdsl.compiler.sharded.stores import Store

TURNED = Stack(3, (4, 2), (2, 4), (1, 0))


def lying(stack):
    numbers = torch.arange(float(stack.count * 8)).reshape(stack.count, *stack.lengths)
    return list(numbers.clone().unbind())


@pytest.mark.parametrize("stack", [plain(3, (4, 2)), TURNED], ids=["straight", "turned"])
def test_what_is_not_written_keeps_its_bits(stack):
    parts = lying(stack)
    parts[1][0, 0], parts[1][1, 1] = torch.tensor([0x7FC01234, -(2**31)], dtype=torch.int32).view(
        torch.float32
    )  # a NaN with a payload, and -0
    before = [x.clone() for x in parts]
    new = stack.batch(parts, parts[0]) + 1
    stack.write(parts, new, torch.tensor([True, False, True]))
    assert torch.equal(parts[1].view(torch.int32), before[1].view(torch.int32))
    for k in (0, 2):
        assert torch.equal(parts[k], before[k] + 1)


def test_a_batch_is_of_rows_and_columns():
    parts = lying(TURNED)
    batch = TURNED.batch(parts, parts[0])
    assert batch.shape == (3, 4, 2)
    assert all(torch.equal(x, part.T) for x, part in zip(batch, parts, strict=True))


def test_nothing_makes_an_empty_batch_and_is_written_by_nothing():
    stack, like = plain(0, (4, 2)), torch.zeros((), dtype=torch.float64)
    assert stack.batch([], like).shape == (0, 4, 2)
    assert stack.batch([], like).dtype == torch.float64
    stack.write([], stack.batch([], like))


@pytest.mark.parametrize("mask", [None, torch.tensor([False, True, False])], ids=["all", "some"])
def test_rows_of_a_batch_are_written_as_what_lies_apart(mask):
    stack = plain(3, (4, 2))
    apart, whole = lying(stack), torch.stack(lying(stack))
    new = -torch.ones(3, 4, 2)
    rows = Store(stack, list(whole.unbind()), whole)
    assert rows.batch(whole) is whole
    for store in (Store(stack, apart, None), rows):
        store.write(new, mask)
    assert torch.equal(torch.stack(apart), whole)
    assert bool((whole == -1).all(-1).all(-1)[1])
    assert bool((whole == -1).all()) is (mask is None)
