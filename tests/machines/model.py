"""How long a step of Muon takes among P ranks: computing, sending bytes, waiting for messages.

The α-β model: a message takes α, a byte 1/β (Hockney, 1994). Bytes are those of `rule.plan`,
operations those of `rule.cost`, owners those of the runtime.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import attrs

import normdsl as nd
from machines.networks import Network, Shape
from normdsl.algorithms import muon
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.sharding.convoys import Load, convoys
from normdsl.compiler.sharding.owners import Job, dealt, members
from normdsl.compiler.sharding.setting import setting_of
from normdsl.compiler.sharding.traffic import ShardingPlan, planned

POLAR = nd.jordan().on_gram()
#: How often Gram matrices are summed.
SUMS = -(-len(POLAR.coefficients) // POLAR.restart)
SCHEDULE = nd.Schedule(polar=POLAR)
GROUP = SCHEDULE.group
#: Ranks of one machine.
NODE = 8


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
def plan(shape: Shape, count: int, group: int = 1) -> ShardingPlan:
    """Return what a step does for a matrix that a rank owns, or a group of ranks."""
    setting = setting_of(shape, count, "rows", schedule=SCHEDULE)
    return planned(lower(muon, SCHEDULE), attrs.evolve(setting, group=group))


def moved(shape: Shape, count: int, group: int = 1) -> float:
    """Return the bytes that a rank sends for a matrix, on average, to its owner and back."""
    found = plan(shape, count, group).sent
    return sum(x.bytes for x in found if "owner" in x.how)


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


@attrs.frozen
class Step:
    """What a step does on paper.

    Args:
        time: that it takes. shared: the shapes of matrices that groups own, each with how many.
    """

    time: Time
    shared: tuple[tuple[Shape, int], ...]


def step(shapes: Sequence[Shape], count: int, groups: bool = True) -> Step:
    """Return a step in which matrices are put together at their owners, a rank or a group each.

    All bytes of a matrix pass its owner, which takes longest where it is busiest. A group divides
    them, and the products along the long side.

    Args:
        shapes: of the matrices. count: how many ranks. groups: whether groups own some of them.
    """
    owners = dealt([Job(shape, group=GROUP if groups else 1) for shape in shapes], count)
    work, sizes, matrices = [0.0] * count, [0.0] * count, [0] * count
    shared: dict[Shape, int] = defaultdict(int)
    for shape, owner in zip(shapes, owners, strict=True):
        among, group = members(owner, count), len(members(owner, count))
        shared[shape] += group > 1
        if not plan(shape, count, group).owner:  # summed over all, where its parts are
            among = range(count)
        for rank in among:
            work[rank] += seconds(shape, len(among)) + grams(shape, len(among))
            sizes[rank] += moved(shape, count, group) * count / group
            matrices[rank] += 1
    messages = plan(shapes[0], count).collectives * pairs(count)
    time = Time(max(work), max(sizes) / rate(count), messages, max(matrices) == 1)
    return Step(time, tuple((shape, k) for shape, k in shared.items() if k))


def owner(network: Network, count: int) -> Time:
    """Return a step in which each matrix is owned by a rank."""
    return step(network.matrices, count, groups=False).time


def in_convoys(network: Network, count: int) -> int:
    """Return in how many convoys a step lets the matrices cross."""
    owners = dealt(list(map(Job, network.matrices)), count)
    pairs = zip(network.matrices, owners, strict=True)
    loads = [Load(setting_of(shape, count, "rows"), k, moves=2) for shape, k in pairs]
    return max(convoys(loads)) + 1


def grams(shape: Shape, count: int) -> float:
    """Return how long sums take in a group, for one matrix: of Gram matrices, and of its norm."""
    short = min(shape)
    size = 2 * wire((short, short)) * (count - 1) / count
    return SUMS * size / rate(count) + (SUMS + 2) * tree(count)


def summed(network: Network, count: int) -> Time:
    """Nothing is put together: Gram matrices are summed over all ranks, of all matrices at once.

    What is m × m is computed by all ranks, from the same sums.
    """
    small = sum(wire((min(x), min(x))) for x in network.matrices)
    return Time(
        sum(seconds(x, count) for x in network.matrices),
        SUMS * 2 * small * (count - 1) / count / rate(count),
        SUMS * tree(count),
    )


def hybrid(network: Network, count: int, shards: int, hops: int) -> Time:
    """Replicas of `shards` ranks share the matrices; results go to all replicas.

    In one hop an owner sends to all ranks. In two it sends to the ranks of its replica, and those
    that hold the same part sum what they have, most of it zeros, along the replicas.
    """
    replicas = count // shards
    alone = owner(network, count)
    owners = dealt(list(map(Job, network.matrices)), count)
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
