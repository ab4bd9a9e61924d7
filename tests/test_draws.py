"""Random draws put to runs: which are held still, and which are left to theory."""

import draws
import judging
import pytest
from judging import Outcome

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups


@nd.optimizer
def framed(lr: nd.NonNegative = 0.1):
    """A frame that is random at first, and noise at each step."""
    noise = nd.normal(nd.rows, nd.cols, key=1)
    Q = nd.fix(lambda Q: nd.qr(G.T @ (G @ Q)), nd.qr(nd.normal(nd.cols, 2)))
    return W - lr * nd.sign(G + 0 * noise) - lr * noise @ Q @ Q.T


def test_a_draw_that_a_state_starts_with_is_not_held():
    (noise,) = draws.drawn(framed)
    assert noise.key == 1
    held, laws = draws.still(framed.check("loss_scale", witnesses=False))
    assert len(draws.held_names(held.declaration)) == len(laws) == 1


@pytest.mark.parametrize("name", ["loss_scale", "translation"])
def test_rules_with_such_a_draw_are_put_to_runs(name):
    found = judging.judge(framed, groups.named(name))
    assert found.outcome in (Outcome.INVARIANT, Outcome.CONDITIONAL), found
