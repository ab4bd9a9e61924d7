"""Together: the parameters of a model that a rule over several takes at once, found by their names.

Names of one tuple differ only where they say which parameter it is: as lora_A and lora_B for a rule
over A and B, q_proj and k_proj for one over Q and K.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from torch import Tensor

from normdsl.compiler.layouts import tuples
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError, HyperparameterError

Named = tuple[str, Tensor]


def together(rule: Rule, parameters: Iterable[Named]) -> list[list[Named]]:
    """Return the tuples of named parameters that a rule over several takes at once.

    Raises:
        HyperparameterError: if there is none, or the rule is over one.
    """
    names = [port.name for port in rule.ports]
    if not names:
        raise HyperparameterError(
            f"route pairs of parameters to {rule.name}",
            why="the rule is over one matrix W",
            hint="declare one over several, def rule(A: nd.Matrix(…), B: nd.Matrix(…), lr=…)",
        )
    places: dict[str, dict[str, Named]] = {}
    for name, param in parameters:
        for port, key in _places(name, names):
            places.setdefault(key, {})[port] = (name, param)
    found = [[x[port] for port in names] for x in places.values() if x.keys() == {*names}]
    fitting = [x for x in found if _fits(rule, [param for _, param in x])]
    if not fitting:
        raise HyperparameterError(
            f"route tuples of parameters to {rule.name}",
            why=f"no names of parameters of fitting shapes differ only by {', '.join(names)}",
            hint=f"name them so, as lora_{names[0]}, …; or list them: {rule.name}([(…, …), …])",
        )
    return fitting


def _places(name: str, ports: list[str]) -> Iterator[tuple[str, str]]:
    """Yield which parameter a name may say, with what is left of the name."""
    words = re.split(r"([._])", name)
    for k, word in enumerate(words):
        for port in ports:
            if word.lower() == port.lower():
                yield port, "".join([*words[:k], "*", *words[k + 1 :]])


def _fits(rule: Rule, params: list[Tensor]) -> bool:
    try:
        tuples.sizes(rule, params)
    except GradientError:
        return False
    return True
