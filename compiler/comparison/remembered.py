"""Verdicts that are kept on disk: their answers, under a fingerprint of all they depend on."""

from __future__ import annotations

import importlib.metadata
import json
import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import attrs

from normdsl.cache import folder, write
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.status import Status
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.compiler.verdicts.check import check
from normdsl.declarations.rule import Rule
from normdsl.declarations.serial import to_json

#: Folders that verdicts do not depend on: a rule is in the fingerprint itself.
_ASIDE = {"algorithms", "benchmarks", "cli", "experiments", "exploring", "plot", "training"}
_ASIDE |= {"__pycache__"}


@attrs.frozen
class Remembered(Verdict):
    """A verdict of an earlier run, of which the answer was kept and neither proof nor witness.

    Args:
        told: the answer.
    """

    told: str = ""

    @property
    def answer(self) -> str:
        """The answer with its conditions, as it was given."""
        return self.told


def remembered(rule: Rule) -> tuple[Verdict, ...]:
    """Return the answers for every group, decided now if they never were by this very code."""
    kept = folder() / f"verdicts-{fingerprint(rule)}.json"
    if not kept.exists():
        found = check(rule)
        assert isinstance(found, Report)
        write(kept, json.dumps({v.group.name: [v.status.name, v.answer] for v in found}))
    known = json.loads(kept.read_text(encoding="utf-8"))
    return tuple(
        Remembered(rule, groups.named(name), Status[status], told=told)
        for name, (status, told) in known.items()
    )


def fingerprint(rule: Rule) -> str:
    """Return what differs for another rule, other code of normdsl, or another torch or sympy."""
    return sha256(f"{_code()}\n{to_json(rule)}".encode()).hexdigest()[:32]


@lru_cache
def _code() -> str:
    """Return a digest of the sources of the language and the compiler, and of their libraries."""
    digest = sha256()
    for library in ("torch", "sympy"):
        digest.update(importlib.metadata.version(library).encode())
    for path in sorted(_sources(Path(__file__).parents[1]) + _sources(_language())):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _language() -> Path:
    """Return the folder of the language; the compiler may be beside it, by a link."""
    import normdsl.errors

    return Path(normdsl.errors.__file__).parent


def _sources(top: Path) -> list[Path]:
    found = []
    for at, folders, files in os.walk(top):
        folders[:] = sorted(set(folders) - _ASIDE)
        found += [Path(at, name) for name in files if name.endswith(".py")]
    return found
