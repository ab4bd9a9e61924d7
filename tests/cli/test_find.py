"""Finding rules by name."""

import pytest

import normdsl as nd
from normdsl.cli.find import find, shipped


def test_shipped_rules_are_those_of_the_package():
    assert list(shipped()) == sorted(nd.algorithms.__all__)
    assert find("muon") is nd.algorithms.muon


def test_a_file_and_a_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import normdsl as nd\n@nd.optimizer\ndef mine(lr=1.0):\n    return nd.W - lr * nd.G\n"
    )
    assert find(f"{path}:mine").name == "mine"
    with pytest.raises(nd.NormdslError, match="one of: mine"):
        find(f"{path}:other")
