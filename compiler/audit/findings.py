"""What a probe found: a verdict, with the numbers it rests on."""

from __future__ import annotations

from enum import Enum

import attrs

from normdsl.show.colours import Tone


class Status(Enum):
    """The kinds of verdict, from good to bad."""

    HOLDS = "holds"
    UNKNOWN = "unknown"
    UNSUPPORTED = "not supported"
    ABOVE = "holds above"
    BREAKS = "breaks"

    @property
    def tone(self) -> Tone:
        """How good the verdict is, which decides its colour."""
        match self:
            case Status.HOLDS:
                return Tone.GOOD
            case Status.ABOVE:
                return Tone.QUALIFIED
            case Status.BREAKS:
                return Tone.BAD
            case Status.UNKNOWN | Status.UNSUPPORTED:
                return Tone.OPEN


class Kind(Enum):
    """What a probe is about."""

    SYMMETRY = "reparametrisation"
    SCALE = "gradient scale"
    MEMORY = "memory"
    CONDUCT = "conduct"


@attrs.frozen
class Finding:
    """The verdict of one probe in one setting.

    Args:
        probe: what was tried, such as the name of a group.
        kind: what it is about.
        status: the kind of verdict.
        options: the optimizer's options. dtype: of the parameters.
        factor: the largest relative deviation that counts; None where there is nothing to measure.
        step: the first step at which it counts.
        above: the gradient norm from which on the law holds.
        tolerance: the deviation that would still have held.
        noise: what rounding alone does.
        at: where the curve was measured: steps, or norms of the gradient. curve: deviations there.
        limits: tolerances there.
        shape: of the weights, where the verdict depends on it.
        why: what happened, for people.
    """

    probe: str
    kind: Kind
    status: Status
    options: str = "defaults"
    dtype: str = "float64"
    factor: float | None = None
    step: int | None = None
    above: float | None = None
    tolerance: float | None = None
    noise: float | None = None
    at: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()
    limits: tuple[float, ...] = ()
    shape: tuple[int, int] | None = None
    why: str = ""

    @property
    def answer(self) -> str:
        """The verdict in words, as in "breaks (factor 0.3, first step 2)"."""
        match self.status:
            case Status.ABOVE:
                return f"holds above ‖G‖ = {self.above:.2g}"
            case Status.BREAKS:
                parts = [] if self.factor is None else [f"factor {self.factor:.2g}"]
                parts += [] if self.step is None else [f"first step {self.step}"]
                return f"breaks ({', '.join(parts)})" if parts else "breaks"
            case Status.UNKNOWN:
                return f"unknown (noise alone: {self.noise:.2g})" if self.noise else "unknown"
            case Status.HOLDS | Status.UNSUPPORTED:
                return str(self.status.value)

    @property
    def defect(self) -> bool:
        """Whether no optimizer should do this.

        A broken symmetry is a property of the mathematics; an absolute constant that decides the
        step, a corrupted tensor, or a parameter moved without a gradient is not.
        """
        bad = self.status in (Status.BREAKS, Status.ABOVE)
        return bad and self.kind is not Kind.SYMMETRY

    @property
    def setting(self) -> str:
        """Options and dtype, for people."""
        return f"{self.options}, {self.dtype}"

    def __str__(self) -> str:
        told = f": {self.why}" if self.why else ""
        return f"{self.probe} ({self.setting}): {self.answer}{told}"


def plain(dtype: object) -> str:
    """Return the name of a torch dtype without its prefix."""
    return str(dtype).removeprefix("torch.")
