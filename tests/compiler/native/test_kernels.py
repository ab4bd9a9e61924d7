"""Kernels: native code of entries gives what the emitted torch code gives, on CPUs bit for bit."""

import pytest
import torch
from processor import has_exact_roots

import normdsl as nd
from normdsl import G, W, algorithms
from normdsl.compiler.batches import rounding
from normdsl.compiler.kernels.rounding import rounded_by_chance
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.native.kernels import kernel
from normdsl.compiler.native.scalars import scalars
from normdsl.compiler.native.table import Table

SIZES = (5, 70, 1)
NAMES = ("adamw", "adam_sania", "adamax", "amsgrad", "lion", "rmsprop", "sgd")
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@nd.optimizer
def invented(lr: nd.NonNegative = 0.1):
    v = nd.ema(nd.exp(-abs(G)), 0.9)
    u = nd.maximum(nd.tanh(G), v) * nd.log(1 + v**3) + nd.sign(G) / (1 + v**0.7) ** 2
    u = nd.where(v < G, u, nd.where(nd.abs(G) <= v, nd.cos(u), nd.where(G < 0.5, 1, v)))
    return W - lr * u * nd.reciprocal(nd.where(G >= W, G, 3))


@nd.optimizer
def copies(lr: nd.NonNegative = 0.1):
    """Five states that are the gradient; the last one has a draw of its own."""
    return W - lr * sum(nd.prev(G, init=nd.zeros_like(G) + k) for k in range(5))


@nd.optimizer
def polyak(eps: nd.NonNegative = 0.1):
    return W - eps * nd.loss * G


@pytest.fixture(params=["cpu", "cuda"], ids=["C++", "Triton"])
def device(request):
    """The type of device whose kernel runs; without a GPU, Triton is interpreted."""
    if request.param == "cuda":
        pytest.importorskip("triton")
    return request.param


def home(device):
    """Return where the tensors of a kernel are."""
    return torch.device("cuda" if device == "cuda" and torch.cuda.is_available() else "cpu")


def arrays(count, dtype=torch.float32):
    g = torch.Generator().manual_seed(1)
    drawn = [[torch.randn(n, generator=g).to(dtype) for n in SIZES] for _ in range(count)]
    drawn[1][0][2] = 0.0
    return [drawn[0], drawn[1], *([x.abs() for x in row] for row in drawn[2:])]


def ran(rule, device, dtype=torch.float32, slope=1.0, loss=2.0, **options):
    """Return what a kernel writes, what it is to write, and what it says of each member."""
    program = lower(rule, nd.Schedule())
    line, computed = scalars(program), torch.promote_types(dtype, torch.float32)
    made = kernel(line, (dtype,) * len(line.arrays), computed, device)
    hyper = {h.name: h.default for h in rule.hyper}
    known = program.numbers(torch.ones(1, 1, 1, dtype=computed), t=torch.tensor(3.0), **hyper)
    where = home(device)
    table = Table(SIZES, len(line.arrays), made.block, where)
    given = arrays(len(line.arrays), dtype)
    expected = []
    for weights, grads, *states in zip(*given, strict=True):
        own = [x.to(computed).reshape(1, 1, -1) for x in (weights, slope * grads, *states)]
        new = program.arrays(*own, loss=torch.tensor(loss), **known)
        expected.append([x.flatten().to(dtype) for x in new])
    given = [[x.to(where) for x in row] for row in given]
    for k, row in enumerate(given):
        table.put(k, row)
    told = {"loss": loss, "slope": slope, **known}
    numbers = torch.tensor([[float(told[name]) for name in line.numbers]], dtype=torch.float64)
    good = made.step(table, numbers.to(where), **{"ok": None, "write": True, **options})
    found = [[row[k].cpu() for row in (given[0], *given[2:])] for k in range(len(SIZES))]
    return found, expected, good


@pytest.mark.parametrize("name", NAMES)
def test_entries_step_bit_for_bit_as_the_emitted_code_says(name, device):
    found, expected, good = ran(getattr(algorithms, name), device)
    assert good.all()
    if device == "cpu" and has_exact_roots():
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(found, expected)


