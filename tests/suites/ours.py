"""Our rules as classes of the kind that a suite takes: (params, lr=…, **hyper)."""

import inspect

from torch import Tensor

from normdsl import algorithms
from normdsl.algorithms import adamw
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declarations.aliases import BETAS, members, spread
from normdsl.errors import HyperparameterError

RULES = ("adamw", "muon", "shampoo", "soap", "muadam_sania", "kl_shampoo")
OPTIONS = {"maximize": False, "capturable": False}


def name(rule):
    """Return what a suite calls a rule: one lower-case word, as timm needs."""
    return "ours" + rule.replace("_", "")


def ours(rule):
    """Return a class that gives matrices to a rule, and everything else to AdamW."""
    rules = (getattr(algorithms, rule), *([] if rule == "adamw" else [adamw]))
    known = {h: d for r in reversed(rules) for h, d in r.defaults.items()}
    aliases = {BETAS: None} if members(rules[0].defaults) else {}

    def init(self, params, **given):
        options = {k: given.pop(k) for k in OPTIONS if k in given}
        if unknown := given.keys() - known - aliases.keys():
            raise HyperparameterError(
                f"set {sorted(unknown)}", why="no rule has it", hint=f"the rules have {list(known)}"
            )
        self._choices = [r(**_of(r, given)) for r in rules]
        DeclaredOptimizer.__init__(self, None, params, **options)

    word = inspect.Parameter
    init.__signature__ = inspect.Signature(
        [word(p, word.POSITIONAL_OR_KEYWORD) for p in ("self", "params")]
        + [
            word(h, word.KEYWORD_ONLY, default=d)
            for h, d in {**known, **aliases, **OPTIONS}.items()
        ]
    )
    return type(name(rule), (_Routed,), {"__init__": init, "__module__": __name__})


class _Routed(DeclaredOptimizer):
    """Gives each part of a group to its rule: a group of its own for each."""

    def add_param_group(self, param_group):
        listed = param_group.get("params", [])
        listed = [listed] if isinstance(listed, Tensor) else list(listed)
        parts = [listed] if len(self._choices) == 1 else _split(listed)
        known = {BETAS} | {h for c in self._choices for h in c.rule.defaults}
        rest = {k: v for k, v in param_group.items() if k not in known}
        for choice, part in zip(self._choices, parts, strict=True):
            if part or (part is parts[0] and not listed):
                own = _of(choice.rule, param_group)
                super().add_param_group({**rest, **own, "rule": choice, "params": part})


def _of(rule, hyper):
    return {k: v for k, v in spread(rule, hyper).items() if k in rule.defaults}


def _split(listed):
    matrix = [(p[1] if isinstance(p, tuple) else p).ndim == 2 for p in listed]
    pairs = list(zip(matrix, listed, strict=True))
    return [[p for m, p in pairs if m], [p for m, p in pairs if not m]]


CLASSES = {rule: ours(rule) for rule in RULES}
#: Found by name when an optimizer is pickled.
globals().update({c.__name__: c for c in CLASSES.values()})
