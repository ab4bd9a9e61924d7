"""What all norms share: operations as nodes, and their refusals."""

import attrs
import pytest
import torch
from norms_catalogue import EXACT, NORMS, PLAIN, brief
from properties import (
    NORM_PROPERTIES,
    Probe,
    assert_isometries,
    evaluate,
    matrices,
    random_matrix,
    refuses,
    rule,
)

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.shapes import MATRIX, SCALAR
from normdsl.norms.base import Dual, Lmo, Sharp, Value

norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)


def concrete(cls):
    """Return the importable classes below `cls` that are not abstract."""
    found = {sub for child in cls.__subclasses__() for sub in [child, *concrete(child)]}
    return {c for c in found if c.__module__.startswith("normdsl") and not c.__abstractmethods__}


@norms
def test_operations_are_nodes(norm):
    assert norm.lmo(G) == Lmo(norm, G)
    assert norm.sharp(G) == Sharp(norm, G)
    assert norm.dual(G) == Dual(norm, G)
    assert norm.value(G) == Value(norm, G)


@norms
def test_shapes_and_facts(norm):
    assert norm.lmo(G).shape == norm.sharp(G).shape == MATRIX
    assert norm.dual(G).shape == norm.value(G).shape == SCALAR
    assert norm.dual(G).facts.nonnegative
    assert norm.value(G).facts.nonnegative
    assert not norm.lmo(G).facts.nonnegative


@norms
@pytest.mark.parametrize("operation", ["lmo", "sharp", "dual", "value"])
def test_other_shapes_are_refused(norm, operation):
    with refuses(nd.ShapeError, "scalar"):
        getattr(norm, operation)(nd.sum(G))
    with refuses(nd.ShapeError, "m×1", "norms are norms of matrices"):
        getattr(norm, operation)(nd.sum(G, over="cols"))


@pytest.mark.parametrize("norm", [nd.spectral, nd.frobenius, nd.nuclear, nd.max_entry], ids=str)
def test_matrices_of_other_lengths_have_norms(norm):
    gradient, weights = random_matrix(3, 4, 1), random_matrix(3, 4, 2)
    found = evaluate(0 * G + norm.value(G @ W.T), gradient, weights)
    square = gradient @ weights.mT
    literal = {
        nd.spectral: torch.linalg.matrix_norm(square, 2),
        nd.frobenius: torch.linalg.matrix_norm(square),
        nd.nuclear: torch.linalg.matrix_norm(square, "nuc"),
        nd.max_entry: square.abs().max(),
    }
    torch.testing.assert_close(found, literal[norm].expand_as(found))


@pytest.mark.parametrize("norm", [nd.rms, nd.rms_to_rms, nd.one_to_rms], ids=str)
def test_factors_made_of_the_shape_of_the_weights_are_for_matrices_of_that_shape(norm):
    with refuses(nd.ShapeError, "m×m", "rows m and columns n of W"):
        norm.lmo(G @ G.T)


def test_operations_of_different_norms_differ():
    nodes = {
        operation(G) for n in NORMS.values() for operation in (n.lmo, n.sharp, n.dual, n.value)
    }
    assert len(nodes) == 4 * len(NORMS)


def test_definition_keeps_the_line_it_was_written_on():
    node = nd.spectral.lmo(2 * G)
    assert node.definition.where == node.where
    assert node.where.text.startswith("node = nd.spectral.lmo")


def test_sharp_is_derived_when_a_norm_does_not_define_it():
    defined = nd.spectral.sharp(G).definition
    assert defined == -(nd.spectral.define_dual(G) * nd.spectral.define_lmo(G))


def test_norms_are_values():
    assert nd.entrywise(3) == nd.entrywise(3) != nd.schatten(3)
    assert hash(nd.entrywise(3)) == hash(nd.entrywise(3))
    assert len(set(NORMS.values())) == len({str(x) for x in NORMS.values()}) == len(NORMS)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        nd.spectral.name = "other"


def test_a_norm_without_its_definitions_cannot_be_made():
    class Nameless(nd.Norm):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nameless()


