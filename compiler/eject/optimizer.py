"""The class of an ejected file: a `torch.optim.Optimizer` that plans once and steps by buckets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import Template

from normdsl.compiler.eject.mathematics import arguments_text, summary
from normdsl.compiler.eject.sights import Sight
from normdsl.compiler.eject.turns import turns
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.function_text import bracketed_call
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.expressions.shapes import Dim


def optimizer(stepper: Stepper, sight: Sight, name: str) -> str:
    """Return the source of a rule's class, called `name`, and of the functions that it calls."""
    rule, program = stepper.program.declaration, stepper.program
    names = tuple(h.name for h in rule.hyper)
    native = [f.name for f in program.fields if f.dims == (Dim.M, Dim.N)]
    return OPTIMIZER.substitute(
        _READS if stepper.reads_loss else _BLIND,
        **turns(stepper),
        name=name,
        summary=summary(rule),
        arguments=arguments_text(rule),
        signature=_signature(rule.hyper),
        init=bracketed_call("super().__init__", ["params", _dict(names)], indent=8),
        hyper=listed(names),
        states=_states(stepper),
        native="" if stepper.entrywise else _NATIVE.format(listed(native)),
        legal=sight.legal,
        takes=sight.takes,
        kind=("" if stepper.entrywise else "*matrices(p).shape, ")
        + "p.dtype, p.device, p.grad.dtype",
        buckets=_ENTRIES if stepper.entrywise else _MATRICES,
        points=_POINTS.format(program.evaluated) if program.evaluated else "",
        at_weights=_AT_WEIGHTS if program.evaluated else "",
    )


def listed(names: Iterable[str]) -> str:
    """Return the code of a tuple of names."""
    quoted = [f'"{name}"' for name in names]
    return f"({', '.join(quoted)}{',' * (len(quoted) == 1)})"


def _dict(names: Iterable[str]) -> str:
    """Return the code of a dict that has what is called by each name."""
    return "{" + ", ".join(f'"{name}": {name}' for name in names) + "}"


def _signature(hyper: Sequence[Hyperparameter]) -> str:
    told = [h.name if h.default is None else f"{h.name}={h.default!r}" for h in hyper]
    arguments = ["self", "params", *(["*", *told] if told else [])]
    return bracketed_call("def __init__", arguments, ":", indent=4)


def _states(stepper: Stepper) -> str:
    """Return the code of the states' names, with the dtypes in which they are kept, if any."""
    schedule, fields = stepper.program.schedule, stepper.program.fields
    if schedule.state is None:
        return listed(f.name for f in fields)
    kept = {f.name: schedule.kept_dtype(f.name, f.turns) for f in fields}
    pairs = (f'"{name}": ' + (f"torch.{x}" if x else "None") for name, x in kept.items())
    return "{" + ", ".join(pairs) + "}"


_NATIVE = """
#: Those that have the shape of their parameter.
NATIVE = {}"""
_ENTRIES = """\
            bucket = Bucket(sorted(params, key=Tensor.numel), self.state, hypers[k])
            self._buckets.append((k, bucket))"""
_MATRICES = """\
            largest = LARGEST_ON_CPU if params[0].device.type == "cpu" else LARGEST
            most = max(1, largest // matrices(params[0]).numel())
            for first in range(0, len(params), most):
                bucket = Bucket(params[first : first + most], self.state, hypers[k])
                self._buckets.append((k, bucket))"""
_POINTS = """
    @torch.no_grad()
    def eval(self):
        \"""Put the points at which the model is to be evaluated in the place of the weights.\"""
        for p, own in self.state.items():
            if "step" in own and "training_weights" not in own:
                own["training_weights"] = p.clone()
                p.copy_(own["{}"])

    @torch.no_grad()
    def train(self):
        \"""Put the weights back in their place, bit by bit.\"""
        for p, own in self.state.items():
            if "training_weights" in own:
                p.copy_(own.pop("training_weights"))
"""
_AT_WEIGHTS = """
        if any("training_weights" in own for own in self.state.values()):
            raise ValueError("the model is at the points of eval(): call train() first")"""