@nd.optimizer
def cubic():
    return W - W + abs(G) ** (1 / 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cube_roots_are_exact_up_to_rounding(dtype, device):
    line = scalars(lower(cubic, nd.Schedule()))
    made = kernel(line, (dtype, dtype), dtype, device)
    where, info = home(device), torch.finfo(dtype)
    special = torch.tensor([0.0, torch.inf, info.max, info.tiny, info.tiny / 1000], dtype=dtype)
    drawn = torch.logspace(-30, 30, 2000, dtype=dtype) * torch.rand(2000, dtype=dtype)
    x = torch.cat([special, drawn]).to(where)
    y = torch.zeros_like(x)
    table = Table([len(x)], 2, made.block, where)
    table.put(0, [y])
    table.put(1, [x])
    numbers = torch.ones(1, len(line.numbers), dtype=torch.float64, device=where)
    made.step(table, numbers, None, write=True)
    # In torch the exponent is rounded, which matters far from 1.
    bound = max((4 if device == "cpu" else 100) * info.eps, 1e-13)
    expected = (x.cpu().double() ** (1 / 3)).to(dtype)
    torch.testing.assert_close(y.cpu(), expected, rtol=bound, atol=0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_states_are_rounded_to_their_dtype(dtype, device):
    found, expected, _ = ran(algorithms.adamw, device, dtype)
    tolerance = {"rtol": 0, "atol": 0} if device == "cpu" and has_exact_roots() else {}
    torch.testing.assert_close(found, expected, **tolerance)


def test_every_function_of_entries_has_native_code(device):
    found, expected, good = ran(invented, device)
    assert good.all()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_loss_and_the_direction_are_numbers(device):
    for slope in (1.0, -1.0):
        found, expected, _ = ran(polyak, device, slope=slope, loss=0.5)
        torch.testing.assert_close(found, expected)


def test_members_that_do_not_step_stay(device):
    rule, before = algorithms.adamw, arrays(4)
    ok = torch.tensor([True, False, True], device=home(device))
    found, expected, _ = ran(rule, device, ok=ok)
    torch.testing.assert_close(found[0], expected[0])
    assert all(map(torch.equal, found[1], [before[k][1] for k in (0, 2, 3)]))
    _, _, good = ran(rule, device, slope=torch.nan, ok=ok)
    assert good.tolist() == [False, True, False]
    found, _, good = ran(rule, device, write=False)
    assert good.all()
    assert all(map(torch.equal, found[0], [before[k][0] for k in (0, 2, 3)]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_noticed_in_its_member(bad, device):
    line = scalars(lower(algorithms.sgd, nd.Schedule()))
    made = kernel(line, (torch.float32,) * len(line.arrays), torch.float32, device)
    where = home(device)
    grads = [torch.ones(n, device=where) for n in SIZES]
    grads[1][69] = bad
    table = Table(SIZES, len(line.arrays), made.block, where)
    weights = [torch.full((n,), -3.0, device=where) for n in SIZES]
    table.put(0, weights)
    table.put(1, grads)
    assert made.largest(table, 0).tolist() == [3, 3, 3]
    assert table.largest(made.largest(table, 1)).isfinite().tolist() == [True, False, True]
    numbers = torch.ones(1, len(line.numbers), dtype=torch.float64, device=where)
    assert made.step(table, numbers, None, write=False).tolist() == [True, False, True]


def test_blocks_cover_all_entries_once():
    table = Table((5, 70, 16), 1, 16, torch.device("cpu"))
    assert table.member.tolist() == [0, 1, 1, 1, 1, 1, 2]
    assert table.first.tolist() == [0, 0, 16, 32, 48, 64, 0]
    assert table.last.tolist() == [5, 16, 32, 48, 64, 70, 16]


def test_an_array_of_some_members_may_be_hidden_behind_another_tensor(device):
    line, where = scalars(lower(algorithms.sgd, nd.Schedule())), home(device)
    made = kernel(line, (torch.float32,) * 2, torch.float32, device)
    weights, grads = ([torch.full((5,), x, device=where) for _ in SIZES] for x in (1.0, torch.nan))
    table = Table([5] * 3, 2, made.block, where)
    table.put(0, weights)
    table.put(1, grads)
    zeros = torch.zeros(5, device=where)
    shown = torch.tensor([False, True, False], device=where)
    numbers = torch.ones(1, len(line.numbers), dtype=torch.float64, device=where)
    good = made.step(table.hidden(1, shown, zeros), numbers, None, write=True)
    assert good.tolist() == [True, False, True]
    assert torch.isfinite(weights[0]).all()
    assert made.largest(table, 1).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_states_are_rounded_by_chance_to_the_bits_of_torch(dtype, device):
    """To either neighbour, also where that is infinite, by draws for the place of each entry."""
    line, where = scalars(lower(copies, nd.Schedule())), home(device)
    states = [f"S{k}" for k in range(5)]
    dtypes = (dtype, dtype, *[torch.bfloat16] * 5)
    made = kernel(line, dtypes, dtype, device, tuple((x, k) for k, x in enumerate(states)))
    g, size = torch.Generator().manual_seed(3), made.block + 50
    x = torch.randn(size, generator=g, dtype=dtype)
    x[:4] = torch.tensor([torch.inf, -torch.inf, torch.nan, 3.4e38])
    stream = torch.tensor([5, -7])
    rows, grads = rounding.keys(stream, 5), [x.to(where), (-x).to(where)]
    kept = [[torch.zeros(size, dtype=torch.bfloat16, device=where) for _ in stream] for _ in states]
    weights = [torch.zeros(size, dtype=dtype, device=where) for _ in stream]
    table = Table([size] * 2, 7, made.block, where)
    for k, row in enumerate([weights, grads, *kept]):
        table.put(k, row)
    numbers = torch.ones(1, len(line.numbers), dtype=torch.float64, device=where)
    made.step(table, numbers, None, True, rows.to(where))
    for k, row in enumerate(kept):
        for m, found in enumerate(row):
            noise = rounding.noise(k, stream[m], torch.arange(size))
            expected = rounded_by_chance(grads[m].cpu(), noise)
            torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=0, equal_nan=True)
