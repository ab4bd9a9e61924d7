"""What the parameters of each kind of module are: their role, and their view as matrices."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from normdsl.compiler.layouts.view import View
from normdsl.compiler.layouts.views import flat, heads, split, stack, swapped

HIDDEN, EMBEDDING, HEAD, VECTOR = ROLES = ("hidden", "embedding", "head", "vector")
Seen = tuple[str, View | None]

#: Endings that parametrizations of old give to the name of a weight: v and g, or its original.
_PARAMETRIZED = re.compile(r"_(v|g|orig)$")
#: Names of what acts entry by entry: biases, gains, logarithms.
_GAIN = re.compile(r"(^|_)(bias(es)?|gains?|scales?|gamma|beta|log)$|^log_")
_TOKEN = re.compile(r"(^|_)(pos(ition(s|al)?)?|emb(ed(ding)?s?)?|tok(en)?s?|cls|w[pt]e)(_|$)")
_TABLE = re.compile(r"(Embedding|PositionalEncoding)s?$")

_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def _convolution(module: Any) -> View:
    """Return out × in·k·k, or as many blocks of it as there are groups."""
    return flat if module.groups == 1 else heads(module.groups)


def _transposed(module: Any) -> View:
    """Return out × in·k·k of a weight (in, out/g, k, k), whose groups lie along the first axis."""
    if module.groups == 1:
        return swapped
    return split(*[module.in_channels // module.groups] * module.groups, each=swapped)


#: Kinds of modules, the names of their matrices, and how these are seen.
_MATRICES: tuple[tuple[tuple[type, ...], str, Callable[[Any], View | None]], ...] = (
    ((nn.Linear,), "weight", lambda _: None),
    ((_ConvTransposeNd,), "weight", _transposed),
    ((_ConvNd,), "weight", _convolution),
    ((nn.Bilinear,), "weight", lambda _: stack),
    ((nn.MultiheadAttention,), "in_proj_weight", lambda _: heads(3)),
    ((nn.MultiheadAttention,), "[qkv]_proj_weight", lambda _: None),
    ((nn.LSTM, nn.LSTMCell), "weight_[ih]h.*", lambda _: heads(4)),
    ((nn.GRU, nn.GRUCell), "weight_[ih]h.*", lambda _: heads(3)),
    ((nn.RNNBase, nn.RNNCellBase), "weight_.*", lambda _: None),
)


def seen(module: nn.Module, name: str, p: Tensor) -> Seen:
    """Return the role of a module's parameter, and its view (None: as it is).

    A head is a hidden matrix here: a module does not know that it is the last. Of a module that
    torch does not have, a parameter of two axes is a matrix, and one of more is a stack of them.
    """
    if isinstance(module, EMBEDDINGS):
        return EMBEDDING, None
    if _is_vector(module, name, p):
        return VECTOR, None
    for kinds, names, view in _MATRICES:
        known = isinstance(module, kinds) and p.ndim == _axes(module)
        if known and re.fullmatch(names, _PARAMETRIZED.sub("", name)):
            return HIDDEN, view(module)
    kind = type(module).__name__
    if kind == "Conv1D" and name == "weight" and p.ndim == 2:
        return HIDDEN, swapped  # of transformers: a Linear that stores (in, out)
    role = EMBEDDING if _TOKEN.search(name) or _TABLE.search(kind) else HIDDEN
    return role, _natural(p)


def _is_vector(module: nn.Module, name: str, p: Tensor) -> bool:
    """Return whether it has one axis at most that is longer than 1, or acts entry by entry."""
    thin = sum(size > 1 for size in p.shape) <= 1
    norm = isinstance(module, _NORMS) or type(module).__name__.endswith("Norm")
    return thin or norm or _GAIN.search(name) is not None


def _axes(module: nn.Module) -> int:
    """Return how many axes a module's weight has."""
    return 2 + len(getattr(module, "kernel_size", ())) + isinstance(module, nn.Bilinear)


def _natural(p: Tensor) -> View | None:
    """Return the view of an unknown module's parameter: matrices along its last two axes."""
    if p.ndim == 2:
        return None
    long = sum(size > 1 for size in p.shape)
    return flat if long == 2 and p.shape[0] > 1 else stack