_BLIND = dict.fromkeys(["loss_asked", "loss_read", "loss_too", "loss_told", "or_loss"], "")
_BLIND |= {"loss_first": "\n        loss = None"}
_READS = {
    "loss_asked": ", *, loss=None",
    "loss_first": "",
    "loss_read": """
        if loss is None:
            raise ValueError("the rule reads the loss: step(closure), or step(loss=value)")
        value = loss if isinstance(loss, Tensor) else torch.tensor(loss, dtype=torch.float64)""",
    "loss_too": ", value",
    "loss_told": ", value",
    "or_loss": " or loss",
}

OPTIMIZER = Template('''
#: What a parameter group holds besides its parameters.
HYPER = $hyper
#: The states of a parameter, beside its step count.
STATES = $states$native


class $name(torch.optim.Optimizer):
    """$summary

    Parameters of one kind step together, planned once; their states are views of one tensor for
    each. A hyper-parameter is a number or a tensor of one.

    Args:
        params: parameters, or parameter groups: $takes.
$arguments
    """

    $signature
        self._known, self._buckets = None, []
        $init

    def add_param_group(self, param_group):
        """Add parameters with hyper-parameters of their own."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.requires_grad and not ($legal):
                raise ValueError(f"takes $takes, not {p.dtype} of shape {tuple(p.shape)}")

    @torch.no_grad()
    def step(self, closure=None$loss_asked):
        """Take one step for every parameter that has a gradient.

        Raises:
            ValueError: for a gradient$or_loss that is NaN or infinite; nothing has changed then.
        """$at_weights$loss_first
        if closure is not None:
            with torch.enable_grad():
                loss = closure()$loss_read
        hypers = [{name: group[name] for name in HYPER} for group in self.param_groups]
        live = self._live(hypers)
        require_finite([*(p.grad for _, p in live)$loss_too])
        if self._facts(live) != self._known:
            self._plan(hypers, live)
        for k, bucket in self._buckets:
            bucket.step(hypers[k]$loss_told)
        return loss
$points
    def _live(self, hypers):
        """Return the parameters that have a gradient, each with the first group that is alike."""
        keys = [tuple(id(x) if isinstance(x, Tensor) else x for x in h.values()) for h in hypers]
        return [
            (keys.index(key), p)
            for key, group in zip(keys, self.param_groups)
            for p in group["params"]
            if p.grad is not None and p.numel()
        ]

    def _facts(self, live):
        """Return what a plan rests on."""
        states = [id(self.state.get(p)) for _, p in live]
        return [
            (k, id(p), s, p.shape, p.dtype, p.device, p.grad.dtype)
            for (k, p), s in zip(live, states)
        ]

    def _plan(self, hypers, live):
        """Put parameters that step together into buckets, with their states."""$turns_dealt
        found = defaultdict(list)
        for k, p in live:
            done = int(self.state[p].get("step", 0))
            found[k, done, $kind].append(p)
        self._buckets = []
        for (k, *_), params in found.items():$turns_sorted
$buckets
        self._known = self._facts(live)
$turns_method
    def load_state_dict(self, state_dict):
        """Load what `state_dict` returned; states keep their dtypes, which torch would change."""
        super().load_state_dict(state_dict)
        keys = [k for group in state_dict["param_groups"] for k in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for k, p in zip(keys, params):
            for name, x in state_dict["state"].get(k, {}).items():
                own = isinstance(x, Tensor)
                self.state[p][name] = x.to(p.device, copy=True) if own else x

    def __setstate__(self, state):
        """Restore the optimizer, from a pickle, a copy, or what was loaded."""
        super().__setstate__(state)
        self._known, self._buckets = None, []


def require_finite(tensors):
    """Refuse NaN and infinite entries: without them the norm is finite, or squares overflow."""
    if tensors and not math.isfinite(get_total_norm(tensors)):
        for x in tensors:
            if not x.isfinite().all():
                told = f"a gradient$or_loss of shape {tuple(x.shape)}"
                raise ValueError(f"{told} is NaN or infinite; nothing has changed")
''')
