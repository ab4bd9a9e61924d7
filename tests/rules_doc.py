"""Writes docs/rules.md: every rule that comes along, by family, with its verdicts and its cost.

python tests/rules_doc.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import normdsl as nd
from normdsl.cli.find import families
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.verdict import Status, Verdict
from normdsl.declaration import Declaration

PAGE = Path(__file__).resolve().parent.parent / "docs" / "rules.md"
MARKS = {
    Status.INVARIANT: "yes",
    Status.CONDITIONAL: "if",
    Status.REFUTED: "no",
    Status.UNKNOWN: "?",
}
HEAD = """# The rules, by family

Made by `make table` from the declarations in `algorithms/`: what each rule is, in its first
sentence; how often a step evaluates the loss (and, after a +, how many products with the Hessian it
takes); how many numbers it keeps for each weight of a 256 × 512 matrix (for a pair, of the product
of 256 × 16 by 16 × 512); and the verdicts, in the groups that act on what the rule is over. *yes*:
proved. *if*: proved under a condition (`normdsl check NAME` says which), or in law or in the limit.
*no*: refuted by runs that replay. *?*: neither proved nor refuted; the search for runs is given up
after some seconds, so that a longer one may still refute it.

"""
#: Groups by a short name, in the order of the columns.
SHORT = {
    "affine": "aff", "left_affine": "l aff", "right_affine": "r aff", "orthogonal": "orth",
    "left_orthogonal": "l orth", "right_orthogonal": "r orth", "scale": "scale",
    "row_column_scale": "r c sc", "sign_flips": "sign", "signed_permutations": "s perm",
    "permutations": "perm", "uniform_scale": "u sc", "loss_scale": "l sc", "loss_transform": "l tr",
    "translation": "transl", "transpose": "transp", "gauge": "gauge", "orthogonal_gauge": "o g",
    "scale_gauge": "s g", "permutation_gauge": "p g",
}  # fmt: skip
SHAPE = (256, 512)


def cost(rule: Declaration) -> list[str]:
    """The evaluations of a step, and the states per weight."""
    found = rule.cost(SHAPE)
    products = f" + {found.hessian_products}" if found.hessian_products else ""
    kept = found.state_bytes / 4 / (SHAPE[0] * SHAPE[1])
    return [f"{found.evaluations}{products}", f"{kept:.2g}"]


def mark(verdict: Verdict) -> str:
    """A verdict in a word."""
    exact = verdict.status is not Status.INVARIANT or verdict.answer == "invariant"
    return MARKS[verdict.status] if exact else "if"


def row(rule: Declaration, verdicts: Iterable[Verdict]) -> str:
    """The line of a rule."""
    return "| " + " | ".join([f"`{rule.name}`", *cost(rule), *map(mark, verdicts)]) + " |"


def described(rule: Declaration) -> str:
    """The first sentence of a rule's docstring, as an item."""
    return f"- `{rule.name}`: {rule.doc.splitlines()[0]}"


def family(name: str, rules: Mapping[str, Declaration], witnesses: bool = True) -> str:
    """The section of a family."""
    title, _, rest = name.splitlines()[0].partition(": ")
    acting = groups.several(None, next(iter(rules.values())).ports)
    columns = ["rule", "evaluations", "kept", *(SHORT[g.name] for g in acting)]
    lines = [
        f"## {title.rstrip('.')}",
        *(["", rest[0].upper() + rest[1:]] if rest else []),
        "",
        *map(described, rules.values()),
        "",
        "| " + " | ".join(columns) + " |",
        "| --- |" + " --: |" * 2 + " --- |" * len(acting),
    ]
    lines += [row(r, r.check(witnesses=witnesses)) for r in rules.values()]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(family(name, rules) for name, rules in families().items())


if __name__ == "__main__":
    assert {g.name for g in (*groups.ALL, *groups.GAUGES)} == set(SHORT)
    PAGE.write_text(page())
    print(f"wrote docs/{PAGE.name}: {len(nd.algorithms.__all__)} rules")
