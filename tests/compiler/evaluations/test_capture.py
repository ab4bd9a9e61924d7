"""Captured moments against per-sample gradients and patches cut out one by one."""

import gc

import pytest
import torch
from moments import definite
from properties import refuses
from torch import nn

import normdsl as nd
from normdsl import G, W


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def second_moment(rows):
    return torch.stack([torch.outer(r, r) for r in rows]).mean(0)


def per_sample_output_gradients(head, outputs):
    """Return the gradient of each sample's own loss, by torch.func, one per sample."""
    return torch.func.vmap(torch.func.grad(head))(outputs)


def cut_patches(x, conv):
    """Return a convolution's patches, cut out one by one: batch × places × in·kh·kw."""
    (kh, kw), (sh, sw), (dh, dw) = conv.kernel_size, conv.stride, conv.dilation
    ph, pw = conv.padding
    b, c, h, w = x.shape
    wide = torch.zeros(b, c, h + 2 * ph, w + 2 * pw, dtype=x.dtype)
    wide[:, :, ph : ph + h, pw : pw + w] = x
    reach_h, reach_w = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    found = [
        wide[:, :, i : i + reach_h : dh, j : j + reach_w : dw].reshape(b, -1)
        for i in range(0, h + 2 * ph - reach_h + 1, sh)
        for j in range(0, w + 2 * pw - reach_w + 1, sw)
    ]
    return torch.stack(found, 1)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(reduction, bias):
    layer, x = nn.Linear(4, 3, bias=bias).double(), drawn(7, 4)
    with nd.capture(layer, reduction=reduction) as capture:
        losses = layer(x).pow(4).sum(1)
        (losses.mean() if reduction == "mean" else losses.sum()).backward()
        found = capture.moments(layer.weight)
    g = per_sample_output_gradients(lambda y: y.pow(4).sum(), layer(x).detach())
    torch.testing.assert_close(found["input_moment"], second_moment(x))
    torch.testing.assert_close(found["output_moment"], second_moment(g))
    joined = torch.einsum("ik,il->kl", g, x) / (len(x) if reduction == "mean" else 1)
    torch.testing.assert_close(layer.weight.grad, joined)


def test_every_position_of_a_sequence_is_a_row_of_a_linear_layer():
    layer, x = nn.Linear(4, 3).double(), drawn(2, 5, 4)
    capture = nd.capture(layer)
    layer(x).square().sum(-1).mean().backward()
    found = capture.moments(layer.weight)
    torch.testing.assert_close(found["input_moment"], second_moment(x.flatten(0, 1)))
    g = 2 * layer(x).detach().flatten(0, 1)
    torch.testing.assert_close(found["output_moment"], second_moment(g))


CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 1},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_a_convolution_is_the_matrix_applied_to_its_patches(options):
    layer, x = nn.Conv2d(2, 3, **options).double(), drawn(4, 2, 6, 7)
    capture = nd.capture(layer)
    layer(x).pow(3).flatten(1).sum(1).mean().backward()
    found, rows = capture.moments(layer.weight), cut_patches(x, layer)
    y = (rows @ layer.weight.flatten(1).T + layer.bias).mT
    torch.testing.assert_close(layer(x).flatten(2), y)
    g = per_sample_output_gradients(lambda y: y.pow(3).sum(), y.detach()).mT
    summed = sum(rows[:, k].T @ rows[:, k] for k in range(rows.shape[1])) / len(x)
    torch.testing.assert_close(found["input_moment"], summed)
    torch.testing.assert_close(found["output_moment"], second_moment(g.flatten(0, 1)))


@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"padding": 1, "padding_mode": "circular"}]
)
def test_padding_by_name_and_by_mode(options):
    layer, x = nn.Conv2d(2, 3, 3, bias=False, **options).double(), drawn(4, 2, 5, 5)
    capture = nd.capture(layer)
    y = layer(x)
    y.sum().backward()
    mode = options.get("padding_mode", "constant")
    wide = nn.functional.pad(x, (1, 1, 1, 1), mode=mode)
    plain = nn.Conv2d(2, 3, 3)
    rows = cut_patches(wide, plain)
    torch.testing.assert_close((rows @ layer.weight.flatten(1).T).mT, y.flatten(2))
    summed = torch.einsum("bti,btj->ij", rows, rows) / len(x)
    torch.testing.assert_close(capture.moments(layer.weight)["input_moment"], summed)


