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
