"""Our contestants: the rules that come along, by default and compiled, and an invented one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.nn import Parameter

import normdsl.algorithms as algorithms
from normdsl.benchmarks.contestants import REFRESH, Contestant, Steps
from normdsl.benchmarks.floors import Work, both_sides, five_products, rotations
from normdsl.benchmarks.invented import tempered
from normdsl.declaration import Declaration
from normdsl.schedules.methods import QRPower
from normdsl.schedules.schedule import Schedule

#: States of each entry-wise rule. Of MADGRAD's three the anchor is only read: it counts half.
ENTRYWISE = {
    "AdamW": (algorithms.adamw, 2.0),
    "Lion": (algorithms.lion, 1.0),
    "Adam-SANIA": (algorithms.adam_sania, 2.0),
    "MADGRAD": (algorithms.madgrad, 2.5),
    "invented": (tempered, 2.0),
}
#: States of each rule with a polar factor.
POLAR = {
    "Muon": (algorithms.muon, 1.0),
    "MuAdam": (algorithms.muadam, 2.0),
    "MuAdam-SANIA": (algorithms.muadam_sania, 2.0),
    "Scion": (algorithms.scion, 1.0),
}
COMPILED = Schedule(compile=True)
#: Sets on which AdamW stands for all entry-wise rules.
ELSEWHERE = dict.fromkeys(("small", "gpt-0.9b"), "AdamW stands for it there")


def contestants() -> Iterator[Contestant]:
    """Yield our rules, field by field."""
    yield Contestant(
        "normdsl AdamW", "entry-wise", _made(algorithms.adamw), Work(states=ENTRYWISE["AdamW"][1])
    )
    for name, (rule, states) in ENTRYWISE.items():
        made = _made(rule, schedule=COMPILED)
        rest = {} if rule is algorithms.adamw else ELSEWHERE
        work = Work(states=states)
        yield Contestant(f"normdsl {name} compiled", "entry-wise", made, work, left_out=rest)
    for name, (rule, states) in POLAR.items():
        work = Work(states, five_products, half=True)
        exact = rule in (algorithms.muon, algorithms.scion)
        yield Contestant(f"normdsl {name}", "Muon", _made(rule), work, polar=exact)
    by_qr = Schedule(eigenbasis=QRPower(), refresh=REFRESH)
    work = Work(2.0, rotations)
    made = _made(algorithms.soap, schedule=by_qr)
    yield Contestant("normdsl SOAP", "SOAP", made, work, refresh=REFRESH)
    made = _made(algorithms.shampoo, schedule=Schedule(refresh=REFRESH))
    work = Work(0.0, both_sides)
    yield Contestant("normdsl Shampoo", "Shampoo", made, work, refresh=REFRESH)


def _made(rule: Declaration, **options: Any) -> Callable[[list[Parameter], str], Steps]:
    def make(params: list[Parameter], device: str) -> Steps:
        optimizer: Steps = rule(params, **options)
        return optimizer

    return make
