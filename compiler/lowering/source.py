"""Source: the text of `init`, of `step` and its surveys, and of the kernels they call."""

from __future__ import annotations

import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from fractions import Fraction

from normdsl.compiler.lowering import kernel_calls
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.fields import unused
from normdsl.compiler.lowering.kernel_calls import with_helpers
from normdsl.compiler.lowering.plan import Plan, Rewriting
from normdsl.compiler.lowering.refresh import combined, inside
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.declarations.identifiers import CODE
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Param
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.shapes import Dim

_ZERO = Constant(Fraction(0), where=None)


#: The longest line of a head.
WIDTH = 100
#: What every source begins with.
HEAD = "from __future__ import annotations\n\nimport torch\nfrom torch import Tensor\n"


def write(plan: Plan) -> str:
    """Return the source of `init`, of `step` and its surveys, and of the kernels they call."""
    return "\n\n".join([HEAD, *parts(plan).values()])


def parts(plan: Plan) -> dict[str, str]:
    """Return the functions of a program by name: kernels, then what calls them, in order."""
    kernels: dict[Callable[..., object], None] = {}
    written = {"init": _emit_init(plan, kernels)}
    functions = Functions(plan, kernels)
    everywhere = dict(enumerate(plan.layers))
    place = {x: k for k, x in everywhere.items()}
    for k, x in everywhere.items():
        written[f"survey{k}"] = functions.write(
            f"survey{k}",
            f"What a layer adds to layers[{k}]",
            [(x.arg, "x")],
            {place[y]: y for y in combined([x.arg])},
            functions.kept if x in plan.waiting else {},
        )
    roots = [*((x, plan.names.get(x)) for x in plan.after), (plan.update, "W_new")]
    what = f"The arrays of one step of {plan.declaration.name}"
    numbers = numbers_of(plan)
    written["numbers"] = functions.write_numbers(numbers)
    if plan.renewed:
        early = {place[x]: x for x in combined(plan.renewed)}
        written["renew"] = functions.write_renew(early, numbers)
    roots = [*roots[:-1], *((x, None) for x in plan.values), roots[-1]]
    kept = functions.kept
    written["arrays"] = functions.write("arrays", what, roots, everywhere, kept, numbers)
    written["step"] = functions.write_step()
    _require_no_clash(plan.declaration, kernels)
    return {**_pasted(kernels), **written}


def numbers_of(plan: Plan) -> dict[Expr, str]:
    """Return what a step computes once for all entries, with its names."""
    roots = [*plan.after, plan.update]
    return Functions(plan, {}).numbers(roots, dict(enumerate(plan.layers)))


def module(kernels: Iterable[Callable[..., object]], functions: Iterable[str]) -> str:
    """Return the source of functions, after that of the kernels that they call."""
    return "\n\n".join([HEAD, *_pasted(kernels).values(), *functions])


def _pasted(kernels: Iterable[Callable[..., object]]) -> dict[str, str]:
    """Return the sources of kernels, by name."""
    return {k.__name__: textwrap.dedent(inspect.getsource(k)).rstrip() + "\n" for k in kernels}


