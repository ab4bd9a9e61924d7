"""Targets, on figures that nobody measured."""

from measurements import REPORT, report, row

from normdsl.benchmarks.bench import contestants
from normdsl.benchmarks.contestants import FIELDS
from normdsl.benchmarks.sets import BY_NAME
from normdsl.benchmarks.targets import (
    FIRST,
    FUSED,
    MEAN,
    MEMORY,
    OVER_FLOOR,
    SLOWEST,
    SPREAD,
    TARGETS,
    Peers,
    Target,
    Verdict,
)

OURS = "normdsl AdamW"


def value(report=REPORT, name=OURS, limit=1.0, **target):
    return Target("cpu", "gpt", name, limit, **target).value(report)


def test_every_number():
    assert value(against=FUSED) == 0.75
    assert abs(value(against=FUSED, measure=MEAN) - 6.5 / 6) < 1e-12
    assert value(measure=OVER_FLOOR) == 1.5
    assert abs(value(measure=SLOWEST) - 4 / 1.5) < 1e-12
    assert value(measure=MEMORY) == 0.25
    assert value(name="normdsl AdamW compiled", measure=FIRST) == 12.0
    assert value(name="normdsl Muon", measure=SPREAD) == 2e-6


def test_the_best_peer_that_was_measured_counts():
    both = Peers("the better peer", ("torch AdamW fused", "normdsl AdamW compiled", "nobody"))
    assert value(against=both) == 0.75
    assert value(against=Peers("nobody", ("nobody",))) is None


def test_a_verdict():
    def verdict(limit, told=REPORT, **target):
        return Target("cpu", "gpt", OURS, limit, FUSED, **target).verdict(told)

    assert verdict(0.75) is Verdict.MET
    assert verdict(0.74) is Verdict.MISSED
    assert verdict(1.0, told=None) is Verdict.OPEN
    assert verdict(1.0, told=report(row(OURS, 1.0))) is Verdict.OPEN
    assert verdict(1.0, needs="quack-kernels") is Verdict.OPEN
    with_it = report(*REPORT.rows, versions={"quack-kernels": "1"})
    assert verdict(1.0, told=with_it, needs="quack-kernels") is Verdict.MET


def test_targets_speak_of_contestants_on_sets_they_are_measured_on():
    fields = {field.name: field for field in FIELDS}
    known = {c.name: c for c in contestants()}
    assert len(known) == len(contestants())
    for device, targets in TARGETS.items():
        for t in targets:
            assert t.device == device
            for name in (t.name, *(t.against.names if t.against else ())):
                assert t.set in fields[known[name].field].sets
            assert known[t.name].why_not(t.set, device) is None
            assert BY_NAME[t.set].cuda <= (device == "cuda")
