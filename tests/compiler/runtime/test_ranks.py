"""Ranks in optimizers: groups of several ranks, states of their sizes, refreshes, ejection."""

import copy

import pytest
import torch

import normdsl as nd
from normdsl.errors import GradientError, HyperparameterError, SerializationError

galore, dion = nd.algorithms.galore, nd.algorithms.dion


def weights(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


def stepped(opt, steps=3):
    generator = torch.Generator().manual_seed(1)
    params = [p for group in opt.param_groups for p in group["params"]]
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator)
        opt.step()
    return params


def test_groups_have_ranks_of_their_own():
    a, b, c = weights((8, 5), (3, 9), (8, 5))
    opt = galore([{"params": [a, b]}, {"params": [c], "rank": 2}], rank=4)
    stepped(opt)
    shapes = [tuple(opt.state[p]["m_buffer"].shape) for p in (a, b, c)]
    assert shapes == [(4, 5), (3, 9), (2, 5)]
    assert tuple(opt.state[c]["P"].shape) == (8, 2)


@pytest.mark.parametrize("rule", [galore, dion], ids=lambda r: r.name)
def test_a_batch_steps_as_its_matrices_do(rule):
    together, alone = weights((6, 4), (6, 4)), weights((6, 4), (6, 4))
    stepped(rule([{"params": together}], rank=2, lr=0.1))
    stepped(rule([{"params": [p]} for p in alone], rank=2, lr=0.1))
    for p, q in zip(together, alone, strict=True):
        torch.testing.assert_close(p, q)


def test_checkpoints_continue_to_the_bit_with_the_rank_they_have():
    opt, again = (dion(weights((6, 4)), rank=rank) for rank in (2, 3))
    stepped(opt)
    saved = copy.deepcopy(opt.state_dict())
    again.load_state_dict(saved)
    again.param_groups[0]["params"][0].data.copy_(opt.param_groups[0]["params"][0])
    for p, q in zip(stepped(opt), stepped(again), strict=True):
        assert torch.equal(p, q)
    assert again.param_groups[0]["rank"] == 2
    saved["param_groups"][0]["rank"] = 3
    with pytest.raises(SerializationError, match="shape"):
        again.load_state_dict(saved)


def test_a_rank_does_not_change_under_way():
    opt = dion(weights((6, 4)), rank=2)
    stepped(opt)
    opt.param_groups[0]["rank"] = 3
    with pytest.raises(GradientError, match=r"shape \(4, 2\), not \(4, 3\)"):
        stepped(opt)
    with pytest.raises(HyperparameterError, match="whole number"):
        dion(weights((6, 4)), rank=2.5)


def test_a_schedule_keeps_a_subspace():
    opt = galore(weights((6, 4)), rank=2, schedule=nd.Schedule(refresh=3))
    (p,) = stepped(opt, 1)
    first = opt.state[p]["P"].clone()
    stepped(opt, 1)
    assert torch.equal(opt.state[p]["P"], first)
    stepped(opt, 3)
    assert not torch.equal(opt.state[p]["P"], first)
    assert "leading singular vectors: SVD, every 3 steps" in str(opt.explain())


def test_the_functional_form_takes_a_rank():
    pure, (w,) = nd.functional(galore), weights((6, 4))
    opt = galore(weights((6, 4)), rank=2)
    state, x, generator = (
        pure.init(w.detach(), rank=2),
        w.detach(),
        torch.Generator().manual_seed(1),
    )
    for _ in range(3):
        g = torch.randn(x.shape, generator=generator)
        x, state = pure.update(g, state, x, rank=2)
    torch.testing.assert_close(x, stepped(opt)[0].detach())


def test_an_ejected_file_has_the_rank_it_was_written_with(tmp_path):
    file = galore.eject(tmp_path / "galore.py")
    text = file.read_text(encoding="utf-8")
    assert "m  min(128, m, n) × n" in text or "min(128, rows, cols)" in text
    assert "rank=" not in text
