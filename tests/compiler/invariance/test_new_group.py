"""A group of one's own is one declaration: rotations of blocks of two rows."""

import numpy as np
import proofs
import pytest

import normdsl as nd

turn = nd.Action.orthogonal("P").draw


def blocks(rng, size):
    matrix = np.eye(size)
    for k in range(0, size - 1, 2):
        matrix[k : k + 2, k : k + 2] = turn(rng, 2)
    return matrix


pairs = nd.Action.orthogonal("P", blocks, name="block rotation", verb="rotated in blocks")
block_rotations = nd.Group("block_rotations", "W = P W̃", rows=pairs)


def test_a_seventeenth_group():
    verdict = nd.algorithms.muon.check(block_rotations)
    assert verdict.invariant
    proofs.assert_proof_holds(verdict)
    refuted = nd.algorithms.adam.check(block_rotations)
    assert refuted.witness is not None
    assert "rotated in blocks" in refuted.because


@pytest.mark.parametrize(
    ("action", "draw"),
    [
        (nd.Action.orthogonal, lambda rng, n: rng.standard_normal((n, n))),
        (nd.Action.orthogonal, lambda rng, n: np.eye(3)),
        (nd.Action.positive, lambda rng, n: -np.ones(n)),
        (nd.Action.positive, lambda rng, n: np.eye(n)),
        (nd.Action.signs, lambda rng, n: np.full(n, 2.0)),
        (nd.Action.permutation, lambda rng, n: -np.eye(n)),
        (nd.Action.signed_permutation, turn),
        (nd.Action.invertible, lambda rng, n: np.ones((n, n))),
    ],
)
def test_draws_that_are_not_of_the_class_are_refused(action, draw):
    with pytest.raises(nd.DeclarationError, match="draws of one's own"):
        action("P", draw)


@pytest.mark.parametrize(
    "action",
    [
        nd.Action.orthogonal,
        nd.Action.positive,
        nd.Action.signs,
        nd.Action.permutation,
        nd.Action.signed_permutation,
        nd.Action.invertible,
    ],
)
def test_what_a_class_draws_itself_is_of_it(action):
    assert action("P", action("P").draw).cls <= action("P").cls
