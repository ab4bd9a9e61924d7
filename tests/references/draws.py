"""Random numbers of steps and of starts, in Python's integers: SplitMix64, Box and Muller.

Those of the first parameter of an optimizer, with the seed 0: a stream for its name, "0", in it
one for each step, the start being step 0, in it one for each row of a draw that has several.
"""

import math

import torch

_BITS = 2**64 - 1


def mixed(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _BITS
    return x ^ x >> 31


def folded(stream, number):
    return mixed((stream + number) * 0x9E3779B97F4A7C15 & _BITS)


def hashed(name):
    """FNV-1a of a text."""
    bits = 0xCBF29CE484222325
    for character in name:
        bits = (bits ^ ord(character)) * 0x100000001B3 & _BITS
    return bits


def uniform(step, key, place=0):
    """A number for the layer, or for one of its places, in (0, 1), of 23 bits."""
    return ((_bits(step, key, place) >> 41 & 0x7FFFFF) + 0.5) / 2**23


def entries(step, key, shape, number):
    """A matrix of the numbers of its places: `uniform`, or `standard_normal`."""
    rows, cols = shape
    drawn = [[number(step, key, i * cols + j) for j in range(cols)] for i in range(rows)]
    return torch.tensor(drawn, dtype=torch.float64)


def standard_normal(step, key, place):
    """A normal number for a place."""
    return _normal(_bits(step, key, place))


def _bits(step, key, place):
    return folded(folded(folded(mixed(hashed("0")), step), key), place)


def normal(places, count, key):
    """Normal numbers before the first step, a row for each place and `count` columns."""
    return frame_entries(0, places, count, key)


def frame_entries(step, places, count, key):
    """Normal numbers of a step, a row for each place and `count` columns."""
    start = folded(mixed(hashed("0")), step)
    return torch.tensor(
        [[_normal(folded(folded(folded(start, i), key), j)) for j in range(count)] for i in places],
        dtype=torch.float64,
    )


def _normal(bits):
    length = math.sqrt(-2 * math.log(((bits >> 32) + 0.5) / 2**32))
    return length * math.cos(2 * math.pi * (bits & 0xFFFFFFFF) / 2**32)


def normal_matrix(step, shape, key):
    """Normal numbers for each entry of a step."""
    start = folded(folded(mixed(hashed("0")), step), key)
    rows, cols = shape
    found = [_normal(folded(start, i)) for i in range(rows * cols)]
    return torch.tensor(found, dtype=torch.float64).reshape(rows, cols)
