"""One step of a plan: what it is made from is judged first, then bucket after bucket is written.

A gradient, loss or moment that is not finite changes nothing. What results is judged as well:
before anything is written, where finite numbers may well make infinite ones (a division that may be
one by zero, a very large gradient), otherwise after it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.inputs import Known
from normdsl.compiler.batches.members import Context, Member
from normdsl.compiler.batches.nonfinite import (
    Subject,
    all_finite,
    all_true,
    blame,
    magnitude,
    refuse_result,
)
from normdsl.compiler.buckets import side_by_side
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.buckets.skipping import masked
from normdsl.compiler.evaluations.asking import Answer, Oracle, Place, answered
from normdsl.compiler.evaluations.closures import Evaluations, Sample
from normdsl.compiler.evaluations.evaluating import missing_evaluations
from normdsl.compiler.layouts.layout import COUNTS, STEP
from normdsl.compiler.layouts.shards import agreed, local
from normdsl.compiler.runtime.plan import Plan
from normdsl.compiler.runtime.workers import Workers
from normdsl.errors import FactorisationError, GradientError

State = Mapping[Tensor, dict[str, Any]]


def _unasked(places: Sequence[Place], fresh: bool) -> Answer:
    raise AssertionError("no rule of the plan asks")


@attrs.frozen(eq=False)
class Step:
    """A step that is to be taken.

    Args:
        plan: the buckets. contexts: what each of them steps with. state: where states are seen.
        judged: whether results are always judged before any is written.
        sample: evaluates the loss again, for rules that ask for it. second: on a fresh sample.
        workers: with whom rules average over workers; None if there are no others.
    """

    plan: Plan
    contexts: Sequence[Context]
    state: State
    judged: bool = False
    sample: Sample | None = None
    second: Sample | None = None
    workers: Workers | None = None

    @property
    def meshes(self) -> Sequence[Any]:
        """The processes that must take the step together, or refuse it together."""
        meet = self.workers is not None and self.workers.meet
        return (*self.plan.meshes, self.workers) if meet else self.plan.meshes

    def take(self) -> None:
        """Take it, unless something that it is made from, or that it makes, is not finite.

        Raises:
            GradientError: naming the first parameter for which it is not.
            FactorisationError: if a factorisation fails.
        """
        judged, bound = self._is_judged(), self.plan.bound
        if self.plan.decides and not (judged or self.meshes) and self._taken_ahead():
            return
        size = magnitude([*self._sizes(), *self._given()], self.meshes)
        if not math.isfinite(size):
            self._blame()  # of a very large gradient, the square alone is infinite
        try:
            known = self._known(self.contexts)
            self._require_answers(known)
            if judged or not size <= bound:
                self._judge(known)
            each = zip(self.buckets, self.contexts, known, strict=True)
            jobs = [partial(bucket.run, context, told, None) for bucket, context, told in each]
            good = side_by_side.run(self.buckets, jobs, self._written)
        except FactorisationError:
            self._blame()
            raise
        if not all_true(good, self.meshes):
            self._refuse()

    def _is_judged(self) -> bool:
        """Return whether results are judged before any is written, whatever the gradient."""
        return any(self._is_doubtful(*both) for both in self._pairs())

    def _is_doubtful(self, bucket: Bucket, context: Context) -> bool:
        return self.judged or bucket.stepper.divisors.may_vanish(context.hyper)

    def _taken_ahead(self) -> bool:
        """Take the step unless a gradient is very large or not finite; return whether it did.

        Raises:
            GradientError: for a result that is not finite.
        """
        sizes = torch.cat([*self._sizes(), *(x.reshape(1) for x in self._given())])
        usual = sizes.max() <= self.plan.bound
        good = [bucket.run_if(usual, context).all() for bucket, context in self._pairs()]
        taken, *finite = torch.stack([usual, *good]).tolist()
        if not taken:
            return False
        for bucket in self.buckets:
            bucket.publish(self.state)
            bucket.count(None)
        if not all(finite):
            self._refuse()
        return True

    def take_finite(self) -> None:
        """Take it for the parameters for which all is finite; nothing is read on the host."""
        for bucket in self.plan.unseen():
            bucket.see()
        contexts = [self._masked(*both) for both in self._pairs()]
        known = self._known(contexts)
        write = partial(self._run_finite, self._together(contexts, known))
        each = zip(self.buckets, contexts, known, strict=True)
        jobs = [partial(write, *own) for own in each]
        side_by_side.run(self.buckets, jobs, self._written_finite)

    def _run_finite(
        self, together: Tensor, bucket: Bucket, context: Context, known: Sequence[Known]
    ) -> Tensor:
        """Take the step of members for which all is finite, and return for which it is."""
        ok = context.given
        assert ok is not None
        ok = ok & bucket.answered(known)
        if bucket.stepper.joins:
            ok = ok & together.to(ok.device)
        if bucket.is_divided:  # no process writes what another one leaves out
            ok = agreed(ok & bucket.tried(context, known), [bucket.mesh])
        good = bucket.run(context, known, ok)
        return ok & (agreed(good, [bucket.mesh]) if bucket.is_divided else good)

    def _written_finite(self, bucket: Bucket, good: Tensor) -> Tensor:
        bucket.publish(self.state)
        bucket.count(good)
        return good

    def _masked(self, bucket: Bucket, context: Context) -> Context:
        """Return what members of a bucket step with, and which of them may, on all processes."""
        found = masked(bucket, context, self.plan.bound, self._is_doubtful(bucket, context))
        assert found.given is not None
        assert found.usual is not None
        if bucket.mesh is None:
            return found
        given, usual = agreed(torch.stack([found.given, found.usual]), [bucket.mesh])
        return found._replace(given=given, usual=usual)

    @property
    def buckets(self) -> Sequence[Bucket]:
        """The buckets of the plan."""
        return self.plan.buckets

    def _pairs(self) -> list[tuple[Bucket, Context]]:
        return list(zip(self.buckets, self.contexts, strict=True))

    def _sizes(self) -> list[Tensor]:
        """Return the largest magnitudes of gradients, and of weights that others wrote."""
        slopes = [bucket.sizes("G") for bucket in self.buckets]
        return slopes + [bucket.sizes("W") for bucket in self.plan.unseen()]

    def _given(self) -> list[Tensor]:
        """Return what else the step is made from."""
        if not self.plan.reads:
            return []
        found = [x for c in self.contexts for column in c.moments.values() for x in column]
        return found + [c.loss for c in self.contexts if c.loss is not None][:1]

    def _known(self, contexts: Sequence[Context]) -> list[list[Known]]:
        """Return for each batch of each bucket the scalars of all layers, and what was answered."""
        if not self.plan.tells:
            return [[{}] * bucket.pieces for bucket in self.buckets]
        joined = [bucket.stepper.is_told for bucket in self.buckets]
        batches = [
            bucket.inputs(context) if joins else []
            for bucket, context, joins in zip(self.buckets, contexts, joined, strict=True)
        ]
        flat = [
            (bucket.stepper, inputs)
            for bucket, own in zip(self.buckets, batches, strict=True)
            for inputs in own
        ]
        numbers = [k for k, own in enumerate(batches) for _ in own]
        found = iter(self._told(flat, contexts, numbers) if flat else [])
        return [
            [next(found) for _ in own] if joins else [{} for _ in range(bucket.pieces)]
            for bucket, own, joins in zip(self.buckets, batches, joined, strict=True)
        ]

    def _told(
        self, batches: Sequence[Any], contexts: Sequence[Context], numbers: Sequence[int]
    ) -> list[Known]:
        """Return what batches are told, of other layers and workers, and of the loss elsewhere."""
        oracle = self._oracle(contexts) if self.plan.asks else _unasked
        if self.workers is not None:
            return self.workers.told(batches, self.plan.joined, numbers, oracle)
        return answered(batches, self.plan.joined, oracle)

    def _oracle(self, contexts: Sequence[Context]) -> Oracle:
        """Return what answers questions of the loss."""
        pairs = [(b, c) for b, c in zip(self.buckets, contexts, strict=True) if b.stepper.is_told]
        if self.sample is None:
            asking = next(b for b, _ in pairs if b.stepper.program.phases)
            name = asking.stepper.program.declaration.name
            raise missing_evaluations(name, "opt.step(closure)")
        return Evaluations(self.sample, self.second, *zip(*pairs, strict=True))

    def _require_answers(self, known: Sequence[Sequence[Known]]) -> None:
        """Refuse a step for which the loss answered what is not finite."""
        if not self.plan.asks:
            return
        for bucket, told in zip(self.buckets, known, strict=True):
            found = [x for own in told for x in own.get("answers", ())]
            if found and not all_finite(found, self.meshes):
                rule = bucket.stepper.program.declaration.name
                raise GradientError(
                    f"take a step of {rule}",
                    why="the loss, its gradient or a product with its Hessian is NaN or infinite "
                    "at a point where the rule asks for it; nothing was changed",
                    hint="make the rule ask closer to the weights: lower the hyper-parameter that "
                    "says how far the point is",
                )

    def _judge(self, known: Sequence[Sequence[Known]]) -> None:
        """Refuse a step whose result is not finite, before anything is written."""
        for (bucket, context), told in zip(self._pairs(), known, strict=True):
            good = bucket.tried(context, told)
            good = agreed(good, self.meshes)
            if not all_true([good]):
                self._blame()
                first = int(good.logical_not().long().argmax()) if good.numel() > 1 else 0
                raise refuse_result(self._subject(bucket.members[first]))

    def _written(self, bucket: Bucket, good: Tensor) -> Tensor:
        bucket.publish(self.state)
        bucket.count(None)
        return good

    def _together(self, contexts: Sequence[Context], known: Sequence[Sequence[Known]]) -> Tensor:
        """Return whether all parameters that are joined can step, those aside that are left out."""
        found = []
        for bucket, context, told in zip(self.buckets, contexts, known, strict=True):
            if bucket.stepper.joins:
                assert context.given is not None
                found.append((bucket.tried(context, told) | ~context.given).all())
        if not found:
            return torch.ones((), dtype=torch.bool)
        return torch.stack([x.to(found[0].device) for x in found]).all()

    def _blame(self) -> None:
        """Refuse a step made from something that is not finite, if it is."""
        for bucket, context in self._pairs():
            weights, grads = bucket.weights(), bucket.grads()
            for k, member in enumerate(bucket.members):
                moments = {name: column[k] for name, column in context.moments.items()}
                given = {"gradient": grads[k], **moments, "value": weights[k]}
                blame(self._subject(member), context.loss, given, self.meshes)

    def _refuse(self) -> None:
        """Name the first parameter that is not finite any more, if there is one."""
        for bucket in self.buckets:
            for member, own in zip(bucket.members, bucket.held, strict=True):
                kept = [x for k, x in own.items() if k not in COUNTS and member.layout.owns(k)]
                if not all_finite([local(member.param), *map(local, kept)], self.meshes):
                    raise refuse_result(self._subject(member, written=True), written=True)

    def _subject(self, member: Member, written: bool = False) -> Subject:
        """Return whose step it is, and which, for messages."""
        taken = self.state.get(member.param, {}).get(STEP, 0)
        return attrs.evolve(
            member.where,
            name=self.plan.name(member.param, member.group),
            step=int(taken) + (not written),
        )
