"""Finding rules by name."""

import sys

import pytest

import normdsl as nd
from normdsl.cli.find import families, find, shipped


def test_shipped_rules_are_those_of_the_package():
    assert list(shipped()) == sorted(nd.algorithms.__all__)
    assert find("muon") is nd.algorithms.muon


def test_every_rule_is_in_one_family():
    found = [name for rules in families().values() for name in rules]
    assert sorted(found) == list(shipped())
    assert (
        "lamb"
        in families()["Steps as long as a share of the weights, layer by layer: trust ratios."]
    )


def test_a_file_and_a_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import normdsl as nd\n@nd.optimizer\ndef mine(lr=1.0):\n    return nd.W - lr * nd.G\n"
    )
    assert find(f"{path}:mine").name == "mine"
    with pytest.raises(nd.NormdslError, match="the rules are mine"):
        find(f"{path}:other")
    with pytest.raises(nd.NormdslError, match=r"did you mean adam[?] normdsl list prints all"):
        find("adamm")


NEIGHBOUR = """
import sys
from pathlib import Path

import neighbour
import normdsl as nd

assert sys.argv == [__file__] or __name__ == "__main__"
DATA = Path(__file__).with_name("data.txt").read_text()

@nd.optimizer
def mine(lr=1.0):
    return nd.W - lr * neighbour.{name}(nd.G)
"""


def project(folder, name):
    """Write a rule that reads a data file and imports a module and a package beside it."""
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "__init__.py").write_text("import normdsl as nd\nfrom . import more\n")
    (folder / "inner" / "more.py").write_text("")
    (folder / "neighbour.py").write_text(f"import inner\n{name} = inner.nd.{name}\n")
    (folder / "data.txt").write_text("1")
    (folder / "rule.py").write_text(NEIGHBOUR.format(name=name))
    return f"{folder / 'rule.py'}:mine"


def test_a_file_imports_its_neighbours_as_when_python_runs_it(tmp_path):
    """Once: no module named neighbour."""
    before, arguments = sys.path[:], sys.argv
    found = find(project(tmp_path / "one", "sign"))
    assert "W ← W − η sign(G)" in str(found)
    assert (sys.path, sys.argv) == (before, arguments)


def test_neighbours_of_two_folders_may_have_one_name(tmp_path):
    first = find(project(tmp_path / "one", "sign"))
    second = find(project(tmp_path / "two", "abs"))
    assert "sign(G)" in str(first)
    assert "abs(G)" in str(second)
    assert find(f"{tmp_path / 'one' / 'rule.py'}:mine") == first


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("raise SystemExit('needs --data')", "SystemExit: needs --data"),
        ("1 / 0", "division by zero"),
        ("import normdsl as nd; nd.sqrt(nd.G)", "not known to be"),
    ],
)
def test_a_file_that_fails_leaves_everything_as_it_was(tmp_path, code, told):
    (tmp_path / "fails.py").write_text(code)
    before, arguments = sys.path[:], sys.argv
    with pytest.raises(nd.NormdslError, match=told):
        find(f"{tmp_path / 'fails.py'}:mine")
    assert (sys.path, sys.argv) == (before, arguments)
