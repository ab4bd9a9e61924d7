"""Running: the emitted functions of a rule, called on batches of matrices of one size.

Nothing is planned here and nothing is committed: what is new is returned, and whoever calls decides
what becomes of it. Only with `reuse` may it stand where the old states were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.batches.inputs import Inputs, Known, on_the_host
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.functions import beside
from normdsl.compiler.lowering.program import takes_floats
from normdsl.errors import FactorisationError, GradientError
from normdsl.expressions.nodes import Across, WorkersMean


def init(
    stepper: Stepper, weights: Tensor, hyper: Mapping[str, Any], drawn: Mapping[str, Tensor]
) -> list[Tensor]:
    """Return the initial states of matrices b × m × n, in the dtype of the computation.

    Args:
        weights: the matrices. hyper: the hyper-parameters.
        drawn: the `stream` and `places` of random numbers, if the rule draws any, and what other
            parameters are, if states start from that.
    """
    taken = {*beside(stepper.program), *(("stream", "places") if stepper.program.draws else ())}
    given = {**_hyper(stepper, hyper), **{k: x for k, x in drawn.items() if k in taken}}
    return [s.contiguous() for s in stepper.program.init(weights, **given)]


def survey(stepper: Stepper, node: Across | WorkersMean, batch: Inputs, known: Known) -> Tensor:
    """Return what each matrix of a batch adds to a scalar of all layers, or a mean over workers.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    if not batch.count:
        rows, cols = batch.weights.shape[-2:]
        return batch.weights.new_empty((0, *lengths_of(node.shape, (rows, cols))))
    function = stepper.surveys[stepper.program.joined.index(node)]
    kept = (batch.kept or ()) if node in stepper.program.waiting else ()
    hyper = _hyper(stepper, batch.hyper)
    t = batch.t.to(stepper.dtype(batch.weights))
    value = _called(stepper, function, batch, known, *kept, t=t, **hyper)[0]
    first = batch.weights
    seen = torch.as_tensor(value, dtype=stepper.dtype(first), device=first.device)
    rows, cols = first.shape[-2:]
    return seen.expand(batch.count, *lengths_of(node.shape, (rows, cols)))


def places(stepper: Stepper, phase: int, batch: Inputs, known: Known) -> list[Tensor]:
    """Return where each matrix of a batch is in an evaluation of the loss, then its directions.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    asked = stepper.program.phases[phase]
    if not batch.count:
        return [batch.weights] * (1 + len(asked.directions))
    kept: Sequence[Tensor] = ()
    if stepper.program.waits((asked.point, *asked.directions)):
        kept = renewed(stepper, batch, known).kept or ()
    hyper, t = _hyper(stepper, batch.hyper), batch.t.to(stepper.dtype(batch.weights))
    found = _called(stepper, stepper.points[phase], batch, known, *kept, t=t, **hyper)
    return [x.expand(batch.weights.shape) for x in found]


def step(
    stepper: Stepper, batch: Inputs, known: Known | None = None, *, reuse: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Return new weights and states of a batch, in memory of their own or expanded.

    Args:
        batch: what it steps from.
        known: what `across_layers.shared` returned for it.
        reuse: whether what is new may take the memory of the batch's weights and states.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    batch = renewed(stepper, batch, known or {})
    told = _told(stepper, batch, reuse)
    new, *after = _called(stepper, stepper.run, batch, known or {}, *(batch.kept or ()), **told)
    lengths = [new.shape[-2:], *(f.lengths(new.shape[-2:]) for f in stepper.program.fields)]
    found = []
    for x, size, passed in zip([new, *after], lengths, stepper.passed, strict=True):
        whole = torch.as_tensor(x, dtype=new.dtype, device=new.device)
        whole = whole.expand(batch.count, *size)
        found.append(whole.clone() if passed else whole)
    return found[0], found[1:]


def valued(
    stepper: Stepper, function: Any, batch: Inputs, fed: Sequence[Tensor], *, reuse: bool
) -> list[Tensor]:
    """Return what the matrix operations of a step in stages make.

    Args:
        function: `Stages.value`. batch: what it steps from. fed: what they read.
        reuse: whether what is new may take the memory of the batch's states.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    batch = renewed(stepper, batch, {})
    told = _told(stepper, batch, reuse)
    return list(_called(stepper, function, batch, {}, *(batch.kept or ()), *fed, **told))


def renewed(stepper: Stepper, batch: Inputs, known: Known) -> Inputs:
    """Return a batch with its kept values, computed anew where they are due.

    Raises:
        FactorisationError: if a factorisation does not converge (rare for finite input).
    """
    if not stepper.keeps or batch.kept is not None:
        return batch
    kept = [batch.states[k].to(stepper.dtype(batch.weights)) for k in stepper.program.homes]
    if batch.phase:
        new = due(stepper, batch, known)
        if batch.due is not None:
            first, last = batch.due.start, batch.due.stop
            new = [torch.cat([x[:first], y, x[last:]]) for x, y in zip(kept, new, strict=True)]
        kept = new
    return batch._replace(kept=kept)


