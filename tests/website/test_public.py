"""Every public name has something written about it; a name that has not breaks the build."""

from itertools import chain

import pytest
from website import api, links, public

import normdsl as nd

NAMES = [x for group in (public.subjects(), public.members()) for x in chain(*group.values())]


def test_all_public_names_have_a_page():
    pages = set(api.pages())
    missing = {n for n in nd.__all__ if n not in pages} - {"__version__", "algorithms"}
    assert missing == set()


@pytest.mark.parametrize("x", NAMES, ids=lambda x: x.name)
def test_something_is_written_about_every_public_name(x):
    assert x.first


def test_a_name_of_which_nothing_is_written_is_a_warning(monkeypatch):
    told = []
    monkeypatch.setattr(api._LOG, "warning", lambda text, name, **_: told.append(name))

    class Bare:
        """Documented."""

        def method(self):
            pass

    Bare.__module__ = "normdsl.bare"
    api.described(public.Public("nd.Bare", api, Bare))
    api.described(public.Public("nd.method", api, Bare.method))
    assert told == ["nd.Bare.method", "nd.method"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nd.ema", "nd.ema"),
        ("nd.ema(G, beta)", "nd.ema"),
        ("nd.spectral.lmo(M)", "nd.spectral"),
        ("nd.groups.scale", "nd.groups.scale"),
        ("adam", "nd.algorithms.adam"),
        ("nd.nothing", None),
        ("nd.ema + 1", None),
        ("scale", None),
    ],
)
def test_a_code_span_leads_to_the_name_that_it_begins_with(text, name):
    assert links.meant(text, public.every_name(), public.rules()) == name
