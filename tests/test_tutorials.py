"""Tutorials as they are committed: what they import, that they ran in order, and what they assert.

`make tutorials` executes them; here their text is read.
"""

import ast
import json
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("*.ipynb"))
#: What a tutorial may import of normdsl.
PUBLIC = {"normdsl", "normdsl.algorithms"}


def cells(notebook, kind):
    return [c for c in json.loads(notebook.read_text("utf-8"))["cells"] if c["cell_type"] == kind]


def trees(notebook):
    return [ast.parse("".join(cell["source"])) for cell in cells(notebook, "code")]


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_there_are_tutorials():
    assert [path.name[:2] for path in TUTORIALS][:10] == [f"{k:02}" for k in range(10)]


@pytest.mark.parametrize("notebook", TUTORIALS, ids=lambda path: path.stem)
class TestTutorial:
    def test_it_asks_a_question_and_begins_with_it(self, notebook):
        first = "".join(cells(notebook, "markdown")[0]["source"])
        assert first.startswith("# ")
        assert first.splitlines()[0].endswith("?")

    def test_it_imports_nothing_internal(self, notebook):
        names = {name for tree in trees(notebook) for name in imported(tree)}
        assert {name for name in names if name.split(".")[0] == "normdsl"} <= PUBLIC

    def test_it_was_executed_in_order_and_without_an_error(self, notebook):
        code = cells(notebook, "code")
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        assert not [o for c in code for o in c["outputs"] if o["output_type"] == "error"]

    def test_its_last_cell_asserts(self, notebook):
        assert any(isinstance(node, ast.Assert) for node in ast.walk(trees(notebook)[-1]))
