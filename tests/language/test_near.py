"""Which name was meant: typing errors are recognised, and other words are left alone."""

import pickle
import subprocess
import sys

import attrs
import pytest
from properties import refuses

import normdsl as nd
from normdsl.near import did_you_mean, known_fields, nearest, unknown_attribute

KNOWN = ("affine", "left_affine", "scale", "lr", "eps", "weight_decay")

MEANT = {
    "afine": "affine",
    "Affine": "affine",
    "left-affine": "left_affine",
    "leftafine": "left_affine",
    "esp": "eps",
    "rl": "lr",
    "scales": "scale",
    "weightdecay": "weight_decay",
    "learning_rate": "lr",
    "wd": "weight_decay",
    "epsilon": "eps",
}


@pytest.mark.parametrize(("word", "meant"), MEANT.items(), ids=MEANT.keys())
def test_the_name_that_was_meant(word, meant):
    assert nearest(word, KNOWN) == meant


@pytest.mark.parametrize("word", ["conformal", "", "momentum", "x", 3, None, ["lr"]])
def test_other_words_mean_none(word):
    assert nearest(word, KNOWN) is None


def test_what_others_call_it_counts_only_where_there_is_such_a_name():
    assert nearest("learning_rate", ["eps"]) is None


def test_the_hint_asks_and_then_lists():
    assert did_you_mean("adm", ["adam", "sgd"], "the rules are") == (
        "did you mean adam? The rules are adam, sgd"
    )
    assert did_you_mean("lamb", ["adam", "sgd"], "the rules are") == "the rules are adam, sgd"
    assert did_you_mean("m", [], "its states are") == "its states are none"
    assert did_you_mean("sede", ["lr"], "its names are", ["seed"]) == (
        "did you mean seed? Its names are lr"
    )


def test_an_attribute_is_asked_for_once_and_names_of_python_are_left_alone():
    assert "did you mean scale?" in str(unknown_attribute("nd.groups", "scal", KNOWN))
    assert str(unknown_attribute("nd.groups", "__scale__", KNOWN)).endswith("'__scale__'")
    assert not hasattr(nd.groups, "__wrapped__")
    code = "import normdsl as nd; nd.spectal"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.lower().count("did you mean") == 1


@known_fields
@attrs.frozen
class Pair:
    first: int
    second: int = 0


def test_a_class_names_the_field_that_was_meant_and_is_otherwise_as_it_was():
    assert Pair(1) == Pair(first=1, second=0) == attrs.evolve(Pair(2), first=1)
    assert pickle.loads(pickle.dumps(Pair(1, 2))) == Pair(1, 2)
    with refuses(nd.DeclarationError, "make nd.Pair with frist=…", "did you mean first?"):
        Pair(frist=1)
    with pytest.raises(TypeError):
        Pair()
