"""Functions: the text of what a step calls, each with what it is given and what it returns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from normdsl.compiler.lowering import kernel_calls
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.fields import unused
from normdsl.compiler.lowering.fragments import stream_name
from normdsl.compiler.lowering.function_text import function, lengths, returned, tuple_of
from normdsl.compiler.lowering.kernel_calls import with_helpers
from normdsl.compiler.lowering.phases import answers
from normdsl.compiler.lowering.plan import Plan
from normdsl.compiler.lowering.refresh import inside
from normdsl.compiler.lowering.value_types import Type, Types
from normdsl.compiler.lowering.workers import Fact, Ways
from normdsl.declarations.identifiers import CODE
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.nodes.products import Transpose
from normdsl.expressions.recursion import Before
from normdsl.expressions.traversal import walk


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
        self.inputs |= answers(plan.phases)
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
        found: Mapping[Expr, str],
        kept: Mapping[Expr, str],
        numbers: Mapping[Expr, str] | None = None,
    ) -> str:
        """Return the source of a function.

        Args:
            name: its name. what: what it returns, in words.
            roots: what it returns, with wishes for names; the last one comes first.
            found: what it is given of layers and workers. kept: names of kept values, likewise.
            numbers: names of the numbers it is given, instead of step index and hyper-parameters.
        """
        plan = self.plan
        given = {**self.inputs, **found, **kept}
        reuse = plan.reuse if name == "arrays" else ""
        names = {**plan.names, **{x: wish for x, wish in roots if wish}}
        emitter = Emitter(names, given, plan.schedule, numbers=numbers, reuse=reuse)
        results = self.results(emitter, roots)
        results.insert(0, results.pop())
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        last = f", {reuse}=False" if reuse else ""
        return function(f"def {name}({self.arguments(numbers, kept)}{last}):", what, body)

    def write_renew(
        self, found: Mapping[Expr, str], numbers: Mapping[Expr, str], products: bool = False
    ) -> str:
        """Return the source of what computes kept values anew.

        Args:
            found: what it is given of layers and workers. numbers: names of numbers, likewise.
            products: whether products of matrices are calls of a function.
        """
        plan = self.plan
        given = {**self.inputs, **found}
        emitter = Emitter(
            plan.names,
            given,
            plan.schedule,
            self.last,
            plan.phase or "",
            numbers=numbers,
            products=products,
        )
        results = self.results(emitter, [(x, None) for x in plan.renewed])
        body = [*lengths(emitter.lines, results), *emitter.lines, returned(results)]
        what = f"What {plan.declaration.name} keeps between steps, computed anew"
        return function(f"def renew({self.arguments(numbers)}, {plan.phase}):", what, body)

    def results(self, emitter: Emitter, roots: Sequence[tuple[Expr, str | None]]) -> list[str]:
        """Emit what a function returns, and note its kernels."""
        declaration = self.plan.declaration
        emitter.reserve([*(h.name for h in declaration.hyper), *declaration.asides])
        emitter.count([x for x, _ in roots])
        results = [emitter.value(x, wish) for x, wish in roots]
        self.kernels.update(helpers(emitter))
        return results

    def numbers(self, roots: Sequence[Expr], found: Mapping[Expr, str]) -> dict[Expr, str]:
        """Return names for the numbers of a step: its largest parts that no array is read for.

        What is computed of lengths, hyper-parameters and the step index, and of nothing else.
        """
        given = {**self.inputs, **found}
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
        self.kernels.update(helpers(emitter))
        what = f"What one step of {plan.declaration.name} computes once for all entries"
        return function(f"def numbers(W, *, t{hyper_arguments(plan)}):", what, body)

    def write_meets(self) -> str:
        """Return the source of what says which means over workers a step needs."""
        plan = self.plan
        emitter = Emitter({}, {}, plan.schedule)
        emitter.reserve([h.name for h in plan.declaration.hyper])
        facts = {fact for x in plan.workers for way in plan.needed[x] for fact in way}
        emitter.count([side for fact in facts for side in fact[1:3]])
        holds = {fact[:3]: "" for fact in sorted(facts, key=str)}
        for relation, left, right in holds:
            sides = emitter.value(left, "left"), emitter.number(right)
            holds[relation, left, right] = emitter.variable("due")
            line = f"{holds[relation, left, right]} = bool({sides[0]} {relation.value} {sides[1]})"
            emitter.lines.append(line)
        told = tuple_of([_told(holds, plan.needed[x]) for x in plan.workers])
        self.kernels.update(helpers(emitter))
        body = [*lengths(emitter.lines, []), *emitter.lines, f"return {told}"]
        what = f"Which means over workers a step of {plan.declaration.name} needs"
        return function(f"def meets(W, *, t{hyper_arguments(plan)}):", what, body)

    def write_step(self) -> str:
        """Return the source of a step: its numbers, then its arrays."""
        plan = self.plan
        hyper = "".join(f", {h.name}={h.name}" for h in plan.declaration.hyper)
        head = ", ".join(["W", "G", *self.olds])
        asides = [*plan.declaration.asides, *(["layers", "own"] if plan.layers else [])]
        asides += ["workers", "alone"] if plan.workers else []
        asides += ["answers"] if plan.phases else []
        asides += ["stream", "places"] if plan.draws else []
        told = "".join(f", {name}={name}" for name in ["loss", *asides])
        body = [f"once = numbers(W, t=t{hyper})"]
        if plan.renewed:
            olds = tuple_of(list(self.last.values()))
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
        known = {"layers", "own", "workers", "alone", "answers", plan.phase or "phase", plan.reuse}
        return known | {*plan.declaration.asides, *self.kept.values()}

    def arguments(
        self,
        numbers: Mapping[Expr, str] | None = None,
        kept: Mapping[Expr, str] | None = None,
        phase: str = "",
    ) -> str:
        """Return the arguments of a function: of a step, or of its numbers and kept values."""
        plan = self.plan
        known = "".join(f", {name}=None" for name in plan.declaration.asides)
        known += ", layers=(), own=()" if plan.layers else ""
        known += ", workers=(), alone=()" if plan.workers else ""
        known += ", answers=()" if plan.phases else ""
        known += drawn_arguments(plan)
        head = ", ".join(["W", "G", *self.olds, *(kept or {}).values()])
        if numbers is None:
            return f"{head}, *, t, loss=None{known}{phase}{hyper_arguments(plan)}"
        own = "".join(f", {name}" for name in numbers.values())
        return f"{head}, *{own}, loss=None{known}"


def _told(holds: Mapping[Any, str], ways: Ways) -> str:
    """Return the code of whether one of several sets of facts holds.

    Args:
        holds: by comparison, the name of whether it holds. ways: the sets of facts.
    """

    def code(fact: Fact) -> str:
        *compared, true = fact
        return holds[tuple(compared)] if true else f"not {holds[tuple(compared)]}"

    each = [" and ".join(sorted(map(code, way))) or "True" for way in ways]
    return " or ".join(sorted(each)) or "False"


def _free(wish: str, taken: Container[str]) -> str:
    """Return a name that is not taken, as wished or with a number."""
    names = (wish if k == 0 else f"{wish}{k}" for k in itertools.count())
    reserved = CODE | kernel_calls.kernel_names()
    return next(x for x in names if x not in taken and x not in reserved)


def beside(plan: Plan) -> tuple[str, ...]:
    """Return the names of what `init` takes of other parameters, if states start from that."""
    starts = {x for slot in plan.slots for x in walk(slot.init)}
    near = plan.declaration.neighbours
    return tuple(map(stream_name, near)) if not starts.isdisjoint(near) else ()


def beside_arguments(plan: Plan) -> str:
    """Return the arguments by which `init` takes what other parameters are."""
    return "".join(f", {name}=None" for name in beside(plan))


def drawn_arguments(plan: Plan) -> str:
    """Return the arguments by which random numbers are drawn, if any are."""
    return ", stream=None, places=None" if plan.draws else ""


def hyper_arguments(plan: Plan) -> str:
    """Return the arguments for the hyper-parameters, as they follow others."""
    return "".join(f", {h.name}" for h in plan.declaration.hyper)


def helpers(emitter: Emitter) -> dict[Callable[..., object], None]:
    """Return the kernels that a function calls, and what they call."""
    return dict.fromkeys(f for k in emitter.kernels.values() for f in with_helpers(k))


def shared(plan: Plan, roots: Iterable[Expr]) -> dict[Expr, str]:
    """Return the code of what expressions read of all layers and workers, and of its own part.

    A contribution is not computed again: a layer that holds the maximum must find itself equal to
    it, bit by bit. What is averaged at some steps only is computed again at those.
    """
    read = set(inside(roots))
    layers = {k: x for k, x in enumerate(plan.layers) if x in read}
    means = {k: x for k, x in enumerate(plan.workers) if x in read}
    own = {x.arg: f"own[{k}]" for k, x in layers.items() if x.arg.children}
    views = Transpose | Before  # of which there is nothing to compute, and which may be written
    always = [(k, x) for k, x in means.items() if x in plan.always and x.arg.children]
    always = [(k, x) for k, x in always if not isinstance(x.arg, views)]
    alone = {x.arg: f"alone[{k}]" for k, x in always}
    code: dict[Expr, str] = {x: f"layers[{k}]" for k, x in layers.items()}
    return {**own, **alone, **code, **{x: f"workers[{k}]" for k, x in means.items()}}
