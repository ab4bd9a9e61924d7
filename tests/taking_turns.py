"""Rules for tests of the machinery: those of Table 1 and their kin always, all others in turn.

Each rule is compared with its loop, trained, checked, shown and run by its example. What makes its
steps (dtypes, checkpoints, fake tensors, schedules, texts) is tested by every kind of rule; a
hundred more of them would cost minutes and add none.
"""

from __future__ import annotations

import normdsl as nd
from normdsl.cli.find import shipped

#: The families whose rules take part in all tests.
ALWAYS = {"adagrad", "adam", "eigenbasis", "kfac", "muadam", "muon", "sgd", "shampoo", "sign"}
#: In how many tests each of the other rules has one turn.
TURNS = 8


def family(rule: nd.Declaration) -> str:
    """The name of the file that a rule comes from."""
    return rule.__module__.rpartition(".")[2]


#: Rules over pairs of parameters, which tests of rules of one matrix leave out.
PAIRED = {name: rule for name, rule in shipped().items() if rule.ports}
#: Rules of one matrix W.
SINGLE = {name: rule for name, rule in shipped().items() if not rule.ports}
CORE = {name: rule for name, rule in SINGLE.items() if family(rule) in ALWAYS}
OTHERS = {name: rule for name, rule in SINGLE.items() if family(rule) not in ALWAYS}


def in_turn(turn: int, turns: int = TURNS) -> dict[str, nd.Declaration]:
    """The rules of a test that has this turn, by name."""
    return dict(sorted((CORE | dict(list(OTHERS.items())[turn % turns :: turns])).items()))
