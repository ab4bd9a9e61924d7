"""The recipes of CONTRIBUTING: the files they name are there, and nothing else is needed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = re.findall(r"^\| \*\*(.+?)\*\*(.*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)


def test_every_recipe_works_with_what_it_names():
    run = subprocess.run(
        [sys.executable, ROOT / "tests" / "recipes.py"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    followed = run.stdout.split()
    assert followed == ["node", "group", "norm", "kernel", "command"]
    assert {name.split()[-1] for name, _ in ROWS} >= set(followed)


@pytest.mark.parametrize(("name", "text"), ROWS, ids=[name for name, _ in ROWS])
def test_the_files_of_a_recipe_exist(name, text):
    paths = re.findall(r"`([\w./]+/[\w./]*)`", text)
    assert paths
    assert [p for p in paths if not (ROOT / p).exists()] == []
