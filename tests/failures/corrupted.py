"""Texts of rules with values replaced at random: refused, or declarations that show and run."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import torch
from properties import within

import normdsl as nd
from normdsl.cli.find import shipped

_JUNK = (None, True, -1, 0, 1, 3, 10**9, 0.5, -0.5, "", "G", "W", "t", "m", "1e99", "After", "inf",
         "-inf", "0", "1/2", "-1", "2", "1000", [], {}, [0], "rows", "x", "lr", 2, 5)  # fmt: skip
_OPS = ("Add", "Mul", "MatMul", "Pow", "Maximum", "Before", "After", "Inverse", "Polar",
        "Transpose", "Apply", "Eigenbasis", "Cholesky")  # fmt: skip
RULES = [json.loads(nd.to_json(rule)) for rule in shipped().values() if not rule.moments]


def corrupted(seed: int) -> str:
    """Return the text of some rule with one to three values replaced."""
    random = Random(seed)
    doc = json.loads(json.dumps(random.choice(RULES)))
    for _ in range(random.choice((1, 1, 2, 3))):
        _replace(doc, random)
    return json.dumps(doc)


def _replace(doc: dict[str, Any], random: Random) -> None:
    place: Any = doc
    key: Any = random.choice(("nodes", "nodes", "nodes", "nodes", "hyper", "names", "update"))
    while isinstance(place[key], dict | list) and place[key] and random.random() < 0.9:
        place = place[key]
        key = random.choice(range(len(place)) if isinstance(place, list) else sorted(place))
    old = place[key]
    if type(old) is int and random.random() < 0.7:
        place[key] = max(0, old - random.randrange(1, 6))  # another node before it
    else:
        place[key] = random.choice(_OPS if key == "op" else _JUNK)


def survived(text: str) -> bool:
    """Read, show, lower and run a text; return whether it was one of a declaration.

    Whatever is not a `NormdslError` is raised, as is what takes longer than five seconds.
    """
    with within(5):
        try:
            rule = nd.from_json(text)
            assert str(rule)
            assert rule.source()
            assert nd.from_json(nd.to_json(rule)) == rule
            _run(rule)
        except nd.NormdslError:
            return False
    return True


def _run(rule: nd.Declaration) -> None:
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(m, 4, generator=generator)) for m in (3, 4)]
    missing = {h.name: 0.5 for h in rule.hyper if h.default is None}
    opt = rule(params, **missing)
    for _ in range(2):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator)
        opt.step(loss=1.0)
