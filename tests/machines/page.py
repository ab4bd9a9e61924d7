"""Writes docs/scale.md: steps among thousands of ranks, on paper; bytes and host time, measured.

PYTHONPATH=tests python -m machines.page [--measure]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import normdsl.algorithms as algorithms
from machines import large as model_of_large
from machines import model
from machines.measured import LARGE, RANKS, SMALL, measured
from machines.model import BETWEEN, GROUP, INSIDE, NODE, SPEED, Step, Time
from machines.networks import NETWORKS, Network
from normdsl.schedules.schedule import Schedule
from normdsl.show.grid import Grid

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, FIGURES = DOCS / "scale.md", DOCS / "scale.json"
COUNTS = (8, 64, 256, 1024, 4096)
FAR, SHARDS = (1024, 4096), (256, 64, 8)
RULES = ("muon", "soap", "shampoo", "kl_shampoo", "adafactor", "clipped_sgd", "adamw")

HEAD = f"""# Scale: what a step sends, and how long it takes among thousands of ranks

Made by `make scale`. All tables but the last two are on paper: no figure in them was measured. They
are computed from `rule.plan(shape, ranks)`, `rule.cost(shape)` and the owners that a step would
have. The last two are counted and measured on one machine with two cores.

## The model

A message takes α, a byte 1/β, and an operation 1/γ; nothing overlaps unless it is said. Ranks are
GPUs, {NODE} in a machine.

"""

RULE = """
The rule is Muon with Jordan's five polynomials on Gram matrices, which are formed three times and
whose products every rank of a group repeats. Rows are cut among all ranks (`fully_shard`), and
numbers are sent in float32, the default. Operations are those of `rule.cost`, which forms symmetric
products by blocks of rows, as CPUs do and GPUs with quack-kernels do in their way: 9/16 to 5/8 of
all. A GPU without these forms them whole.

| network | shapes of | hidden matrices | entries |
| --- | --- | --: | --: |
"""

PLANS = f"""
## Four ways to compute polar factors

- **all-gather**: every rank gathers all momenta and computes all of them.
- **owner**: parts go to the rank that computes the matrix, and back, by two all-to-alls. Owners are
  chosen by longest processing time first. All bytes of a matrix pass its owner, so that the busiest
  owner counts, not the mean.
- **groups**, what a step does: {GROUP} neighbouring ranks, those of a machine, may own a matrix
  together. They divide its long side, and sum Gram matrices over NVLink, which is counted as
  computing here. They own all matrices of some largest shapes, if that leaves the busiest rank less
  to do; all else is as with owners.
- **Gram**: nothing is put together; the Gram matrices of all layers are summed over all ranks, three
  times, in one all-reduce each. A step does so for single matrices that a group would own, where
  that sends less.

Milliseconds, computing + sending; in how many convoys an owner's matrices cross, each of which
travels while others are computed, with what the step then takes; and which shapes groups own:

"""

READING = """
- *All-gather* does not scale: its work and bytes are the same on any number of ranks.
- *Gram* sends 3 · 2 · m² for each matrix instead of 2 mn / P, and repeats what is m × m. Even
  with one packed all-reduce for all layers it is behind an owner everywhere.
- *Owner* falls with the ranks until each matrix has a rank of its own. From there the largest
  matrix is the limit: its work, and that all of it must arrive at one rank and leave it. Then the
  number of messages is, which grows with the ranks: at 1,024 it is most of a step of 1 B or 7 B.
- *Convoys* hide what is sent behind what is computed, but for what the first one sends and what the
  last one gets back. There are as many as leave a megabyte to a message, and at most as many as an
  owner has matrices: none where messages are the limit, or where each matrix has its own rank.
- *Groups* divide the largest matrix by eight in both respects, but repeat what is m × m. So there
  are none where each rank has several matrices, nor where there are more large ones than groups;
  from 1,024 ranks on they make a step of 7 B a tenth to a fifth shorter, and one of 70 B by a third
  on 4,096.
"""

HYBRID = """
## How HSDP bounds it

With a mesh of replicas × shards (`HSDP`), a matrix is put together from the shards of one
replica, and all ranks share the matrices, so that the work is that of an owner among all ranks.
Messages in are then bounded by the shards. On the way back there are two ways: *one hop*, an
owner sends its result to all ranks; *two hops*, which is what a step does, it sends parts to its
replica, and ranks that hold the same part sum what they have along the replicas, zeros for
matrices of other replicas' owners. What a rank sends then has a bound that replicas do not raise,
2 / shards of all matrices. Milliseconds, computing + sending, two hops but for the last column:

