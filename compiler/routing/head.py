"""The output head of a model: what the model says, or else its last Linear layer."""

from __future__ import annotations

import re
from inspect import signature
from typing import Any

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from normdsl.compiler.routing.kinds import EMBEDDING, HIDDEN, seen

#: Methods by which models of transformers and of timm name their head.
_TOLD = ("get_output_embeddings", "get_classifier")
#: Names of a Linear that computes the model's output.
_NAMED = re.compile(
    r"((lm|cls|mlp|classification)_)?head|classifier|fc_out|unembed(ding)?|to_logits|"
    r"output_projection"
)


def head(model: nn.Module) -> nn.Module | None:
    """Return the module that computes the model's output, if there is one.

    That is what a method of the model, or of a model inside it, returns, `get_output_embeddings`
    or `get_classifier`; or else a Linear that is called as heads are, wherever it is registered:
    head, lm_head, cls_head, mlp_head, classification_head, classifier, fc_out, unembed,
    unembedding, to_logits or output_projection; or else the last matrix layer in the order of
    registration, if it is a Linear. By its name or place, the only matrix layer is no head, and
    no part of a repeated block is: a bare stack of transformer blocks has none, a perceptron and a
    convolutional classifier have one. Of several heads the last is found; route others by name.
    """
    for module in model.modules():
        for method in _TOLD:
            found = _answer(getattr(module, method, None))
            if isinstance(found, nn.Module) and next(found.parameters(), None) is not None:
                return found
    layers = [(path, x, _matrices(x)) for path, x in model.named_modules()]
    known = [found for _, _, found in layers if found]
    if len(known) < 2:
        return None
    matrices = [(path, x) for path, x, found in layers if HIDDEN in found]
    named = [(path, x) for path, x in matrices if _NAMED.fullmatch(path.rpartition(".")[2])]
    for path, layer in (*reversed(named), *matrices[-1:]):
        if isinstance(layer, nn.Linear) and not _repeated(model, path):
            return layer
    return None


def _answer(method: Any) -> Any:
    """Return what a method returns; None if it is none, needs arguments, or fails."""
    if not callable(method):
        return None
    needed = [x for x in signature(method).parameters.values() if x.default is x.empty]
    try:
        return None if needed else method()
    except Exception:  # a model without a head may say so in whatever way it likes
        return None


def _matrices(module: nn.Module) -> set[str]:
    """Return the roles of a module's own matrices; a part of another module has none."""
    if isinstance(module, NonDynamicallyQuantizableLinear | ParametrizationList):
        return set()
    if isinstance(module, nn.Linear) or is_parametrized(module):
        return {HIDDEN}
    own = module.named_parameters(recurse=False)
    return {seen(module, name, p)[0] for name, p in own} & {HIDDEN, EMBEDDING}


def _repeated(model: nn.Module, path: str) -> bool:
    """Return whether a module around it has a twin: the same class, the same shapes."""
    parts = path.split(".")
    for depth in range(len(parts) - 1):
        parent = model.get_submodule(".".join(parts[:depth]))
        block = parent.get_submodule(parts[depth])
        others = [x for x in parent.children() if x is not block]
        if any(_form(x) == _form(block) for x in others):
            return True
    return False


def _form(module: nn.Module) -> tuple[type, list[tuple[str, tuple[int, ...]]]]:
    return type(module), [(name, tuple(p.shape)) for name, p in module.named_parameters()]
