"""The table of docs/parity.md: each rule, its literal loop, its public implementations.

python tests/parity.py --out docs/parity.md
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Iterator
from importlib.metadata import version

from peers import ROWS, UNMATCHED
from references import REFERENCES
from references.curvature import CURVATURE
from references.problems import CASES, INSTEAD, STEPS, cases_of, run_loop, run_optimizer, worst
from references.settings import SETTINGS
from taking_turns import SINGLE

from normdsl.cli.find import shipped

HEAD = f"""# Parity: our rules, the papers, public codes

Made by `make parity`. Every rule runs {STEPS} steps in float64 beside a literal loop of its
paper's formula (`tests/references/`), and beside public implementations (`tests/peers/`), which are
kept in float64 too, with the same polynomial for polar factors (left alone, Muon codes iterate in
bfloat16, and heavyball stores states in float32). Numbers are the largest relative distance of the
weights over all steps and cases:
{", ".join(case.name for case in CASES)}.

*equal*: the shipped rule is the public code. *deviates*: the public code does what the last column
says, proven by a rule changed in just that, of which the number is.
"""
COLUMNS = ("rule", "loop", "distance", "public implementation", "verdict", "distance", "deviation")


def loop_distance(name: str) -> str:
    """The largest distance of a rule from its literal loop."""
    rule, hyper = shipped()[name], SETTINGS[name]
    ours = (run_optimizer(lambda p: rule(p, **hyper), c, loss=True) for c in cases_of(name))
    loops = (run_loop(REFERENCES[name], c, **hyper) for c in cases_of(name))
    return digits(max(worst(x, y) for x, y in zip(ours, loops, strict=True)))


def digits(distance: float) -> str:
    return f"{distance:.0e}" if distance else "0"


def loop_cells(name: str) -> list[str]:
    if name in CURVATURE:
        return [f"`{name}`", "[curvature](../tests/references/curvature.py)", "in a test"]
    if name not in REFERENCES:
        return [f"`{name}`", "—", "—"]
    module = REFERENCES[name].__module__.rpartition(".")[2]
    return [f"`{name}`", f"[{module}](../tests/references/{module}.py)", loop_distance(name)]


def lines() -> Iterator[str]:
    """The rows of the table, in the order of the rules' names."""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| --- | --- | --: | --- | --- | --: | --- |"
    for name in sorted(SINGLE):
        cells = loop_cells(name)
        if name in UNMATCHED:
            yield "| " + " | ".join([*cells, "—", "none", "—", UNMATCHED[name]]) + " |"
        for row in (row for row in ROWS if row.rule == name):
            told = [f"`{row.code}`", row.verdict, digits(row.measured())]
            said = " ".join(filter(None, [row.deviation, row.limits]))
            yield "| " + " | ".join([*cells, *told, said]) + " |"


def notes() -> Iterator[str]:
    for name, (_, why) in INSTEAD.items():
        yield f"- `{name}` is compared on other cases. {why}"


def versions() -> str:
    packages = ("torch", "pytorch_optimizer", "heavyball", "lion-pytorch")
    return "Versions: " + ", ".join(f"{p} {version(p)}" for p in packages) + "."


def keys(document: str) -> set[tuple[str, str, str]]:
    """Rule, public implementation and verdict of each row of a document."""
    table = [line.split(" | ") for line in document.splitlines() if line.startswith("| `")]
    return {(cells[0].strip("|` "), cells[3].strip("`"), cells[4]) for cells in table}


def expected() -> set[tuple[str, str, str]]:
    """The same of the registry."""
    matched = {(row.rule, row.code, row.verdict) for row in ROWS}
    return matched | {(name, "—", "none") for name in UNMATCHED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/parity.md"))
    out = parser.parse_args().out
    parts = (HEAD, "\n".join(lines()), "\n".join(notes()), versions())
    out.write_text("\n".join(f"{part.strip()}\n" for part in parts))


if __name__ == "__main__":
    main()
