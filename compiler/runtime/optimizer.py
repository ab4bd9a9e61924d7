"""Declarations as a `torch.optim.Optimizer`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.compiler.batches.members import Context
from normdsl.compiler.batches.replicas import (
    Replicas,
    group_size,
    processes,
    replicas,
    require_alike,
    warn_if_replaced,
)
from normdsl.compiler.batches.sharing import scalars
from normdsl.compiler.batches.starts import started
from normdsl.compiler.evaluations.capture import Capture
from normdsl.compiler.evaluations.closures import Sample
from normdsl.compiler.layouts import tuples
from normdsl.compiler.layouts.hyper import complete
from normdsl.compiler.layouts.keys import Group
from normdsl.compiler.layouts.layout import OFFSET, OWNER, STEP, Layout, is_judged
from normdsl.compiler.layouts.view import View
from normdsl.compiler.runtime import evaluation, given, parameter_groups, saving
from normdsl.compiler.runtime.explain import Explanation, explained
from normdsl.compiler.runtime.options import (
    require_capturable,
    require_closure,
    require_options,
    require_readers,
)
from normdsl.compiler.runtime.parameter_groups import settings
from normdsl.compiler.runtime.plan import Plan, origins_of, planned
from normdsl.compiler.runtime.readings import Readings, read
from normdsl.compiler.runtime.staggering import Turn, dealt
from normdsl.compiler.runtime.step import Step
from normdsl.compiler.runtime.workers import periods, require_averaging, workers
from normdsl.compiler.sharded import owned
from normdsl.declarations.rule import Rule
from normdsl.declarations.signature import OPTION_NAMES
from normdsl.schedules.schedule import Schedule


class DeclaredOptimizer(Optimizer):
    """The optimizer of a declaration, or of one for each parameter group.

    A group holds its `rule`, `schedule`, `view`, `maximize`, `seed` and the hyper-parameters.
    Matrices of equal size, dtype and device step as one batch, small ones with their transposes
    where the rule commutes with these; the entries of an entry-wise rule are one vector, whatever
    their shapes. Which parameters step together is planned once, and again when groups, shapes,
    hyper-parameters that groups have in common, or the set of parameters with a gradient change.
    Their states are views of one tensor for each of the rule's states. A step
    that is refused for what it is given leaves weights and states as they were. States are made at
    the first gradient of a parameter; a parameter without one takes no step. Complex parameters
    step as pairs of real numbers, by rules that do not know matrices. What wrappers keep in states
    and groups under names of their own is left alone. Parameters that need no gradient may be of
    any kind.

    Args:
        declaration: the rule; None if every group brings its own.
        params: parameters, named parameters, or parameter groups, as for any torch optimizer; a
            group may have a `rule`, a declaration or one with hyper-parameters, `rule(lr=0.01)`.
        schedule: how it is computed; default SVD and eigenvalues in the parameter's dtype.
        view: how parameters are seen as matrices, of `nd.views`; None for the natural view, in
            which a rule that knows matrices takes matrices only.
        maximize: ascend the gradient; a loss the rule reads is negated as well.
        nonfinite: what a gradient, or a new value, that is NaN or infinite does: `"raise"` a
            `GradientError`, or `"skip"` the parameter's step without a host synchronisation, unless
            the schedule keeps values between steps: then the step count is read, since it does not
            advance in a step that was skipped. To raise costs two synchronisations a step:
            gradients are judged before anything is written, and what results afterwards. What
            layers share leaves those out whose gradient is not finite; if it is not finite for
            another reason, none of the parameters that share it steps.
        judged: whether what results is always judged before anything is written as well, so that
            a refused step never changes anything; a step then computes twice. Without it, this is
            done where finite values may well make infinite ones: for a rule that divides by what
            may be zero, and for very large gradients. Otherwise a result that overflows is
            reported after it was written. With `"skip"`, native code alone writes one, and its
            parameter then takes no further step before its weights are set anew.
        capturable: promise that a step never waits for the device, as CUDA graphs ask for:
            non-finite steps are skipped, and schedules that keep values refused.
        differentiable: refused if true: `nd.functional` is differentiable, this class writes in
            place.
        capture: what records the moments of the layers, `nd.capture(model)`, for a rule that reads
            them; a step uses them up.
        buffers: tensors besides parameters that evaluating the model changes, such as
            `model.buffers()` with the running means of a batch norm, for a rule that evaluates the
            loss at other points: they keep what the evaluation at the weights left. Random numbers
            of the model, as of dropout, are the same in all evaluations of a step.
        seed: of the random numbers that a rule draws. They are functions of the seed, the
            parameter (its name, or else its position), the step and the entry, so that replicas
            and a resumed run draw the same ones, and the generators of torch are left alone.
            Processes that are known to train one model are refused if their seeds differ.
        replicas: which processes train one model, each on samples of its own, and have all its
            layers: a process group, True for all processes (DistributedDataParallel), False for
            none. None for what can be seen: those that hold DTensors together. A rule that reads
            the loss or captured moments, whose means over replicas then are read, or combines all
            layers, is refused in one of several processes if neither is known. A rule that averages
            over workers does so over these processes, whose gradients, losses and weights are their
            own; without any, a process is the only worker.
        hyper: hyper-parameters, numbers or scalar tensors. No two groups share a tensor, so that a
            scheduler, which writes it in place, changes one of them: the first group has the one
            that is given here, others have copies of its value.

    Raises:
        HyperparameterError: for an unknown name, a group key that looks like one of ours, a value
            outside its domain, options that exclude each other, or a capture that the rule does
            not read.
        GradientError: for a parameter that needs a gradient and that the rule cannot take.
        DeclarationError: if it is not clear which scalars of all layers the rules share.
    """

    replicas: Any = None
    #: Seeds and layers that all replicas were seen to have.
    _alike: object = None
    #: What groups said at the last step.
    _readings: Readings | None = None
    #: Whether it was said that no parameter has a gradient.
    _warned = False

    def __init__(
        self,
        declaration: Rule | None,
        params: Any,
        *,
        schedule: Schedule | None = None,
        view: View | None = None,
        maximize: bool = False,
        nonfinite: str | None = None,
        judged: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        capture: Capture | None = None,
        buffers: Iterable[Tensor] = (),
        seed: int = 0,
        replicas: Any = None,
        **hyper: Any,
    ) -> None:
        nonfinite = nonfinite or ("skip" if capturable else "raise")
        require_options(declaration, params, nonfinite, differentiable, hyper)
        self.nonfinite = nonfinite
        self.capturable = capturable
        self.judged = judged
        self._capture = capture
        self._buffers = list(buffers)
        self._evaluating = False
        self.replicas = replicas
        self._given: dict[str, Any]
        self._plan: Plan | None = None
        own: dict[str, Any] = {} if declaration is None else {"rule": declaration}
        own |= {"schedule": schedule or Schedule(), "view": view, "maximize": maximize}
        own |= {"seed": seed}
        values = hyper if declaration is None else complete(declaration, hyper, OPTION_NAMES)
        super().__init__(params, Group({**values, **own}))
        self.defaults.update(parameter_groups.copied(self.defaults))
        if declaration is None:
            # Schedulers look here for what they turn: what all groups have.
            self.defaults.update(parameter_groups.common(self.param_groups))
        if capture is not None:
            require_readers([declaration, *(group["rule"] for group in self.param_groups)])

    @property
    def declaration(self) -> Rule | None:
        """The rule of groups that bring none."""
        return self.defaults.get("rule")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with a rule and hyper-parameters of their own; checks both before adding.

        Raises:
            HyperparameterError: for an unknown key or a value outside its domain.
            GradientError: for a parameter the rule cannot take.
            DeclarationError: if it is not clear which scalars of all layers the rules share.
        """
        defaults = parameter_groups.copied(self.defaults) if self.param_groups else self.defaults
        group = parameter_groups.filled(parameter_groups.listed(param_group), defaults)
        if any(isinstance(x, Tensor) for x in group.values()):
            parameter_groups.separate([*self.param_groups, group])
        said = settings(group)
        group["params"] = tuples.flattened(said.rule, group["params"])
        tensors = [p[1] if isinstance(p, tuple) else p for p in group["params"]]
        tuples.require(said.rule, tensors)
        steppers = said.steppers(tensors)
        if self.capturable:
            require_capturable(said.rule, self.nonfinite, any(s.keeps for s in steppers))
        for p, own in zip(tensors, said.each(tensors), strict=True):
            if isinstance(p, Tensor) and is_judged(p):
                own.layout(p)
        others = [s for g in self.param_groups for s in settings(g).steppers(g["params"])]
        scalars(tuple(dict.fromkeys([*others, *steppers])))
        before = self.defaults
        try:
            # Else torch adds what this group's rule knows nothing of.
            self.defaults = {}
            super().add_param_group(group)
        finally:
            self.defaults = before

    @torch.no_grad()
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        loss: Any = None,
        fresh: Callable[[], Any] | None = None,
    ) -> Any:
        """Take one step for every parameter that has a gradient.

        Args:
            closure: re-evaluates the model and returns the loss.
            loss: the loss at the current weights, for rules that read it and no closure.
            fresh: another closure, on a second batch, for rules that ask on a fresh sample.

        Returns:
            The closure's loss, or `loss`.

        Raises:
            GradientError: for a gradient or loss the rule cannot take; nothing has changed then.
        """
        # In a compiled training step, this one is taken as it is; `Schedule(compile=True)` is ours.
        traced, take = torch.compiler.is_compiling(), self._step
        if traced:
            take = torch.compiler.disable(take)  # type: ignore[no-untyped-call]
        return take(closure, loss, fresh)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the points at which models are to be evaluated in the place of the weights.

        For a rule that returns one, `nd.step(W, evaluate=x)`; for others nothing changes. Steps are
        refused until `train` puts the weights back; saved in between, both are saved.

        Example:
            >>> import normdsl as nd
            >>> import torch
            >>> averaged = nd.optimizer(
            ...     lambda lr=1.0: nd.step(nd.W - lr * nd.G, evaluate=nd.W - lr / 2 * nd.G)
            ... )
            >>> w = torch.nn.Parameter(torch.tensor([[2.0]]))
            >>> opt = averaged([w])
            >>> w.grad = torch.ones_like(w)
            >>> opt.step()
            >>> opt.eval()
            >>> w.item()
            1.5
            >>> opt.train()
            >>> w.item()
            1.0
        """
        evaluation.begin(self.param_groups, self.state)
        self._evaluating = evaluation.is_on(self.state)

    @torch.no_grad()
    def train(self) -> None:
        """Put the weights back in their place, bit by bit; see `eval`."""
        evaluation.end(self.state)
        self._evaluating = False

    def _step(
        self, closure: Callable[[], Any] | None, loss: Any, fresh: Callable[[], Any] | None
    ) -> Any:
        """Take one step."""
        sample, second = (self._sample(x) for x in (closure, fresh))
        if sample is not None and not self._begins_elsewhere(sample.params):
            loss = sample.first()
        self._advance(loss, sample, second)
        return loss if sample is None else sample.loss

    def _sample(self, closure: Callable[[], Any] | None) -> Sample | None:
        if closure is None:
            return None
        require_closure(closure)
        params = [p for group in self.param_groups for p in parameter_groups.parameters(group)]
        return Sample(closure, params, self._buffers, self._capture)

    def _begins_elsewhere(self, params: Iterable[Tensor]) -> bool:
        """Return whether no rule reads the gradient or the loss at the weights.

        The first step evaluates them nevertheless: it shows which parameters have a gradient.
        """
        if self._plan is None or any(p.requires_grad and p.grad is None for p in params):
            return False
        groups = self.param_groups
        steppers = [s for group in groups for s in settings(group).steppers(group["params"])]
        return not any(s.reads_gradient or s.reads_loss for s in steppers)

    @as_scheduled
    def _advance(
        self, loss: Any, sample: Sample | None = None, second: Sample | None = None
    ) -> None:
        """Take one step at a known loss."""
        if self._evaluating:
            raise evaluation.refuse_step("the optimizer")
        begins = self._plan is None and not self.capturable and self._is_new()
        if begins and given.is_probe(self.param_groups):
            self.init_state()
            return
        processes = self._together()
        averages = bool(processes.groups) and any(g["rule"].averages for g in self.param_groups)
        together = Replicas() if averages else processes  # whose samples are a worker's own
        if sample is not None:
            sample.together = together
        plan, contexts = self._planned(loss, together, averages)
        if not plan.buckets and not self._warned:
            self._warned = warn_if_replaced(self.param_groups)
        self._plan = None  # a step that is refused leaves none behind
        met = workers(processes, plan.buckets, [c.hyper for c in contexts]) if averages else None
        step = Step(plan, contexts, self.state, self.judged, sample, second, met)
        if self.nonfinite == "skip":
            step.take_finite()
        else:
            step.take()
        plan.settle(self.state)
        if plan.asks:
            plan.let_go()
        self._plan = plan
        if self._capture is not None:
            self._capture.clear(p for group in self.param_groups for p in group["params"])

    def _together(self) -> Replicas:
        """Return the processes that train the model, which agree on what must be equal.

        Raises:
            HyperparameterError: if a rule must know them and they are not said, or if they differ.
        """
        if self.replicas is False or processes() == 1:
            return Replicas()
        groups = [(settings(g), parameter_groups.parameters(g)) for g in self.param_groups]
        live = [(x, ps) for x, ps in groups if any(p.requires_grad for p in ps)]
        params = [p for _, ps in live for p in ps if p.requires_grad]
        steppers = [s for said, ps in live for s in said.steppers(ps)]
        found = replicas(self.replicas, steppers, params)
        if found.groups and any(said.rule.averages for said, _ in live):
            require_averaging([said.rule for said, _ in live], self.nonfinite)
        seeds = [x.seed for x, _ in live]
        when = [x for g in self.param_groups for x in periods(settings(g), g)]
        told = seeds, [p.shape for p in params], when
        if told != self._alike:
            require_alike(found, steppers, seeds, params, self._is_new(), when)
            self._alike = told
        return found

    def _planned(self, loss: Any, together: Replicas, averages: bool) -> tuple[Plan, list[Context]]:
        """Return the plan of the next step, and what each of its buckets steps with."""
        skips = self.nonfinite == "skip"
        plan, said = self._plan, read(self.param_groups, self._readings)
        if plan is None or not plan.holds(self.param_groups, said, self.state, skips, averages):
            plan = planned(self.param_groups, said, self.state, skips, averages)
        self._readings = said
        told = given.losses([x.settings for x in said.each], loss, together)
        plan.locate()
        contexts = []
        for bucket in plan.buckets:
            moments = given.moments(bucket.members, self._capture, together)
            context = Context(said.each[bucket.group].hyper, told[bucket.group], moments)
            contexts.append(context._replace(numbers=bucket.numbers(context)))
        return plan, contexts

    def _is_new(self) -> bool:
        """Return whether no parameter has stepped, whatever others keep in their states."""
        params = (p for group in self.param_groups for p in parameter_groups.parameters(group))
        return not any(STEP in self.state.get(p, ()) for p in params)

    @torch.no_grad()
    @as_scheduled
    def init_state(self) -> None:
        """Make the states of all parameters that have none, without a step.

        For those who want to read or load states before the first step.
        """
        turns: dict[Tensor, Turn] = {}
        for first, group in given.numbered(self.param_groups):
            said = settings(group)
            hyper = {h.name: group[h.name] for h in said.rule.hyper}
            params = parameter_groups.parameters(group)
            draws = any(s.draws for s in said.steppers(params))
            origins = origins_of(group, first) if draws else {}
            for k, (p, own) in enumerate(zip(params, said.each(params), strict=True)):
                if is_judged(p) and p.numel() and not own.layout(p).own(self.state.get(p, {})):
                    together = tuples.tuple_of(said.rule, params, k)
                    near = tuples.neighbours(own.sized, said.rule, together, said.maximize)
                    state = started(own.layout(p), p, hyper, origins.get(p), near)
                    self.state[p].update({key: x.clone() for key, x in state.items()})
                    if own.stepper.keeps:
                        turns[p] = Turn(own.stepper.program, own.layout(p).sizes)
        for p, offset in zip(turns, dealt(list(turns.values())), strict=True):
            self.state[p][OFFSET] = torch.full((), offset, dtype=torch.int64, device=p.device)

    def explain(self) -> Explanation:
        """Return what is done with every parameter: its view, rule, kernels, states and cost.

        After a step it also says which parameters step together, how, and why so. A parameter that
        the rule cannot take was refused before; none is left out silently.
        """
        buckets = self._plan.buckets if self._plan else ()
        return explained(self.param_groups, buckets, group_size(self.replicas))

    def __repr__(self) -> str:
        """Return a line for each group: its name, rule, hyper-parameters and parameters."""
        lines = map(parameter_groups.line, self.param_groups)
        return "\n".join(["DeclaredOptimizer(", *lines, ")"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer: tensors, numbers and text.

        As that of any torch optimizer; each group also has its rule as JSON (`nd.from_json` reads
        it), its schedule and its view. Weights-only loading and `torch.distributed.checkpoint` take
        it.
        """
        known = {p for g in self.param_groups for p in parameter_groups.parameters(g)}
        held = self.state
        if any(isinstance(p, Tensor) and p not in known for p in held):
            # What stands in no group any more, since parameters were replaced, has no place there.
            kept = {p: x for p, x in held.items() if p in known or not isinstance(p, Tensor)}
            self.state = defaultdict(dict, kept)
        if any(isinstance(x, dict) and OWNER in x for x in held.values()):
            self.state = defaultdict(dict, owned.divided(self._layouts(), self.state))
        try:
            return saving.written(super().state_dict())
        finally:
            self.state = held

    def _layouts(self) -> Iterator[tuple[Tensor, Layout]]:
        """Yield the parameters that have a state, and how they step."""
        for group in self.param_groups:
            params = parameter_groups.parameters(group)
            for p, said in zip(params, settings(group).each(params), strict=True):
                if p in self.state:
                    yield p, said.layout(p)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned, exactly: states keep their dtype, bit for bit.

        Hyper-parameters become those loaded; rules, views and schedules stay, and so do the dtypes
        in which the schedule keeps states.

        Raises:
            SerializationError: for the state of another rule or other shapes, or if anything is
                missing; nothing has changed then.
        """
        saving.require_dict(state_dict)
        last = self.register_load_state_dict_pre_hook(_fitted)
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()
            self.__dict__.pop("_given", None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the optimizer, from a pickle or a copy, or from what was just loaded."""
        if "_given" in self.__dict__:
            state = saving.restored(self.param_groups, state["param_groups"], self._given)
        told = [Group(group) for group in state["param_groups"]]
        super().__setstate__({**state, "param_groups": told})
        self._plan = None
        self._evaluating = evaluation.is_on(self.state)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: all but hooks and the capture, as torch does."""
        told = {"nonfinite": self.nonfinite, "capturable": self.capturable, "judged": self.judged}
        told |= {"_capture": None, "_buffers": [], "_alike": None}
        plain = isinstance(self.replicas, bool | None)  # process groups stay in their process
        told |= {"replicas": self.replicas if plain else None}
        return {**super().__getstate__(), **told}


def _fitted(optimizer: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict that fits, or refuse it; runs after all other hooks, and keeps it.

    Loading casts states to the dtype of their parameter; `__setstate__` restores them from this.
    """
    assert isinstance(optimizer, DeclaredOptimizer)
    optimizer._given = saving.fitted(optimizer.param_groups, given)
    return optimizer._given
