"""State: recursions s ← step(s), the only way in which it enters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import attrs

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions import coordinates
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.coordinates import Axes, Unknown, plain
from normdsl.expressions.expr import Expr
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.constants import Constant, as_expr, is_constant
from normdsl.expressions.origins import BEFORE_THE_FIRST_STEP, Origin, joined
from normdsl.expressions.shapes import Shape
from normdsl.expressions.traversal import Rewriter, replace, walk
from normdsl.expressions.turning import settled, turned
from normdsl.show.notation import Notation, Piece

_FRESH = itertools.count()


@attrs.frozen(eq=False, repr=False)
class Placeholder(Expr):
    """The state handed to `step` while a recursion is being built; never part of a finished one."""

    internal = True
    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()

    number: int
    dims: Shape
    known: Facts

    def _infer_shape(self) -> Shape:
        return self.dims

    def _infer_facts(self) -> Facts:
        return self.known

    def _infer_origins(self) -> Origin:
        return Origin.STATE

    def _notate(self, n: Notation) -> Piece:
        return n.symbol("state")


@attrs.frozen(eq=False, repr=False)
class Carry(Expr):
    """Inside a recursion's body: the state before this step.

    `level` counts the recursions nested inside the one it belongs to, so equal recursions have
    equal bodies whatever their states were called.
    """

    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()

    level: int
    index: int
    dims: Shape
    known: Facts

    def _infer_shape(self) -> Shape:
        return self.dims

    def _infer_facts(self) -> Facts:
        return self.known

    def _infer_origins(self) -> Origin:
        return Origin.STATE

    def _notate(self, n: Notation) -> Piece:
        name = "srqp"[self.index % 4] + (str(self.level) if self.level > 1 else "")
        return n.previous(n.olds.get(self, name))


@attrs.frozen(eq=False)
class Recursion:
    """Coupled states s_i ← body_i(s), starting from init_i.

    Args:
        inits: the initial values. bodies: the new values, over `Carry` for the old ones.
        level: one more than the deepest recursion inside the bodies.
        known: facts that hold of every state at every step, by induction.
    """

    inits: tuple[Expr, ...]
    bodies: tuple[Expr, ...]
    level: int
    known: tuple[Facts, ...]

    def __attrs_post_init__(self) -> None:
        """Check the induction: the facts hold of the initial values, and the bodies keep them."""
        rows = (self.inits, self.bodies, self.known)
        own = {self.carry(i) for i in range(min(map(len, rows)))}
        free = {c for body in self.bodies for c in free_carries(body)}
        nested = all(level != self.level for level in self._levels_inside())
        bound = all(c in own for c in free if c.level <= self.level)
        legal = (
            nested
            and bound
            and len(self.inits) == len(self.bodies) == len(self.known) > 0
            and all(
                start.shape == body.shape
                and _kept(fact, start.facts) == fact
                and _kept(fact, body.facts) == fact
                for start, body, fact in zip(*rows, strict=True)
            )
        )
        if not legal:
            raise DeclarationError(
                "build a recursion with invariants",
                why="its shapes or facts are not kept by its own step",
                hint="build recursions with nd.fix, which infers them",
            )

    def _levels_inside(self) -> set[int]:
        """Return the levels of recursions in the bodies, short of outer ones' states."""
        found: set[int] = set()
        stack = list(self.bodies)
        seen: set[Expr] = set()
        while stack:
            expr = stack.pop()
            outer = isinstance(expr, State) and expr.recursion.level > self.level
            if expr in seen or outer:
                continue
            seen.add(expr)
            if isinstance(expr, State):
                found.add(expr.recursion.level)
            stack.extend(expr.children)
        return found

    def forgetful(self, index: int) -> bool:
        """Return whether the new value of a state reads none of the old ones."""
        return index in _forgetful(self)

    def remembers(self, index: int) -> Expr | None:
        """Return the stream whose last value a state is, zero at first; None if it is more."""
        simple = self.forgetful(index) and is_constant(self.inits[index], 0)
        return self.bodies[index] if simple else None

    def carry(self, index: int) -> Carry:
        """Return the symbol that stands for state `index` in the bodies."""
        return self._carries[index]

    @cached_property
    def _carries(self) -> tuple[Carry, ...]:
        rows = enumerate(zip(self.inits, self.known, strict=False))
        return tuple(Carry(self.level, i, init.shape, known) for i, (init, known) in rows)


@lru_cache(maxsize=4096)
def _forgetful(recursion: Recursion) -> frozenset[int]:
    """Return which states of a recursion are set to something new at every step."""
    own = {recursion.carry(i) for i in range(len(recursion.inits))}
    read = [free_carries(body) for body in recursion.bodies]
    return frozenset(i for i, carries in enumerate(read) if own.isdisjoint(carries))