def test_an_unbatched_image_is_a_batch_of_one():
    layer, x = nn.Conv2d(2, 3, 2).double(), drawn(2, 4, 4)
    capture = nd.capture(layer)
    layer(x).square().sum().backward()
    alone = capture.moments(layer.weight)
    capture.clear()
    layer(x[None]).square().sum().backward()
    for name, value in capture.moments(layer.weight).items():
        torch.testing.assert_close(alone[name], value)


def test_passes_accumulate_as_gradients_do():
    """Micro-batches of unequal size, each weighted by its share, are one large batch."""
    layer, x = nn.Linear(4, 3).double(), drawn(7, 4)
    capture = nd.capture(layer)
    layer(x).square().sum(1).mean().backward()
    whole = capture.moments(layer.weight)
    capture.clear()
    for part in (x[:5], x[5:]):
        (layer(part).square().sum(1).mean() * len(part) / len(x)).backward()
    for name, value in capture.moments(layer.weight).items():
        torch.testing.assert_close(value, whole[name])


def test_two_uses_of_one_weight_are_all_its_rows():
    """Used twice by one module, and by two modules that share it."""
    first, second = nn.Linear(3, 3, bias=False).double(), nn.Linear(3, 3, bias=False).double()
    second.weight = first.weight
    x = drawn(5, 3)
    for chain in ((first, first), (first, second)):
        capture = nd.capture(first, second)
        inner = chain[0](x)
        outer = chain[1](torch.tanh(inner))
        outer.pow(4).sum(1).mean().backward()
        found = capture.moments(first.weight)
        h, w = torch.tanh(inner).detach(), first.weight.detach()
        outside = 4 * (h @ w.T) ** 3 / 5
        inside = (outside @ w) * (1 - h**2)
        inputs, grads = torch.cat([x, h]), torch.cat([inside, outside])
        torch.testing.assert_close(found["input_moment"], inputs.T @ inputs / 10)
        torch.testing.assert_close(found["output_moment"], 10 * grads.T @ grads)
        capture.remove()


def test_only_what_takes_part_in_a_backward_pass_is_recorded():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    capture = nd.capture(layer)
    with torch.no_grad():
        layer(x)
    layer(x)
    assert capture.moments(layer.weight) is None
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert capture.moments(layer.weight) is None


def test_sampled_targets_in_a_pass_of_their_own():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    capture = nd.capture(layer)
    y = layer(x)
    y.square().sum(1).mean().backward(retain_graph=True)
    sampled = capture.moments(layer.weight)
    with capture.paused():
        y.pow(4).sum(1).mean().backward()
    for name, value in capture.moments(layer.weight).items():
        assert torch.equal(value, sampled[name])
    layer(x).sum().backward()
    assert not torch.equal(capture.moments(layer.weight)["output_moment"], sampled["output_moment"])


def live(shape):
    gc.collect()
    return sum(type(x) is torch.Tensor and x.shape == shape for x in gc.get_objects())


def test_inputs_live_as_long_as_the_graph():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    capture = nd.capture(layer)
    before = live(x.shape)
    loss = layer(x).square().sum()
    assert live(x.shape) == before + 1
    loss.backward()
    del loss
    assert live(x.shape) == before
    assert not any(v.requires_grad for v in capture.moments(layer.weight).values())


def test_gradients_are_not_touched():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    layer(x).square().sum().backward()
    plain = layer.weight.grad.clone()
    layer.weight.grad = None
    capture = nd.capture(layer)
    layer(x).square().sum().backward()
    assert torch.equal(layer.weight.grad, plain)
    assert capture.moments(layer.weight) is not None


def test_hooks_are_removed():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    with nd.capture(layer) as capture:
        assert len(layer._forward_hooks) == 1
        pending = layer(x).sum()
    assert not layer._forward_hooks
    pending.backward()
    layer(x).sum().backward()
    assert capture.moments(layer.weight) is None


def test_keyword_inputs_and_inputs_changed_in_place_afterwards():
    layer, x = nn.Linear(4, 3).double(), drawn(5, 4)
    capture = nd.capture(layer)
    y = layer(input=x)
    nn.functional.relu(y, inplace=True).sum().backward()
    torch.testing.assert_close(capture.moments(layer.weight)["input_moment"], second_moment(x))
    live = (layer(x) > 0).double()
    torch.testing.assert_close(
        capture.moments(layer.weight)["output_moment"], second_moment(5 * live)
    )