def due(
    stepper: Stepper,
    batch: Inputs,
    known: Known,
    renew: Callable[..., Sequence[Tensor]] | None = None,
) -> list[Tensor]:
    """Return kept values of those matrices that are due, and what turns along with them.

    Args:
        batch: the matrices. known: what they are told.
        renew: what computes the values; None for what the program has for it.
    """
    if batch.due is not None:
        each = ("own", "workers", "alone")  # of each matrix
        own = {k: tuple(_rows(x, batch.due) for x in known[k]) for k in each if k in known}
        batch, known = batch.part(batch.due), {**known, **own}
    assert stepper.program.phase is not None, "there are kept values"
    told = {stepper.program.phase: batch.phase}
    renew = renew or stepper.renew
    new = _called(stepper, renew, batch, known, **told, **_numbers(stepper, batch))
    rows, cols = batch.weights.shape[-2:]
    sizes = [stepper.program.fields[k].lengths((rows, cols)) for k in stepper.program.homes]
    return [x.expand(batch.count, *size) for x, size in zip(new, sizes, strict=True)]


def _told(stepper: Stepper, batch: Inputs, reuse: bool) -> dict[str, Any]:
    """Return the numbers of a step, and whether it may write where its states are."""
    told, name = dict(_numbers(stepper, batch)), stepper.program.reuse
    return told | {name: True} if name and reuse and not stepper.program.schedule.compile else told


def _numbers(stepper: Stepper, batch: Inputs) -> Mapping[str, Any]:
    """Return what a step computes once for all entries of a batch."""
    told, dtype = batch.numbers, stepper.dtype(batch.weights)
    if told is None:
        told = numbers(stepper, batch.weights.to(dtype), batch.t, batch.hyper)
    return as_taken(stepper, told, dtype)


def as_taken(stepper: Stepper, told: Mapping[str, Any], dtype: torch.dtype) -> Mapping[str, Any]:
    """Return the numbers of a step as its functions take them: compiled ones take tensors."""
    if not stepper.program.schedule.compile:
        return told
    return {name: _scalar(x, dtype) for name, x in told.items()}


def numbers(
    stepper: Stepper,
    like: Tensor,
    t: int | Tensor,
    hyper: Mapping[str, Any],
    function: Callable[..., dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return what a step computes once for all entries, by name.

    Args:
        like: a batch of matrices of the size, dtype and device of the computation.
        t: step index from 1; a number where the host knows it. hyper: the hyper-parameters.
        function: which computes them; None for that of a step.

    Raises:
        GradientError: if there is no such number, as after a division by zero.
    """
    function = function or stepper.program.numbers
    if not isinstance(t, Tensor):
        found = _on_host(function, like, t, hyper)
        if found is not None:
            return found
        t = torch.tensor(t, device="cpu")
    try:
        return function(like, t=t.to(like.dtype), **hyper)
    except ArithmeticError as error:
        raise _no_number(stepper, like, error) from error


def _on_host(
    function: Callable[..., dict[str, Any]], like: Tensor, t: int, hyper: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return numbers that Python computes, without a call of torch; None if it does not.

    Where it has no number, as after a division by zero, torch has an infinite one, or NaN.
    """
    if not takes_floats(function):
        return None
    try:
        return function(like, t=float(t), **hyper)
    except ArithmeticError:
        return None


def _called(
    stepper: Stepper, function: Any, batch: Inputs, known: Known, *kept: Tensor, **given: Any
) -> Any:
    """Call an emitted function on a batch."""
    dtype, loss = stepper.dtype(batch.weights), batch.loss
    W, G = batch.weights.to(dtype), batch.grads.to(dtype)
    if loss is not None:
        loss = loss.to(W.device, dtype).reshape(1, 1, 1).expand(batch.count, 1, 1)
    told: dict[str, Any] = {name: x.to(W) for name, x in batch.moments.items()}
    if stepper.program.draws:
        told |= {"stream": batch.stream, "places": batch.places}
    states = [x.to(dtype) for x in batch.states]
    try:
        return function(W, G, *states, *kept, loss=loss, **told, **known, **given)
    except LinAlgError as error:
        raise FactorisationError(
            f"take a step of {stepper.program.declaration.name}",
            why=f"a factorisation failed ({error})",
            hint="look for overflow in the weights or states: lower the learning rate",
        ) from error
    except ArithmeticError as error:
        raise _no_number(stepper, W, error) from error


def _no_number(stepper: Stepper, like: Tensor, error: ArithmeticError) -> GradientError:
    return GradientError(
        f"take a step of {stepper.program.declaration.name}",
        why=f"its hyper-parameters and the shape of W, {tuple(like.shape[-2:])}, make no "
        f"number ({error}); nothing was changed",
        hint="keep them away from where the rule divides by zero or overflows",
    )


def _hyper(stepper: Stepper, hyper: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return hyper-parameters as compiled code takes them: tensors, whose values it ignores.

    What is on the host stays there, in double precision, wherever the parameters are.
    """
    if not stepper.program.schedule.compile:
        return hyper
    return {k: on_the_host(v) for k, v in hyper.items()}


def _rows(own: Tensor, which: slice) -> Tensor:
    """Return what some of the matrices contributed to a scalar; a placeholder as it is."""
    return own[which] if own.ndim else own


def _scalar(number: float | Tensor, dtype: torch.dtype) -> Tensor:
    """Return a number as compiled code takes it, which then does not depend on its value."""
    if isinstance(number, Tensor):
        return number.to(dtype)
    return torch.tensor(number, dtype=dtype, device="cpu")
