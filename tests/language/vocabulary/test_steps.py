"""What a step starts from."""

import torch
from properties import random_matrix

import normdsl as nd
from normdsl import G, W


def test_the_start_is_what_the_weights_were_at_first():
    w = random_matrix(3, 4, 1)
    rule = nd.functional(nd.Declaration("rule", (), W - (W - nd.start()) / 2 - G))
    state, at = rule.init(w), w
    for _ in range(3):
        at, state = rule.update(torch.ones_like(w), state, at)
    torch.testing.assert_close(at, w - 1.75)


def test_lookahead_draws_back_to_slow_weights_at_every_kth_step():
    w = random_matrix(3, 4, 1)
    rule = nd.functional(nd.Declaration("rule", (), nd.lookahead(W - G, 2, 0.25)))
    state, at, moved = rule.init(w), w, []
    for _ in range(4):
        at, state = rule.update(torch.ones_like(w), state, at)
        moved.append(float((w - at).mean()))
    assert torch.allclose(torch.tensor(moved), torch.tensor([1.0, 0.5, 1.5, 1.0]))