def test_moments_of_low_precision_are_summed_in_single():
    layer = nn.Linear(4, 3).bfloat16()
    capture = nd.capture(layer)
    layer(drawn(5, 4).bfloat16()).sum().backward()
    assert {v.dtype for v in capture.moments(layer.weight).values()} == {torch.float32}


def test_refusals():
    with refuses(nd.GradientError, "grouped convolution", "nd.capture(model.conv1"):
        nd.capture(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Linear(2, 2)))
    with refuses(nd.GradientError, "neither a Linear nor a Conv2d"):
        nd.capture(nn.ReLU())
    with refuses(nd.HyperparameterError, '"mean" or "sum"'):
        nd.capture(nn.Linear(2, 2), reduction="none")


@nd.optimizer
def whitened(lr=0.1):
    return W - lr * G @ nd.inverse(nd.input_moment)


def stepped(layer, **options):
    capture = nd.capture(layer)
    opt = whitened([layer.weight], capture=capture, **options)
    layer(drawn(5, 4)).square().sum().backward()
    return capture, opt


def test_a_step_uses_the_moments_up():
    layer = nn.Linear(4, 3).double()
    capture, opt = stepped(layer)
    start, g = layer.weight.detach().clone(), layer.weight.grad.clone()
    opt.step()
    expected = start - 0.1 * g @ torch.linalg.inv(second_moment(drawn(5, 4)))
    torch.testing.assert_close(layer.weight.detach(), expected)
    assert capture.moments(layer.weight) is None
    with refuses(nd.GradientError, "no backward pass"):
        opt.step()
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_without_a_capture_nothing_changes():
    layer = nn.Linear(4, 3).double()
    layer(drawn(5, 4)).sum().backward()
    start = layer.weight.detach().clone()
    with refuses(nd.GradientError, "reads input_moment of the layer"):
        whitened([layer.weight]).step()
    assert torch.equal(layer.weight, start)


def test_moments_that_are_not_finite():
    layer = nn.Linear(4, 3).double()
    start = layer.weight.detach().clone()
    capture, opt = stepped(layer)
    capture._sums[layer.weight].inputs = capture._sums[layer.weight].inputs * torch.nan
    with refuses(nd.GradientError, "the input_moment of a parameter", "capture.clear()"):
        opt.step()
    assert torch.equal(layer.weight, start)
    assert not opt.state
    assert capture.moments(layer.weight) is not None
    capture, opt = stepped(layer, nonfinite="skip")
    capture._sums[layer.weight].inputs = capture._sums[layer.weight].inputs * torch.nan
    opt.step()
    assert torch.equal(layer.weight, start)
    assert opt.state[layer.weight]["step"] == 0
    assert capture.moments(layer.weight) is None


def test_a_capture_that_the_rule_does_not_read_is_refused():
    layer = nn.Linear(4, 3)
    with refuses(nd.HyperparameterError, "reads no moments"):
        nd.algorithms.sgd(layer.parameters(), capture=nd.capture(layer))


def test_vectors_are_refused_and_convolutions_are_not():
    with refuses(nd.GradientError, "1 axis, not 2"):
        whitened(nn.Linear(4, 3).parameters())
    assert whitened([nn.Conv2d(2, 3, 2).weight])


def test_the_pure_form_takes_trees_of_moments():
    rule, w = nd.functional(whitened), {"a": drawn(3, 4), "b": drawn(2, 2)}
    seen = {"a": definite(4), "b": definite(2)}
    new, _ = rule.update(w, rule.init(w), w, input_moment=seen)
    for k, x in w.items():
        torch.testing.assert_close(new[k], x - 0.1 * x @ torch.linalg.inv(seen[k]))
    with refuses(nd.GradientError, "none was given"):
        rule.update(w, rule.init(w), w)
    with refuses(nd.GradientError, "input_moment form the tree"):
        rule.update(w, rule.init(w), w, input_moment=seen["a"])
    with refuses(nd.GradientError, "has shape (4, 4), not (2, 2)"):
        rule.update(w, rule.init(w), w, input_moment={"a": seen["a"], "b": seen["a"]})
    with refuses(nd.GradientError, "output_moment, which the rule does not read"):
        rule.update(w, rule.init(w), w, input_moment=seen, output_moment=seen)
