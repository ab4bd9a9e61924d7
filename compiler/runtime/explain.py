"""Who gets which rule: every parameter with its view, rule, kernels, states and cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import attrs
from torch import Tensor
from torch.nn.parameter import is_lazy

from normdsl.compiler.batches.sharing import scalars
from normdsl.compiler.buckets import side_by_side
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.layouts.layout import Layout, is_judged
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.choices import Spot
from normdsl.compiler.lowering.cost import Cost, cost
from normdsl.compiler.lowering.methods_used import choices, kernels
from normdsl.compiler.runtime.averaged import averaged
from normdsl.compiler.runtime.parameter_groups import Settings, parameters, settings
from normdsl.errors import GradientError
from normdsl.expressions.nodes import Across
from normdsl.show.grid import Grid

_HEAD = ("parameter", "shape", "seen as", "rule", "computed by", "state", "cost of a step")


@attrs.frozen(repr=False)
class Line:
    """What is done with one parameter.

    Args:
        name: its name, or its place in its group. group: the name of its group, or its number.
        shape: its shape, as a tensor. view: how it is seen. rule: its name.
        matrices: count, rows and columns of the matrices that the rule's norms measure.
        kernels: what computes its step. frozen: whether it needs no gradient.
        state: name, shape and dtype of each of its states. state_bytes: what they take.
        flops: operations of one step. moved: bytes it moves, if nothing is fused.
        asks: how often a step evaluates the loss, if that is not once.
        choices: what was chosen where the schedule names no method, why, and within which error.
    """

    name: str
    group: str
    shape: tuple[int, ...]
    view: str
    rule: str
    matrices: tuple[tuple[int, int, int], ...]
    kernels: tuple[str, ...]
    frozen: bool
    state: tuple[tuple[str, tuple[int, ...], str], ...]
    state_bytes: int
    flops: int
    moved: int
    choices: tuple[str, ...] = ()
    asks: str = ""

    def cells(self) -> list[str]:
        """Return the line as texts."""
        seen = " + ".join(f"{b} of {m}×{n}" if b > 1 else f"{m}×{n}" for b, m, n in self.matrices)
        state = ", ".join(f"{name} {_sizes(shape)}" for name, shape, _ in self.state)
        kinds = sorted({dtype for *_, dtype in self.state})
        told = f"{state} ({', '.join(kinds)}, {_scaled(self.state_bytes)}B)" if state else "none"
        return [
            self.name + (" (frozen)" if self.frozen else ""),
            _sizes(self.shape),
            seen if self.view == "natural" else f"{seen} ({self.view})",
            f"{self.rule} [{self.group.removesuffix(f' ({self.view})')}]",
            ", ".join(self.kernels),
            told,
            f"{_scaled(self.flops)}FLOP",
        ]


@attrs.frozen
class Share:
    """A scalar of all layers, or the norm of all layers, and whose layers contribute to it.

    Args:
        what: it is. names: of the parameters that contribute, for each rule by its name.
    """

    what: str
    names: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        told = [f"{rule} ({_few(names)})" for rule, names in self.names]
        return f"{self.what}: {', '.join(told)}"


@attrs.frozen(repr=False)
class Explanation:
    """What an optimizer does with every parameter; text, and a table in a notebook.

    Args:
        lines: one for each parameter, in the order of the groups.
        shares: the scalars that the steps of several layers have in common.
        means: what is averaged over workers.
        runs: how parameters step together, once they have stepped.
    """

    lines: tuple[Line, ...]
    shares: tuple[Share, ...] = ()
    means: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def grid(self) -> Grid:
        """Return the table, with totals below."""
        flops, state = sum(x.flops for x in self.lines), sum(x.state_bytes for x in self.lines)
        entries = sum(math.prod(x.shape) for x in self.lines)
        total = (
            f"{len(self.lines)} parameters with {entries:,} entries; states take "
            f"{_scaled(state)}B; a step takes {_scaled(flops)}FLOP."
        )
        chosen = dict.fromkeys(x for line in self.lines for x in (line.asks, *line.choices) if x)
        notes = [total, *map(str, self.shares), *self.means, *chosen, *self.runs]
        return Grid(_HEAD, [x.cells() for x in self.lines], notes=notes)

    def __str__(self) -> str:
        return self.grid().text()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.grid().html()


def explained(
    param_groups: Iterable[dict[str, Any]], buckets: Sequence[Bucket] = (), workers: int = 1
) -> Explanation:
    """Return what is done with every parameter of these groups.

    Args:
        param_groups: of an optimizer. buckets: those of its plan, once it has one.
        workers: how many processes a rule averages over, if it does.
    """
    lines: list[Line] = []
    means: dict[str, None] = {}
    contributing: dict[Stepper, list[str]] = {}
    for k, group in enumerate(param_groups):
        made = list(_lines(group, group.get("name", k)))
        lines += made
        means |= dict.fromkeys(averaged(settings(group), parameters(group), workers))
        for line, said in zip(made, settings(group).each(parameters(group)), strict=True):
            if not line.frozen:
                contributing.setdefault(said.stepper, []).append(line.name)
    shares, runs = tuple(_shares(contributing)), tuple(map(_run, buckets))
    return Explanation(tuple(lines), shares, tuple(means), (*runs, *side_by_side.told(buckets)))


def _run(bucket: Bucket) -> str:
    count, rule = len(bucket.params), bucket.stepper.program.declaration.name
    steps = "1 parameter steps" if count == 1 else f"{count} parameters step"
    return f"{rule}: {steps} {bucket.told()}{_turns(bucket)}."


def _turns(bucket: Bucket) -> str:
    """Return when kept values are computed again, and of how many parameters at once."""
    refresh = bucket.stepper.program.schedule.refresh
    if not bucket.stepper.keeps or refresh == 1:
        return ""
    due, most = bucket.next_turn()
    who = "1 of them" if most == 1 else f"{most} of them"
    return f"; kept values are computed every {refresh} steps, of {who} at once, next at step {due}"


def _lines(group: dict[str, Any], title: object) -> Iterator[Line]:
    said, params = settings(group), parameters(group)
    names = group.get("param_names") or []
    if len(names) != len(params):  # none were given, or parameters were added or removed by hand
        names = [f"group {title}, {i}" for i in range(len(params))]
    for name, p, own in zip(names, params, said.each(params), strict=True):
        idle = None if is_judged(p) else _idle(name, str(title), own, p)
        yield idle or _line(name, str(title), own.layout(p), p, said.view)


def _idle(name: str, group: str, said: Settings, p: Tensor) -> Line | None:
    """Return the line of a parameter that the rule cannot take, as long as it takes no step."""
    view, shape = "natural" if said.view is None else str(said.view), tuple[int, ...]()
    try:
        if not is_lazy(p):
            shape = tuple(p.shape)
            said.layout(p)
            return None
    except (GradientError, RuntimeError):  # nested tensors have no shape
        pass
    frozen = not p.requires_grad
    return Line(name, group, shape, view, said.rule.name, (), (), frozen, (), 0, 0, 0)


def _shares(contributing: dict[Stepper, list[str]]) -> Iterator[Share]:
    """Yield what rules combine over all layers, the sums and maxima of one norm together."""
    rules: dict[str, dict[Stepper, None]] = {}
    for scalar in scalars(tuple(contributing)):
        rules.setdefault(_purpose(scalar.node), {}).update(dict.fromkeys(scalar.nodes))
    for what, steppers in rules.items():
        names: dict[str, tuple[str, ...]] = {}
        for s in steppers:
            rule = s.program.declaration.name
            names[rule] = (*names.get(rule, ()), *contributing[s])
        yield Share(what, tuple(names.items()))


def _purpose(node: Across) -> str:
    """Return what a scalar of all layers is for: its norm, its name, or its formula."""
    if node.shared is None:
        return str(node)
    return str(node.shared) if node.shared.by else f"{node.reducer.value} {node.shared.name}"


def _line(name: str, group: str, layout: Layout, p: Tensor, view: object) -> Line:
    program = layout.stepper.program
    each = [_cost(program, (m, n), b, p.dtype) for b, m, n in layout.sizes if b * m * n]
    spot = Spot(
        p.device, layout.stepper.dtype(p), tuple(s[1:] for s in layout.sizes if math.prod(s))
    )
    state = tuple(_states(layout, p))
    return Line(
        name,
        group,
        tuple(p.shape),
        "natural" if view is None else str(view),
        program.declaration.name,
        layout.sizes,
        kernels(program, spot),
        not p.requires_grad,
        state,
        sum(c.state_bytes for c in each),
        sum(c.flops for c in each),
        sum(c.moved for c in each),
        choices(program, spot),
        _asks(program.declaration.name, each[0]) if program.phases and each else "",
    )


def _asks(rule: str, found: Cost) -> str:
    """Return how often a rule evaluates the loss, in words."""
    products = found.hessian_products
    more = f" and takes {products} product{'s' * (products > 1)} with the Hessian" * bool(products)
    times = "once" if found.evaluations == 1 else f"{found.evaluations} times"
    return f"{rule} evaluates the loss {times} a step{more}: opt.step(closure)."


_cost = lru_cache(maxsize=1024)(cost)


def _states(layout: Layout, p: Tensor) -> Iterator[tuple[str, tuple[int, ...], str]]:
    for field in layout.fields:
        dtype = str(layout.stepper.kept_dtype(field, p)).removeprefix("torch.")
        if layout.stepper.rounds and dtype == "bfloat16":
            dtype += " by stochastic rounding"
        for key, shape in layout.stored(field).items():
            yield key, shape, dtype


def _few(names: Sequence[str], most: int = 4) -> str:
    """Return names in one line, the last of many by their number."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")


def _sizes(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _scaled(number: float) -> str:
    """Return a number with three digits and a unit prefix."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} T"
