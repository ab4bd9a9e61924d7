"""Source: the text of `init`, of `step` and its surveys, and of the kernels they call."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from fractions import Fraction

from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.fragments import length
from normdsl.compiler.lowering.function_text import function, returned
from normdsl.compiler.lowering.functions import (
    Functions,
    beside,
    beside_arguments,
    drawn_arguments,
    helpers,
    hyper_arguments,
    shared,
)
from normdsl.compiler.lowering.plan import Plan, Rewriting
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant, is_constant

_ZERO = Constant(Fraction(0), where=None)
#: What every source begins with, after what the numbers in it may need.
_HEAD = "from __future__ import annotations\n\n{}import torch\nfrom torch import Tensor\n"
_NUMBERS = "import math\n\n"


def write(plan: Plan) -> str:
    """Return the source of `init`, of `step` and its surveys, and of the kernels they call."""
    return assembled(parts(plan).values())


def assembled(functions: Iterable[str]) -> str:
    """Return functions as one source, which imports what they use."""
    body = [*functions]
    used = any(re.search(r"\bmath\.\w+\(", text) for text in body)
    return "\n\n".join([_HEAD.format(_NUMBERS if used else ""), *body])


def parts(plan: Plan) -> dict[str, str]:
    """Return the functions of a program by name: kernels, then what calls them, in order."""
    kernels: dict[Callable[..., object], None] = {}
    written = {"init": _emit_init(plan, kernels)}
    functions = Functions(plan, kernels)
    for k, x in enumerate(plan.joined):
        later = k - len(plan.layers)
        what = f"adds to layers[{k}]" if later < 0 else f"averages to workers[{later}]"
        written[f"survey{k}"] = functions.write(
            f"survey{k}",
            f"What a {'layer' if later < 0 else 'worker'} {what}",
            [(x.arg, "x")],
            shared(plan, [x.arg]),
            functions.kept if x in plan.waiting else {},
        )
    if plan.workers:
        written["meets"] = functions.write_meets()
    for k, phase in enumerate(plan.phases):
        asked = (*phase.directions, phase.point)
        written[f"point{k}"] = functions.write(
            f"point{k}",
            f"Where evaluation {k + 1} of the loss is, and the directions it is asked about",
            [(x, None) for x in asked],
            shared(plan, asked),
            functions.kept if plan.waits(asked) else {},
        )
    roots = [*((x, plan.names.get(x)) for x in plan.after), (plan.update, "W_new")]
    what = f"The arrays of one step of {plan.declaration.name}"
    numbers = numbers_of(plan)
    written["numbers"] = functions.write_numbers(numbers)
    if plan.renewed:
        written["renew"] = functions.write_renew(shared(plan, plan.renewed), numbers)
    roots = [*roots[:-1], *((x, None) for x in plan.values), roots[-1]]
    kept = functions.kept
    written["arrays"] = functions.write(
        "arrays", what, roots, shared(plan, plan.graph), kept, numbers
    )
    written["step"] = functions.write_step()
    _require_no_clash(plan.declaration, kernels)
    return {**_pasted(kernels), **written}


def numbers_of(plan: Plan) -> dict[Expr, str]:
    """Return what a step computes once for all entries, with its names."""
    roots = [*plan.after, plan.update]
    return Functions(plan, {}).numbers(roots, shared(plan, roots))


def module(kernels: Iterable[Callable[..., object]], functions: Iterable[str]) -> str:
    """Return the source of functions, after that of the kernels that they call."""
    return assembled([*_pasted(kernels).values(), *functions])


def _pasted(kernels: Iterable[Callable[..., object]]) -> dict[str, str]:
    """Return the sources of kernels, by name."""
    return {k.__name__: textwrap.dedent(inspect.getsource(k)).rstrip() + "\n" for k in kernels}


def _emit_init(plan: Plan, kernels: dict[Callable[..., object], None]) -> str:
    """Return the source of `init`, and add the kernels it calls."""
    rewrite = Rewriting()
    starts = [rewrite(s.init) for s in plan.slots]
    starts += [_ZERO] * len(plan.kept)
    emitter = Emitter({}, {}, plan.schedule)
    emitter.reserve([*(h.name for h in plan.declaration.hyper), *beside(plan)])
    results = []
    for field, start in zip(plan.fields, starts, strict=True):
        rows, cols = map(length, field.dims)
        code = f"W.new_zeros((*batch, {rows}, {cols}))"
        if not is_constant(start, 0):
            code += f" + {emitter(start).text}"
        results.append(emitter.variable(field.name))
        emitter.lines.append(f"{results[-1]} = {code}")
    kernels.update(helpers(emitter))
    unpack = ["*batch, rows, cols = W.shape"] if plan.slots else []
    body = [*unpack, *emitter.lines, returned(results)]
    given = beside_arguments(plan) + drawn_arguments(plan) + hyper_arguments(plan)
    star = f", *{given}" if given else ""
    what = f"Initial states of {plan.declaration.name}"
    return function(f"def init(W{star}):", what, body)


def _require_no_clash(declaration: Rule, kernels: Iterable[Callable[..., object]]) -> None:
    """Refuse a hyper-parameter called like a function that the code calls: it would hide it."""
    called = {k.__name__ for k in kernels} | {"numbers", "renew", "arrays", "meets"}
    for h in declaration.hyper:
        if h.name in called:
            raise DeclarationError(
                f"lower {declaration.name} to torch",
                why=f"its hyper-parameter {h.name} is called like a function of the emitted code",
                hint="give the hyper-parameter another name",
            )
