"""A group of one's own is one declaration: rotations of blocks of two rows."""

import numpy as np
import proofs

import normdsl as nd
from normdsl.compiler.invariance.drawn import rotation
from normdsl.compiler.invariance.groups import Action, Group
from normdsl.expressions.matrix_classes import ORTHOGONAL, MatrixClass

BLOCKS = MatrixClass("block rotation", (ORTHOGONAL,), orthogonal=True, verb="rotated in blocks")


def blocks(rng, size):
    matrix = np.eye(size)
    for k in range(0, size - 1, 2):
        matrix[k : k + 2, k : k + 2] = rotation(rng, 2)
    return matrix


block_rotations = Group("block_rotations", "W = P W̃", rows=Action("P", BLOCKS, blocks))


def test_a_seventeenth_group():
    verdict = nd.algorithms.muon.check(block_rotations)
    assert verdict.invariant
    proofs.assert_proof_holds(verdict)
    assert nd.algorithms.adam.check(block_rotations).witness is not None
