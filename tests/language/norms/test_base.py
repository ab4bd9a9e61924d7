"""What all norms share: operations as nodes, and their refusals."""

import attrs
import pytest
import torch
from properties import NORM_PROPERTIES, Probe, random_matrix, refuses

import normdsl as nd
from normdsl import G, W
from normdsl.norms.base import Dual, Lmo, Sharp, Value
from normdsl.shapes import MATRIX, SCALAR

NORMS = [nd.frobenius, nd.spectral, nd.max_entry]


def concrete(cls):
    """Return the importable classes below `cls` that are not abstract."""
    found = {sub for child in cls.__subclasses__() for sub in [child, *concrete(child)]}
    return {c for c in found if c.__module__.startswith("normdsl") and not c.__abstractmethods__}


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_operations_are_nodes(norm):
    assert norm.lmo(G) == Lmo(norm, G)
    assert norm.sharp(G) == Sharp(norm, G)
    assert norm.dual(G) == Dual(norm, G)
    assert norm.value(G) == Value(norm, G)


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_shapes_and_facts(norm):
    assert norm.lmo(G).shape == norm.sharp(G).shape == MATRIX
    assert norm.dual(G).shape == norm.value(G).shape == SCALAR
    assert norm.dual(G).facts.nonnegative
    assert norm.value(G).facts.nonnegative
    assert not norm.lmo(G).facts.nonnegative


@pytest.mark.parametrize("norm", NORMS, ids=str)
@pytest.mark.parametrize("operation", ["lmo", "sharp", "dual", "value"])
def test_other_shapes_are_refused(norm, operation):
    with refuses(nd.ShapeError, "m×m", "norms of m×n matrices"):
        getattr(norm, operation)(G @ G.T)
    with refuses(nd.ShapeError, "scalar"):
        getattr(norm, operation)(nd.sum(G))


def test_operations_of_different_norms_differ():
    nodes = {operation(G) for n in NORMS for operation in (n.lmo, n.sharp, n.dual, n.value)}
    assert len(nodes) == 12


def test_definition_keeps_the_line_it_was_written_on():
    node = nd.spectral.lmo(2 * G)
    assert node.definition.where == node.where
    assert node.where.text.startswith("node = nd.spectral.lmo")


def test_sharp_is_derived_when_a_norm_does_not_define_it():
    defined = nd.spectral.sharp(G).definition
    assert defined == -(nd.spectral.define_dual(G) * nd.spectral.define_lmo(G))


def test_norms_are_values():
    assert type(nd.spectral)() == nd.spectral
    assert hash(type(nd.spectral)()) == hash(nd.spectral)
    assert len(set(NORMS)) == 3
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        nd.spectral.name = "other"


def test_a_norm_without_its_definitions_cannot_be_made():
    class Nameless(nd.Norm):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nameless()


def test_norms_are_shown():
    for norm in NORMS:
        assert str(norm) in repr(norm)
        assert str(norm.value(G)) == str(norm).replace("X", "G")
        assert str(norm.lmo(W)) == f"lmo[{norm}](W)"


def test_every_norm_of_the_package_is_covered():
    """A norm whose file has no test of the shared properties would be trusted unchecked."""
    tested = {"Frobenius", "Spectral", "MaxEntry", "Preconditioned"}
    assert {c.__name__ for c in concrete(nd.Norm)} == tested


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
            holds(Wrong())


def test_a_flipped_sign_is_caught():
    """The arg max in place of the arg min, the mistake the shared properties exist for."""

    @attrs.frozen(repr=False)
    class Flipped(type(nd.spectral)):
        def define_lmo(self, m):
            return nd.polar(m)

    m = random_matrix(3, 4)
    probe = Probe(Flipped())
    assert not torch.isclose((m * probe.lmo(m)).sum(), -probe.dual(m))
