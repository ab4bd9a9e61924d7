"""How long a step of Muon takes among P ranks: computing, sending bytes, waiting for messages.

The α-β model: a message takes α, a byte 1/β (Hockney, 1994). Bytes are those of `rule.plan`,
operations those of `rule.cost`, owners those of the runtime.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import lru_cache

import attrs

import normdsl as nd
from machines.networks import Network, Shape
from normdsl.algorithms import muon
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.owners import dealt
from normdsl.compiler.sharding.setting import setting_of

POLAR = nd.jordan()
SCHEDULE = nd.Schedule(polar=POLAR)
#: Ranks of one machine.
NODE = 8
#: Ranks that share matrices between replicas, or one large matrix.
GROUP = 8


@attrs.frozen
class Link:
    """What joins ranks.

    Args:
        latency: seconds a message, α. rate: bytes a second that a rank sends, β.
    """

    latency: float
    rate: float


INSIDE = Link(3.4e-6, 450e9)
BETWEEN = Link(9.6e-6, 50e9)
#: Operations a second in products of matrices, of each rank.
SPEED = 600e12


@attrs.frozen
class Time:
    """Seconds of a step that nothing hides.

    Args:
        work: computing. bytes: sending. messages: waiting for their number.
        single: whether one matrix takes all of the work, or of the bytes.
    """

    work: float
    bytes: float
    messages: float
    single: bool = False

    @property
    def sent(self) -> float:
        """Seconds between computations."""
        return self.bytes + self.messages

    @property
    def total(self) -> float:
        """All seconds."""
        return self.work + self.sent

    def overlapped(self, convoys: int) -> float:
        """Return all seconds if matrices cross in convoys, of which one travels at a time.

        Each has messages of its own. What goes to the owners of the first and comes back from those
        of the last is not hidden.
        """
        one = self.bytes / convoys + self.messages
        return one + max(self.work, (convoys - 1) * one)

    @property
    def limit(self) -> str:
        """What takes most of it."""
        most = max(self.work, self.bytes, self.messages)
        if most == self.messages:
            return "messages"
        what = "work" if most == self.work else "bytes"
        return f"one matrix's {what}" if self.single else what


def pairs(count: int) -> float:
    """Return the wait of an all-to-all, a message to every other rank."""
    inside = min(count, NODE) - 1
    return inside * INSIDE.latency + (count - 1 - inside) * BETWEEN.latency


def ring(count: int) -> float:
    """Return the wait of a ring, which passes each link between machines once."""
    nodes = max(1, count // NODE)
    return (count - nodes) * INSIDE.latency + (nodes - 1) * BETWEEN.latency


def tree(count: int) -> float:
    """Return the wait of an all-reduce by a tree over machines, up and down."""
    nodes = max(1, count // NODE)
    return 2 * ((min(count, NODE) - 1) * INSIDE.latency + math.log2(nodes) * BETWEEN.latency)


def rate(count: int) -> float:
    """Return the bytes a second that a rank sends in a group."""
    return (INSIDE if count <= NODE else BETWEEN).rate


@lru_cache
def work(shape: Shape) -> tuple[int, int]:
    """Return the operations of a polar factor: along the long side, which can be divided, others.

    What is counted is linear in the long side.
    """
    short, long = sorted(shape)
    one, two = (muon.cost((short, k * long), schedule=SCHEDULE).products for k in (1, 2))
    return two - one, 2 * one - two


def seconds(shape: Shape, among: int = 1) -> float:
    """Return how long a polar factor takes if its long side is divided among ranks."""
    divided, rest = work(shape)
    return (divided / among + rest) / SPEED


@lru_cache
def sent(shape: Shape, count: int) -> float:
    """Return the bytes that a rank sends for a matrix, on average, by the plan."""
    return muon.plan(shape, count, schedule=SCHEDULE).bytes


@lru_cache
def collectives(count: int) -> int:
    """Return how many collectives there are for all matrices, by the plan."""
    return muon.plan((count, count), count, schedule=SCHEDULE).collectives


def wire(shape: Shape) -> int:
    """Return the bytes of a matrix, as plans count them."""
    return setting_of(shape, 1, "none").number * shape[0] * shape[1]


def gathered(network: Network, count: int) -> Time:
    """Every rank gathers all momenta and computes all."""
    total = sum(map(wire, network.matrices))
    return Time(
        sum(map(seconds, network.matrices)),
        total * (count - 1) / count / rate(count),
        ring(count),
    )


def owner(network: Network, count: int, group: int = 1) -> Time:
    """Each matrix is put together at its owner, a rank or a group of ranks of one machine.

    All bytes of a matrix pass its owner, which takes longest where it is busiest. A group divides
    them, and the products along the long side: their sums cross for each polynomial.
    """
    owners = dealt(network.matrices, count // group)
    loads: dict[int, list[Shape]] = defaultdict(list)
    for shape, k in zip(network.matrices, owners, strict=True):
        loads[k].append(shape)
    busy = max(sum(sent(x, count) for x in own) for own in loads.values()) * count / group
    work = max(sum(seconds(x, group) for x in own) for own in loads.values())
    inner = max(sum(grams(x, group) for x in own) for own in loads.values()) if group > 1 else 0.0
    single = max(map(len, loads.values())) == 1
    return Time(work + inner, busy / rate(count), collectives(count) * pairs(count), single)


def in_convoys(network: Network, count: int) -> int:
    """Return in how many convoys a step lets the matrices cross."""
    owners = dealt(network.matrices, count)
    pairs = zip(network.matrices, owners, strict=True)
    loads = [Load(setting_of(shape, count, "rows"), k, moves=2) for shape, k in pairs]
    return max(convoys(loads)) + 1


def grams(shape: Shape, count: int) -> float:
    """Return how long the sums of Gram matrices take in a group, for one matrix."""
    short = min(shape)
    size = 2 * wire((short, short)) * (count - 1) / count
    return len(POLAR.coefficients) * (size / rate(count) + tree(count))


def summed(network: Network, count: int) -> Time:
    """Nothing is put together: each polynomial sums Gram matrices over all ranks, all at once.

    What is m × m is computed by all ranks, from the same sums.
    """
    steps = len(POLAR.coefficients)
    small = sum(wire((min(x), min(x))) for x in network.matrices)
    return Time(
        sum(seconds(x, count) for x in network.matrices),
        steps * 2 * small * (count - 1) / count / rate(count),
        steps * tree(count),
    )


def hybrid(network: Network, count: int, shards: int, hops: int) -> Time:
    """Replicas of `shards` ranks share the matrices; results go to all replicas.

    In one hop an owner sends to all ranks. In two it sends to the ranks of its replica, and those
    that hold the same part sum what they have, most of it zeros, along the replicas.
    """
    replicas = count // shards
    alone = owner(network, count)
    owners = dealt(network.matrices, count)
    loads: dict[int, float] = defaultdict(float)
    for shape, k in zip(network.matrices, owners, strict=True):
        loads[k] += wire(shape)
    whole = max(loads.values())
    away = whole * (shards - 1) / shards
    into = away / rate(shards)
    if hops == 1:
        out, waits = (whole * replicas - whole / shards) / rate(count), pairs(count)
    else:
        part = sum(map(wire, network.matrices)) / shards
        out = into + 2 * part * (replicas - 1) / replicas / BETWEEN.rate
        waits = pairs(shards) + 2 * math.log2(replicas) * BETWEEN.latency
    return Time(alone.work, into + out, pairs(shards) + waits, alone.single)
