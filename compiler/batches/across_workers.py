"""Means that a step takes over all workers, as soon as what they depend on is known.

Workers are processes that average by one collective, or runs that one process simulates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from normdsl.compiler.batches import running
from normdsl.compiler.batches.across_layers import UNKNOWN, shared
from normdsl.compiler.batches.inputs import Inputs, Known
from normdsl.compiler.batches.sharing import Scalar
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.expressions.nodes import Across, WorkersMean

Batches = Sequence[tuple[Stepper, Inputs]]
#: From the tensors of each run, in order, their means over all workers.
Average = Callable[[Sequence[Sequence[Tensor]]], Sequence[Tensor]]


class Meeting:
    """Tells batches what layers and workers share; what is averaged together is sent together.

    Args:
        runs: for each worker of this process what steps together; all have the same batches.
        joined: the scalars that their rules combine over layers.
        needed: for each batch which of its means this step needs; others are zero.
        average: averages over workers.
    """

    def __init__(
        self,
        runs: Sequence[Batches],
        joined: Sequence[Scalar],
        needed: Sequence[Sequence[bool]],
        average: Average,
    ) -> None:
        self.runs, self.joined, self.average = runs, joined, average
        self.means: list[list[Known]] = [
            [_begun(*both, which) for both, which in zip(batches, needed, strict=True)]
            for batches in runs
        ]

    def __call__(self, told: Sequence[Sequence[Known]]) -> list[list[Known]]:
        """Return all that batches are told.

        Args:
            told: for each run and batch what the loss answered.

        Raises:
            FactorisationError: if a factorisation does not converge (rare for finite input).
        """
        while True:
            known = [
                shared(batches, self.joined, [a | b for a, b in zip(own, means, strict=True)])
                for batches, own, means in zip(self.runs, told, self.means, strict=True)
            ]
            ready = list(self._ready(known[0]))
            if not ready:
                return known
            own = [
                [_own(*batches[i], node, seen[i]) for i, node in ready]
                for batches, seen in zip(self.runs, known, strict=True)
            ]
            for place, mean in enumerate(self.average(own)):
                i, node = ready[place]
                for means, each in zip(self.means, own, strict=True):
                    k = self.runs[0][i][0].program.workers.index(node)
                    means[i] = _with(means[i], k, mean, each[place])

    def _ready(self, known: Sequence[Known]) -> Iterator[tuple[int, WorkersMean]]:
        """Yield, with its batch, each mean that is not known and whose parts are."""
        for i, (stepper, _) in enumerate(self.runs[0]):
            program, told = stepper.program, known[i]
            for k, node in enumerate(program.workers):
                open_ones = (x for x in program.depends[node] if _find(stepper, x, told) is UNKNOWN)
                answered = program.needs[node] <= len(told.get("answers", ()))
                if told["workers"][k] is UNKNOWN and answered and next(open_ones, None) is None:
                    yield i, node


def _begun(stepper: Stepper, inputs: Inputs, needed: Sequence[bool]) -> Known:
    """Return what is known of means before any is taken: that those not needed may be anything."""
    program, first = stepper.program, inputs.weights
    if not program.workers:
        return {}
    nothing = first.new_zeros((), dtype=stepper.dtype(first))
    rows, cols = first.shape[-2:]
    sizes = [lengths_of(x.shape, (rows, cols)) for x in program.workers]
    each = [
        UNKNOWN if which else nothing.expand(inputs.count, *size)
        for which, size in zip(needed, sizes, strict=True)
    ]
    return {"workers": tuple(each), "alone": (UNKNOWN,) * len(each)}


def _own(stepper: Stepper, inputs: Inputs, node: WorkersMean, known: Known) -> Tensor:
    """Return what a worker contributes to a mean."""
    if node in stepper.program.waiting:
        inputs = running.renewed(stepper, inputs, known)
    return running.survey(stepper, node, inputs, known)


def _find(stepper: Stepper, node: Across | WorkersMean, known: Known) -> Tensor:
    """Return what is known of something that is combined."""
    if isinstance(node, Across):
        return known["layers"][stepper.program.layers.index(node)]
    return known["workers"][stepper.program.workers.index(node)]


def _with(means: Known, k: int, mean: Tensor, own: Tensor) -> Known:
    """Return means with one more of them."""
    put = {"workers": mean, "alone": own}
    return {name: (*x[:k], put[name], *x[k + 1 :]) for name, x in means.items()}
