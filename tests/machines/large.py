"""Matrices that are too large for one rank's turn: by the ranks of a machine, or by all."""

from __future__ import annotations

from collections.abc import Sequence

from machines import model
from machines.model import SPEED, SUMS, Step, Time
from machines.networks import Network, Shape


def matrices(network: Network) -> Sequence[Shape]:
    """Return the hidden matrices of a network, its embedding and its head."""
    return [*network.matrices, *[(network.vocabulary, network.width)] * 2]


def owned(network: Network, count: int, groups: bool) -> Step:
    """Return what a step takes in which ranks own the matrices, or ranks and groups."""
    return model.step(matrices(network), count, groups)


def divided(network: Network, count: int) -> Time:
    """Return what a step takes in which all ranks share embedding and head, where their rows are.

    Nothing of them moves; Gram matrices are summed over all ranks.
    """
    shape = network.vocabulary, network.width
    rest, short = model.owner(network, count), min(shape)
    along, repeated = model.work(shape)
    gram = 2 * model.wire((short, short))
    return Time(
        rest.work + 2 * (along / count + repeated) / SPEED,
        rest.bytes + 2 * SUMS * gram * (count - 1) / count / model.rate(count),
        rest.messages + (SUMS + 2) * model.tree(count),
    )
