"""Declarations as lines of mathematics."""

import re

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.display import declared_latex, declared_text
from normdsl.show.symbols import unicode_symbol
from normdsl.show.text import Text


@nd.optimizer
def example(lr=1e-3, beta1=0.9, momentum=0.5, required=None):
    m = nd.ema(G, beta1)
    direction = m * momentum
    return W - lr * direction * required


def test_head_names_hyper_parameters_and_defaults():
    head = declared_text(example).splitlines()[0]
    assert head == "example(η: lr = 0.001, β₁: beta1 = 0.9, momentum = 0.5, required)"


def test_one_aligned_line_per_name_then_the_weights():
    old = Text().previous("m").text
    assert declared_text(example).splitlines()[1:] == [
        f"  m         ← β₁ {old} + (1 − β₁) G",
        "  direction ← m momentum",
        "  W         ← W − η direction required",
    ]


def test_latex_is_one_aligned_display():
    text = declared_latex(example)
    assert text.startswith("$$\\begin{aligned}\n")
    assert text.endswith("\n\\end{aligned}$$")
    lines = text.splitlines()[1:-1]
    assert [line.endswith(r"\\") for line in lines] == [True, True, False]
    assert all(line.count("&") == 1 for line in lines)
    assert lines[1] == r"\mathrm{direction} &\leftarrow m\, \mathrm{momentum} \\"


def test_without_names_there_is_one_line():
    rule = nd.Declaration("plain", (), W - G)
    assert declared_text(rule) == "plain()\n  W ← W − G"


def test_weights_that_have_a_name_are_shown_by_it():
    @nd.optimizer
    def averaged(lr=0.1, beta=0.9):
        after = W - lr * G
        return nd.step(after, evaluate=nd.ema(after, beta))

    lines = [line.split() for line in declared_text(averaged).splitlines()]
    assert lines[1] == ["after", *["←", "W", "−", "η", "G"]]
    assert lines[-2] == ["W", "←", "after"]


def test_it_is_what_a_notebook_and_a_terminal_show():
    assert str(example) == repr(example) == declared_text(example)
    assert example._repr_latex_() == declared_latex(example)


@pytest.mark.parametrize("name", nd.algorithms.__all__)
def test_every_algorithm_is_shown(name):
    rule = getattr(nd.algorithms, name)
    lines = declared_text(rule).splitlines()
    assert lines[0].startswith(f"{name}(")
    beside = rule.evaluate is not None
    names = [port.name for port in rule.ports] or ["W"]
    ends = lines[len(lines) - beside - len(names) : len(lines) - beside]
    assert [line.split()[:2] for line in ends] == [[name, "←"] for name in names]
    assert lines[-1].startswith("  evaluate ←") == beside
    assert len(lines) == 1 + len(names) + beside + len(rule.labels)
    assert not re.search(r"\bs_old|\bfix\(|\bbefore\(", declared_text(rule))
    assert declared_latex(rule).count(r"\leftarrow") == len(lines) - 1


@pytest.mark.parametrize("name", nd.algorithms.__all__)
def test_names_are_defined_before_they_are_used(name):
    rule = getattr(nd.algorithms, name)
    undefined = set(map(unicode_symbol, rule.labels.values()))
    for line in declared_text(rule).splitlines()[1:]:
        defined, formula = line.split("←")
        undefined.discard(defined.strip())
        assert undefined.isdisjoint(re.findall(r"\w+", formula))
    assert not undefined


def test_coupled_states_are_shown_by_their_own_names():
    def rule(beta: nd.Fraction = 0.9):
        rows, cols = G @ G.T, G.T @ G
        L, R = nd.fix(
            lambda a, b: (beta * a + G @ b @ G.T, beta * b + G.T @ a @ G),
            (nd.eye_like(rows), nd.eye_like(cols)),
        )
        return W - L @ G @ R

    left, right, _ = declared_text(nd.optimizer(rule)).splitlines()[1:]
    old = {name: Text().previous(name).text for name in "LR"}
    assert left.strip() == f"L ← β {old['L']} + G {old['R']} Gᵀ"
    assert right.strip() == f"R ← β {old['R']} + Gᵀ {old['L']} G"


def test_hyper_parameters_with_one_letter_can_be_told_apart():
    """Both lr and eta are written η; in one rule that would be one symbol for two things."""

    def rule(lr=0.1, eta=0.5):
        return W - lr * eta * G

    line = declared_text(nd.optimizer(rule)).splitlines()[-1]
    assert "η η" not in line
