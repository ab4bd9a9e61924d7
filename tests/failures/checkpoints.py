"""Faults of saved states: a state dict that is changed, a file that is cut off, another version."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import torch

import normdsl as nd
from failures.subject import Subject, gradients, same, subject
from normdsl.cli.find import shipped

REFUSED, EXACT = "refused", "loaded exactly"
NAMES = ("adamw", "lion", "muon", "shampoo", "soap", "kl_shampoo", "muadam_sania", "kfac")
Saved = dict[str, Any]


@attrs.frozen(eq=False)
class Corruption:
    """A change of a state dict.

    Args:
        name: what is wrong. change: of a deep copy of the state dict; returns what is loaded.
        result: what must come of it.
    """

    name: str
    change: Callable[[Saved], Any]
    result: str = REFUSED


def at(*path: Any, put: Any) -> Callable[[Saved], Saved]:
    """Return the change that puts a value, or a function of the old one, at a place."""

    def change(saved: Saved) -> Saved:
        *way, last = path
        place: Any = saved
        for key in way:
            place = place[key]
        place[last] = put(place[last]) if callable(put) else put
        return saved

    return change


def slot(change: Callable[[torch.Tensor], Any]) -> Callable[[Saved], Saved]:
    """Return the change of the first state of the first parameter that is no step count."""

    def apply(saved: Saved) -> Saved:
        state = saved["state"][0]
        name = next(key for key in sorted(state) if key != "step")
        state[name] = change(state[name])
        return saved

    return apply


def without(*path: Any) -> Callable[[Saved], Saved]:
    """Return the change that removes what stands at a place."""

    def change(saved: Saved) -> Saved:
        *way, last = path
        place: Any = saved
        for key in way:
            place = place[key]
        del place[last]
        return saved

    return change


def missing_slot(saved: Saved) -> Saved:
    del saved["state"][0][next(key for key in sorted(saved["state"][0]) if key != "step")]
    return saved


def swapped(saved: Saved) -> Saved:
    saved["state"][0], saved["state"][2] = saved["state"][2], saved["state"][0]
    return saved


def with_nan(x: torch.Tensor) -> torch.Tensor:
    return x.flatten().index_fill(0, torch.tensor(0), torch.nan).reshape(x.shape)


def another_rule(saved: Saved) -> Saved:
    return subject("scion").opt.state_dict()


def in_turn(saved: Saved) -> Saved:
    """Return the state as a file gives it back."""
    return written(saved)


def written(saved: Saved) -> Saved:
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    read: Saved = torch.load(file, weights_only=True)
    return read


def of_the_future(rule: str) -> str:
    return rule.replace('"normdsl": 1', '"normdsl": 99')


GROUP = ("param_groups", 0)
CORRUPTIONS = (
    Corruption("nothing wrong", in_turn, EXACT),
    Corruption("not a dict", lambda saved: [saved]),
    Corruption("empty", lambda saved: {}),
    Corruption("no state", without("state")),
    Corruption("no groups", without("param_groups")),
    Corruption("state is a list", at("state", put=[1, 2, 3])),
    Corruption("a group is a number", at(*GROUP, put=7)),
    Corruption("a group too many", at("param_groups", put=lambda groups: groups * 2)),
    Corruption("a parameter too few", at(*GROUP, "params", put=[0, 1])),
    Corruption("a parameter twice", at(*GROUP, "params", put=[0, 0, 0])),
    Corruption("parameters by unhashable names", at(*GROUP, "params", put=[[], [], []])),
    Corruption("a state missing", missing_slot),
    Corruption("a step count missing", without("state", 0, "step")),
    Corruption("another shape", slot(lambda x: x.new_zeros(x.numel() + 1))),
    Corruption("whole numbers", slot(lambda x: x.long())),
    Corruption("complex numbers", slot(lambda x: x.to(torch.complex64))),
    Corruption("a state that is text", slot(lambda x: "zeros")),
    Corruption("a NaN inside", slot(with_nan)),
    Corruption("parameters of two shapes exchanged", swapped),
    Corruption("a step count of −1", at("state", 0, "step", put=torch.tensor(-1.0))),
    Corruption("a step count of NaN", at("state", 0, "step", put=torch.tensor(torch.nan))),
    Corruption("a step count of 2.5", at("state", 0, "step", put=torch.tensor(2.5))),
    Corruption("a step count that is text", at("state", 0, "step", put="three")),
    Corruption("the state of another rule", another_rule),
    Corruption("a rule that is no JSON", at(*GROUP, "rule", put="import os")),
    Corruption("a rule that is a number", at(*GROUP, "rule", put=7)),
    Corruption("a format of the future", at(*GROUP, "rule", put=of_the_future)),
    Corruption("a learning rate of NaN", at(*GROUP, "lr", put=torch.nan)),
    Corruption("a learning rate that is text", at(*GROUP, "lr", put="0.1")),
)  # fmt: skip


@cache
def outcome(name: str, fault: Corruption) -> str:
    """Load a changed state into an optimizer that has taken another step; say what came of it."""
    saved, target = _saved(name), subject(name, steps=1)
    given = fault.change(copy.deepcopy(saved.opt.state_dict()))
    before, groups = target.held(), target.groups()
    try:
        target.opt.load_state_dict(given)
    except Exception as error:  # whatever it is, the table says so
        legal = same(target.held(), before) and target.groups() == groups
        if not legal or not _goes_on(target, name):
            return "CHANGED"
        told = isinstance(error, nd.NormdslError) or type(error) is ValueError
        return REFUSED if told else f"{type(error).__name__}, nothing changed"
    return EXACT if same(_states(target), _states(saved)) else "LOADED WRONGLY"


@cache
def _saved(name: str) -> Subject:
    """Return an optimizer that is saved, and does nothing else."""
    return subject(name)


def _states(made: Subject) -> list[torch.Tensor]:
    return [x for k in range(len(made.params)) for x in made.of(k)[1:]]


def _goes_on(target: Subject, name: str) -> bool:
    """Return whether the next step is that of an optimizer that was asked to load nothing."""
    target.step(gradients(1))
    return same(target.held(), _undisturbed(name))


@cache
def _undisturbed(name: str) -> list[torch.Tensor]:
    return subject(name, steps=2).held()


#: How much of a file is written when its process is killed.
FRACTIONS = (0.01, 0.5, 0.99)
_KILLED = """
import os, signal, sys, torch
class Dying:
    def __init__(self, file, limit): self.file, self.left = file, limit
    def write(self, data):
        data = bytes(data)
        self.file.write(data[: self.left]); self.file.flush()
        self.left -= len(data)
        if self.left <= 0: os.kill(os.getpid(), signal.SIGKILL)
        return len(data)
    def flush(self): self.file.flush()
