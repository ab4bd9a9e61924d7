"""How busy others are, from clocks that nobody read."""

import attrs
import pytest

from normdsl.benchmarks.company import Clock, since


def test_what_others_used_is_all_but_our_own(monkeypatch):
    start = Clock(everybody=100.0, own=10.0, time=0.0)
    end = Clock(everybody=130.0, own=25.0, time=10.0)
    monkeypatch.setattr(Clock, "now", lambda: end)
    assert since(start) == 1.5
    monkeypatch.setattr(Clock, "now", lambda: attrs.evolve(end, everybody=110.0))
    assert since(start) == 0.0


def test_a_system_that_does_not_tell(monkeypatch):
    monkeypatch.setattr("normdsl.benchmarks.company.Path.read_text", refuse)
    assert Clock.now() is None
    assert since(None) is None


def refuse(*args, **kwargs):
    raise FileNotFoundError


@pytest.mark.skipif(Clock.now() is None, reason="the system does not tell")
def test_clocks_go_on():
    first, second = Clock.now(), Clock.now()
    assert 0 < first.own <= second.own
    assert 0 < first.everybody <= second.everybody
