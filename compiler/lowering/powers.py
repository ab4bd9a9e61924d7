"""Powers of matrices: by which method each goes, and which are computed of one eigendecomposition.

S^p = Q Λ^p Qᵀ: where several powers of one S are asked for, Q and Λ are found once.
"""

from __future__ import annotations

from collections.abc import Iterable

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import MatrixPower
from normdsl.expressions.nodes.constants import Constant
from normdsl.schedules.methods import Eigh, Method
from normdsl.schedules.schedule import Schedule

#: The role of a method's kernel that computes several powers at once.
SEVERAL = "roots"


def method_of(power: MatrixPower, schedule: Schedule) -> Method:
    """Return the method of a power: the schedule's, or `Eigh` for other exponents."""
    p = power.exponent
    taken = schedule.root.takes(p.value if isinstance(p, Constant) else None)
    return schedule.root if taken else Eigh()


def together(power: Expr, among: Iterable[Expr], schedule: Schedule) -> list[MatrixPower]:
    """Return the powers of the same matrix that are computed with one, it included, in order."""
    if not isinstance(power, MatrixPower):
        return []
    method = method_of(power, schedule)
    if SEVERAL not in method.kernels:
        return [power]
    powers = [x for x in among if isinstance(x, MatrixPower) and x.arg == power.arg]
    return [x for x in powers if method_of(x, schedule) == method]
