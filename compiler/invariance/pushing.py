"""Push-through: f(X Xᵀ) Y written Y f(Xᵀ X), so that both ways of writing it have one form.

f is a power, an inverse or a polynomial, or one of another; Y is X, or U g(σ) Vᵀ of X = U σ Vᵀ.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from normdsl.compiler.invariance.forms import EYE, Form, flipped, joined

_FUNCTIONS = ("MatrixPower", "Inverse")


def pushed(factors: list[Form]) -> list[Form]:
    """Return a chain with functions of X Xᵀ moved to the right of the X behind them."""
    for i, factor in enumerate(factors):
        gram = _gram(factor)
        half = len(gram) // 2
        after = factors[i + 1 :]
        width = half if tuple(after[:half]) == gram[:half] else 1
        if half and after and (width == half > 1 or _turns_with(after[0], gram)):
            turned = _with_gram(factor, gram, gram[half:] + gram[:half])
            return pushed([*factors[:i], *after[:width], turned, *after[width:]])
    return factors


def _turns_with(form: Form, gram: tuple[Form, ...]) -> bool:
    """Return whether a form is X, or U g(σ) Vᵀ of X = U σ Vᵀ, for the factors of X Xᵀ."""
    half = len(gram) // 2
    if form.kind not in ("Polar", "SingularLmo"):
        return (form,) == gram[:half]
    arg = form.parts[0]
    arrays = [x for x in arg.parts if not x.scalar] if arg.kind == "Mul" else [arg]
    factors = arrays[0].parts if arrays[0].kind == "MatMul" else tuple(arrays)
    swapped = gram[half:] + gram[:half]
    return factors[:half] == gram[:half] and all(_gram(x) == swapped for x in factors[half:])


def _gram(form: Form) -> tuple[Form, ...]:
    """Return the factors of X Xᵀ in a function of it; () if it is none."""
    if form.kind in _FUNCTIONS:
        return _inside(form.parts[0])
    return _inside(form) if form.kind in ("Add", "Mul") else ()


@lru_cache(maxsize=65536)
def _inside(form: Form) -> tuple[Form, ...]:
    """Return the factors of X Xᵀ in a polynomial of it, with the shortest X; () if it is none."""
    match form.kind:
        case "MatMul":
            return _period(form.parts)
        case "Mul":
            arrays = [x for x in form.parts if not x.scalar]
            return _inside(arrays[0]) if len(arrays) == 1 else ()
        case "Add":
            found = {_inside(x) for x in form.parts if _identity(x) is None}
            return found.pop() if len(found) == 1 else ()
        case kind if kind in _FUNCTIONS:
            return _inside(form.parts[0])
        case _:
            return ()


def _identity(form: Form) -> Form | None:
    """Return the identity in a multiple of it; None if it is no such."""
    arrays = [x for x in form.parts if not x.scalar] if form.kind == "Mul" else [form]
    return arrays[0] if len(arrays) == 1 and arrays[0].kind == EYE else None


def _period(parts: tuple[Form, ...]) -> tuple[Form, ...]:
    """Return the factors of X Xᵀ if these are those of (X Xᵀ)^k, otherwise ()."""
    for size in range(2, len(parts) + 1, 2):
        gram = parts[:size]
        mirrored = tuple(flipped(x) for x in reversed(gram[: size // 2]))
        if gram[size // 2 :] == mirrored and parts == gram * (len(parts) // size):
            return gram
    return ()


def _with_gram(form: Form, gram: tuple[Form, ...], other: tuple[Form, ...]) -> Form:
    """Return a function of X Xᵀ as the same function of another Gram matrix."""
    match form.kind:
        case "MatMul":
            return Form("MatMul", other * (len(form.parts) // len(gram)), None, True)
        case "Mul" | "Add":
            return joined(form.kind, [_with_gram(x, gram, other) for x in form.parts])
        case kind if kind in _FUNCTIONS:
            return attrs.evolve(
                form, parts=(_with_gram(form.parts[0], gram, other), *form.parts[1:])
            )
        case _:
            return form
