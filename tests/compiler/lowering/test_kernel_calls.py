"""From methods to code: arguments by name, helpers pasted, exceptions said."""

import inspect
from types import FunctionType

import numpy as np
import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import muon
from normdsl.compiler.kernels import automatic
from normdsl.compiler.lowering import kernel_calls
from normdsl.compiler.lowering.program import lower

METHODS = (
    nd.Automatic(),
    nd.SVD(),
    nd.QRSVD(),
    nd.Eigh(),
    nd.jordan(),
    nd.polar_express(5, "bfloat16").on_gram(2),
    nd.Turbo(),
    nd.CoupledNewton(7),
    nd.QRPower(),
)
ROLES = [(method, role) for method in METHODS for role in method.kernels]
OPERANDS = {"root_automatic": 2, "symmetric_power": 2, "coupled_newton": 2, "qr_power_step": 2}
OPERANDS |= {"roots_automatic": 2, "symmetric_powers": 2}


def rule(expr):
    return nd.Declaration("probe", (), nd.zeros_like(W) + expr)


@pytest.mark.parametrize(("method", "role"), ROLES, ids=lambda x: x if isinstance(x, str) else "")
def test_every_argument_after_the_operands_is_a_field(method, role):
    kernel = kernel_calls.kernel(method, role)
    operands = OPERANDS.get(kernel.__name__, 1)
    given = dict(kernel_calls.arguments(kernel, method, operands))
    assert list(given) == list(inspect.signature(kernel).parameters)[operands:]


def test_arguments_are_written_as_code():
    method = nd.polar_express(2, "bfloat16").on_gram(3)
    given = dict(kernel_calls.arguments(kernel_calls.kernel(method, "polar"), method, 1))
    assert given["dtype"] == "torch.bfloat16"
    assert given["restart"] == "3"
    assert eval(given["coefficients"]) == method.coefficients
    jordan = dict(kernel_calls.arguments(kernel_calls.kernel(nd.jordan(), "polar"), nd.jordan(), 1))
    assert jordan == {"coefficients": "((3.4445, -4.775, 2.0315),) * 5", "dtype": "W.dtype"}


def test_helpers_come_before_the_kernels_that_call_them():
    found = dict.fromkeys(kernel_calls.with_helpers(kernel_calls.kernel(nd.jordan(), "polar")))
    names = ["unit_wide", "in_place", "by_blocks", "symmetric_product"]
    names += ["quintic_step", "polar_newton_schulz"]
    assert [f.__name__ for f in found] == names


def test_helpers_of_other_modules_are_pasted_too():
    found = [f.__name__ for f in kernel_calls.with_helpers(automatic.polar_automatic)]
    assert found.index("shifted") < found.index("ninth_degree") < found.index("polar_halley")
    assert {"polar_svd", "unit_wide"} < set(found)


def test_a_pasted_kernel_calls_nothing_that_is_not_pasted():
    for module in kernel_calls.MODULES:
        for function in vars(module).values():
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                pasted = {f.__name__ for f in kernel_calls.with_helpers(function)}
                names = set(function.__code__.co_names) & set(function.__globals__)
                assert names <= pasted | {"math", "torch", "Tensor"}


@pytest.mark.parametrize("method", [m for m in METHODS if "polar" in m.kernels], ids=repr)
def test_the_source_with_each_polar_method_runs_with_torch_alone(method):
    schedule = nd.Schedule(polar=method, dtype="float64")
    source = rule(nd.polar(G) + nd.polar(2 * G)).source((3, 4), schedule)
    namespace = {}
    exec(compile(source, "ejected.py", "exec"), namespace)
    g = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    clock = torch.ones(2, 1, 1, dtype=torch.float64)
    (new,) = namespace["step"](torch.zeros_like(g), g, t=clock)
    assert 1.2 < torch.linalg.matrix_norm(new, 2).mean() < 2.5
    assert (new * g).sum((-2, -1)).min() > 0


def code(expr, method):
    return lower(rule(expr), nd.Schedule(root=method)).code.split("def arrays(")[1]


def test_coupled_newton_is_called_for_inverse_roots():
    L = nd.ema(G @ G.T, 0.9)
    for p, text in ((-1, "-1"), (-1 / 2, "-0.5"), (-1 / 3, "-0.333"), (-1 / 8, "-0.125")):
        step = code(nd.matrix_power(L, p) @ G, nd.CoupledNewton(7))
        assert (
            f"coupled_newton(L, {text}" in step
            or f"coupled_newton(x, {text}" in step
            or ("coupled_newton(" in step and text in step)
        )
        assert "symmetric_power" not in step
        assert "#" not in step


def test_other_exponents_go_by_eigenvalues_and_the_source_says_so():
    L = nd.ema(G @ G.T, 0.9)
    step = code(nd.matrix_power(L, 1 / 2) @ G, nd.CoupledNewton(7))
    assert "# CoupledNewton(steps=7) does not take the exponent ½: by eigenvalues." in step
    assert "symmetric_power(" in step
    assert "coupled_newton(" not in step
    assert "#" not in code(nd.matrix_power(L, 1 / 2) @ G, nd.Eigh())


def test_a_symbolic_exponent_too():
    @nd.optimizer
    def powered(p: nd.Positive = 0.5):
        return W - nd.matrix_power(nd.ema(G @ G.T, 0.9), -p) @ G

    step = lower(powered, nd.Schedule(root=nd.CoupledNewton())).code.split("def arrays(")[1]
    assert "does not take the exponent" in step
    assert "symmetric_power(" in step


def test_coupled_newton_and_eigenvalues_take_the_same_steps():
    @nd.optimizer
    def shampoo(lr=0.1, eps=1e-6):
        gram = G @ G.T
        L = nd.accumulate(gram, eps * nd.eye_like(gram))
        return W - lr * nd.matrix_power(L, -1 / 4) @ G

    runs = []
    for root in (nd.Eigh(), nd.CoupledNewton()):
        pure = nd.functional(shampoo, nd.Schedule(root=root, dtype="float64"))
        w = torch.ones(4, 6, dtype=torch.float64)
        state, random = pure.init(w), torch.Generator().manual_seed(0)
        for _ in range(5):
            g = torch.randn(4, 6, dtype=torch.float64, generator=random)
            w, state = pure.update(g, state, w)
        runs.append(w)
    torch.testing.assert_close(*runs, rtol=1e-9, atol=1e-9)


def test_coefficients_that_are_numpy_numbers_are_written_as_numbers():
    """Their repr is `np.float64(…)`, and the code imports torch alone."""
    steps = tuple(tuple(map(np.float64, step)) for step in nd.jordan().coefficients)
    ours = muon.source(schedule=nd.Schedule(polar=nd.NewtonSchulz(steps)))
    assert ours == muon.source(
        schedule=nd.Schedule(polar=nd.NewtonSchulz(nd.jordan().coefficients))
    )
