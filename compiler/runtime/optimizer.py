"""A declaration as a `torch.optim.Optimizer`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from normdsl.compiler.runtime.batch import Inputs, Known, as_loss, stepper
from normdsl.compiler.runtime.capture import Capture
from normdsl.compiler.runtime.functional import missing_loss
from normdsl.compiler.runtime.hyper import complete
from normdsl.compiler.runtime.moments import missing_moments
from normdsl.declaration import Declaration
from normdsl.errors import FactorisationError, GradientError, HyperparameterError
from normdsl.schedule import Schedule

_STEP = "step"
_RESERVED = {"params", "param_names", "initial_lr", "swa_lr"}
Batch = list[Tensor]
Result = tuple[Batch, Batch, dict[str, Batch]]
#: Parameters with more entries step alone: copying them together costs more than it saves.
STACKED_UP_TO = 2**16


class DeclaredOptimizer(Optimizer):
    """The optimizer of a declaration; hyper-parameters live in the parameter groups.

    Small parameters of equal shape, dtype and device step as one batch. All new values are
    computed before any is written, so a refused step leaves weights and state as they were.

    Args:
        declaration: the rule.
        params: parameters, named parameters, or parameter groups, as for any torch optimizer.
        schedule: how it is computed; default SVD and eigenvalues in the parameter's dtype.
        nonfinite: what a gradient, or a new value, that is NaN or infinite does: `"raise"` a
            `GradientError` (costs a host synchronisation a step), or `"skip"` the parameter's
            step without one, unless the schedule keeps values between steps: then the step count
            is read, since it does not advance in a step that was skipped.
        capture: what records the moments of the layers, `nd.capture(model)`, for a rule that reads
            them; a step uses them up.
        hyper: hyper-parameters, numbers or scalar tensors.

    Raises:
        HyperparameterError: for an unknown name or group key, a value outside its domain, or a
            capture that the rule does not read.
        GradientError: for a parameter the rule cannot take.
    """

    def __init__(
        self,
        declaration: Declaration,
        params: Any,
        *,
        schedule: Schedule | None = None,
        nonfinite: str = "raise",
        capture: Capture | None = None,
        **hyper: Any,
    ) -> None:
        if nonfinite not in ("raise", "skip"):
            raise HyperparameterError(
                f"set nonfinite={nonfinite!r}",
                why="it says what a NaN or infinite gradient does",
                hint='use "raise" or "skip"',
            )
        if hasattr(params, "parameters"):
            raise HyperparameterError(
                f"run {declaration.name} on a {type(params).__name__}",
                why="an optimizer takes parameters, not a module",
                hint="pass model.parameters()",
            )
        if capture is not None and not declaration.moments:
            raise HyperparameterError(
                f"run {declaration.name} with capture=…",
                why="the rule reads no moments of the layers",
                hint="leave capture out, or use nd.input_moment or nd.output_moment in the rule",
            )
        self.declaration = declaration
        self.nonfinite = nonfinite
        self._capture = capture
        self._stepper = stepper(declaration, schedule or Schedule())
        self._names = [f.name for f in self._stepper.program.fields]
        self._counts = WeakTensorKeyDictionary()
        super().__init__(params, complete(declaration, hyper))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own; checks both before adding.

        Raises:
            HyperparameterError: for an unknown key or a value outside its domain.
            GradientError: for a parameter the rule cannot take.
        """
        given = {k: v for k, v in param_group.items() if k not in _RESERVED}
        complete(self.declaration, {**self.defaults, **given})
        if "params" in param_group:
            listed = param_group["params"]
            listed = [listed] if isinstance(listed, Tensor) else list(listed)
            param_group = {**param_group, "params": listed}
            for p in listed:
                tensor = p[1] if isinstance(p, tuple) else p
                if isinstance(tensor, Tensor):
                    self._stepper.require(tensor)
                    self._stepper.view(tensor.detach())
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Any = None) -> Any:
        """Take one step for every parameter that has a gradient.

        Args:
            closure: re-evaluates the model and returns the loss.
            loss: the loss at the current weights, for rules that read it and no closure.

        Returns:
            The closure's loss, or `loss`.

        Raises:
            GradientError: for a gradient or loss the rule cannot take; nothing has changed then.
        """
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        told = as_loss(loss)
        value = None if told is None else told.detach()
        if self._stepper.reads_loss and value is None:
            raise missing_loss(self.declaration.name, "opt.step(closure) or opt.step(loss=value)")
        if self.declaration.moments and self._capture is None:
            raise missing_moments(self.declaration, f"{self.declaration.name}(…, capture=capture)")
        batches = [
            (batch, complete(self.declaration, _hyper(group)))
            for group in self.param_groups
            for batch in self._batches(group["params"])
        ]
        try:
            ready = [self._prepared(batch, value, hyper) for batch, hyper in batches]
            shared = self._stepper.layers([inputs for inputs, _ in ready])
            results = [
                (batch, *self._advance(inputs, given, known))
                for (batch, _), (inputs, given), known in zip(batches, ready, shared, strict=True)
            ]
        except FactorisationError:
            self._blame([p for batch, _ in batches for p in batch], value)
            raise
        if self.nonfinite == "raise":
            self._require_finite(results, value)
        for batch, weights, states in results:
            self._write(batch, weights, states)
        if self._capture is not None:
            self._capture.clear(p for group in self.param_groups for p in group["params"])
        return loss

    def _batches(self, params: Iterable[Tensor]) -> Iterable[Batch]:
        """Return the parameters that have a gradient, grouped so that they can be stacked."""
        found: dict[tuple[Any, ...], Batch] = defaultdict(list)
        for p in params:
            if p.grad is not None:
                self._stepper.require(p, p.grad)
                alone = id(p) if p.numel() > STACKED_UP_TO else None
                phase = self._phase(p)
                found[alone, p.shape, p.dtype, p.device, p.grad.dtype, phase].append(p)
        return found.values()

    def _phase(self, p: Tensor) -> int:
        """Return what the next step of a parameter does with kept values."""
        state = self.state.get(p, {})
        known = self._stepper.keeps and all(name in state for name in (_STEP, *self._names))
        return self._stepper.phase(self._count(state[_STEP]) if known else 0)

    def _count(self, clock: Tensor) -> int:
        """Return a step count, which is read once and counted on the host from then on."""
        if self.nonfinite == "skip" or clock not in self._counts:
            self._counts[clock] = int(clock)
        return int(self._counts[clock])

    def _prepared(
        self, batch: Batch, loss: Tensor | None, hyper: dict[str, Any]
    ) -> tuple[Inputs, list[Tensor]]:
        """Return what a batch steps from, and whether each gradient is finite if that matters."""
        grads, given = [_gradient(p) for p in batch], []
        moments = self._moments(batch)
        if self.nonfinite == "skip":
            given = [_finite(loss, *x) for x in zip(grads, *moments.values(), strict=True)]
            grads, *columns = (
                [torch.where(ok, x, 0) for ok, x in zip(given, column, strict=True)]
                for column in (grads, *moments.values())
            )
            moments = dict(zip(moments, columns, strict=True))
        fresh = self._start(batch, hyper)
        old = {
            name: [
                self.state.get(p, {}).get(name, start)
                for p, start in zip(batch, fresh[name], strict=True)
            ]
            for name in (_STEP, *self._names)
        }
        clocks = [c + 1 for c in old[_STEP]]
        states = [old[name] for name in self._names]
        inputs = Inputs(batch, grads, states, clocks, loss, hyper, moments, self._phase(batch[0]))
        return inputs, given

    def _advance(
        self, inputs: Inputs, given: list[Tensor], known: Known
    ) -> tuple[Batch, dict[str, Batch]]:
        """Return the new weights and states of a batch; changes nothing."""
        weights, states = self._stepper.step(inputs, known)
        new = {_STEP: list(inputs.clocks), **dict(zip(self._names, states, strict=True))}
        if self.nonfinite == "skip":
            legal = [
                ok & _finite(None, *values)
                for ok, *values in zip(given, weights, *new.values(), strict=True)
            ]
            before = [[c - 1 for c in inputs.clocks], *inputs.states]
            weights = _chosen(legal, weights, inputs.params)
            new = {
                name: _chosen(legal, column, old)
                for (name, column), old in zip(new.items(), before, strict=True)
            }
        return weights, new

    def _moments(self, batch: Batch) -> dict[str, Batch]:
        """Return the captured moments of a batch, by name; nothing if the rule reads none."""
        if self._capture is None:
            return {}
        seen = [self._capture.moments(p) for p in batch]
        captured = [s for s in seen if s is not None]
        if len(captured) < len(seen):
            raise GradientError(
                f"take a step of {self.declaration.name}",
                why=f"a parameter of shape {tuple(batch[seen.index(None)].shape)} has a gradient, "
                "but the capture has seen no backward pass of a Linear or Conv2d with it as its "
                "weight since the last step",
                hint="capture the layer before its forward pass, and give biases and other "
                "parameters to another rule",
            )
        return {name: [s[name] for s in captured] for name in self.declaration.moments}

    def _start(self, batch: Batch, hyper: dict[str, Any]) -> dict[str, list[Any]]:
        """Return initial states for the parameters of a batch that have none yet."""
        every = {_STEP, *self._names}
        late = [(i, p) for i, p in enumerate(batch) if not every <= self.state.get(p, {}).keys()]
        found: dict[str, list[Any]] = {name: [None] * len(batch) for name in (_STEP, *self._names)}
        if not late:
            return found
        starts = self._stepper.init([p for _, p in late], hyper)
        columns = [column.unbind() for column in starts]
        for k, (i, p) in enumerate(late):
            found[_STEP][i] = torch.zeros((), dtype=torch.float64, device=p.device)
            for name, column in zip(self._names, columns, strict=True):
                found[name][i] = column[k]
        return found

    def _write(self, batch: Batch, weights: Batch, states: dict[str, Batch]) -> None:
        for i, p in enumerate(batch):
            p.copy_(weights[i])
            for name, column in states.items():
                known = self.state[p].get(name)
                if known is None:
                    self.state[p][name] = column[i].clone()
                else:
                    known.copy_(column[i])
            clock = self.state[p][_STEP]
            if clock in self._counts:
                self._counts[clock] += 1

    def _require_finite(self, results: list[Result], loss: Tensor | None) -> None:
        """Refuse gradients, new weights or new states that are not finite: one synchronisation."""
        checks = [
            _finite(loss, *self._given(p).values(), *values)
            for batch, weights, states in results
            for p, *values in zip(batch, weights, *states.values(), strict=True)
        ]
        together = [ok.to(checks[0].device) for ok in checks]
        if checks and not bool(torch.stack(together).all()):
            params = [p for batch, _, _ in results for p in batch]
            self._blame(params, loss)
            bad = params[[bool(ok) for ok in checks].index(False)]
            raise GradientError(
                f"take a step of {self.declaration.name}",
                why=f"its new value or state for a parameter of shape {tuple(bad.shape)} is NaN or "
                "infinite, although the gradient is finite; nothing was changed",
                hint="a division by zero: use nd.reciprocal(x), which is 0 at 0, or add an eps; "
                "or an overflow: lower the learning rate",
            )

    def _given(self, p: Tensor) -> dict[str, Tensor]:
        """Return what a parameter's step is made from, by name: gradient, captured moments."""
        moments = {name: column[0] for name, column in self._moments([p]).items()}
        return {"gradient": _gradient(p), **moments}

    def _blame(self, params: Batch, loss: Tensor | None) -> None:
        """Raise for the first parameter that is not finite, or whose gradient or loss is not."""
        for p in params:
            for what, value in {**self._given(p), "value": p}.items():
                if not bool(_finite(loss if what == "gradient" else None, value)):
                    raise GradientError(
                        f"take a step of {self.declaration.name}",
                        why=f"the {what} of a parameter of shape {tuple(p.shape)}"
                        f"{', or the loss,' if what == 'gradient' else ''} is NaN or infinite; "
                        "nothing was changed",
                        hint='find its cause, lower the learning rate, or pass nonfinite="skip"'
                        + ("; then capture.clear()" if what in self.declaration.moments else ""),
                    )


def _hyper(group: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in group.items() if k not in _RESERVED}


def _gradient(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad


def _finite(loss: Tensor | None, *values: Tensor) -> Tensor:
    """Return whether tensors and the loss are finite, as a tensor on the tensors' device."""
    legal = torch.stack([torch.isfinite(_largest(v)) for v in values]).all()
    return legal if loss is None else legal & torch.isfinite(loss).all().to(legal.device)


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, torch.inf) if x.numel() else x.sum()


def _chosen(legal: list[Tensor], new: Batch, old: Sequence[Tensor]) -> Batch:
    return [torch.where(ok, x, y) for ok, x, y in zip(legal, new, old, strict=True)]
