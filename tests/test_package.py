"""The package as a whole: cheap import, README, docstrings."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import normdsl as nd

ROOT = Path(__file__).resolve().parent.parent


def test_importing_normdsl_imports_neither_torch_nor_sympy():
    code = "import sys, normdsl; print([m for m in ('torch', 'sympy') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_checking_without_a_witness_does_not_import_torch():
    code = (
        "import sys, normdsl as nd; v = nd.algorithms.muon.check(nd.groups.orthogonal); "
        "assert v.invariant; print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def readme_example():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return blocks[0]


def test_the_readme_example_runs_and_prints_what_it_says():
    told = subprocess.run(
        [sys.executable, "-c", readme_example()], capture_output=True, text=True, check=True
    )
    text = (ROOT / "README.md").read_text()
    promised = re.search(r"It prints:\n\n```text\n(.*?)```", text, re.DOTALL)[1]
    assert told.stdout == promised


@pytest.mark.slow
def test_the_readme_runs_from_top_to_bottom(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    program = tmp_path / "readme.py"
    program.write_text("\n".join(blocks))
    subprocess.run([sys.executable, str(program)], capture_output=True, check=True)


def test_the_links_and_pictures_of_the_readme_are_in_the_repository():
    links = re.findall(
        r"\]\(((?:docs|tutorials)/[^)#]+|[A-Z]+\.md)", (ROOT / "README.md").read_text()
    )
    assert links
    assert [x for x in links if not (ROOT / x).is_file()] == []


def test_the_readme_is_quick():
    lines = (ROOT / "README.md").read_text().splitlines()
    install = next(i for i, line in enumerate(lines, 1) if "pip install" in line or "make" in line)
    example = next(i for i, line in enumerate(lines, 1) if line.startswith("```python"))
    assert install <= 15
    assert example <= 30
    assert len([x for x in readme_example().splitlines() if x.strip()]) <= 14


def modules():
    for module in pkgutil.walk_packages(nd.__path__, "normdsl."):
        yield importlib.import_module(module.name)


@pytest.mark.parametrize("module", list(modules()), ids=lambda m: m.__name__)
def test_public_names_are_documented(module):
    if module.__name__ == "normdsl.cli.rule":
        return
    assert module.__doc__
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        if own and not name.startswith("_") and (inspect.isclass(value) or callable(value)):
            assert inspect.getdoc(value), name


def test_every_name_of_the_face_exists():
    assert all(hasattr(nd, name) for name in nd.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        nd.nothing_of_that_name  # noqa: B018


def test_type_checkers_see_the_public_names():
    stub = ast.parse((ROOT / "normdsl" / "__init__.pyi").read_text())
    told = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(told) == set(nd.__all__)
    for name, (module, attribute) in told.items():
        home = importlib.import_module(module)
        if not hasattr(home, attribute):
            importlib.import_module(f"{module}.{attribute}")
        found = getattr(home, attribute)
        assert found is getattr(nd, name), name