@attrs.frozen(eq=False, repr=False)
class State(Expr):
    """A state of a recursion as the rest of the declaration sees it; `Before` or `After`."""

    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = True
    zero_with = ()
    jumps_with = ()

    recursion: Recursion
    index: int

    def _infer_shape(self) -> Shape:
        count = len(self.recursion.inits)
        if not (type(self.index) is int and 0 <= self.index < count):
            raise DeclarationError(
                f"read state {self.index!r} of a recursion",
                why=f"it has the states 0 to {count - 1}",
                hint="use the values that nd.fix returns",
            )
        return self.recursion.inits[self.index].shape

    def _infer_facts(self) -> Facts:
        return self.recursion.known[self.index]

    def _infer_origins(self) -> Origin:
        return Origin.STATE | joined(self.children)


@attrs.frozen(eq=False, repr=False)
class Before(State):
    """The value a state had when this step began."""

    def _notate(self, n: Notation) -> Piece:
        after = After(self.recursion, self.index, where=self.where)
        remembered = self.recursion.remembers(self.index)
        if after not in n.names and remembered is not None and remembered in n.names:
            return n.previous(n.names[remembered])
        return n.previous(n.names[after]) if after in n.names else n.call("before", after)


@attrs.frozen(eq=False, repr=False)
class After(State):
    """The value a state has once this step's recursion was applied."""

    @property
    def seen(self) -> Expr | None:
        """Its formula with the old states as the rest of the rule sees them, and calls its parts.

        None if there are states within it, which would be others than those of the rule.
        """
        body = self.recursion.bodies[self.index]
        nested = any(isinstance(x, State) for x in walk(body))
        return None if nested else release(body, self.recursion, Before)

    def _notate(self, n: Notation) -> Piece:
        body, seen = self.recursion.bodies[self.index], self.seen
        if self in n.names and seen is not None:
            return n.define(seen)
        states = [After(self.recursion, i, where=None) for i in range(len(self.recursion.inits))]
        olds = {self.recursion.carry(i): n.names[s] for i, s in enumerate(states) if s in n.names}
        with n.within(olds):
            written = n.define(body)
        return written if self in n.names else n.call("fix", written)


@coordinates.read.register
def _read_after(node: After, below: Sequence[Axes | None]) -> Axes:
    axes = below[len(node.recursion.inits) + node.index]
    if axes is None:
        raise Unknown
    return axes


@coordinates.read.register
def _read_before(node: Before, below: Sequence[Axes | None]) -> Axes:
    return plain(node.shape)  # in the coordinates of another step, which are none of this one


def fix(
    step: Callable[..., Any],
    init: Any,
    read: Callable[[Expr, Expr], Expr] | None = None,
) -> Any:
    """Return a state that every step updates: s_t = step(s_{t−1}), from s_0 = init.

    This is the only way in which a rule remembers anything.

    A state in the coordinates of an eigenbasis turns along with it: where a step would join the old
    value with others in the coordinates of now, it reads the old one turned into them (`turning`).

    Args:
        step: maps the old state to the new one; with several states, takes and returns as many.
        init: the initial value, or a tuple of them; may use hyper-parameters and W, not G.
        read: for one state, the value delivered, as a function of the old and the new state
            (default: the new state).

    Returns:
        The new state, or a tuple of new states, as expressions.

    Raises:
        ShapeError: if a new state's shape is not that of its initial value.
        DeclarationError: if the recursion is not causal, or the numbers of states differ.

    Example:
        >>> import normdsl as nd
        >>> s = nd.fix(lambda old: 0.9 * old + nd.G, nd.zeros_like(nd.G))
        >>> s == nd.momentum(nd.G, 0.9, normalized=False)
        True
    """
    several = isinstance(init, tuple)
    inits = tuple(as_expr(x) for x in (init if several else (init,)))
    for start in inits:
        _require_causal_init(start)
    hopes = tuple(_kept(attrs.evolve(s.facts, low=0.0), s.facts) for s in inits)
    # The strongest facts are tried first; what the step does not keep is given up, round by round.
    while True:
        bodies, level, axes = _close(step, inits, hopes, read)
        kept = tuple(map(_kept, hopes, (b.facts for b in bodies)))
        if kept == hopes:
            break
        hopes = kept
    recursion = Recursion(inits, bodies, level, hopes)
    after = tuple(After(recursion, i) for i in range(len(inits)))
    if read is not None:
        if several:
            raise DeclarationError(
                "read out a recursion of several states",
                why="`read` takes the old and the new value of one state",
                hint="combine the returned states yourself, with nd.prev for old values",
            )
        return read(turned(Before(recursion, 0), inits[0], axes[0], last), after[0])
    return after if several else after[0]


