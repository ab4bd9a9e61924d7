"""A pair of a shipped rule and a public implementation, and what is known of their difference."""

import contextlib
import functools
from collections.abc import Callable
from unittest import mock

import attrs
import heavyball
import torch
from pytorch_optimizer.optimizer.utils import matrix
from references.problems import STEPS, Case, cases_of, run_loop, run_optimizer, worst

import normdsl as nd
from normdsl.cli.find import shipped

#: From this relative distance on, two trajectories are different ones.
APART = 1e-4


@attrs.frozen(eq=False)
class Row:
    """One comparison.

    Args:
        rule: name of the shipped rule. code: name of the public class, options that matter.
        make: makes the public optimizer of parameters.
        hyper: hyper-parameters of ours, and of the variant.
        schedule: how ours is computed; theirs is in float64 always.
        deviation: what the public code does differently; empty where it is equal.
        variant: the rule changed in just that, which equals the public code: a declaration,
            or a literal loop where the language has no words for it.
        cases: where; default the cases on which the rule is compared with its loop.
        limits: why not all cases, or not all steps.
        begin: where the public code begins from, given a start; default there.
        steps: how long. tolerance: relative distance over all steps and cases.
    """

    rule: str
    code: str
    make: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
    hyper: dict[str, float] = attrs.field(factory=dict)
    schedule: nd.Schedule = nd.exact
    deviation: str = ""
    variant: nd.Declaration | Callable | None = None
    cases: list[Case] = attrs.field()
    limits: str = ""
    begin: Callable[[torch.Tensor], torch.Tensor] = lambda start: start
    steps: int = STEPS
    tolerance: float = 1e-9

    @cases.default
    def _all(self):
        return cases_of(self.rule)

    @property
    def verdict(self):
        return "deviates" if self.deviation else "equal"

    @functools.cache  # noqa: B019 rows live as long as the process
    def public(self, case):
        with in_float64():
            evaluated = shipped()[self.rule].evaluate is not None
            return run_optimizer(self.make, case, self.steps, evaluated=evaluated)

    def ours(self, declaration, case, begin=lambda start: start):
        names = [h.name for h in declaration.hyper]
        hyper = {k: v for k, v in self.hyper.items() if k in names}
        moved = attrs.evolve(
            case,
            start=begin(case.start),  # the first gradient comes before the move
            grad=lambda w, t: case.grad(case.start if t == 1 else w, t),
        )
        make = lambda p: declaration(p, schedule=self.schedule, **hyper)  # noqa: E731
        return run_optimizer(make, moved, self.steps, loss=True)

    def rule_distances(self, cases=slice(None)):
        """Distance of the shipped rule from the public code, case by case."""
        rule = shipped()[self.rule]
        return [worst(self.ours(rule, case), self.public(case)) for case in self.cases[cases]]

    def variant_distances(self, cases=slice(None)):
        """Distance of the changed rule from the public code, case by case."""
        return [worst(self.changed(case), self.public(case)) for case in self.cases[cases]]

    def changed(self, case):
        if isinstance(self.variant, nd.Declaration):
            return self.ours(self.variant, case, self.begin)
        return run_loop(self.variant, case, self.steps, **self.hyper)

    def measured(self):
        """The largest distance of the rule if equal, of the variant if deviating."""
        return max(self.variant_distances() if self.deviation else self.rule_distances())


@contextlib.contextmanager
def in_float64():
    """Keep public codes in the dtype they are given: no casts to bfloat16 or float32."""
    iteration = matrix.zero_power_via_newton_schulz_5
    defaults = tuple(torch.float64 if x is torch.bfloat16 else x for x in iteration.__defaults__)
    with contextlib.ExitStack() as stack:
        for cast in ("bfloat16", "float"):
            stack.enter_context(mock.patch.object(torch.Tensor, cast, torch.Tensor.clone))
        stack.enter_context(mock.patch.object(iteration, "__defaults__", defaults))
        stack.enter_context(mock.patch.object(heavyball.utils, "compile_mode", None))
        yield
