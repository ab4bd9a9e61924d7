"""The source of a rule over several parameters: one module, with a step of each, and one of all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

from normdsl.compiler.lowering.function_text import function
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.source import assembled, parts
from normdsl.expressions.nodes import Source
from normdsl.expressions.streams import called

#: What each parameter has of its own: functions of the step, numbered ones among them.
_OWN = re.compile(r"\b(init|numbers|renew|arrays|step|survey\d+|point\d+)\(")
#: Random numbers are those of a parameter.
_DRAWN = ("stream", "places")


def joint_source(programs: Mapping[str, tuple[Program, tuple[int, int]]]) -> str:
    """Return the code of a rule over several parameters.

    Args:
        programs: of each parameter, by its name, with its rows and columns.
    """
    pasted: dict[str, str] = {}
    own: list[str] = []
    for name, (program, _) in programs.items():
        for title, text in parts(program).items():
            if _OWN.match(f"{title}("):
                own.append(_OWN.sub(rf"\1_{name}(", text))
            else:
                pasted[title] = text
    code = assembled([*pasted.values(), *own, _step(programs)])
    return "\n".join([*_heads(programs), "", code])


def _heads(programs: Mapping[str, tuple[Program, tuple[int, int]]]) -> list[str]:
    """Return what stands above: the shapes of parameters and of their states."""
    (first, _), *_ = programs.values()
    each = ", ".join(f"{name}: {m} × {n}" for name, (_, (m, n)) in programs.items())
    heads = [f"# {first.declaration.name}: {each}, with any batch in front."]
    for name, (program, size) in programs.items():
        rows = [f"{f.name}: {' × '.join(map(str, f.lengths(size)))}" for f in program.fields]
        heads.append(f"# States of {name}: {', '.join(rows) or 'none'}.")
    return heads


def _step(programs: Mapping[str, tuple[Program, tuple[int, int]]]) -> str:
    """Return the source of the step of all parameters, each from what all of them were."""
    arrays = [
        called(source, name) for name in programs for source in (Source.WEIGHTS, Source.GRADIENT)
    ]
    states = [f"states_{name}" for name in programs]
    keywords: dict[str, None] = {}
    lines = []
    for name, (program, _) in programs.items():
        told = []
        for p in inspect.signature(program.step).parameters.values():
            if p.kind is p.KEYWORD_ONLY:
                value = f"{p.name}_{name}" if p.name in _DRAWN else p.name
                told.append(f"{p.name}={value}")
                if value not in arrays:
                    keywords[value if p.default is p.empty else f"{value}={p.default!r}"] = None
        weights, gradient = (called(s, name) for s in (Source.WEIGHTS, Source.GRADIENT))
        given = ", ".join([weights, gradient, f"*states_{name}", *told])
        lines.append(f"new_{name} = step_{name}({given})")
    (first, _), *_ = programs.values()
    head = f"def step({', '.join([*arrays, *states])}, *, {', '.join(keywords)}):"
    what = f"One step of {first.declaration.name}: for each parameter its weights, then its states"
    return function(head, what, [*lines, f"return {', '.join(f'new_{name}' for name in programs)}"])