def _kept(hope: Facts, body: Facts) -> Facts:
    """Return the part of an induction hypothesis that the body preserves."""
    return Facts(
        hope.low if body.low >= hope.low else -float("inf"),
        symmetric=hope.symmetric and body.symmetric,
        psd=hope.psd and body.psd,
        orthogonal=hope.orthogonal and body.orthogonal,
    )


def _close(
    step: Callable[..., Any],
    inits: tuple[Expr, ...],
    known: tuple[Facts, ...],
    read: Callable[[Expr, Expr], Expr] | None,
) -> tuple[tuple[Expr, ...], int, tuple[Axes, ...]]:
    """Call `step` on placeholders; return the bodies over `Carry`, their level and coordinates."""
    fresh = tuple(
        Placeholder(next(_FRESH), s.shape, facts) for s, facts in zip(inits, known, strict=True)
    )
    result = step(*fresh)
    bodies = tuple(as_expr(x) for x in (result if isinstance(result, tuple) else (result,)))
    if len(bodies) != len(inits):
        raise DeclarationError(
            f"build a recursion over {len(inits)} state{'s' * (len(inits) != 1)}",
            why=f"its step returns {len(bodies)} value{'s' * (len(bodies) != 1)}",
            hint="return one new value per initial value, in the same order",
        )
    for start, body in zip(inits, bodies, strict=True):
        if start.shape != body.shape:
            raise ShapeError(
                f"build a recursion whose state is {start.shape.phrase}",
                at=body,
                why=f"its step returns {body.shape.phrase}",
                hint="start from nd.zeros_like(...) or nd.eye_like(...) of the new value",
            )
    delivered = () if read is None or len(inits) > 1 else (as_expr(read(fresh[0], bodies[0])),)
    axes = settled(fresh, bodies, delivered)
    turns = {f: turned(f, s, a, last) for f, s, a in zip(fresh, inits, axes, strict=True)}
    bodies = tuple(replace(b, turns) for b in bodies)
    level = 1 + max((_depth(b) for b in bodies), default=0)
    bind = {f: Carry(level, i, f.dims, f.known) for i, f in enumerate(fresh)}
    return tuple(replace(b, bind) for b in bodies), level, axes


def last(x: Expr) -> Before:
    """Return the value of a stream a step ago, zero at first."""
    start = Constant(Fraction(0), x.shape)
    return Before(Recursion((start,), (x,), 1 + _depth(x), (Facts(),)), 0)


def _require_causal_init(start: Expr) -> None:
    if not start.origins.within(BEFORE_THE_FIRST_STEP):
        late = [x for x in walk(start) if not x.origins.within(BEFORE_THE_FIRST_STEP)]
        what = next(("a state" for x in late if isinstance(x, Placeholder | State)), late[0])
        raise DeclarationError(
            "build a non-causal recursion",
            at=start,
            why=f"its initial value depends on {what}, which has none before the first step",
            hint="start from constants, hyper-parameters or W",
        )


def release(root: Expr, recursion: Recursion, state: type[State]) -> Expr:
    """Return an expression from inside a recursion's body, its `Carry` replaced by states.

    Recursions at this level or above bind carries of their own and are left alone.

    Args:
        root: the expression. recursion: the one it comes from.
        state: `Before` or `After`, what a carry becomes.
    """
    return _Release(recursion, state)(root)


class _Release(Rewriter):
    def __init__(self, recursion: Recursion, state: type[State]) -> None:
        super().__init__()
        self._recursion, self._state = recursion, state

    def _visit(self, expr: Expr) -> Expr:
        match expr:
            case State() if expr.recursion.level >= self._recursion.level:
                return expr
            case Carry() if expr.level == self._recursion.level:
                return self._state(self._recursion, expr.index)
            case _:
                return self._rebuilt(expr)


def free_carries(root: Expr) -> set[Carry]:
    """Return the carries in an expression that no recursion inside it binds."""
    done: dict[bytes, frozenset[Carry]] = {}
    for expr in walk(root):
        free: frozenset[Carry] = frozenset({expr}) if isinstance(expr, Carry) else frozenset()
        for child in expr.children:
            free |= done[child.fingerprint]
        if free and isinstance(expr, State):
            free = frozenset(c for c in free if c.level != expr.recursion.level)
        done[expr.fingerprint] = free
    return set(done[root.fingerprint])


def _depth(root: Expr) -> int:
    return max((x.recursion.level for x in walk(root) if isinstance(x, State)), default=0)


def placeholders(root: Expr) -> list[Expr]:
    """Return the states that escaped the recursion they belong to."""
    return [x for x in walk(root) if isinstance(x, Placeholder)]
