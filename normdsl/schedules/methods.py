"""Methods: how a polar factor, an inverse root or an eigenbasis is computed. Values, without torch.

A method names the kernel it has for a role; the kernel takes the operands first and then those
of the method's fields that its signature names. A new method is one class here and one kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

import attrs

from normdsl.errors import DeclarationError
from normdsl.near import known_fields


@attrs.frozen
class Method:
    """A way to compute a polar factor, a matrix root or an eigenbasis, as a value.

    The keys of `kernels` say for which of these roles it can be used.
    """

    #: Role ("polar", "root", "eigenbasis") → name of the kernel.
    kernels: ClassVar[Mapping[str, str]] = {}
    #: Whether the kernel improves on its own last result, which it takes as second operand.
    iterative: ClassVar[bool] = False

    def takes(self, exponent: Fraction | None) -> bool:
        """Return whether, as a method for roots, it computes S^exponent (None: not a number)."""
        return True

    def band(self, lowest: float | None = None) -> tuple[float, float]:
        """Return the range of the singular values of its polar factor, in exact arithmetic.

        Args:
            lowest: smallest singular value of the input relative to its Frobenius norm; default
                the end of what the method covers.
        """
        return (1.0, 1.0)


@attrs.frozen
class Automatic(Method):
    """Whatever is fastest for the device, the dtype and the shape, within a stated error.

    Polar factors. In float64: by the SVD. On a CPU in float32: long side at least twice the short
    one: Zolotarev's rational function of degree 5 and a polynomial; else: two rational steps
    (weighted Halley) and a polynomial. With ρ = ‖X Xᵀ‖_F^½, which is between the largest singular
    value and k^¼ times it, k the short side, singular values above 4e-3 ρ and 1e-5 ρ come within
    1e-4 of 1, and smaller ones end below: those that are 0 but for rounding, 1e-8 ρ, at about 1e-3
    at most. Elsewhere: Polar Express on the Gram matrix, five steps in bfloat16 where CUDA devices
    have it (singular values above 1e-3 ‖X‖_F end in [0.83, 1.16]), else seven in float32 (within
    1e-2 of 1).

    Matrix powers. By `Eigh`; off CPUs, for exponents −1/r with r ≥ 2, by `CoupledNewton`.
    Eigenbases. By `Eigh`.

    `nd.exact` is the specification; a method that is named is the method.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule().polar
        Automatic()
    """

    kernels: ClassVar[Mapping[str, str]] = {
        "polar": "polar_automatic",
        "root": "root_automatic",
        "roots": "roots_automatic",
        "eigenbasis": "sorted_eigenvectors",
    }


@attrs.frozen
class SVD(Method):
    """Polar factor U Vᵀ of X = U S Vᵀ from its singular value decomposition.

    Singular values below a relative cut count as zero.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(polar=nd.SVD()).polar
        SVD()
    """

    kernels: ClassVar[Mapping[str, str]] = {"polar": "polar_svd"}


@attrs.frozen
class QRSVD(Method):
    """Polar factor by a QR decomposition along the long side, then the SVD of the square factor.

    X = Q R for tall X gives polar(X) = Q polar(R): as exact as `SVD`, and cheaper where one side
    is much longer than the other.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(polar=nd.QRSVD()).polar
        QRSVD()
    """

    kernels: ClassVar[Mapping[str, str]] = {"polar": "polar_qr"}


@attrs.frozen
class Eigh(Method):
    """Matrix roots, eigenbases and polar factors from the eigenvalues of a symmetric matrix.

    Roots and eigenbases are exact. The polar factor is (X Xᵀ)^{-1/2} X on the short side, and
    forming X Xᵀ squares the condition number: singular values below about √(4 k eps) of the
    largest, k the short side, count as zero (k = 64: 6e-3 in float32, 2e-7 in float64), and those
    just above it have few correct digits.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(polar=nd.Eigh()).polar
        Eigh()
    """

    kernels: ClassVar[Mapping[str, str]] = {
        "polar": "polar_gram",
        "root": "symmetric_power",
        "roots": "symmetric_powers",
        "eigenbasis": "sorted_eigenvectors",
    }


@known_fields
@attrs.frozen
class CoupledNewton(Method):
    """Inverse roots S^{-1/r}, r = 1, 2, 3, …, by matrix products alone (coupled Newton).

    Other exponents are computed by `Eigh`.

    X ← X T, M ← T^r M with T = ((r + 1) I − M) / r, from M = z (S + ρ I), X = z^{1/r} I,
    z = (r + 1) / (2 ‖S + ρ I‖_F), ρ = 4 k eps ‖S‖_F, k the size (Guo and Higham, 2006). An
    eigenvalue λ converges once (1 + 1/r)^{r steps} is well above ‖S‖_F / λ, so that 30 steps
    reach 1e-7. A matrix of the batch is left alone once a step brings M no closer to I.

    On a rank-deficient S it is (S + ρ I)^{-1/r}, not the pseudo-inverse: harmless where it meets
    matrices in the range of S only, as statistics and their gradients do. Of 0 it is 0. Steps that
    are too few leave ρ^{-1/r} unreached, which damps. For r = 1 and without full rank, rounding
    leaks a few percent into the range: prefer `Eigh` there.

    Args:
        steps: how many; there is no test of convergence on the host.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(root=nd.CoupledNewton(steps=20)).root
        CoupledNewton(steps=20)
    """

    steps: int = 30
    kernels: ClassVar[Mapping[str, str]] = {"root": "coupled_newton"}

    def __attrs_post_init__(self) -> None:
        require_count("iterate with steps", self.steps)

    def takes(self, exponent: Fraction | None) -> bool:
        """Return whether the exponent is −1/r for a whole r."""
        return exponent is not None and exponent.numerator == -1


@attrs.frozen
class QRPower(Method):
    """Eigenbasis improved from the last one by one step of orthogonal iteration, Q ← qr(S Q).

    The columns of the last basis are ordered by diag(Qᵀ S Q) first, largest in front (Vyas et al.,
    2024, arXiv:2409.11321). The first basis is by `Eigh`. The last basis is a state. As under every
    method, second moments in its coordinates turn along; SOAP's code permutes them as the columns.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(eigenbasis=nd.QRPower(), refresh=10).eigenbasis
        QRPower()
    """

    kernels: ClassVar[Mapping[str, str]] = {"eigenbasis": "qr_power_step"}
    iterative: ClassVar[bool] = True


@attrs.frozen
class DoubleBackward:
    """Products with the Hessian as derivatives of the gradient, exact but for rounding.

    The closure calls `loss.backward(create_graph=True)`. A product costs about two evaluations, and
    the memory of the gradient's graph.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule().hessian
        DoubleBackward()
    """


@known_fields
@attrs.frozen
class Differences:
    """Products with the Hessian as differences of gradients: (∇f(P + h V) − ∇f(P)) / h.

    With h = step (1 + ‖P‖) / ‖V‖, norms over all layers: the error is about h ‖V‖² times the third
    derivative, and rounding divided by h. A product costs one more evaluation by a plain closure;
    `nd.schedule_error` measures what it changes.

    Args:
        step: how far, relative to the size of the weights.

    Raises:
        DeclarationError: if it is not a number > 0.

    Example:
        >>> import normdsl as nd
        >>> nd.Schedule(hessian=nd.Differences()).hessian
        Differences(step=0.001)
    """

    step: float = 1e-3

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.step, int | float) or not 0 < self.step < float("inf"):
            raise DeclarationError(
                f"take differences with step={self.step!r}",
                why="it says how far apart two gradients are taken",
                hint="use a number > 0, such as 1e-3 in float32 or 1e-6 in float64",
            )


def require_count(what: str, number: object) -> None:
    """Raise an error for anything but a whole number ≥ 1."""
    if type(number) is not int or number < 1:
        raise DeclarationError(
            f"{what}={number!r}",
            why="it must be a whole number ≥ 1",
            hint="use 1, 2, 3, …",
        )
