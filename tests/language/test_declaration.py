"""The methods that need the compiler load it when called, and `import normdsl` stays light."""

import subprocess
import sys

import pytest
import torch
from properties import refuses

import normdsl as nd

LIGHT = """
import sys
{code}
heavy = sorted({{"torch", "sympy"}} & set(sys.modules))
assert not heavy, heavy
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "code",
    [
        "import normdsl",
        "import normdsl.algorithms; print(normdsl.algorithms.adam); repr(normdsl.spectral)",
        "import normdsl as nd; d = nd.algorithms.adam; nd.from_json(nd.to_json(d.bind(eps=0)))",
        "import normdsl as nd; nd.exact; nd.jordan(); nd.algorithms.muon._repr_latex_()",
    ],
)
def test_the_language_loads_neither_torch_nor_sympy(code):
    done = run(LIGHT.format(code=code))
    assert done.returncode == 0, done.stderr


def test_the_check_can_fail():
    assert "['torch']" in run(LIGHT.format(code="import normdsl as nd; nd.functional")).stderr


def test_every_public_name_exists():
    assert all(getattr(nd, name) is not None for name in nd.__all__)
    assert nd.algorithms.adam is not None


def test_unknown_names_raise_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nd.nonsense  # noqa: B018


def test_source_is_code_for_the_shape():
    code = nd.algorithms.adam.source(shape=(3, 7))
    assert "3 × 7" in code
    assert "def step(" in code
    compile(code, "adam.py", "exec")


def test_functional_has_pure_init_and_update():
    pure = nd.functional(nd.algorithms.sgd, nd.exact)
    weights, gradient = torch.ones(2, 2).double(), torch.ones(2, 2).double()
    new, _ = pure.update(gradient, pure.init(weights), weights, lr=0.25)
    assert torch.equal(new, torch.full((2, 2), 0.75).double())
    assert torch.equal(weights, torch.ones(2, 2).double())


def test_calling_gives_a_torch_optimizer():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = nd.algorithms.sgd([weight], lr=0.5)
    assert isinstance(optimizer, torch.optim.Optimizer)
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert torch.equal(weight.detach(), torch.full((2, 2), 0.5))


def test_check_gives_a_verdict():
    assert nd.algorithms.sgd.check(nd.groups.scale) is not None
    with pytest.raises(nd.HyperparameterError):
        nd.algorithms.sgd.check(nd.groups.scale, beta=1)


@pytest.mark.parametrize("shape", [5, None, (2,), (2, 0), "23"], ids=str)
def test_code_is_printed_for_two_lengths(shape):
    with refuses(nd.DeclarationError, "rows × columns"):
        nd.algorithms.sgd.source(shape=shape)
