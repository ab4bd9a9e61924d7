"""Entered: what was put into dictionaries, and what no longer is there."""

import pytest

from normdsl.compiler.native import build
from normdsl.compiler.native.entered import Entered

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="there is no C++ compiler")


def entered(count=20):
    """Return dictionaries in one, and what looks at them."""
    outer = {k: {"m": object(), "v": object()} for k in range(count)}
    inner = list(outer.values())
    return outer, Entered(outer, [(inner, name, [x[name] for x in inner]) for name in ("m", "v")])


@pytest.mark.parametrize(
    "change",
    [
        lambda outer: outer.pop(3),
        lambda outer: outer.setdefault("other", {}),
        lambda outer: outer.update({19: dict(outer[19])}),
        lambda outer: outer[7].pop("v"),
        lambda outer: outer[19].update(m=object()),
        lambda outer: outer.clear(),
    ],
    ids=["less", "more", "another", "nothing", "another object", "empty"],
)
def test_a_change_is_seen(change):
    outer, found = entered()
    assert found.holds()
    change(outer)
    assert not found.holds()


def test_what_others_put_beside_is_none_of_its_business():
    outer, found = entered()
    outer[5]["ours"] = 1
    assert found.holds()


def test_there_may_be_nothing():
    assert Entered({}, []).holds()
