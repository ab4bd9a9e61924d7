"""The import contract: each layer imports only those above it in the list."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: From the bottom up. A module may import modules of its own layer and of the layers before it.
LAYERS = [
    ("language", ("normdsl",)),
    ("kernels", ("normdsl.compiler.kernels",)),
    ("lowering", ("normdsl.compiler.lowering",)),
    ("runtime", ("normdsl.compiler.runtime",)),
    ("routing", ("normdsl.compiler.routing",)),
    ("invariance", ("normdsl.compiler.invariance",)),
    ("compiler", ("normdsl.compiler",)),
    ("algorithms", ("normdsl.algorithms",)),
    ("command line", ("normdsl.cli",)),
]
#: Layers that may not import these, although they come later.
FORBIDDEN = {
    "invariance": ("kernels", "lowering", "runtime", "routing"),
    "algorithms": ("kernels", "lowering", "runtime", "routing", "invariance", "compiler"),
}
#: The face stands on top of all layers; delegations and routes import the compiler when called.
FACES = {"normdsl", "normdsl.delegate", "normdsl.routing"}
TORCH_FREE = {"language", "invariance", "algorithms"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "normdsl" else ("normdsl", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("normdsl", "compiler", "algorithms")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(p.is_symlink() for p in path.parents)
}


def layer(module: str) -> int:
    matches = [
        (len(prefix), k)
        for k, (_, prefixes) in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(matches)[1]


def imports(path: Path) -> set[str]:
    """Return what a file imports when it runs, function bodies included."""
    tree, found = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_layers_below(module):
    if module in FACES:
        return
    here = layer(module)
    names = [name for name, _ in LAYERS]
    for target in imports(MODULES[module]) & set(MODULES) - {"normdsl"}:
        there = layer(target)
        assert there <= here, f"{module} ({names[here]}) imports {target} ({names[there]})"
        assert names[there] not in FORBIDDEN.get(names[here], ()), f"{module} imports {target}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_language_and_checker_do_not_import_torch(module):
    if LAYERS[layer(module)][0] in TORCH_FREE:
        assert not {"torch", "functorch"} & {
            name.split(".")[0] for name in imports(MODULES[module])
        }


def test_no_import_cycles():
    graph = {m: (imports(p) & set(MODULES)) - {m, "normdsl"} for m, p in MODULES.items()}
    for face in FACES:
        graph[face] = set()
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_compiler_names_no_algorithm():
    from normdsl import algorithms

    text = "\n".join(p.read_text() for m, p in MODULES.items() if m.startswith("normdsl.compiler"))
    named = [name for name in algorithms.__all__ if re.search(rf"\b{name}\b", text.lower())]
    assert named == []
