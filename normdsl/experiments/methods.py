"""The methods that are compared: those of the paper, what its theory suggests, and pairs."""

from __future__ import annotations

import attrs

import normdsl.algorithms as algorithms
from normdsl.declaration import Declaration

#: Table 1 of arXiv:2510.10777, in its order: by norms, quasi-Newton, adaptive, both.
SIXTEEN = (
    "normalized_sgd", "sign_sgd", "muon", "scion",
    "kfac", "shampoo", "one_sided_shampoo", "kl_shampoo",
    "adagrad", "adam", "madgrad", "adam_sania",
    "soap", "splus", "muadam", "muadam_sania",
)  # fmt: skip
#: What the theory suggests beyond them, and the variants that remarks mention.
BEYOND = ("madgrad_ema", "rmsspectral", "affine_muon", "polyak_muadam_sania")
#: Those of them that train.
BOUNDED = ("bounded_muadam_sania", "bounded_polyak_muadam_sania")
#: Published by nobody else.
NEW = ("affine_muon", "polyak_muadam_sania", *BOUNDED)
#: With their ε these two are not scale invariant, and the difference shows.
WITHOUT_EPS = ("adam_sania", "muadam_sania")
#: For the two factors of an adapter together.
PAIRS = ("scaled_gd", "scaled_adamw", "lora_muon", "lora_rite")


@attrs.frozen
class Method:
    """A rule under the name it has in tables, with hyper-parameters that are not its defaults.

    Args:
        name: in tables. rule: a declaration with a hyper-parameter lr.
    """

    name: str
    rule: Declaration


def methods(pairs: bool = False) -> tuple[Method, ...]:
    """Return what is compared; with the rules for pairs if asked."""
    names = SIXTEEN + BEYOND + BOUNDED + (PAIRS if pairs else ())
    found = [Method(name, _rule(name)) for name in names]
    for name in WITHOUT_EPS:
        place = names.index(name) + 1 + WITHOUT_EPS.index(name)
        found.insert(place, Method(f"{name} (ε = 0)", _rule(name, eps=0.0)))
    return tuple(found)


def _rule(name: str, **fixed: float) -> Declaration:
    rule = getattr(algorithms, name)
    bound = rule.bind(**fixed) if fixed else rule
    assert isinstance(bound, Declaration)
    return bound
