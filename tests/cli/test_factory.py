"""Optimizers are found by dotted name or as rules, and audited from the command line."""

import pytest
import torch
from commands import normdsl

from normdsl.algorithms import muon
from normdsl.cli.factory import factory
from normdsl.errors import NormdslError


def test_dotted_names_and_rules_are_found():
    assert factory("torch.optim.SGD") is torch.optim.SGD
    assert factory("muon") is muon


def test_settings_are_python_values_or_words():
    found = factory(
        "torch.optim.SGD", ["lr=0.5", "nesterov=True", "betas=(0.9, 0.99)", "mode=fast"]
    )
    assert found.keywords == {"lr": 0.5, "nesterov": True, "betas": (0.9, 0.99), "mode": "fast"}


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("torch.optim.Nope", [], "has no attribute 'Nope'"),
        ("no_such_package.Optimizer", [], "No module named"),
        ("math.pi", [], "cannot be called"),
        ("nothing", [], "there is no rule of that name"),
        ("nowhere.py:rule", [], "no such file"),
        ("torch.optim.SGD", ["lr"], "not name=value"),
        ("torch.optim.SGD", ["l r=1"], "not name=value"),
    ],
)
def test_what_is_not_found_is_told(name, settings, told):
    with pytest.raises(NormdslError, match=told):
        factory(name, settings)


def test_the_command_prints_the_report_and_saves_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = normdsl("audit", "specimens.Plain", "--set", "beta=0.9", "--picture", "a.png")
    assert told.code == 0, told.complaint
    assert told.told.startswith("audit of specimens.Plain beta=0.9\n")
    assert "loss_transform" in told.told
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_optimizer_that_cannot_be_built_is_a_message():
    told = normdsl("audit", "torch.optim.SGD", "--set", "lr=-1")
    assert told.code == 2
    assert "Traceback" not in told.complaint
    assert "Invalid learning rate" in told.complaint
    assert "  try: " in told.complaint
