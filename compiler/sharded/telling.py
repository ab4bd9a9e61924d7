"""Telling: what is said of a step that processes share, in an explanation."""

from __future__ import annotations

from collections.abc import Sequence

from normdsl.compiler.layouts.compiled import compiled
from normdsl.compiler.sharded.blocks import Block
from normdsl.compiler.sharding.traffic import ShardingPlan, planned


def shared(blocks: Sequence[Block], convoys: int) -> str:
    """Return where what is computed, what crosses, and where states are, for people.

    Args:
        blocks: of the matrices. convoys: in how many they cross.
    """
    plans = [planned(b.program, b.setting) for b in blocks]
    total = sum(own.bytes * b.count for b, own in zip(blocks, plans, strict=True))
    ways: dict[str, dict[str, None]] = {}
    for x in (x for own in plans for x in own.sent):
        ways.setdefault(x.way, {})[x.what] = None
    crosses = ", ".join(f"{', '.join(names)} ({way})" for way, names in ways.items()) or "nothing"
    kept = dict.fromkeys(f"{name} {where}" for own in plans for name, _, where in own.states)
    states = f"; states: {', '.join(kept)}" if kept else ""
    apart = f", in {convoys} convoys, each of which travels while others are computed"
    who = f"{blocks[0].setting.processes} processes{_owned(blocks, plans)}{_compiled(blocks)}"
    return (
        f"divided among {who}; what crosses: {crosses}, {total:,.0f} bytes that a process sends "
        f"in a step{apart if convoys > 1 else ''}{states}"
    )


def _owned(blocks: Sequence[Block], plans: Sequence[ShardingPlan]) -> str:
    """Return who computes what needs whole matrices."""
    pairs = list(zip(blocks, plans, strict=True))
    alone = dict.fromkeys(x for _, own in pairs if own.setting.group == 1 for x in own.owner)
    found = f", {' and '.join(alone)} at the owner of each matrix" if alone else ""
    groups = [(b.count, own) for b, own in pairs if own.setting.group > 1]
    for owned, how in ((True, "at a group of {} processes"), (False, "by sums over all")):
        count = sum(each for each, own in groups if bool(own.owner) is owned)
        if count:
            which = "1 matrix" if count == 1 else f"each of {count} matrices"
            found += f", polar of {which} {how.format(groups[0][1].setting.group)}"
    return found


def _compiled(blocks: Sequence[Block]) -> str:
    """That sides of rounds are compiled, and how long this took."""
    if not blocks[0].program.schedule.compile:
        return ""
    rounds = {x for b in blocks for x in b.division.rounds}
    parts = {y for x in rounds for y in (x.shards, x.renew, x.owner) if y is not None}
    took = sum(compiled(part.function).seconds for part in parts)
    return f", each side of a round compiled (first calls took {took:.1f} s)"
