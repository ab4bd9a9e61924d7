"""The import contract: each layer imports only those above it in the list."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: From the bottom up, the rooms of the house. A module may import modules of its own room and of
#: the rooms before it, also where only a type checker or a function that is called sees the import.
LAYERS = [
    (
        "ground",
        (
            "normdsl.cache",
            "normdsl.source",
            "normdsl.errors",
            "normdsl.near",
            "normdsl.version",
        ),
    ),
    ("show", ("normdsl.show",)),
    ("schedules", ("normdsl.schedules",)),
    ("expressions", ("normdsl.expressions",)),
    ("vocabulary", ("normdsl.vocabulary",)),
    ("norms", ("normdsl.norms",)),
    ("declarations", ("normdsl.declarations",)),
    ("kernels", ("normdsl.compiler.kernels",)),
    ("lowering", ("normdsl.compiler.lowering",)),
    ("native", ("normdsl.compiler.native",)),
    ("sharding", ("normdsl.compiler.sharding",)),
    ("layouts", ("normdsl.compiler.layouts",)),
    ("batches", ("normdsl.compiler.batches",)),
    ("buckets", ("normdsl.compiler.buckets",)),
    ("sharded", ("normdsl.compiler.sharded",)),
    ("evaluations", ("normdsl.compiler.evaluations",)),
    ("runtime", ("normdsl.compiler.runtime",)),
    ("routing", ("normdsl.compiler.routing",)),
    ("invariance", ("normdsl.compiler.invariance",)),
    ("verdicts", ("normdsl.compiler.verdicts",)),
    ("eject", ("normdsl.compiler.eject",)),
    ("comparison", ("normdsl.compiler.comparison", "normdsl.compiler.audit", "normdsl.compiler")),
    ("algorithms", ("normdsl.algorithms",)),
    ("route", ("normdsl.routing",)),
    ("declaration", ("normdsl.declaration",)),
    ("plot", ("normdsl.plot",)),
    ("benchmarks", ("normdsl.benchmarks",)),
    ("training", ("normdsl.training",)),
    ("exploring", ("normdsl.exploring",)),
    ("experiments", ("normdsl.experiments",)),
    ("command line", ("normdsl.cli",)),
    ("face", ("normdsl",)),
]
STEPS = ("layouts", "batches", "buckets", "sharded", "evaluations", "runtime", "routing")
#: Layers that may not import these, although they come later.
FORBIDDEN = {
    "invariance": ("kernels", "lowering", "native", *STEPS),
    "algorithms": ("kernels", "lowering", "native", *STEPS, "invariance", "verdicts"),
}
LANGUAGE = {"ground", "show", "schedules", "expressions", "vocabulary", "norms", "declarations"}
TORCH_FREE = {*LANGUAGE, "invariance", "algorithms"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "normdsl" else ("normdsl", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("normdsl", "compiler", "algorithms", "benchmarks")
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


def imports(path: Path, typed: bool = True) -> set[str]:
    """Return what a file imports, in functions and, unless left out, for type checkers as well."""
    tree, found = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if not typed and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
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
    here = layer(module)
    names = [name for name, _ in LAYERS]
    for target in imports(MODULES[module]) & set(MODULES) - {"normdsl"}:
        there = layer(target)
        assert there <= here, f"{module} ({names[here]}) imports {target} ({names[there]})"
        assert names[there] not in FORBIDDEN.get(names[here], ()), f"{module} imports {target}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_what_users_could_write_imports_the_face(module):
    written_as_users_write = LAYERS[layer(module)][0] == "algorithms" or module in (
        "normdsl.benchmarks.invented",
        "normdsl.cli.rule",
    )
    faced = "normdsl" in imports(MODULES[module])
    assert written_as_users_write or not faced


@pytest.mark.parametrize("module", sorted(MODULES))
def test_language_and_checker_do_not_import_torch(module):
    if LAYERS[layer(module)][0] in TORCH_FREE:
        assert not {"torch", "functorch"} & {
            name.split(".")[0] for name in imports(MODULES[module], typed=False)
        }


def test_no_import_cycles():
    graph = {m: (imports(p) & set(MODULES)) - {m, "normdsl"} for m, p in MODULES.items()}
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
