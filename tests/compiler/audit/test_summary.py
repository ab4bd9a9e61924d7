"""Equal verdicts of several settings are told once."""

import attrs

from normdsl.compiler.audit.findings import Finding, Kind, Status
from normdsl.compiler.audit.summary import summaries

OPTIONS = ("defaults", "a=True", "b=True", "c=True")
HELD = [
    Finding("storage", Kind.MEMORY, Status.HOLDS, options=o, dtype=d)
    for o in OPTIONS
    for d in ("float64", "float32")
]


def broken(k, options, dtype, factor):
    f = HELD[0]
    return attrs.evolve(
        f, status=Status.BREAKS, options=options, dtype=dtype, factor=factor, why=f"parameter {k}"
    )


def test_all_settings_at_once():
    (only,) = summaries(HELD, Kind.MEMORY)
    assert only.settings == "every option: float64, float32"
    assert only.count == 8
    assert summaries(HELD, Kind.SCALE) == ()


def test_exceptions_are_named_and_numbers_of_parameters_do_not_split():
    changed = [broken(0, "b=True", "float64", 0.1), broken(2, "b=True", "float32", 0.7)]
    held = [f for f in HELD if f.options != "b=True"]
    first, second = summaries([*held, *changed], Kind.MEMORY)
    assert first.settings == "every option but b=True: float64, float32"
    assert second.settings == "b=True: float64, float32"
    assert second.worst.factor == 0.7


def test_settings_that_differ_by_dtype():
    found = summaries([*HELD[1:], broken(0, "defaults", "float64", 1.0)], Kind.MEMORY)
    assert found[0].settings == "every option: float32; every option but defaults: float64"
    assert found[1].settings == "defaults: float64"


def test_floors_at_different_norms_are_told_apart():
    floors = [
        Finding("gradient_scale", Kind.SCALE, Status.ABOVE, dtype=d, above=r)
        for d, r in (("float64", 1e-3), ("float32", 1e-3), ("bfloat16", 1e-5))
    ]
    assert [s.settings for s in summaries(floors, Kind.SCALE)] == [
        "defaults: float64, float32",
        "defaults: bfloat16",
    ]
