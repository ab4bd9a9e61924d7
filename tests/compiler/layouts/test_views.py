"""Views: nothing is lost or repeated, matrices are those a loop would make, refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import assert_four_parts, quickly
from torch import nn

import normdsl as nd
from normdsl.algorithms import muadam_sania, muon, shampoo
from normdsl.compiler.sharded.stacks import lying
from normdsl.compiler.sharding.boxes import Cut, shares, whole, within
from normdsl.expressions.shapes import Dim

flat, stack, swapped = nd.views.flat, nd.views.stack, nd.views.swapped
heads, split = nd.views.heads, nd.views.split
sizes = st.integers(1, 4)


@st.composite
def views(draw, depth=1):
    """Return a view and a shape of a tensor that it can see."""
    kind = draw(st.sampled_from(["flat", "stack", "swapped", "heads", "split"][: 4 + depth]))
    if kind == "flat":
        return flat, tuple(draw(st.lists(sizes, max_size=4)))
    if kind in ("stack", "swapped"):
        shape = tuple(draw(st.lists(sizes, min_size=2, max_size=5)))
        return (stack if kind == "stack" else swapped), shape
    if kind == "heads":
        count, axis = draw(sizes), draw(st.integers(0, 1))
        shape = [draw(sizes), draw(sizes), *draw(st.lists(sizes, max_size=2))]
        shape[axis] *= count
        return heads(count, axis), tuple(shape)
    view, shape = draw(views(depth=0))
    axis = draw(st.integers(-len(shape), len(shape) - 1)) if shape else 0
    parts = draw(st.lists(sizes, min_size=1, max_size=3))
    if isinstance(view, nd.views.Blocks):
        blocked = axis % len(shape) == 0 if view.axis == 0 else axis % len(shape) > 0
        parts = [view.count * part for part in parts] if blocked else parts
    shape = shape or (1,)
    whole = list(shape)
    whole[axis] = sum(parts)
    return split(*parts, axis=axis, each=view), tuple(whole)


@quickly
@given(views())
def test_join_undoes_pieces_bit_for_bit(drawn):
    view, shape = drawn
    x = torch.arange(float(math.prod(shape))).reshape(shape)
    pieces = view.pieces(x)
    assert [tuple(p.shape) for p in pieces] == list(view.sizes(shape))
    assert all(p.ndim == 3 for p in pieces)
    assert len({p.shape[1:] for p in pieces}) == len(pieces)
    assert torch.equal(torch.cat([p.flatten() for p in pieces]).sort()[0], x.flatten())
    back = view.join(pieces, shape)
    assert back.shape == x.shape
    assert torch.equal(back, x)


@quickly
@given(views())
def test_matrices_are_where_a_view_says(drawn):
    view, shape = drawn
    x = torch.arange(float(math.prod(shape))).reshape(shape)
    found = view.matrices(shape)
    if found is None:  # blocks of columns that are parts of several axes
        assert "columns" in str(view)
        assert len(shape) > 2
        return
    for piece, matrices in zip(view.pieces(x), found, strict=True):
        for own, at in zip(piece, matrices, strict=True):
            assert at.size == own.shape
            stack = lying(1, at.size, at, whole(shape))
            assert torch.equal(stack.batch([at.part(x, whole(shape))], x)[0], own)


@quickly
@given(views(), st.data())
def test_a_part_of_a_tensor_has_parts_of_its_matrices(drawn, data):
    """What a process holds: adjacent rows and columns of matrices, or whole ones alone."""
    view, shape = drawn
    x, count = torch.arange(float(math.prod(shape))).reshape(shape), data.draw(sizes)
    axes = st.sampled_from([None, *range(len(shape))])
    cuts = tuple(Cut(data.draw(axes), count) for _ in range(2))
    pieces, matrices = view.pieces(x), view.matrices(shape) or ()
    seen = torch.zeros_like(x)
    for share in dict.fromkeys(shares(shape, cuts)):
        part, local = x[within(share, whole(shape))], list[torch.Tensor]()
        seen[within(share, whole(shape))] += 1
        for piece, own in zip(pieces, matrices, strict=bool(matrices)):
            for k, at in enumerate(own):
                region = at.region(share, frozenset(Dim))
                if region is None:
                    continue
                (r, rows), (c, cols) = region.rows, region.cols
                stack = lying(1, (rows, cols), at, share)
                own_part = [at.part(part, share)] if rows * cols else []
                held = stack.batch(own_part, part)
                assert torch.equal(held[0], piece[k, r : r + rows, c : c + cols])
                stack.write(own_part, -held)
                assert torch.equal(stack.batch(own_part, part), -held)
                stack.write(own_part, held)
                if at.is_within(share):
                    local.append(piece[k])
        whole_ones = all(at.is_within(share) is not None for own in matrices for at in own)
        if local and whole_ones:
            found = [y for each in view.within(shape, share).pieces(part) for y in each]
            order = sorted(local, key=lambda y: float(y.flatten()[0]))
            again = sorted(found, key=lambda y: float(y.flatten()[0]))
            assert all(map(torch.equal, again, order))
            assert len(again) == len(order)
    assert bool((seen == 1).all())


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_convolution_is_the_matrix_of_its_patches():
    conv, x = nn.Conv2d(3, 4, 2, bias=False), drawn(1, 3, 5, 5)
    (matrix,) = flat.pieces(conv.weight)
    patches = nn.functional.unfold(x, 2)
    torch.testing.assert_close(matrix @ patches, conv(x).flatten(2))


def test_a_grouped_convolution_is_a_matrix_for_each_group():
    conv, x = nn.Conv2d(6, 4, 2, groups=2, bias=False), drawn(1, 6, 5, 5)
    (matrices,) = heads(2).pieces(conv.weight)
    patches = nn.functional.unfold(x, 2).reshape(2, 3 * 4, 16)
    torch.testing.assert_close((matrices @ patches).reshape(1, 4, 16), conv(x).flatten(2))


def test_a_transposed_convolution_is_the_matrix_from_channels_to_channels():
    conv, x = nn.ConvTranspose2d(3, 4, 1, bias=False), drawn(1, 3, 5, 5)
    (matrix,) = swapped.pieces(conv.weight)
    torch.testing.assert_close(matrix @ x.flatten(2), conv(x).flatten(2))


def test_blocks_are_slices():
    x = drawn(6, 8)
    rows, columns = heads(3).pieces(x)[0], heads(2, axis=1).pieces(x)[0]
    assert all(torch.equal(rows[k], x[2 * k : 2 * k + 2]) for k in range(3))
    assert all(torch.equal(columns[k], x[:, 4 * k : 4 * k + 4]) for k in range(2))


def test_parts_of_unequal_size_are_batches_of_their_own():
    x = drawn(12, 5)
    queries, others = split(8, 2, 2).pieces(x)
    assert torch.equal(queries, x[None, :8])
    assert torch.equal(others, torch.stack([x[8:10], x[10:]]))


def test_parts_may_be_seen_each_in_its_own_way():
    x = drawn(12, 5)
    by_head, whole = split(8, 2, 2, each=[heads(4), flat, flat]).pieces(x), heads(6).pieces(x)
    assert torch.equal(by_head[0], whole[0])
    halves, rest = split(8, 4, each=(heads(2), heads(2))).pieces(x)
    assert halves.shape == (2, 4, 5)
    assert rest.shape == (2, 2, 5)


def test_fused_gates_of_experts():
    x = drawn(3, 4, 10)
    (matrices,) = split(5, 5, axis=-1, each=stack).pieces(x)
    assert torch.equal(matrices, torch.cat([x[..., :5], x[..., 5:]]))


@pytest.mark.parametrize("rule", [muon, muadam_sania, shampoo], ids=lambda r: r.name)
@pytest.mark.parametrize(
    ("view", "shape", "cut"),
    [
        (stack, (3, 4, 5), lambda x: list(x)),
        (flat, (4, 3, 2, 2), lambda x: [x.reshape(4, 12)]),
        (swapped, (3, 4, 2), lambda x: [x.transpose(0, 1).reshape(4, 6)]),
        (heads(2), (6, 5), lambda x: [x[:3], x[3:]]),
        (heads(2, axis=1), (3, 8), lambda x: [x[:, :4], x[:, 4:]]),
        (split(4, 2, 2), (8, 5), lambda x: [x[:4], x[4:6], x[6:]]),
        (split(4, 2, 2, each=(heads(2), flat, flat)), (8, 5), lambda x: list(x.split(2))),
        (split(3, 3, axis=-1, each=stack), (2, 4, 6), lambda x: [*x[..., :3], *x[..., 3:]]),
    ],
    ids=lambda x: "cut" if callable(x) else str(x),
)
def test_a_viewed_parameter_steps_like_a_loop_over_its_matrices(rule, view, shape, cut):
    whole = nn.Parameter(drawn(*shape))
    loop = [nn.Parameter(x.detach().clone()) for x in cut(whole)]
    together, each = rule([whole], view=view, lr=0.1), rule(loop, lr=0.1)
    for k in range(3):
        whole.grad = torch.randn(shape, generator=torch.Generator().manual_seed(k + 1))
        for p, g in zip(loop, cut(whole.grad), strict=True):
            p.grad = g.clone()
        together.step()
        each.step()
    for p, q in zip(loop, cut(whole.detach()), strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (stack, (3,)),
        (swapped, (3,)),
        (heads(2), (5, 4)),
        (heads(3, axis=1), (5, 4)),
        (split(2, 2), (5, 4)),
        (split(2, 2, axis=2), (4, 4)),
        (split(2, 2, each=stack), (4,)),
        (split(2, 2, each=(flat, heads(3))), (4, 4)),
    ],
    ids=str,
)
def test_a_tensor_that_cannot_be_seen_so_is_refused(view, shape):
    with pytest.raises(nd.GradientError, match="see a parameter of shape") as told:
        view.pieces(torch.zeros(shape))
    assert_four_parts(told.value)
    with pytest.raises(nd.GradientError, match="see a parameter of shape"):
        view.sizes(shape)


@pytest.mark.parametrize(
    "made",
    [
        lambda: heads(0),
        lambda: heads(2, axis=2),
        lambda: split(),
        lambda: split(4, 0),
        lambda: split(4, 4, each=(flat,)),
        lambda: heads("2"),
        lambda: heads(2.5),
        lambda: heads(True),
        lambda: heads(2, axis=0.0),
        lambda: split(1.5, 2.5),
        lambda: split("a"),
        lambda: split([1, 2]),
        lambda: split(4, 4, axis="0"),
        lambda: split(4, 4, each="fs"),
        lambda: split(4, 4, each=5),
    ],
    ids=range(15),
)
def test_what_is_no_view_is_refused(made):
    with pytest.raises(nd.HyperparameterError, match="see parameters as") as told:
        made()
    assert_four_parts(told.value)


def test_views_are_values_and_say_themselves():
    assert split(4, 2, each=[heads(2), flat]) == split(4, 2, each=(heads(2), flat))
    assert len({split(4, 2), split(4, 2), split(2, 4), heads(2), heads(2, axis=1)}) == 4
    said = [str(v) for v in (flat, stack, swapped, heads(2), heads(2, 1), split(4, 2, axis=-1))]
    assert said == [
        "flat",
        "stack",
        "swapped",
        "2 blocks of rows",
        "2 blocks of columns",
        "split 4+2 of axis -1",
    ]
    assert str(split(4, 2, each=(heads(2), flat))).endswith("each 2 blocks of rows | flat")


def test_whole_numbers_of_numpy_count():
    numpy = pytest.importorskip("numpy")
    assert heads(numpy.int64(2)) == heads(2)
    assert split(numpy.int64(2), 3).sizes((5, 4)) == split(2, 3).sizes((5, 4))
