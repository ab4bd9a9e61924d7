"""Declarations as a `torch.optim.Optimizer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from normdsl.compiler.runtime import groups, saving
from normdsl.compiler.runtime.batch import as_loss
from normdsl.compiler.runtime.capture import Capture
from normdsl.compiler.runtime.explain import Explanation, explained
from normdsl.compiler.runtime.functional import missing_loss
from normdsl.compiler.runtime.groups import Settings, settings
from normdsl.compiler.runtime.hyper import complete
from normdsl.compiler.runtime.layout import STEP
from normdsl.compiler.runtime.layout import layout as layout_of
from normdsl.compiler.runtime.moments import missing_moments
from normdsl.compiler.runtime.options import require_capturable, require_options, require_readers
from normdsl.compiler.runtime.transaction import (
    Part,
    changes,
    finite_changes,
    require_finite,
    require_gradient,
    started,
)
from normdsl.compiler.runtime.views import View
from normdsl.declaration import Declaration
from normdsl.errors import GradientError
from normdsl.schedule import Schedule


class DeclaredOptimizer(Optimizer):
    """The optimizer of a declaration, or of one for each parameter group.

    A group holds its `rule`, `schedule`, `view`, `maximize` and the rule's hyper-parameters.
    Matrices of equal size, dtype and device step as one batch, if they are small. All new values
    are computed before any is written, so a refused step leaves weights and state as they were.
    States are made at the first gradient of a parameter; a parameter without one takes no step.
    Complex parameters are pairs of real numbers, for rules that do not know matrices.

    Args:
        declaration: the rule; None if every group brings its own.
        params: parameters, named parameters, or parameter groups, as for any torch optimizer; a
            group may have a `rule`, a declaration or one with hyper-parameters, `rule(lr=0.01)`.
        schedule: how it is computed; default SVD and eigenvalues in the parameter's dtype.
        view: how parameters are seen as matrices, of `nd.views`; None for the natural view, in
            which a rule that knows matrices takes matrices only.
        maximize: ascend the gradient; a loss the rule reads is negated as well.
        nonfinite: what a gradient, or a new value, that is NaN or infinite does: `"raise"` a
            `GradientError` (costs a host synchronisation a step), or `"skip"` the parameter's
            step without one, unless the schedule keeps values between steps: then the step count
            is read, since it does not advance in a step that was skipped. A rule that joins layers
            steps all of its parameters or none.
        capturable: promise that a step never waits for the device, as CUDA graphs ask for:
            non-finite steps are skipped, and schedules that keep values refused.
        differentiable: refused if true: `nd.functional` is differentiable, this class writes in
            place.
        capture: what records the moments of the layers, `nd.capture(model)`, for a rule that reads
            them; a step uses them up.
        hyper: hyper-parameters, numbers or scalar tensors.

    Raises:
        HyperparameterError: for an unknown name or group key, a value outside its domain, options
            that exclude each other, or a capture that the rule does not read.
        GradientError: for a parameter the rule cannot take.
    """

    def __init__(
        self,
        declaration: Declaration | None,
        params: Any,
        *,
        schedule: Schedule | None = None,
        view: View | None = None,
        maximize: bool = False,
        nonfinite: str | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        capture: Capture | None = None,
        **hyper: Any,
    ) -> None:
        nonfinite = nonfinite or ("skip" if capturable else "raise")
        require_options(declaration, params, nonfinite, differentiable, hyper)
        self.nonfinite = nonfinite
        self.capturable = capturable
        self._capture = capture
        self._given: dict[str, Any]
        self._counts = WeakTensorKeyDictionary()
        own: dict[str, Any] = {} if declaration is None else {"rule": declaration}
        own |= {"schedule": schedule or Schedule(), "view": view, "maximize": maximize}
        values = hyper if declaration is None else complete(declaration, hyper)
        super().__init__(params, {**values, **own})
        if capture is not None:
            require_readers([declaration, *(group["rule"] for group in self.param_groups)])

    @property
    def declaration(self) -> Declaration | None:
        """The rule of groups that bring none."""
        return self.defaults.get("rule")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with a rule and hyper-parameters of their own; checks both before adding.

        Raises:
            HyperparameterError: for an unknown key or a value outside its domain.
            GradientError: for a parameter the rule cannot take.
        """
        listed = param_group.get("params", [])
        listed = [listed] if isinstance(listed, Tensor) else list(listed)
        group = groups.filled({**param_group, "params": listed}, self.defaults)
        said = settings(group)
        if self.capturable:
            require_capturable(said.rule, self.nonfinite, said.stepper.keeps)
        for p in listed:
            tensor = p[1] if isinstance(p, tuple) else p
            if isinstance(tensor, Tensor):
                said.layout(tensor)
        before = self.defaults
        try:
            # Else torch adds what this group's rule knows nothing of.
            self.defaults = {}
            super().add_param_group(group)
        finally:
            self.defaults = before

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
        parts = [part for group in self.param_groups for part in self._parts(group, loss)]
        if self.nonfinite == "skip":
            made = finite_changes(parts)
        else:
            made = changes(parts)
            require_finite(made)
        for change in made:
            state = self.state[change.part.param]
            change.write(state)
            if state[STEP] in self._counts:
                self._counts[state[STEP]] += 1
        if self._capture is not None:
            self._capture.clear(p for group in self.param_groups for p in group["params"])
        return loss

    def _parts(self, group: dict[str, Any], loss: Any) -> Iterable[Part]:
        """Return what the parameters of a group that have a gradient step from."""
        said, hyper = settings(group), groups.hyper(group)
        stepper = said.stepper
        value = self._told(said, loss)
        for p in group["params"]:
            if p.grad is None or not p.numel():
                continue
            require_gradient(said.rule.name, p, p.grad)
            layout = layout_of(stepper, p, said.view)
            state = self.state.get(p, {})
            fresh = not layout.complete(state)
            state = {**started(layout, p, hyper), **state} if fresh else state
            phase = stepper.phase(0 if fresh else self._count(state[STEP])) if stepper.keeps else 0
            moments = self._moments(said, p)
            grad = -p.grad if said.maximize else p.grad
            yield Part(p, layout, hyper, value, moments, state, grad, phase)

    def _told(self, said: Settings, loss: Any) -> Tensor | None:
        """Return the loss, if the rule reads it.

        Raises:
            GradientError: if it was not given, or is not one number.
        """
        if not said.stepper.reads_loss:
            return None
        value = as_loss(loss)
        if value is None:
            raise missing_loss(said.rule.name, "opt.step(closure) or opt.step(loss=value)")
        return -value if said.maximize else value

    def _count(self, clock: Tensor) -> int:
        """Return a step count, which is read once and counted on the host from then on."""
        if self.nonfinite == "skip" or clock not in self._counts:
            self._counts[clock] = int(clock)
        return int(self._counts[clock])

    def _moments(self, said: Settings, p: Tensor) -> dict[str, Tensor]:
        """Return the captured moments of a parameter, by name; nothing if the rule reads none."""
        if not said.stepper.moments:
            return {}
        if self._capture is None:
            raise missing_moments(said.rule, f"{said.rule.name}(…, capture=capture)")
        seen = self._capture.moments(p)
        if seen is None:
            raise GradientError(
                f"take a step of {said.rule.name}",
                why=f"a parameter of shape {tuple(p.shape)} has a gradient, "
                "but the capture has seen no backward pass of a Linear or Conv2d with it as its "
                "weight since the last step",
                hint="capture the layer before its forward pass, and give biases and other "
                "parameters to another rule",
            )
        return {name: seen[name] for name in said.stepper.moments}

    def explain(self) -> Explanation:
        """Return what is done with every parameter: its view, rule, kernels, states and cost.

        A parameter that the rule cannot take was refused before; none is left out silently.
        """
        return explained(self.param_groups)

    def __repr__(self) -> str:
        """Return a line for each group: its name, rule, hyper-parameters and parameters."""
        return "\n".join([f"{type(self).__name__}(", *map(groups.line, self.param_groups), ")"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer: tensors, numbers and text.

        As of any torch optimizer, and each group says its rule as JSON (`nd.from_json` reads it),
        its schedule and its view. Weights-only loading and `torch.distributed.checkpoint` take it.
        """
        return saving.written(super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned, exactly: states keep their dtype, bit for bit.

        Hyper-parameters become those loaded; rules, views and schedules stay, and so do the dtypes
        in which the schedule keeps states.

        Raises:
            SerializationError: for the state of another rule or other shapes, or if anything is
                missing; nothing has changed then.
        """
        last = self.register_load_state_dict_pre_hook(_require_fits)
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()
            self.__dict__.pop("_given", None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the optimizer, from a pickle or a copy, or from what was just loaded."""
        if "_given" in self.__dict__:
            state = saving.restored(self.param_groups, state["param_groups"], self._given)
        super().__setstate__(state)
        self._counts = WeakTensorKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: all but hooks and the capture, as torch does."""
        told = {"nonfinite": self.nonfinite, "capturable": self.capturable, "_capture": None}
        return {**super().__getstate__(), **told}


def _require_fits(optimizer: Optimizer, given: dict[str, Any]) -> None:
    """Refuse a state dict that does not fit; runs after all other hooks, and keeps what they made.

    Loading casts states to the dtype of their parameter; `__setstate__` restores them from this.
    """
    assert isinstance(optimizer, DeclaredOptimizer)
    saving.require_fits(optimizer.param_groups, given)
    optimizer._given = given
