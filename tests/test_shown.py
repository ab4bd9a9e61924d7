"""Every object shows itself, at a prompt and in a notebook, on light pages and on dark ones."""

import functools
import re

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adam, muon, sgd
from normdsl.show.colours import Tone
from normdsl.show.page import folded, preformatted, title

STATISTIC = nd.ema(G * G, 0.9)
POWER = nd.optimizer(lambda lr=0.1, p=0.5: W - lr * G / nd.ema(G * G, 0.9) ** p)
LAYER = torch.nn.Linear(3, 2)


@functools.cache
def refuted():
    return adam.check("scale")


@functools.cache
def proved():
    return muon.check("orthogonal")


@functools.cache
def repaired():
    return nd.repair(adam, "scale")


OBJECTS = {
    "a rule": lambda: muon,
    "a configured rule": lambda: muon(lr=0.1),
    "an expression": lambda: STATISTIC,
    "a norm": lambda: nd.spectral,
    "a map": lambda: nd.preconditioned(nd.spectral, hadamard=STATISTIC).map,
    "maps": lambda: (
        nd.preconditioned(nd.spectral, left=nd.ema(G @ G.T, 0.9), hadamard=STATISTIC).map
    ),
    "a position": lambda: nd.outer_only(nd.spectral, hadamard=STATISTIC),
    "a gauge": lambda: nd.lp(3),
    "a hyper-parameter": lambda: muon.hyper[0],
    "a verdict": lambda: refuted(),
    "a culprit": lambda: refuted().culprit,
    "a witness": lambda: refuted().witness,
    "a proof": lambda: proved().proof,
    "a line of it": lambda: proved().proof[0],
    "a report": lambda: sgd.check(["scale", "orthogonal"]),
    "solutions": lambda: nd.solve(POWER, "scale", "p"),
    "a solution": lambda: nd.solve(POWER, "scale", "p")[0],
    "no solution": lambda: nd.solve(POWER, "affine", "p"),
    "repairs": lambda: repaired(),
    "a repair": lambda: repaired()[0],
    "a group": lambda: nd.groups.affine,
    "an action": lambda: nd.groups.affine.rows,
    "twins": lambda: nd.twins(muon, "scale", steps=3),
    "a schedule": lambda: nd.Schedule(polar=nd.jordan()),
    "polynomials": lambda: nd.jordan(),
    "a cost": lambda: muon.cost(),
    "passes": lambda: sgd.passes(),
    "a pass": lambda: sgd.passes()["derive"],
    "a view": lambda: nd.views.heads(4),
    "what is done": lambda: muon([LAYER.weight]).explain(),
    "roles": lambda: nd.roles(LAYER),
    "functions": lambda: nd.functional(muon),
    "a capture": lambda: nd.capture(LAYER),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_it_shows_itself_at_a_prompt_and_in_a_notebook(kind):
    shown = OBJECTS[kind]()
    assert " object at 0x" not in f"{shown}{shown!r}"
    pages = [
        getattr(shown, f"_repr_{x}_")() for x in ("html", "latex") if hasattr(shown, f"_repr_{x}_")
    ]
    assert pages
    assert all(pages)


@pytest.mark.parametrize("kind", OBJECTS)
def test_pages_inherit_their_colours_but_for_answers(kind):
    page = getattr(OBJECTS[kind](), "_repr_html_", str)()
    assert "background" not in page
    assert set(re.findall(r"#[0-9a-f]{6}", page)) <= {tone.page for tone in Tone}


def test_a_refutation_unfolds_the_runs_that_part():
    page = refuted()._repr_html_()
    assert f"<span style='color:{Tone.BAD.page}'>not invariant</span>" in page
    assert page.count("<circle") == len(refuted().witness.curve)
    assert refuted().witness.curve == tuple(refuted().witness.replay())
    assert repr(refuted().witness).startswith(f"{refuted().witness}  ")


def test_a_proof_unfolds_with_the_lines_of_the_user():
    rule = nd.optimizer(lambda lr=0.1: W - lr * G)
    page = rule.check("orthogonal")._repr_html_()
    assert "<details open><summary>proof</summary>" in page
    assert "rule = nd.optimizer(lambda lr=0.1: W - lr * G)" in page


def test_a_repair_unfolds_the_rule_that_it_makes():
    first = repaired()[0]
    assert first.declaration._repr_latex_() in first._repr_html_()
    assert first._repr_html_() in repaired()._repr_html_()


def test_where_there_is_no_solution_a_notebook_says_why():
    none = nd.solve(POWER, "affine", "p")
    assert "multiplies entry by entry" in none._repr_html_()


def test_maps_are_written_as_maps():
    assert str(OBJECTS["maps"]()).startswith("X ↦ ")
    assert r"X \mapsto" in OBJECTS["maps"]()._repr_latex_()
    assert str(OBJECTS["a position"]()).endswith("∘ lmo[‖X‖₂](G)")


def test_pages_escape_what_users_write():
    assert title("a<b", "c&d", Tone.GOOD).count("&lt;") == 1
    assert "c&amp;d" in title("a", "c&d")
    assert preformatted("x<y").endswith("x&lt;y</pre>")
    assert folded("p<q", "<i>in</i>") == ("<details><summary>p&lt;q</summary><i>in</i></details>")
