"""Eject: a rule as one file, an optimizer class in plain torch that needs nothing of normdsl."""

from __future__ import annotations

import os
from pathlib import Path

from normdsl.compiler.eject.buckets import bucket, fuses
from normdsl.compiler.eject.mathematics import module_text
from normdsl.compiler.eject.optimizer import optimizer
from normdsl.compiler.eject.refusals import require
from normdsl.compiler.eject.sights import sight
from normdsl.compiler.layouts.stepper import stepper
from normdsl.compiler.layouts.view import View
from normdsl.compiler.lowering.source import parts
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, NormdslError
from normdsl.schedules.schedule import Schedule

_IMPORTS = """\
from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
"""
#: Names of an ejected file that its class cannot have.
_TAKEN = ("Bucket", "Tensor", "None", "True", "False")


def eject(
    rule: Rule,
    path: str | os.PathLike[str],
    schedule: Schedule | None = None,
    view: View | None = None,
) -> Path:
    """Write the file; see `Declaration.eject`.

    Raises:
        NormdslError: for a path in no folder, or of one.
    """
    file = Path(path)
    if file.is_dir() or not file.parent.is_dir():
        raise NormdslError(
            f"eject {rule.name} to {str(file)!r}",
            why="that is a folder" if file.is_dir() else f"{str(file.parent)!r} is no folder",
            hint=f"name a file in a folder that is there: {rule.name}.py",
        )
    file.write_text(ejected(rule, schedule or Schedule(), view), encoding="utf-8")
    return file


def ejected(rule: Rule, schedule: Schedule, view: View | None = None, proofs: bool = True) -> str:
    """Return the text of an ejected file, in which ranks are the rule's default ones.

    Args:
        rule: the rule. schedule: how it is computed. view: how parameters are seen as matrices.
        proofs: whether its docstring tells which invariances are proved.

    Raises:
        DeclarationError: for a rule, schedule or view that cannot be ejected.
    """
    if rule.ports or rule.neighbours:
        raise DeclarationError(
            f"eject {rule.name}",
            why="it is over several parameters at once, and an ejected step is of one matrix",
            hint=f"use the optimizer itself, {rule.name}(params)",
        )
    ranks = {h.name: h.default for h in rule.hyper if h.domain.length}
    rule = rule.bind(**{name: x for name, x in ranks.items() if x is not None})
    found = stepper(rule, schedule)
    require(found.program, view)
    seen = sight(view, found)
    written = parts(found.program)
    del written["step"]
    if schedule.compile and not fuses(found):
        dynamic = ", dynamic=True" if found.entrywise else ""
        for name in {"renew", "arrays"} & written.keys():
            written[name] = f"@torch.compile(fullgraph=True{dynamic})\n{written[name]}"
    head = f'"""{module_text(found.program, seen.words, proofs)}\n"""\n\n{_IMPORTS}'
    ours = [bucket(found, seen), optimizer(found, seen, class_name(rule))]
    return "\n\n".join(x.strip("\n") + "\n" for x in [head, *written.values(), *ours])


def class_name(rule: Rule) -> str:
    """Return the name of a rule's class: `MyRule` of my_rule."""
    name = "".join(part[:1].upper() + part[1:] for part in rule.name.split("_"))
    return name + "Optimizer" if name in _TAKEN or not name.isidentifier() else name
