"""Agreement: the conditions under which one law is another."""

from __future__ import annotations

from normdsl.compiler.invariance.conditions import NONE, Conditions
from normdsl.compiler.invariance.expansion import same
from normdsl.compiler.invariance.laws import ANY, ANYTHING, FIXED, ZERO, Index, Law
from normdsl.compiler.invariance.unit_equations import equal


def alike(found: Law, wanted: Law) -> Conditions | None:
    """Return the conditions under which a law `found` is the law `wanted`; None if never."""
    if found.twin is not None and wanted.twin is not None:
        return NONE if same(found.twin, wanted.twin) else None
    if found == ANYTHING:
        return equal(ZERO, wanted.offset)
    if wanted == ANYTHING:
        return None
    places = zip(
        (found.rows, found.cols, found.entries),
        (wanted.rows, wanted.cols, wanted.entries),
        strict=True,
    )
    results = [_alike_index(a, b) for a, b in places]
    results += [equal(found.unit, wanted.unit), equal(found.offset, wanted.offset)]
    if any(r is None for r in results):
        return None
    return NONE.union(*(r for r in results if r is not None))


def _alike_index(found: Index, wanted: Index) -> Conditions | None:
    if found == wanted or found is ANY:
        return NONE
    acting = {(i.element, i.cls) for i in (found, wanted) if i != FIXED}
    if len(acting) == 1 and not any(cls.orthogonal for _, cls in acting):
        return equal(found.power, wanted.power)
    return None
