"""Refresh: what is kept between steps, how it is written, and that nothing else changes."""

import re

import pytest
import torch
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.lowering.refresh import COMPUTE, FIRST, KEEP, kept_values, phase

L, R = nd.ema(G @ G.T, 0.9), nd.ema(G.T @ G, 0.9)
KEPT = {
    "power": nd.matrix_power(L, -1 / 4) @ G,
    "inverse": nd.inverse(L @ nd.ema(G @ G.T, 0.5)) @ G,
    "cholesky": nd.cholesky(L) @ G,
    "eigenbasis": nd.eigenbasis(L) @ G,
}
FREE = {
    "of the gradient": nd.matrix_power(G @ G.T, -1 / 4) @ G,
    "polar factor of a state": nd.polar(nd.ema(G, 0.9)),
    "of a constant": nd.matrix_power(nd.eye_like(G @ G.T), -1 / 4) @ G,
}


def rule(expr):
    return nd.Declaration("probe", (), nd.zeros_like(W) + expr)


def program(expr, **schedule):
    return lower(rule(expr), nd.Schedule(**schedule))


def parts(expr, **schedule):
    """Return the code that computes kept values, and that of the arrays, which gets them."""
    return re.split(r"def (?:renew|arrays)\(", program(expr, **schedule).code)[-2:]


def test_phases():
    assert [phase(done, 1) for done in range(3)] == [FIRST, COMPUTE, COMPUTE]
    assert [phase(done, 3) for done in range(7)] == [FIRST, 0, 0, COMPUTE, 0, 0, COMPUTE]
    assert not KEEP


@pytest.mark.parametrize("expr", KEPT.values(), ids=KEPT.keys())
def test_factorisations_of_states_are_kept(expr):
    kept = program(expr, refresh=2)
    assert kept.phase == "phase"
    assert [f.name for f in kept.fields if f.name.startswith("kept")] == ["kept1"]
    assert " if phase else (kept1_old,)" in kept.code
    renew, arrays = parts(expr, refresh=2)
    called = (
        r"(symmetric_power|root_automatic|pseudo_inverse|cholesky_factor|sorted_eigenvectors)\("
    )
    assert re.search(called, renew)
    assert not re.search(called, arrays)


@pytest.mark.parametrize("expr", FREE.values(), ids=FREE.keys())
def test_nothing_else_is(expr):
    assert program(expr, refresh=2).phase is None
    assert program(expr, refresh=2).code == program(expr).code


@pytest.mark.parametrize("declaration", in_turn(4).values(), ids=lambda r: r.name)
def test_refreshing_at_every_step_is_no_schedule_at_all(declaration):
    plain = lower(declaration, nd.Schedule())
    assert lower(declaration, nd.Schedule(refresh=1)).code == plain.code
    assert plain.phase is None
    assert "phase" not in plain.code


def test_an_iterative_eigenbasis_is_kept_although_every_step_computes_it():
    renew, _ = parts(KEPT["eigenbasis"], eigenbasis=nd.QRPower())
    assert "if phase == 2 else qr_power_step(" in renew
    assert "sorted_eigenvectors(" in renew
    assert program(KEPT["power"], eigenbasis=nd.QRPower()).phase is None


def test_what_is_used_twice_is_kept_once_and_operands_come_first():
    root = nd.matrix_power(L, -1 / 4)
    both = program(root @ G + nd.cholesky(root + G @ G.T) @ G, refresh=2)
    assert [f.name for f in both.fields][1:] == ["kept1", "kept2"]
    found = kept_values(both.graph, nd.Schedule(refresh=2))
    assert [type(x).__name__ for x in found] == ["MatrixPower", "Cholesky"]
    assert both.code.split("def renew(")[1].count("root_automatic(") == 1


def test_the_authors_names_are_kept_and_never_meet_others():
    @nd.optimizer
    def named(phase=0.1, kept1=0.1):
        Q = nd.eigenbasis(nd.ema(G @ G.T, 0.9))
        return W - phase * Q @ G - kept1 * nd.inverse(nd.ema(G @ G.T, 0.5)) @ G

    found = lower(named, nd.Schedule(refresh=2))
    assert found.phase == "phase_"
    assert {"Q", "kept2"} <= {f.name for f in found.fields}
    w, g = torch.zeros(1, 3, 4), torch.randn(1, 3, 4)
    hyper = {"phase": 0.1, "kept1": 0.1}
    clock = torch.ones(1, 1, 1, dtype=torch.float64)
    states = found.init(w, **hyper)
    new = found.step(w, g, *states, t=clock, phase_=FIRST, **hyper)
    assert len(new) == 1 + len(found.fields)
    kept = found.step(w, g, *new[1:], t=clock, phase_=KEEP, **hyper)
    place = [f.name for f in found.fields].index("Q") + 1
    assert torch.equal(kept[place], new[place])
    assert not torch.equal(kept[1], new[1])


def test_both_phases_are_captured_in_one_graph_each():
    made = program(KEPT["power"], refresh=2, dtype="float64")
    captured = torch.compile(made.step, backend="eager", fullgraph=True)
    w = torch.zeros(1, 3, 4, dtype=torch.float64)
    states, clock = made.init(w), torch.ones(1, 1, 1, dtype=torch.float64)
    for now in (FIRST, KEEP, COMPUTE):
        g = torch.randn_like(w)
        ours = captured(w, g, *states, t=clock, phase=now)
        theirs = made.step(w, g, *states, t=clock, phase=now)
        for x, y in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, y)
        states = theirs[1:]
