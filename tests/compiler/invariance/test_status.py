"""The four answers, in a mark and in a tone."""

from normdsl.compiler.invariance.status import Status
from normdsl.show.colours import Tone


def test_each_answer_has_a_mark_and_a_tone_of_its_own():
    assert {s: (s.mark, s.tone) for s in Status} == {
        Status.INVARIANT: ("yes", Tone.GOOD),
        Status.CONDITIONAL: ("if", Tone.QUALIFIED),
        Status.REFUTED: ("no", Tone.BAD),
        Status.UNKNOWN: ("?", Tone.OPEN),
    }
