"""Root-mean-square norms: multiples of other norms by functions of the shape of W."""

from __future__ import annotations

from normdsl.expressions.streams import cols, rows
from normdsl.norms.base import Scaled
from normdsl.norms.entrywise import frobenius, max_entry
from normdsl.norms.lines import operator_norm
from normdsl.norms.unitary import spectral
from normdsl.vocabulary.entrywise import sqrt

#: Root mean square of the entries, ‖X‖_F / √(m n); for vectors, ‖x‖₂ / √length.
rms = Scaled(sqrt(1 / (rows * cols)), frobenius)
#: RMS → RMS operator norm, √(n/m) ‖X‖₂ (Bernstein and Newhouse, 2024, arXiv:2410.21265).
rms_to_rms = Scaled(sqrt(cols / rows), spectral)
#: ℓ1 → RMS, the largest RMS of a column: √(1/m) max_j ‖x_j‖₂.
one_to_rms = Scaled(sqrt(1 / rows), operator_norm(1, 2))
#: RMS → ℓ∞, √n max_i ‖x_i‖₂ over the rows.
rms_to_inf = Scaled(sqrt(cols), operator_norm(2, float("inf")))
#: n times the largest entry, the norm under which Scion's sign steps are 1/n long.
scaled_max_entry = Scaled(cols, max_entry)
