"""Repairs: the smallest changes to a rule that make it invariant, each found and then checked.

A change is an edit of one place: an exponent solved for, a constant dropped or made relative,
coupled decay decoupled, an LMO for a sharp step. One edit is tried first, then pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import attrs
import sympy

from normdsl.compiler.invariance.groups import Group, named, require_acting
from normdsl.compiler.invariance.prove import idle_parameters, prove
from normdsl.compiler.invariance.solve import solve
from normdsl.compiler.invariance.verdict import Verdict, proved
from normdsl.declarations.folding import fold
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.domains import REAL
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param, Returned
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.origins import NUMBERS
from normdsl.expressions.streams import G, W
from normdsl.expressions.traversal import replace, walk
from normdsl.norms.base import Lmo, Sharp
from normdsl.show.page import Shown, folded, paragraph, title
from normdsl.show.text import text
from normdsl.source import located
from normdsl.vocabulary.entrywise import abs as absolute
from normdsl.vocabulary.reductions import max as largest
from normdsl.vocabulary.reductions import sum as total

_MOST = 12


@attrs.frozen
class Edit:
    """A change of one place of a rule.

    Args:
        old: the expression that is replaced. new: by what. what: the change in words.
        unknown: a symbol in `new` to be solved for, or None. decay: what is added to the update.
    """

    old: Expr
    new: Expr
    what: str
    unknown: Param | None = None
    decay: Expr | None = None


@attrs.frozen(repr=False)
class Repair(Shown):
    """A rule that differs from another by few edits, and is invariant.

    Args:
        changes: the edits, in words. declaration: the changed rule. verdict: its verdict.
    """

    changes: tuple[str, ...]
    declaration: Rule
    verdict: Verdict

    @property
    def cost(self) -> tuple[int, int, int]:
        """Whether it holds in a limit only, the number of edits, and of conditions left."""
        limits = len(self.verdict.limits)
        return limits, len(self.changes), len(self.verdict.conditions)

    def __str__(self) -> str:
        return f"{'; '.join(self.changes)}: {self.verdict.answer}"

    def _repr_html_(self) -> str:
        return folded(str(self), self.declaration._repr_latex_())


@attrs.frozen(repr=False)
class Repairs(Shown):
    """The repairs found, smallest first.

    Args:
        declaration: the rule. group: the group. found: the repairs. verdict: of the rule itself.
    """

    declaration: Rule
    group: Group
    found: tuple[Repair, ...]
    verdict: Verdict | None

    def __iter__(self) -> Iterator[Repair]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Repair:
        return self.found[index]

    def __str__(self) -> str:
        now = "not proved" if self.verdict is None else self.verdict.answer
        head = f"{self.declaration.name}, {self.group.name}: {now}"
        if self.verdict is not None and self.verdict.invariant:
            return head + ", nothing to repair"
        if not self.found:
            return head + "\n  no repair of one or two edits was found"
        return "\n".join([head, *(f"  {k}. {r}" for k, r in enumerate(self.found, 1))])

    def _repr_html_(self) -> str:
        head, *rest = str(self).splitlines()
        below = "".join(r._repr_html_() for r in self.found) or "".join(map(paragraph, rest))
        return title(head) + below


def repair(declaration: Rule, group: Group | str) -> Repairs:
    """Return the smallest changes that make a rule invariant under a group, each checked.

    Args:
        declaration: the rule. group: the group, or its name.

    Raises:
        NormdslError: for an unknown group.

    Example:
        >>> import normdsl as nd
        >>> rule = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.frobenius.sharp(nd.G))
        >>> print(nd.repair(rule, "loss_scale"))
        rule, loss_scale: not proved
          1. line 1: an LMO for sharp[‖X‖_F](G): invariant
    """
    group = named(group) if isinstance(group, str) else group
    require_acting(group, declaration.name, declaration.ports)
    decision = prove(declaration, group)
    now = proved(declaration, group, decision) if decision.proof else None
    if now is not None and now.invariant:
        return Repairs(declaration, group, (), now)
    edits = list(_edits(declaration))
    found: dict[Expr, Repair] = {}
    for mended in _conditions_met(declaration, now):
        found.setdefault(mended.declaration.update, mended)
    for size in (1, 2):
        for chosen in itertools.combinations(edits, size):
            for mended in _tried(declaration, group, chosen):
                better = now is None or len(mended.verdict.conditions) < len(now.conditions)
                if better:
                    found.setdefault(mended.declaration.update, mended)
        # Pairs are for rules that no single edit repairs exactly.
        if any(not r.verdict.limits for r in found.values()):
            break
    listed = sorted(found.values(), key=lambda r: r.cost)
    return Repairs(declaration, group, tuple(listed[:_MOST]), now)


def _conditions_met(declaration: Rule, now: Verdict | None) -> Iterator[Repair]:
    """Yield the rule with hyper-parameters fixed as its conditions ask."""
    equations = [] if now is None else [c for c in now.conditions if isinstance(c, sympy.Equality)]
    values = {str(c.lhs): c.rhs for c in equations if c.lhs.is_Symbol and c.rhs.is_number}
    if values and now is not None:
        bound = declaration.bind(**{name: float(value) for name, value in values.items()})
        decision = prove(bound, now.group)
        if decision.proof is not None:
            whats = tuple(f"{name} = {value}" for name, value in values.items())
            yield Repair(whats, bound, proved(bound, now.group, decision))


def _tried(declaration: Rule, group: Group, chosen: tuple[Edit, ...]) -> Iterator[Repair]:
    """Yield the invariant rules that some edits make, their unknowns solved for."""
    changed = _apply(declaration, chosen)
    if changed is None:
        return
    unknowns = [edit.unknown.name for edit in chosen if edit.unknown is not None]
    if not unknowns:
        decision = prove(changed, group)
        if decision.proof is not None:
            whats = tuple(edit.what for edit in chosen)
            yield Repair(whats, changed, proved(changed, group, decision))
        return
    for solution in solve(changed, group, unknowns):
        values = {name: solution.values.get(name) for name in unknowns}
        if solution.verdict is None or None in values.values():
            continue
        whats = tuple(
            edit.what if edit.unknown is None else f"{edit.what} {values[edit.unknown.name]}"
            for edit in chosen
        )
        yield Repair(whats, solution.verdict.declaration, solution.verdict)


def _apply(declaration: Rule, edits: tuple[Edit, ...]) -> Rule | None:
    """Return the declaration with some edits; None if they do not fit together."""
    if len({edit.old for edit in edits}) < len(edits):
        return None
    unknowns = [edit.unknown for edit in edits if edit.unknown is not None]
    hyper = (*declaration.hyper, *(Hyperparameter(u.name, None, u.domain) for u in unknowns))
    try:
        update = declaration.update
        table: dict[Expr, Expr] = {}
        for edit in edits:
            old, new = replace(edit.old, table), replace(edit.new, table)
            update, table = replace(update, {old: new}), {**table, old: new}
        for edit in edits:
            update = update if edit.decay is None else _decayed(update, edit.decay)
        update = fold(update, {})
        used = {x.name for x in walk(update) if isinstance(x, Param)}
        if not used >= {u.name for u in unknowns}:
            return None
        kept = tuple(h for h in hyper if h.name in used)
        return attrs.evolve(
            declaration, hyper=kept, update=update, names=(), module="", qualname=""
        )
    except NormdslError:
        return None


def _decayed(update: Expr, decay: Expr) -> Expr:
    """Return what a rule returns, with a decay added to the new weights."""
    if isinstance(update, Returned):
        return attrs.evolve(update, weights=update.weights + decay)
    return update + decay


def _edits(declaration: Rule) -> Iterator[Edit]:
    """Yield every edit of one place, in the order in which the rule computes."""
    names = declaration.labels
    for k, part in enumerate(walk(declaration.update)):
        place = "" if part.where is None else f"line {part.where.line}: "
        with located(part.where):
            for edit in (*_exponents(part, k, names), *_constants(part, names)):
                yield attrs.evolve(edit, what=place + edit.what)
            for edit in (*_steps(part, names), *_decays(part, declaration)):
                yield attrs.evolve(edit, what=place + edit.what)


def _exponents(part: Expr, k: int, names: Mapping[Expr, str]) -> Iterator[Edit]:
    """Yield the edit that leaves the exponent of a power open."""
    unknown = Param(f"p_{k}", REAL)
    match part:
        case n.Pow(base=x, exponent=Constant(value=v)) if x.facts.nonnegative and v > 0:
            new: Expr = n.Pow(x, unknown)
        case nodes.MatrixPower(arg=x, exponent=Constant(value=v)):
            new = nodes.MatrixPower(x, unknown)
        case _:
            return
    yield Edit(part, new, f"the exponent {v} of {text(x, names)} becomes", unknown)


def _constants(part: Expr, names: Mapping[Expr, str]) -> Iterator[Edit]:
    """Yield the edits that drop an added constant, or make it relative to what it is added to."""
    match part:
        case n.Add(left=x, right=y) if _is_still(x) != _is_still(y):
            x, y = (x, y) if _is_still(y) else (y, x)
            constant, whole = text(y, names), text(part, names)
            yield Edit(part, x, f"{whole} without {constant}")
            size = total(x * nodes.Eye(x.shape.rows)) if x.shape.square else largest(absolute(x))
            what = f"in {whole}, {constant} relative to the size of {text(x, names)}"
            yield Edit(part, x + y * size, what)


def _steps(part: Expr, names: Mapping[Expr, str]) -> Iterator[Edit]:
    """Yield the edit that takes an LMO, of fixed length, for a sharp step."""
    if isinstance(part, Sharp):
        yield Edit(part, Lmo(part.norm, part.arg), f"an LMO for {text(part, names)}")


def _decays(part: Expr, declaration: Rule) -> Iterator[Edit]:
    """Yield the edit that takes coupled weight decay, G + λ W, out of the gradient.

    Decoupled, it is multiplied by the step size: what leaves no step when it is zero.
    """
    match part:
        case n.Add(left=x, right=n.Mul(left=rate, right=y)) if (x, y) == (G, W):
            steps = idle_parameters(declaration)
            sizes = [Param(h.name, h.domain) for h in declaration.hyper if h.name in steps]
            shrunk = -(sizes[0] * rate * W) if sizes else -(rate * W)
            whole, term = text(part, declaration.labels), text(shrunk, declaration.labels)
            what = f"decoupled decay {term} for {whole}"
            yield Edit(part, x, what, decay=shrunk)


def _is_still(expr: Expr) -> bool:
    """Return whether an expression is made of numbers and hyper-parameters alone."""
    return expr.origins.within(NUMBERS)
