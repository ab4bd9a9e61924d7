"""Equality: whether two rules take the same steps, proved by identities or refuted by runs."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping

import attrs

from normdsl.compiler.invariance.conditions import Assumption, Kind, show
from normdsl.compiler.invariance.expansion import same
from normdsl.compiler.invariance.fractions import Fractions
from normdsl.compiler.invariance.naming import complete, names_of
from normdsl.compiler.invariance.needed import unmeetable
from normdsl.compiler.invariance.rewriting import Rewriting, Rewritten, multiple, positive
from normdsl.compiler.invariance.search import settings
from normdsl.compiler.invariance.witness import OTHERS, PARTED, SHAPES, SLOWER, STEPS
from normdsl.declarations.folding import fold
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError, kind
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.show.text import WIDTH, text, wrapped

#: The seeds that runs are compared with.
_SEEDS = range(3)


class Same(enum.Enum):
    """The answers to whether two rules take the same steps."""

    EQUAL = "equal"
    CONDITIONAL = "equal if"
    DIFFERENT = "not equal"
    UNKNOWN = "unknown"


@attrs.frozen
class Parting:
    """Runs of two rules on one problem that part.

    Args:
        one: a rule. other: another. hyper: hyper-parameters of both, by name.
        seed: decides the loss and the start. shape: of the weights.
        step: the first step at which they have parted. drift: how far, relative to the way gone.
    """

    one: Rule
    other: Rule
    hyper: Mapping[str, float]
    seed: int
    shape: tuple[int, int]
    step: int = 0
    drift: float = 0.0

    def replay(self, pace: float = 1.0) -> list[float]:
        """Run both again; return their distance at each step, 0 where it may be rounding.

        Torch is imported here, for runs only.
        """
        from normdsl.compiler.verdicts.simulate import distance_of

        return distance_of(self.one, self.other, self.hyper, self.seed, self.shape, STEPS, pace)

    def __str__(self) -> str:
        told = "".join(f", {k}={v:g}" for k, v in self.hyper.items())
        m, n = self.shape
        return (
            f"seed {self.seed}, W {m}×{n}{told}: the runs part at step {self.step}, relative "
            f"distance {self.drift:.2g} there"
        )


@attrs.frozen(repr=False)
class Equality:
    """The answer for two rules.

    Args:
        one: a rule. other: another. status: the answer.
        conditions: the matrices that must have full rank, which an `equal if` depends on.
        proof: the identities by which both become the same expression, in order.
        witness: runs that part, if they are not equal.
    """

    one: Rule
    other: Rule
    status: Same
    conditions: tuple[Assumption, ...] = ()
    proof: tuple[Rewritten, ...] = ()
    witness: Parting | None = None

    @property
    def answer(self) -> str:
        """The answer with its conditions."""
        needed = [show(self.conditions, self._names)] if self.conditions else []
        return " ".join([self.status.value, *needed])

    @property
    def _names(self) -> Mapping[Expr, str]:
        """What authors called states, and what is one thing under one name in both rules."""
        named = {**names_of(self.other), **names_of(self.one)}
        meant = Counter(named.values())
        names = {x: name for x, name in named.items() if meant[name] == 1}
        return complete(names, [x for line in self.proof for x in (line.before, line.after)])

    def __str__(self) -> str:
        lines = wrapped(f"{self.one.name} = {self.other.name}: {self.answer}")
        if self.witness is not None:
            lines += wrapped(f"  witness: {self.witness}")
        if self.status in (Same.EQUAL, Same.CONDITIONAL):
            lines.append("  proof:")
        names = self._names
        for line in self.proof:
            lines += wrapped(f"    {line.identity}:", WIDTH)
            bare = {x: name for x, name in names.items() if x not in (line.before, line.after)}
            lines += wrapped(f"      {text(line.before, bare)} = {text(line.after, bare)}", WIDTH)
        if self.status in (Same.EQUAL, Same.CONDITIONAL):
            lines.append("    multiplied out, both are the same expression")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def equality(one: Rule, other: object, *, witnesses: bool = True) -> Equality:
    """Return whether two rules take the same steps from the same states, on any loss.

    Hyper-parameters of one name are the same number in both, draws of one key the same draw. What
    cannot be proved is looked for in runs; where these do not part either, it is unknown.

    Raises:
        NormdslError: for anything but two rules of the same parameters.

    Example:
        Newton's step of φ(f) is one of f with another rate (arXiv:2509.25782), for φ = exp:

        >>> import normdsl as nd
        >>> D = nd.unvec(nd.inverse(nd.hessian()) @ nd.vec(nd.G))
        >>> whole = nd.optimizer(lambda lr=1.0: nd.W - lr * D)
        >>> shorter = nd.optimizer(lambda lr=1.0: nd.W - lr / (1 + nd.inner(nd.G, D)) * D)
        >>> print(whole.on_loss(lambda f: nd.exp(f)).equals(shorter).status.value)
        equal if
    """
    other = _require_comparable(one, other)
    found = _proved(one, other)
    if found is not None or not witnesses:
        return found or Equality(one, other, Same.UNKNOWN)
    witness = next(_parting(one, other), None)
    status = Same.UNKNOWN if witness is None else Same.DIFFERENT
    return Equality(one, other, status, witness=witness)


def _proved(one: Rule, other: Rule) -> Equality | None:
    theirs = _in_symbols_of(one, other)
    if same(one.update, theirs):
        return Equality(one, other, Same.EQUAL)
    rewriting = Rewriting()
    left, right = rewriting(one.update), rewriting(theirs)
    full_rank = dict.fromkeys(x for line in rewriting.used for x in line.full_rank)
    form = Fractions(full_rank)
    # What is read first may tell that a number is not zero: so both are read once before.
    form(left), form(right)
    form = form.again()
    conditions = frozenset(Assumption(Kind.FULL_RANK, _plain(x)) for x in full_rank)
    if form(left) != form(right) or unmeetable(conditions) is not None:
        return None
    told = tuple(sorted(conditions, key=lambda c: str(c.of)))
    status = Same.CONDITIONAL if told else Same.EQUAL
    return Equality(one, other, status, told, tuple(rewriting.used))


def _in_symbols_of(one: Rule, other: Rule) -> Expr:
    """Return the update of another rule, its hyper-parameters with the domains of this one."""
    domains = {h.name: h.domain for h in one.hyper}
    shared = [h for h in other.hyper if h.name in domains]
    table = {Param(h.name, h.domain): Param(h.name, domains[h.name]) for h in shared}
    return fold(other.update, table)


def _plain(matrix: Expr) -> Expr:
    """Return a matrix without a factor that is not zero, which its rank does not depend on."""
    number, array = multiple(matrix)
    return array if positive(number) else matrix


def _parting(one: Rule, other: Rule) -> Iterator[Parting]:
    """Yield runs that part, with shorter steps and on another problem as well."""
    for hyper in _together(one, other):
        for seed in _SEEDS:
            tried = Parting(one, other, hyper, seed, SHAPES[seed % len(SHAPES)])
            drift = tried.replay()
            step = next((k for k, d in enumerate(drift) if d > PARTED), None)
            if step is None:
                continue
            again = [attrs.evolve(tried, seed=seed + k) for k in OTHERS]
            slower = max(tried.replay(SLOWER), default=0.0) > PARTED
            if slower and any(max(x.replay(), default=0.0) > PARTED for x in again):
                yield attrs.evolve(tried, step=step + 1, drift=drift[step])


def _together(one: Rule, other: Rule) -> Iterator[dict[str, float]]:
    """Yield hyper-parameters of both, those of one name with one value that both admit.

    Those of the other alone are free, and so have values of their own.
    """
    for ours, theirs in zip(settings(one), settings(other), strict=False):
        free = {h.name: 0.8 * theirs[h.name] for h in other.hyper if not h.domain.whole}
        hyper = theirs | free | ours
        domains = [(h.domain, hyper[h.name]) for rule in (one, other) for h in rule.hyper]
        if all(domain.contains(value) for domain, value in domains):
            yield hyper


def _require_comparable(one: Rule, other: object) -> Rule:
    asked = f"compare {one.name} with another rule"
    if not isinstance(other, Rule):
        raise NormdslError(
            asked,
            why=f"{kind(other)} is not a rule",
            hint="write one.equals(another), of two functions under @nd.optimizer",
        )
    if one.ports != other.ports:
        raise NormdslError(
            asked,
            why=f"{other.name} steps other parameters",
            hint="declare both over the same parameters, in the same order",
        )
    return other
