"""One list of named norms, of every class and with every gauge, for all tests of norms."""

from __future__ import annotations

import attrs

import normdsl as nd
from normdsl.norms import Combined, Infimal, OverLayers, Preconditioned, Top, operator_norm

INF = float("inf")
ONE, TWO, MOST = nd.lp(1), nd.lp(2), nd.lp(INF)

NORMS: dict[str, nd.Norm] = {
    "frobenius": nd.frobenius,
    "max_entry": nd.max_entry,
    "sum_entries": nd.sum_entries,
    "l3": nd.entrywise(3),
    "l4/3": nd.entrywise(4 / 3),
    "top_entries": nd.top_entries(3),
    "top_entries dual": nd.top_entries(3).dual_norm,
    "spectral": nd.spectral,
    "nuclear": nd.nuclear,
    "schatten 3": nd.schatten(3),
    "schatten 3/2": nd.schatten(1.5),
    "ky_fan": nd.ky_fan(2),
    "ky_fan dual": nd.ky_fan(2).dual_norm,
    "1→2": operator_norm(1, 2),
    "2→∞": operator_norm(2, INF),
    "1→1": operator_norm(1, 1),
    "∞→∞": operator_norm(INF, INF),
    "1→3": operator_norm(1, 3),
    "3→∞": operator_norm(3, INF),
    "sum of columns": nd.column_norm(TWO, ONE),
    "sum of rows": nd.row_norm(TWO, ONE),
    "rows 3 by 3/2": nd.row_norm(nd.lp(3), nd.lp(1.5)),
    "columns ∞ by 2": nd.column_norm(MOST, TWO),
    "rows top 2 by 1": nd.row_norm(Top(2), ONE),
    "columns 2 by top 2": nd.column_norm(TWO, Top(2)),
    "rms": nd.rms,
    "rms→rms": nd.rms_to_rms,
    "1→rms": nd.one_to_rms,
    "rms→∞": nd.rms_to_inf,
    "n max_entry": nd.scaled_max_entry,
    "3 nuclear": 3 * nd.nuclear,
    "max of spectral and max_entry": nd.max_of(nd.spectral, 2 * nd.max_entry),
    "sum of nuclear and frobenius": nd.sum_of(nd.nuclear, nd.frobenius),
    "l2 of columns and rows": nd.l2_of(operator_norm(1, 2), 2 * operator_norm(2, INF)),
    "infimal sum": nd.infimal(nd.spectral, 2 * nd.max_entry),
    "infimal l2": nd.infimal(nd.nuclear, nd.frobenius, by=TWO),
    "blend": nd.infimal(3 * nd.spectral, nd.frobenius, by=MOST),
    "layers max": nd.over_layers(nd.rms_to_rms, MOST),
    "layers l2": nd.over_layers(nd.spectral, TWO),
    "layers sum": nd.over_layers(nd.frobenius, ONE),
    "preconditioned": nd.preconditioned(nd.spectral, hadamard=nd.abs(nd.W) + 1),
}

#: Norms without closed forms for what all the shared properties need.
INEXACT = {name: x for name, x in NORMS.items() if isinstance(x, Combined | Infimal)}
EXACT = {name: x for name, x in NORMS.items() if name not in INEXACT}
#: Norms of one matrix that depend on nothing else.
PLAIN = {name: x for name, x in NORMS.items() if not isinstance(x, OverLayers | Preconditioned)}


def brief(norm: nd.Norm) -> nd.Norm:
    """Return a norm with few iterations of its LMO, for what holds after any number of them."""
    return attrs.evolve(norm, steps=10) if isinstance(norm, Combined) else norm


def of(kind: type) -> dict[str, nd.Norm]:
    """Return the norms of one class."""
    return {name: x for name, x in NORMS.items() if isinstance(x, kind)}
