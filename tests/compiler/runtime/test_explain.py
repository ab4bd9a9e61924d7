"""The table of who gets which rule: every parameter, and figures that are those of the state."""

import pytest
import torch
from moments import capturing, take_step
from taking_turns import in_turn
from torch import nn

import normdsl as nd
from normdsl.algorithms import adamw, muon, sgd, shampoo, soap
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(32, 12), nn.Linear(12, 5))


def test_every_parameter_of_a_route_has_a_line_with_its_name():
    net = model()
    lines = nd.route(net, muon).explain().lines
    assert sorted(x.name for x in lines) == sorted(name for name, _ in net.named_parameters())
    rules = {x.name: x.rule for x in lines}
    assert rules["0.weight"] == rules["2.weight"] == "muon"
    assert rules["3.weight"] == rules["0.bias"] == "adamw"


def test_the_matrices_are_those_that_the_norm_sees():
    rule = muon(view=nd.views.split(10, 2))
    lines = nd.route(model(), muon, overrides={"2.weight": rule}).explain().lines
    seen = {x.name: x.matrices for x in lines}
    assert seen["0.weight"] == ((1, 8, 27),)
    assert seen["2.weight"] == ((1, 10, 32), (1, 2, 32))
    assert seen["0.bias"] == ((1, 8, 1),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rule", in_turn(7).values(), ids=lambda r: r.name)
def test_the_states_it_announces_are_those_that_a_step_makes(rule, dtype):
    layer = nn.Linear(3, 4, bias=False, dtype=dtype)
    opt, p = rule(layer.parameters(), **capturing(rule, layer)), layer.weight
    (line,) = opt.explain().lines
    layer(torch.randn(8, 3, dtype=dtype)).square().mean().backward()
    take_step(opt, rule)
    made = {k: v for k, v in opt.state[p].items() if k != "step"}
    assert {name: (shape, f"torch.{kind}") for name, shape, kind in line.state} == {
        k: (tuple(v.shape), str(v.dtype)) for k, v in made.items()
    }
    assert line.state_bytes == sum(v.nbytes for v in made.values())


def test_kept_values_and_the_dtypes_of_a_schedule_are_told():
    p = nn.Parameter(torch.randn(6, 4))
    schedule = nd.Schedule(eigenbasis=nd.QRPower(), refresh=5, state="bfloat16")
    opt = soap([p], schedule=schedule)
    (line,) = opt.explain().lines
    p.grad = torch.ones_like(p)
    opt.step()
    counts = ("step", "refresh_offset")
    made = {k: v for k, v in opt.state[p].items() if k not in counts}
    assert line.state_bytes == sum(v.nbytes for v in made.values())
    kinds = {name: kind for name, _, kind in line.state}
    assert {kinds.pop("Q"), kinds.pop("P")} == {"float32"}  # others turn by them
    assert set(kinds.values()) == {"bfloat16"}
    assert "every 5 steps" in line.kernels[0]


def test_turns_are_told():
    ps = [nn.Parameter(torch.randn(6, 4)) for _ in range(4)]
    opt = soap(ps, schedule=nd.Schedule(refresh=3))
    for p in ps:
        p.grad = torch.ones_like(p)
    for _ in range(2):
        opt.step()
    (run,) = opt.explain().runs
    assert run.endswith("computed every 3 steps, of 2 of them at once, next at step 3.")


def test_kernels_and_costs_follow_the_schedule():
    def line(rule, **options):
        return rule([nn.Parameter(torch.zeros(16, 8))], **options).explain().lines[0]

    assert line(sgd).kernels == ("entrywise",)
    assert line(muon).kernels == ("polar: Zolotarev's function of degree 5 and a polynomial",)
    assert line(muon, schedule=nd.exact).kernels == ("polar: SVD()",)
    assert (
        line(muon, schedule=nd.Schedule(polar=nd.jordan()))
        .kernels[0]
        .startswith("polar: NewtonSchulz")
    )
    assert line(sgd).flops < line(adamw).flops < line(shampoo).flops


def test_what_a_schedule_left_open_is_told_with_its_reason_and_error():
    sizes, dtypes = ((16, 8), (16, 8), (300, 400), (256, 768)), (torch.float32, torch.float64)
    ps = [nn.Parameter(torch.zeros(size, dtype=d)) for size in sizes for d in dtypes]
    text = str(muon(ps).explain())
    zolotarev = "Zolotarev's function of degree 5 and a polynomial, since one side is twice as long"
    assert (
        text.count(f"polar: {zolotarev} as the other, on a CPU: singular values above 4e-3 ρ") == 1
    )
    assert text.count("polar: 2 Halley steps and a polynomial, since") == 1
    assert "polar: SVD(), since float64 is for exact work: exact" in text
    assert "since" not in str(muon(ps, schedule=nd.exact).explain())


def test_frozen_and_unnamed_parameters_are_said_to_be():
    a, b = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    text = str(sgd([a, b]).explain())
    assert "group 0, 0 " in text
    assert "group 0, 1 (frozen)" in text


def test_the_table_has_totals_and_a_notebook_shows_it():
    shown = nd.route(model(), muon).explain()
    total = sum(x.state_bytes for x in shown.lines)
    assert f"{total / 1000:.3g} kB" in str(shown)
    assert "<table" in shown._repr_html_()
    assert repr(shown) == str(shown)


def test_an_empty_group_is_no_line():
    opt = DeclaredOptimizer(None, [{"params": [], "rule": sgd}])
    assert opt.explain().lines == ()


def test_the_optimizer_prints_a_line_for_each_group():
    text = repr(nd.route(model(), muon(lr=0.5)))
    assert "hidden (flat): muon(lr=0.5, momentum=0.95, weight_decay=0.0, view=flat), 1 par" in text
    assert "vector: adamw(lr=0.001, " in text
    assert repr(sgd([nn.Parameter(torch.zeros(1))], maximize=True, lr=1.0)) == (
        "DeclaredOptimizer(\n  sgd(lr=1.0, weight_decay=0.0), maximize, 1 parameter\n)"
    )


def test_a_parameter_without_entries_is_explained():
    text = str(adamw([nn.Parameter(torch.ones(0, 3))]).explain())
    assert "0×3" in text
    assert "0 FLOP" in text


def test_after_a_step_it_says_what_steps_together_and_how():
    params = [nn.Parameter(torch.ones(512, 300)) for _ in range(2)]
    opt = adamw(params)
    assert opt.explain().runs == ()
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    (told,) = opt.explain().runs
    assert told.startswith("adamw: 2 parameters step by one kernel in C++, which took ")
    assert told in str(opt.explain())
    params[0].grad = None
    opt.step()
    (told,) = opt.explain().runs
    assert told == (
        "adamw: 1 parameter steps in 2 chunks by torch's operations, as 153,600 entries are few."
    )