@norms
def test_norms_are_shown(norm):
    assert str(norm) in repr(norm)
    assert str(norm.value(G)) == str(norm).replace("X", "G")
    assert str(norm.lmo(W)) == f"lmo[{norm}](W)"
    shown = norm._repr_latex_()
    assert shown.isascii()
    assert shown.count("{") == shown.count("}")


def test_every_norm_of_the_package_is_covered():
    """A norm that is not in the catalogue would be trusted unchecked."""
    assert {type(x) for x in NORMS.values()} == concrete(nd.Norm)


@norms
def test_every_norm_is_saved_and_read(norm):
    declaration = rule(norm.lmo(G) + norm.sharp(G) * norm.value(W))
    assert nd.from_json(nd.to_json(declaration)) == declaration


@pytest.mark.parametrize("name", PLAIN)
def test_the_dual_of_the_dual_is_the_norm(name):
    norm, x = PLAIN[name], random_matrix(3, 4)
    twice = norm.dual_norm.dual_norm
    close = {"rtol": max(norm.tolerance, 1e-9), "atol": 1e-9}
    torch.testing.assert_close(Probe(twice).value(x), Probe(norm).value(x), **close)
    assert twice.isometries == norm.isometries


@pytest.mark.parametrize("name", [name for name in PLAIN if name in EXACT])
def test_the_dual_norm_measures_by_the_dual_value(name):
    norm = PLAIN[name]
    value, dual = Probe(norm.dual_norm).value, Probe(norm).dual
    for x in matrices():
        torch.testing.assert_close(value(x), dual(x), rtol=1e-9, atol=1e-9)


#: The dual norms that are not norms of the catalogue themselves, whose own tests they then have.
DUALS = {
    name: dual
    for name in PLAIN
    if name in EXACT and (dual := PLAIN[name].dual_norm) not in NORMS.values()
}


@pytest.mark.parametrize("holds", [*NORM_PROPERTIES, assert_isometries])
@pytest.mark.parametrize("name", DUALS)
def test_the_dual_norm_is_a_norm_with_its_operators(name, holds):
    holds(DUALS[name])


def test_a_dual_norm_that_is_not_known_is_refused():
    with refuses(nd.DeclarationError, "its LMO is not known", ".dual(M)"):
        _ = NORMS["preconditioned"].dual_norm


#: Factors at which squares, or cubes, leave the range of the dtype.
FACTORS = {torch.float32: (1e-30, 1e-20, 1e20, 1e30), torch.float64: (1e-150, 1e-90, 1e90, 1e150)}


@pytest.mark.parametrize("dtype", FACTORS, ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_steps_ignore_the_scale_of_the_gradient(name, dtype):
    def step(m):
        return pure.update(m, {"t": torch.tensor(0)}, torch.ones_like(m))[0]

    # Exactly: the automatic method shows what rounding makes of singular values that are 0.
    pure = nd.functional(rule(brief(NORMS[name]).lmo(G)), nd.Schedule(polar=nd.SVD()))
    close = 1e-3 if dtype is torch.float32 else 1e-6
    for m in matrices():
        expected = step(m.to(dtype))
        for factor in FACTORS[dtype]:
            torch.testing.assert_close(step(factor * m.to(dtype)), expected, rtol=close, atol=close)


def test_properties_refuse_a_wrong_norm():
    """The shared assertions can fail: each one catches a mistake in an operator."""

    @attrs.frozen(repr=False)
    class Wrong(type(nd.frobenius)):
        def define_value(self, x):
            return nd.inner(x, x)

        def define_dual(self, m):
            return nd.sum(m) + 1

        def define_lmo(self, m):
            return 2 * nd.exp(m)

        def define_sharp(self, m):
            return -m + 1

    for holds in NORM_PROPERTIES:
        with pytest.raises(AssertionError):
            holds(Wrong(nd.lp(2)))


def test_a_flipped_sign_is_caught():
    """The arg max in place of the arg min, the mistake the shared properties exist for."""

    @attrs.frozen(repr=False)
    class Flipped(type(nd.spectral)):
        def define_lmo(self, m):
            return nd.polar(m)

    m = random_matrix(3, 4)
    probe = Probe(Flipped(nd.lp(float("inf"))))
    assert not torch.isclose((m * probe.lmo(m)).sum(), -probe.dual(m))
