"""Source: what is unpacked, returned and pasted."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.function_text import lengths
from normdsl.compiler.lowering.program import lower


def code(expr):
    return lower(nd.Declaration("probe", (), W - expr), nd.Schedule()).code


def test_lengths_are_unpacked_where_they_are_used():
    assert lengths(["x = rows * G"], ["x"]) == ["rows, cols = W.shape[-2:]"]
    assert lengths(["x = G"], ["cols"]) == ["rows, cols = W.shape[-2:]"]
    assert lengths(["x = arrows + colsum"], ["x"]) == []


def test_a_kernel_is_pasted_once_and_only_if_it_is_called():
    twice = code(nd.polar(G) + nd.polar(W))
    assert twice.count("def polar_svd(") == 1
    assert "def " in twice.partition("def polar_svd(")[2]
    assert "polar_svd" not in code(G)


def test_one_result_is_a_tuple_too():
    assert "    return (W_new,)\n" in code(G)
    assert "    return ()\n" in code(G)
