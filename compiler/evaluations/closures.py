"""Closures: the loss evaluated again in the middle of a step, with the weights elsewhere.

An evaluation sees the sample, the random numbers and the precisions of the first one, and leaves
weights, gradients and buffers as they were, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.batches.ambient import as_found
from normdsl.compiler.batches.inputs import as_loss
from normdsl.compiler.batches.members import Context
from normdsl.compiler.batches.products import Product
from normdsl.compiler.batches.replicas import Replicas
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.evaluations import gauss_newton
from normdsl.compiler.evaluations.asking import Answer, Place, products
from normdsl.compiler.evaluations.capture import Capture
from normdsl.compiler.evaluations.evaluating import difference, missing_sample, reach
from normdsl.compiler.evaluations.outputs import missing_outputs, noted
from normdsl.errors import GradientError, HyperparameterError
from normdsl.expressions.nodes import Asked
from normdsl.schedules.methods import Differences, DoubleBackward


class Sample:
    """A closure, with what makes another call of it see what the first one saw.

    Args:
        closure: evaluates the model on a batch, calls `backward`, and returns the loss.
        params: all that have gradients of it; the model may use the generators of their devices.
        buffers: tensors that an evaluation changes, such as running means, and that keep what the
            first evaluation left.
        capture: what records the moments of the layers, of the first evaluation alone.
        together: the processes that evaluate it on samples of their own, once they are known.
    """

    def __init__(
        self,
        closure: Callable[[], Any],
        params: Sequence[Tensor],
        buffers: Sequence[Tensor],
        capture: Capture | None,
    ) -> None:
        self.closure, self.params, self.buffers = closure, params, buffers
        self._paused = nullcontext if capture is None else capture.paused
        self.loss: Any = None
        self.last: Any = None
        self.outputs: list[Tensor] = []
        self.together = Replicas()
        self.begun_at_weights = False
        devices = dict.fromkeys(p.device for p in params)
        self._generators = [x for x in map(_generator, devices) if x is not None]
        self._begun = [x.get_state() for x in self._generators]

    def first(self) -> Any:
        """Evaluate the loss at the weights, as any step does."""
        self.begun_at_weights = True
        return self._evaluated()

    def again(self) -> Any:
        """Evaluate the loss where the weights are now; only gradients have changed then."""
        ended = [x.get_state() for x in self._generators]
        kept = [x.detach().clone() for x in self.buffers]
        for generator, state in zip(self._generators, self._begun, strict=True):
            generator.set_state(state)
        try:
            with as_found(), self._paused():
                return self._evaluated()
        finally:
            for generator, state in zip(self._generators, ended, strict=True):
                generator.set_state(state)
            for buffer, old in zip(self.buffers, kept, strict=True):
                buffer.detach().copy_(old)

    def _evaluated(self) -> Any:
        with torch.enable_grad(), noted() as found:
            loss = self.closure()
        self.loss = loss if self.loss is None else self.loss
        self.last, self.outputs = loss, found
        return loss


def _generator(device: torch.device) -> torch.Generator | None:
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return None


class Evaluations:
    """Answers what the buckets of a step ask, by evaluating a closure; see `asking.Oracle`.

    Args:
        sample: the closure. second: that of the second sample, if there is one.
        buckets: those whose matrices are the batches. contexts: what each steps with.
    """

    def __init__(
        self,
        sample: Sample,
        second: Sample | None,
        buckets: Sequence[Bucket],
        contexts: Sequence[Context],
    ) -> None:
        self.sample, self.second = sample, second
        self.buckets, self.contexts = buckets, contexts
        self.params = [p for bucket in buckets for p in bucket.params]
        self.method = _method(buckets)

    def __call__(self, places: Sequence[Place], fresh: bool) -> Answer:
        """Return what the loss is, with each batch in its place.

        Raises:
            GradientError: if the closure leaves no gradients, or gradients without the graph that
                a product with the Hessian needs, or no loss where it is asked for; or if there is
                no second one, and a fresh sample is asked for.
        """
        sample = self.second if fresh else self.sample
        if sample is None:
            raise missing_sample(self._asked, "opt.step(closure, fresh=other_closure)")
        # `data`, so that the graph of an evaluation at the weights outlives those elsewhere.
        values = [p.data.clone() for p in self.params]
        given = [p.grad for p in self.sample.params]
        grads = [p.grad for p in self.params]
        points, asked = self._shaped([place.point for place in places]), products(places)
        try:
            loss = None
            known = _have_graphs(grads) or isinstance(self.method, Differences)
            if fresh or not asked or any(x is not None for x in points) or not known:
                loss = self._mean(as_loss(self._evaluated(points, sample)))
            slopes = self._slopes()
            found = self._gathered()
            answers = [self._product(slopes, each, sample) for each in asked]
        finally:
            for p, value in zip(self.params, values, strict=True):
                p.data.copy_(value)
            for p, grad in zip(self.sample.params, given, strict=True):
                # Without an evaluation at the weights, the last ones are those worth seeing.
                p.grad = grad if self.sample.begun_at_weights else p.grad
            self._locate()
        return Answer(self._losses(loss), found, answers)

    def _mean(self, loss: Tensor | None) -> Tensor | None:
        """Return the mean of a loss over replicas; None if one of them has none."""
        found = self.sample.together.mean(None if loss is None else [loss])
        return None if found is None else found[0]

    def _evaluated(self, points: Sequence[Tensor | None], sample: Sample) -> Any:
        """Evaluate the closure with parameters at their points; gradients are those there."""
        for p in self.sample.params:
            p.grad = None
        for p, x in zip(self.params, points, strict=True):
            if x is not None:
                p.data.copy_(x)
        return sample.again()

    def _slopes(self) -> list[Tensor]:
        """Return the gradients of parameters; of those that the loss does not depend on, zero."""
        if all(p.grad is None for p in self.params):
            raise GradientError(
                self._asked,
                why="the closure left no gradients when it was called once more in this step; "
                "nothing was changed",
                hint="let the closure evaluate the model on one batch, call loss.backward(), and "
                "return the loss, each time that it is called",
            )
        for p in self.params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        return [p.grad for p in self.params if p.grad is not None]

    def _product(self, slopes: Sequence[Tensor], product: Product, sample: Sample) -> list[Tensor]:
        """Return the Hessian of all parameters times a direction, or another matrix, as batches."""
        along = self._shaped(product.along)
        if product.asked is Asked.GAUSS_NEWTON_PRODUCT:
            return self._gauss_newton(slopes, along, sample)
        if isinstance(self.method, Differences):
            return self._differences(slopes, along, self.method, sample)
        pairs = [(g, v) for g, v in zip(slopes, along, strict=True) if v is not None]
        if not any(g.requires_grad for g, _ in pairs):
            other = "use schedule=nd.Schedule(hessian=nd.Differences())"
            raise self._without_graph(
                "the Hessian, the derivative of the gradient,", f", or {other}"
            )
        pairs = [(g, v.to(g)) for g, v in pairs if g.requires_grad]
        outputs, directed = zip(*pairs, strict=True)
        with torch.enable_grad(), as_found():
            found = torch.autograd.grad(
                outputs, self.params, directed, retain_graph=True, allow_unused=True
            )
        for p, x in zip(self.params, found, strict=True):
            p.grad = torch.zeros_like(p) if x is None else x.detach()
        return self._gathered()

    def _gauss_newton(
        self, slopes: Sequence[Tensor], along: Sequence[Tensor | None], sample: Sample
    ) -> list[Tensor]:
        """Return the Gauss-Newton matrix of all parameters times a direction, as batches."""
        loss = sample.last
        if not sample.outputs:
            raise missing_outputs(self._asked)
        if not (isinstance(loss, Tensor) and loss.requires_grad and _have_graphs(slopes)):
            raise self._without_graph("the Gauss-Newton matrix", ", and return the loss")
        with torch.enable_grad(), as_found():
            found = gauss_newton.on_graph(loss, sample.outputs, self.params, along)
        for p, x in zip(self.params, found, strict=True):
            p.grad = x.detach()
        return self._gathered()

    def _without_graph(self, matrix: str, more: str) -> GradientError:
        return GradientError(
            self._asked,
            why=f"the rule asks for a product with {matrix} and the gradient has no graph; "
            "nothing was changed",
            hint=f"call loss.backward(create_graph=True) in the closure{more}",
        )

    def _differences(
        self,
        slopes: Sequence[Tensor],
        along: Sequence[Tensor | None],
        method: Differences,
        sample: Sample,
    ) -> list[Tensor]:
        """Return the same by differences: gradients a little further along, as batches."""
        here, at = [g.detach().clone() for g in slopes], [p.data.clone() for p in self.params]
        far = reach(at, along, method)
        ahead = [
            None if v is None else p + far.to(p) * v.to(p) for p, v in zip(at, along, strict=True)
        ]
        self._evaluated(ahead, sample)
        for p, g, old in zip(self.params, self._slopes(), here, strict=True):
            p.grad = difference(g.detach(), old, far)
        found = self._gathered()
        for p, old in zip(self.params, at, strict=True):
            p.data.copy_(old)
        return found

    def _gathered(self) -> list[Tensor]:
        """Return the gradients that parameters have now, as batches."""
        self._locate()
        pairs = zip(self.buckets, self.contexts, strict=True)
        return [x.detach() for bucket, context in pairs for x in bucket.slopes(context)]

    def _shaped(self, batches: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return what batches have for each parameter, in its shape."""
        rest, found = iter(batches), list[Tensor | None]()
        for bucket in self.buckets:
            found += bucket.shaped([next(rest) for _ in range(bucket.pieces)])
        return found

    def _losses(self, loss: Tensor | None) -> list[Tensor | None]:
        """Return the loss that each batch minimises."""
        signs = [-1 if b.maximize else 1 for b in self.buckets for _ in range(b.pieces)]
        return [None if loss is None else sign * loss.detach() for sign in signs]

    def _locate(self) -> None:
        for bucket in self.buckets:
            bucket.locate()

    @property
    def _asked(self) -> str:
        rules = dict.fromkeys(b.stepper.program.declaration.name for b in self.buckets)
        return f"take a step of {', '.join(rules)}"


def _method(buckets: Sequence[Bucket]) -> DoubleBackward | Differences:
    """Return how products with the Hessian are computed, which all that ask for them agree on.

    Raises:
        HyperparameterError: if their schedules differ in that.
    """
    asking = [b.stepper.program for b in buckets if any(x.curved for x in b.stepper.program.phases)]
    methods = dict.fromkeys(program.schedule.hessian for program in asking)
    if len(methods) > 1:
        raise HyperparameterError(
            "take products with the Hessian by several methods",
            why=f"it is that of all layers together, and schedules say {_listed(methods)}",
            hint="give all groups the same hessian=…",
        )
    return next(iter(methods), DoubleBackward())


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _have_graphs(grads: Sequence[Tensor | None]) -> bool:
    return any(g is not None and g.requires_grad for g in grads)