state = torch.load(sys.argv[1])
for path, limit in zip(sys.argv[2::2], sys.argv[3::2]):
    child = os.fork()
    if not child: torch.save(state, Dying(open(path, "wb"), int(limit)))
    ended = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
"""


@cache
def killed(name: str) -> dict[float, tuple[str, str]]:
    """Kill processes that overwrite a checkpoint, and ones that write beside it, to replace it.

    Returns:
        For every fraction, what comes of loading the first file, and the second.
    """
    saved = _saved(name).opt.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder, "good.pt")
        torch.save(saved, good)
        size = good.stat().st_size
        arguments: list[Path | str] = []
        for fraction in FRACTIONS:
            torn, beside = (Path(folder, f"{stem}{fraction}") for stem in ("torn", "beside"))
            torch.save(saved, torn)
            for path in (torn, beside):
                arguments += [path, str(int(fraction * size))]
        subprocess.run([sys.executable, "-c", _KILLED, good, *arguments], check=True)
        assert all(0 < Path(path).stat().st_size < size for path in arguments[::2])
        whole = loaded(good, name)
        return {f: (loaded(Path(folder, f"torn{f}"), name), whole) for f in FRACTIONS}


def loaded(path: Path, name: str) -> str:
    """Say what comes of loading a file."""
    target, saved = subject(name, steps=1), _saved(name)
    before = target.held()
    try:
        target.opt.load_state_dict(torch.load(path, weights_only=True))
    except (nd.NormdslError, ValueError, RuntimeError, EOFError, OSError):
        return REFUSED if same(target.held(), before) else "CHANGED"
    return EXACT if same(_states(target), _states(saved)) else "LOADED WRONGLY"


_OLDER = json.loads(Path(__file__).with_name("older_states.json").read_text())
OLDER = tuple(_OLDER)


def older(name: str) -> str:
    """Load what `state_dict()` returned in version 0.1.0, whose groups did not say their rule.

    The next step must be the one that version took, up to rounding of another processor; or the
    state is refused, saying what that version did not keep.
    """
    told = _OLDER[name]
    params = [torch.nn.Parameter(torch.tensor(w)) for w in told["weights"]]
    opt = shipped()[name](params)
    state = {
        int(k): {key: torch.tensor(x) for key, x in entry.items()}
        for k, entry in told["saved"]["state"].items()
    }
    try:
        opt.load_state_dict({**told["saved"], "state": state})
    except nd.SerializationError as error:
        return REFUSED if "did not keep" in error.why else "REFUSED FOR ANOTHER REASON"
    for p, g in zip(params, told["gradients"], strict=True):
        p.grad = torch.tensor(g)
    opt.step()
    then = [torch.tensor(w) for w in told["then"]]
    close = all(
        torch.allclose(p, w, rtol=1e-5, atol=1e-6) for p, w in zip(params, then, strict=True)
    )
    return "loaded, and goes on as there" if close else "LOADED WRONGLY"