class Functions:
    """Writes functions of the weights, the gradient and the states, and collects their kernels."""

    def __init__(self, plan: Plan, kernels: dict[Callable[..., object], None]) -> None:
        self.plan, self.kernels = plan, kernels
        used = {h.name for h in plan.declaration.hyper} | {f.name for f in plan.fields}
        self.olds: list[str] = []
        for field in plan.fields:
            self.olds.append(unused(f"{field.name}_old", used))
            used.add(self.olds[-1])
        before = zip(plan.slots, self.olds, strict=False)
        self.inputs: dict[Expr, str] = {s.before: x for s, x in before}
        # A kept value that a state remembers anyway has its last value there.
        self.kept: dict[Expr, str] = {}
        for x, k in zip(plan.renewed, plan.homes, strict=True):
            name = plan.fields[k].name
            turned = x not in plan.after and x not in plan.values
            self.kept[x] = unused(f"{name}_turned" if turned else name, used - {name})
            used.add(self.kept[x])

    @property
    def last(self) -> dict[Expr, str]:
        """Names of what is renewed, as it was before the step."""
        return {x: self.olds[k] for x, k in zip(self.plan.renewed, self.plan.homes, strict=True)}

    def write(
        self,
        name: str,
        what: str,
        roots: Sequence[tuple[Expr, str | None]],
        found: Mapping[int, Across],
        kept: Mapping[Expr, str],
        numbers: Mapping[Expr, str] | None = None,
    ) -> str:
        """Return the source of a function.

        Args:
            name: its name. what: what it returns, in words.
            roots: what it returns, with wishes for names; the last one comes first.
            found: scalars of all layers that it is given. kept: names of kept values, likewise.
            numbers: names of the numbers it is given, instead of step index and hyper-parameters.
        """
        plan = self.plan
        given = {**self.inputs, **shared(found), **kept}
        reuse = plan.reuse if name == "arrays" else ""
        names = {**plan.names, **{x: wish for x, wish in roots if wish}}
        emitter = Emitter(names, given, plan.schedule, numbers=numbers, reuse=reuse)
        results = self.results(emitter, roots)
        results.insert(0, results.pop())
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        last = f", {reuse}=False" if reuse else ""
        return function(f"def {name}({self.arguments(numbers, kept)}{last}):", what, body)

    def write_renew(self, found: Mapping[int, Across], numbers: Mapping[Expr, str]) -> str:
        """Return the source of what computes kept values anew.

        Args:
            found: scalars of all layers that it is given. numbers: names of numbers, likewise.
        """
        plan = self.plan
        given = {**self.inputs, **shared(found)}
        emitter = Emitter(
            plan.names, given, plan.schedule, self.last, plan.phase or "", numbers=numbers
        )
        results = self.results(emitter, [(x, None) for x in plan.renewed])
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        what = f"What {plan.declaration.name} keeps between steps, computed anew"
        return function(f"def renew({self.arguments(numbers)}, {plan.phase}):", what, body)

    def results(self, emitter: Emitter, roots: Sequence[tuple[Expr, str | None]]) -> list[str]:
        """Emit what a function returns, and note its kernels."""
        emitter.reserve([h.name for h in self.plan.declaration.hyper])
        emitter.count([x for x, _ in roots])
        results = [emitter.value(x, wish) for x, wish in roots]
        self.kernels.update(_helpers(emitter))
        return results

    def numbers(self, roots: Sequence[Expr], found: Mapping[int, Across]) -> dict[Expr, str]:
        """Return names for the numbers of a step: its largest parts that no array is read for.

        What is computed of lengths, hyper-parameters and the step index, and of nothing else.
        """
        given = {**self.inputs, **shared(found)}
        types = Types(given)

        def is_number(x: Expr) -> bool:
            return x not in given and types(x) <= Type.CLOCK and x.negated is None

        chosen = inside(roots, lambda x: x in given or is_number(x))
        chosen = [x for x in chosen if is_number(x) and not isinstance(x, Constant)]
        taken = {h.name for h in self.plan.declaration.hyper} | {*self.olds, *self._asides()}
        names: dict[Expr, str] = {}
        for x in chosen:
            wish = x.name if isinstance(x, Param) else self.plan.names.get(x, "c")
            names[x] = wish if isinstance(x, Param) else _free(wish, taken)
            taken.add(names[x])
        return names

    def write_numbers(self, numbers: Mapping[Expr, str]) -> str:
        """Return the source of what computes the numbers of a step."""
        plan = self.plan
        emitter = Emitter({}, {}, plan.schedule)
        emitter.reserve([h.name for h in plan.declaration.hyper])
        emitter.count(list(numbers))
        results = [f"{name}={emitter.number(x)}" for x, name in numbers.items()]
        body = [*lengths(emitter.lines, results), *emitter.lines]
        body += ["return dict(", *(f"    {x}," for x in results), ")"]
        self.kernels.update(_helpers(emitter))
        what = f"What one step of {plan.declaration.name} computes once for all entries"
        return function(f"def numbers(W, *, t{_hyper(plan)}):", what, body)

    def write_step(self) -> str:
        """Return the source of a step: its numbers, then its arrays."""
        plan = self.plan
        hyper = "".join(f", {h.name}={h.name}" for h in plan.declaration.hyper)
        head = ", ".join(["W", "G", *self.olds])
        asides = [*plan.declaration.moments, *(["layers", "own"] if plan.layers else [])]
        asides += ["stream", "places"] if plan.draws else []
        told = "".join(f", {name}={name}" for name in ["loss", *asides])
        body = [f"once = numbers(W, t=t{hyper})"]
        if plan.renewed:
            olds = _tuple(list(self.last.values()))
            renewed = f"renew({head}, **once{told}, {plan.phase}={plan.phase})"
            body.append(f"kept = {renewed} if {plan.phase} else {olds}")
            head += ", *kept"
        body.append(f"return arrays({head}, **once{told})")
        what = f"One step of {plan.declaration.name}"
        phase = f", {plan.phase}" if plan.phase else ""
        return function(f"def step({self.arguments(phase=phase)}):", what, body)

    def _asides(self) -> set[str]:
        """Return names of arguments besides weights, gradient, states and numbers."""
        plan = self.plan
        known = {"layers", "own", *plan.declaration.moments, plan.phase or "phase", plan.reuse}
        return known | {*self.kept.values()}

    def arguments(
        self,
        numbers: Mapping[Expr, str] | None = None,
        kept: Mapping[Expr, str] | None = None,
        phase: str = "",
    ) -> str:
        """Return the arguments of a function: of a step, or of its numbers and kept values."""
        plan = self.plan
        known = "".join(f", {name}=None" for name in plan.declaration.moments)
        known += ", layers=(), own=()" if plan.layers else ""
        known += _drawn(plan)
        head = ", ".join(["W", "G", *self.olds, *(kept or {}).values()])
        if numbers is None:
            return f"{head}, *, t, loss=None{known}{phase}{_hyper(plan)}"
        own = "".join(f", {name}" for name in numbers.values())
        return f"{head}, *{own}, loss=None{known}"


