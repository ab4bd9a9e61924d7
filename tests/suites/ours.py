"""Our rules as classes of the kind that a suite takes: (params, lr=…, **hyper)."""

import inspect

import torch
from torch import Tensor
from torch.optim import Optimizer

from normdsl import algorithms
from normdsl.algorithms import adamw
from normdsl.errors import HyperparameterError

RULES = ("adamw", "muon", "shampoo", "soap", "muadam_sania", "kl_shampoo")


def name(rule):
    """Return what a suite calls a rule: one lower-case word, as timm needs."""
    return "ours" + rule.replace("_", "")


def ours(rule):
    """Return a class that gives matrices to a rule, everything else to AdamW."""
    rules = (getattr(algorithms, rule), adamw)

    known = {h: d for r in reversed(rules) for h, d in r.defaults.items()}

    def init(self, params, **hyper):
        if unknown := hyper.keys() - known:
            raise HyperparameterError(
                f"set {sorted(unknown)}", why="no rule has it", hint=f"the rules have {list(known)}"
            )
        Optimizer.__init__(self, params, hyper)

    word = inspect.Parameter
    init.__signature__ = inspect.Signature(
        [word(p, word.POSITIONAL_OR_KEYWORD) for p in ("self", "params")]
        + [word(h, word.KEYWORD_ONLY, default=d) for h, d in known.items()]
    )
    body = {"__init__": init, "__module__": __name__, "_rules": rules}
    return type(name(rule), (_Routed,), body)


class _Routed(Optimizer):
    """Two optimizers that share groups and state, until one optimizer has a rule per group."""

    def add_param_group(self, param_group):
        listed = param_group.get("params", [])
        listed = [listed] if isinstance(listed, Tensor) else list(listed)
        sides = (
            [p for p in listed if _tensor(p).ndim == 2],
            [p for p in listed if _tensor(p).ndim != 2],
        )
        if not listed:
            sides = ([], None)
        for side, (rule, chosen) in enumerate(zip(self._rules, sides, strict=True)):
            if chosen or chosen == listed:
                options = {**rule.defaults, **_of(rule, self.defaults), **_of(rule, param_group)}
                rule([{"params": [_tensor(p) for p in chosen]}], **options)
                rest = {k: v for k, v in param_group.items() if k not in rule.defaults}
                super().add_param_group({**rest, **options, "params": chosen, "side": side})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for side, rule in enumerate(self._rules):
            groups = [g for g in self.param_groups if g["side"] == side]
            inner = rule(
                [{"params": g["params"], **_of(rule, g)} for g in groups or [{"params": []}]]
            )
            inner.state = self.state
            inner.step()
        return loss


def _tensor(p):
    return p[1] if isinstance(p, tuple) else p


def _of(rule, hyper):
    return {k: v for k, v in hyper.items() if k in rule.defaults}


CLASSES = {rule: ours(rule) for rule in RULES}
#: Found by name when an optimizer is pickled.
globals().update({c.__name__: c for c in CLASSES.values()})