"""

HYBRID_READING = """
One hop makes an owner send its matrix once for each replica, and a message to every rank: at 7 B
and 70 B replicas then cost more than they save on 4,096 ranks. Two hops bound the messages by the
shards and a tree over replicas, and pay by bytes, since a rank receives 1 / shards of the network
and sums it, which sends it twice. The larger the network, the more shards: on 4,096 ranks 64 are
best of these for 1 B, 256 for 7 B and 70 B.
"""

LARGE_ONES = f"""
## Matrices too large for one rank

With embedding and head under the same rule, which most leave to an entry-wise one, a matrix of a
vocabulary may take its owner longer than all others take theirs. Milliseconds of a step, computing
+ sending: by owners alone; by owners and *groups*, what a step does; and by *all*, which sum the
Gram matrices of embedding and head over all ranks, where their rows are, with owners for the
others: what a step does on {GROUP} ranks, where a group would be all of them.

"""

LARGE_READING = """
Groups are never behind owners, since they may have no matrix, and 1.5 to 6 times as fast where the
vocabulary's matrices are the limit (1 B, 64 ranks or more). All ranks together are a gain for those
as well, as long as they are much longer than wide (63 : 1 for 1 B), and a loss where they are not
(8 : 1 and 4 : 1): each sum then sends 2 m² for a Gram matrix.
"""

BYTES = f"""
## Bytes, beside torch.optim.Muon

What a rank sends for W of {LARGE[0]} × {LARGE[1]}, rows cut among {RANKS} ranks, over the bytes
of W in float32: for our rules by their plan, which tests compare with what is counted (flags of
four bytes aside); for torch.optim counted, by the same dispatch mode, on DTensors in a group of
pretended ranks. Our collectives are for all matrices of a rule together; those of torch.optim for
each matrix.

"""

DION = """
dion (microsoft/dion, not on the package index, so not counted here) has two all-to-alls for each
shape of matrices in bfloat16: by its code half of Muon's share above, as with
`nd.Schedule(wire="bfloat16")`: {share:.2f}. Of what it changes, see `nd.schedule_error`.
"""

HOST = f"""
## What a step takes the host

Milliseconds of `step()` for matrices of {SMALL[0]} × {SMALL[1]}, so small that Python and dispatch
are most of it: medians of steps that take turns, on one core. *One of {RANKS} ranks*: rows are cut,
and nothing travels, so that only the host's part is seen. *Plain, a share*: a plain step of an
eighth of the matrices, which are as many entries and as many matrices as this rank computes. A
step calls as many functions of Python for any number of parameters and ranks, which tests count;
what a shard costs beyond its share is packing, flags, and an eighth of each matrix to look at
instead of all of an eighth of them. **The machine was shared with other work**: compare columns and
rows, not milliseconds with another page's.

