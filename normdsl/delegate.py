"""The methods of a declaration that need the compiler, each one line, imported when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

import attrs

from normdsl.errors import DeclarationError
from normdsl.expr import Expr
from normdsl.schedule import Schedule
from normdsl.shapes import are_lengths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normdsl.choice import Choice
    from normdsl.compiler.invariance.groups import Group
    from normdsl.compiler.invariance.report import Report
    from normdsl.compiler.invariance.verdict import Verdict
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer


@attrs.frozen
class Compiled:
    """What the compiler adds to a declaration."""

    @overload
    def __call__(self, params: None = None, **options: Any) -> Choice: ...

    @overload
    def __call__(self, params: Any, **options: Any) -> DeclaredOptimizer: ...

    def __call__(self, params: Any = None, **options: Any) -> DeclaredOptimizer | Choice:
        """Return a `torch.optim.Optimizer` for `params`.

        Options are hyper-parameters, `schedule=`, `view=`, `maximize=`, `capturable=`,
        `nonfinite="raise" | "skip"`, and `capture=`, the `nd.capture(model)` of a rule that reads
        moments of the layers. Without parameters: a `Choice` of hyper-parameters, view and
        schedule, for `nd.route` or a parameter group.

        Raises:
            HyperparameterError: for an unknown option or a value outside its domain.
            DeclarationError: for an expression in place of parameters, as in another declaration.
        """
        if params is None and not any(isinstance(x, Expr) for x in options.values()):
            from normdsl.choice import Choice

            told = {k: options.pop(k) for k in ("view", "schedule") if k in options}
            return Choice(cast("Any", self), options, **told)
        if params is None or isinstance(params, Expr):
            raise DeclarationError(
                "call a declaration inside another",
                why="declarations do not nest: called, one becomes an optimizer of parameters",
                hint="share a plain Python function between declarations, or pass the parameters",
            )
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return DeclaredOptimizer(cast("Any", self), params, **options)

    def check(
        self, group: Group | str | Iterable[Group | str] | None = None, **assumptions: Any
    ) -> Report | Verdict:
        """Return the verdict for one group, or a report over several or over all of them.

        Assumptions fix hyper-parameters, `check(nd.groups.scale, eps=0)`, or name parts of the
        rule, `check(nd.groups.affine, transported="L, R", full_rank=True)`, in the words in which
        verdicts print them; `witnesses=False` leaves out the search for counterexamples.
        """
        from normdsl.compiler.check import check

        return check(cast("Any", self), group, **assumptions)

    def source(self, shape: tuple[int, int] = (256, 512), schedule: Schedule | None = None) -> str:
        """Return the torch code for weights of `shape`; it imports torch alone.

        Raises:
            DeclarationError: if the shape is not two positive numbers.
        """
        if not are_lengths(shape):
            raise DeclarationError(
                f"print the code for shape {shape!r}",
                why="weights are matrices, rows × columns",
                hint="pass shape=(256, 512)",
            )
        from normdsl.compiler.lowering.program import lower

        return lower(cast("Any", self), schedule or Schedule()).source(shape)
