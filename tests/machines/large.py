"""Matrices that are too large for one rank's turn: by the ranks of a machine together, or by all.

A machine's ranks divide the long side, and sum Gram matrices for each polynomial.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Sequence

import attrs

from machines import model
from machines.model import GROUP, POLAR, SPEED, Time
from machines.networks import Network, Shape


@attrs.frozen
class Grouped:
    """A step in which machines share the matrices of the largest shapes.

    Args:
        time: that it takes. shapes: of the matrices that are shared.
    """

    time: Time
    shapes: tuple[Shape, ...]


def matrices(network: Network) -> Sequence[Shape]:
    """Return the hidden matrices of a network, its embedding and its head."""
    return [*network.matrices, *[(network.vocabulary, network.width)] * 2]


def owned(shapes: Sequence[Shape], count: int, large: Container[Shape] = ()) -> Time:
    """Return what a step takes in which machines share the large ones, and ranks own the others.

    The longest processing time first, machines before ranks.
    """
    order = sorted(shapes, key=model.seconds, reverse=True)
    loads, sizes = [0.0] * count, [0.0] * count
    machines = [(0.0, k) for k in range(count // GROUP)]
    for shape in (x for x in order if x in large):
        _, k = machines[0]
        for rank in range(GROUP * k, GROUP * (k + 1)):
            loads[rank] += model.seconds(shape, GROUP) + model.grams(shape, GROUP)
            sizes[rank] += model.wire(shape) / GROUP
        heapq.heapreplace(machines, (loads[GROUP * k], k))
    ranks = [(load, k) for k, load in enumerate(loads)]
    heapq.heapify(ranks)
    for shape in (x for x in order if x not in large):
        _, k = ranks[0]
        loads[k] += model.seconds(shape)
        sizes[k] += model.wire(shape)
        heapq.heapreplace(ranks, (loads[k], k))
    sent = 2 * max(sizes) * (count - 1) / count / model.rate(count)
    return Time(max(loads), sent, 2 * model.pairs(count))


def grouped(network: Network, count: int) -> Grouped:
    """Return the fastest step in which machines share the matrices of some largest shapes."""
    shapes = matrices(network)
    order = sorted(set(shapes), key=model.seconds, reverse=True)
    large = [tuple(order[:k]) for k in range(len(order) + 1)]
    return min((Grouped(owned(shapes, count, x), x) for x in large), key=lambda x: x.time.total)


def divided(network: Network, count: int) -> Time:
    """Return what a step takes in which all ranks share embedding and head, where their rows are.

    Nothing of them moves; Gram matrices are summed over all ranks for each polynomial.
    """
    shape = network.vocabulary, network.width
    rest, short = owned(network.matrices, count), min(shape)
    along, repeated = model.work(shape)
    steps, gram = len(POLAR.coefficients), 2 * model.wire((short, short))
    return Time(
        rest.work + 2 * (along / count + repeated) / SPEED,
        rest.bytes + 2 * steps * gram * (count - 1) / count / model.rate(count),
        rest.messages + steps * model.tree(count),
    )