def _free(wish: str, taken: Container[str]) -> str:
    """Return a name that is not taken, as wished or with a number."""
    names = (wish if k == 0 else f"{wish}{k}" for k in itertools.count())
    reserved = CODE | kernel_calls.kernel_names()
    return next(x for x in names if x not in taken and x not in reserved)


def _drawn(plan: Plan) -> str:
    return ", stream=None, places=None" if plan.draws else ""


def _hyper(plan: Plan) -> str:
    return "".join(f", {h.name}" for h in plan.declaration.hyper)


def _helpers(emitter: Emitter) -> dict[Callable[..., object], None]:
    """Return the kernels that a function calls, and what they call."""
    return dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k))


def _require_no_clash(declaration: Rule, kernels: Iterable[Callable[..., object]]) -> None:
    """Refuse a hyper-parameter called like a function that the code calls: it would hide it."""
    called = {k.__name__ for k in kernels} | {"numbers", "renew", "arrays"}
    for h in declaration.hyper:
        if h.name in called:
            raise DeclarationError(
                f"lower {declaration.name} to torch",
                why=f"its hyper-parameter {h.name} is called like a function of the emitted code",
                hint="give the hyper-parameter another name",
            )


def shared(found: Mapping[int, Across]) -> dict[Expr, str]:
    """Return the code of scalars of all layers, and of what this layer contributed to each.

    A contribution is not computed again: a layer that holds the maximum must find itself equal to
    it, bit by bit.
    """
    own = {x.arg: f"own[{k}]" for k, x in found.items() if x.arg.children}
    return {**own, **{x: f"layers[{k}]" for k, x in found.items()}}


def _emit_init(plan: Plan, kernels: dict[Callable[..., object], None]) -> str:
    """Return the source of `init`, and add the kernels it calls."""
    rewrite = Rewriting()
    starts = [rewrite(s.init) for s in plan.slots]
    starts += [_ZERO] * len(plan.kept)
    emitter = Emitter({}, {}, plan.schedule)
    emitter.reserve([h.name for h in plan.declaration.hyper])
    length = {Dim.ONE: "1", Dim.M: "rows", Dim.N: "cols"}
    results = []
    for field, start in zip(plan.fields, starts, strict=True):
        rows, cols = (length[d] for d in field.dims)
        code = f"W.new_zeros((*batch, {rows}, {cols}))"
        if not is_constant(start, 0):
            code += f" + {emitter(start).text}"
        results.append(emitter.variable(field.name))
        emitter.lines.append(f"{results[-1]} = {code}")
    kernels.update(_helpers(emitter))
    unpack = ["*batch, rows, cols = W.shape"] if plan.slots else []
    body = [*unpack, *emitter.lines, returned(results)]
    given = _drawn(plan) + _hyper(plan)
    star = f", *{given}" if given else ""
    what = f"Initial states of {plan.declaration.name}"
    return function(f"def init(W{star}):", what, body)


def lengths(lines: list[str], results: list[str]) -> list[str]:
    """Return the line that unpacks rows and columns, if the code needs it."""
    needed = re.search(r"\b(rows|cols)\b", "\n".join([*lines, *results]))
    return ["rows, cols = W.shape[-2:]"] if needed else []


def returned(results: list[str]) -> str:
    """Return the line with which a function returns its results."""
    return f"return {', '.join(results) if len(results) > 1 else _tuple(results)}"


def _tuple(parts: list[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def function(head: str, what: str, body: list[str]) -> str:
    """Return the source of a function, from its head, what it is, and its lines."""
    lines = [f'"""{what}."""', *body]
    name, _, rest = head.partition("(")
    head = bracketed_call(name, rest.removesuffix("):").split(", "), ":")
    return head + "\n" + "\n".join("    " + line for line in lines) + "\n"


def bracketed_call(name: str, arguments: Sequence[str], after: str = "", indent: int = 0) -> str:
    """Return a name with its arguments in brackets, on as few lines as code formatters would use.

    Args:
        name: what stands before the brackets. arguments: what stands in them.
        after: what follows them. indent: by how many spaces the line is indented.
    """
    line = f"{name}({', '.join(arguments)}){after}"
    if indent + len(line) <= WIDTH:
        return line
    within, space = ", ".join(arguments), " " * indent
    if indent + 4 + len(within) <= WIDTH:
        return f"{name}(\n{space}    {within}\n{space}){after}"
    each = "".join(f"\n{space}    {x}," for x in arguments)
    return f"{name}({each}\n{space}){after}"
