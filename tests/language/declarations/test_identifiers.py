"""Names: identifiers that Python reads as they are written."""

import unicodedata

import pytest
from properties import refuses

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.identifiers import is_name
from normdsl.expressions.domains import REAL
from normdsl.expressions.nodes import Param


@pytest.mark.parametrize("name", ["lr", "beta1", "β", "_", "m_old", "x1", "λ", "größe"])
def test_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "1a", "a b", "a.b", "a\n", "lambda", "None", "__debug__", "__class__", "\uff54orch", "𝐖",
     "Vᵀ", "x'", 'x"', "x\\", "a;b", "a\u200b", None, 5, b"lr"],
    ids=ascii,
)  # fmt: skip
def test_other_texts(name):
    assert not is_name(name)


@pytest.mark.parametrize("name", ["\uff54orch", "𝐖", "__debug__", "\uff4cr"])
def test_names_that_python_reads_as_others_are_refused_everywhere(name):
    """Each is an identifier: as one it would be the code's own `torch`, `W`, or another symbol."""
    assert name.isidentifier()
    hyper = Hyperparameter(name, 0.1, REAL)
    with refuses(nd.DeclarationError, "a name must be a word"):
        nd.Declaration("rule", (hyper,), W - Param(name, REAL) * G)
    with refuses(nd.DeclarationError, "a name must be a word"):
        nd.Declaration(name, (), W - G)
    with refuses(nd.DeclarationError, "a name must be a word"):
        nd.Declaration("rule", (), W - (G + W), names=((name, G + W),))


def test_a_normal_form_is_a_name_again():
    assert is_name(unicodedata.normalize("NFKC", "\uff54orch"))
