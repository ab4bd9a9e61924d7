"""The methods of a declaration that need the compiler, each one line, imported when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs

from normdsl.schedule import Schedule

if TYPE_CHECKING:
    from normdsl.compiler.invariance.groups import Group
    from normdsl.compiler.invariance.report import Report
    from normdsl.compiler.invariance.verdict import Verdict
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer


@attrs.frozen
class Compiled:
    """What the compiler adds to a declaration."""

    def __call__(self, params: Any, **options: Any) -> DeclaredOptimizer:
        """Return a `torch.optim.Optimizer` for `params`; options are hyper-parameters,
        `schedule=` and `nonfinite="raise" | "skip"`.

        Raises:
            HyperparameterError: for an unknown option or a value outside its domain.
        """  # noqa: D205
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return DeclaredOptimizer(cast("Any", self), params, **options)

    def check(self, group: Group | None = None, **assumptions: float) -> Report | Verdict:
        """Return the verdict for one group, or a report over all of them.

        Assumptions fix hyper-parameters: `check(nd.groups.scale, eps=0)`.
        """
        from normdsl.compiler.check import check

        return check(cast("Any", self), group, **assumptions)

    def source(self, shape: tuple[int, int] = (256, 512), schedule: Schedule | None = None) -> str:
        """Return the torch code for weights of `shape`; it imports torch alone."""
        from normdsl.compiler.lowering.program import lower

        return lower(cast("Any", self), schedule or Schedule()).source(shape)