"""


def _ms(time: Time) -> str:
    return f"{1e3 * time.work:,.0f} + {1e3 * time.sent:,.0f}"


def machine() -> Grid:
    """Return the numbers of the model, and where they are from."""
    nccl = "NCCL's table of latencies (src/graph/tuning.cc): {}, ring, simple protocol"
    peak = "a large bfloat16 product reaches 60 % of the 989 TFLOP/s of an H100's data sheet"
    between, inside = (f"{x.latency * 1e6:.1f} µs a message" for x in (BETWEEN, INSIDE))
    rows = [
        ["α between machines", between, nccl.format("a network")],
        ["β between machines", f"{BETWEEN.rate / 1e9:.0f} GB/s a rank", "400 Gb/s for each GPU"],
        ["α inside a machine", inside, nccl.format("NVLink")],
        ["β inside a machine", f"{INSIDE.rate / 1e9:.0f} GB/s a rank", "data sheet of the H100"],
        ["γ", f"{SPEED / 1e12:.0f} TFLOP/s", peak],
    ]
    return Grid(["", "", "source"], rows)


def networks() -> str:
    """Return the rows of the networks."""
    rows = (
        f"| {x.name} | {x.like} | {len(x.matrices)} | {x.entries / 1e9:.2f} B |\n" for x in NETWORKS
    )
    return "".join(rows)


def plans() -> Grid:
    """Return how long a step takes in four ways."""
    head = ["network", "ranks", "all-gather", "owner", "limited by", "convoys", "groups"]
    rows = [
        [network.name, f"{count:,}", *_ways(network, count)]
        for network in NETWORKS
        for count in COUNTS
    ]
    return Grid([*head, "of which shapes", "Gram"], rows)


def _ways(network: Network, count: int) -> Iterator[str]:
    yield _ms(model.gathered(network, count))
    found, convoys = model.owner(network, count), model.in_convoys(network, count)
    yield from (_ms(found), found.limit)
    yield f"{convoys}: {1e3 * found.overlapped(convoys):,.0f}"
    step = model.step(network.matrices, count)
    yield from (_ms(step.time), _shapes(step))
    yield _ms(model.summed(network, count))


def _shapes(step: Step) -> str:
    """Return the shapes of matrices that groups own."""
    return ", ".join(f"{m}×{n}" for (m, n), _ in step.shared) or "none"


def hybrid() -> Grid:
    """Return how long a step takes on meshes of replicas × shards."""
    head = ["network", "ranks", "no replicas", *(f"{s} shards" for s in SHARDS)]
    rows = []
    for network in NETWORKS:
        for count in FAR:
            two = [_ms(model.hybrid(network, count, s, hops=2)) for s in SHARDS]
            one = _ms(model.hybrid(network, count, SHARDS[0], hops=1))
            rows.append([network.name, f"{count:,}", _ms(model.owner(network, count)), *two, one])
    return Grid([*head, f"{SHARDS[0]} shards, one hop"], rows)


def large() -> Grid:
    """Return how long a step takes with embedding and head, in three ways."""
    rows = []
    for network in NETWORKS:
        for count in COUNTS:
            alone, step = (model_of_large.owned(network, count, x) for x in (False, True))
            among = _ms(model_of_large.divided(network, count))
            ways = [_ms(alone.time), _ms(step.time), _shapes(step), among]
            rows.append([network.name, f"{count:,}", *ways])
    return Grid(["network", "ranks", "owners", "groups", "of which shapes", "all"], rows)


def sent(counted: Mapping[str, Mapping[str, float]]) -> Grid:
    """Return what a rank sends for a matrix, and in how many collectives."""
    rows = []
    for name in RULES:
        plan = getattr(algorithms, name).plan(LARGE, RANKS)
        flags = f"{plan.collectives} + {plan.flags} flags"
        kinds = dict.fromkeys(f"{x.shape} {x.how}" for x in plan.sent)
        crosses = ", ".join(kinds) or "nothing"
        rows.append([f"`{name}`", _share(plan.share), flags, crosses])
    for name, found in counted.items():
        what = "what each operation asks for"
        rows.append([name, _share(found["share"]), f"{found['collectives']:.0f}", what])
    return Grid(["", "bytes over those of W", "collectives", "what crosses"], rows)


def _share(x: float) -> str:
    return f"{x:.2f}" if x >= 0.01 or not x else f"{x:.0e}"


def _dion() -> str:
    plan = algorithms.muon.plan(LARGE, RANKS, schedule=Schedule(wire="bfloat16"))
    return DION.format(share=plan.share)


def host(found: Sequence[Mapping[str, Any]]) -> Grid:
    """Return what a step takes the host."""
    kinds = ("plain", "share", "shards")
    rows = [[x["name"], str(x["count"]), *(f"{x[k]:.1f}" for k in kinds)] for x in found]
    head = ["", "matrices", "plain, ms", "plain, a share, ms", f"one of {RANKS} ranks, ms"]
    return Grid(head, rows)


def page(figures: Mapping[str, Any]) -> str:
    """Return the page, with what was measured."""
    on = (
        f"\ntorch {figures['torch']}, {figures['cores']} cores, "
        f"for which {figures['load']:.0f} processes waited or ran at the end.\n"
    )
    parts = [HEAD, machine().markdown(), "\n", RULE, networks(), PLANS]
    parts += [plans().markdown(), "\n", READING, HYBRID]
    parts += [hybrid().markdown(), "\n", HYBRID_READING, LARGE_ONES]
    parts += [large().markdown(), "\n", LARGE_READING, BYTES]
    parts += [sent(figures["counted"]).markdown(), "\n", _dion(), HOST]
    return "".join([*parts, host(figures["host"]).markdown(), "\n", on])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="count and measure anew")
    if parser.parse_args().measure:
        FIGURES.write_text(json.dumps(measured(), indent=1) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
