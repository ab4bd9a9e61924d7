"""The colours of everything that is shown: of answers, and of what is drawn."""

from __future__ import annotations

import enum


class Tone(enum.Enum):
    """How good an answer is, and the colour that says so.

    The values are the colour on a page or in a picture, and the style on a terminal. On white and
    on #111 the colours have about the same contrast, 4 to 4.6.
    """

    GOOD = ("#1f883d", "bold green")
    QUALIFIED = ("#a17008", "yellow")
    BAD = ("#d9363e", "red")
    OPEN = ("#73797f", "dim")

    def __init__(self, page: str, terminal: str) -> None:
        self.page = page
        self.terminal = terminal


#: Two runs that are compared.
FIRST, SECOND = "#0a7fb0", "#d9480f"
#: Several that are, in the order of the curves.
CURVES = (SECOND, Tone.QUALIFIED.page, Tone.OPEN.page, "#9a5cc0", FIRST)
#: Several in a picture for light and dark pages; markers and dashes tell them apart as well.
SERIES = (FIRST, SECOND, "#00875f", "#9a5cc0", Tone.QUALIFIED.page, Tone.OPEN.page)
#: Letters and lines of such a picture: a grey with the same contrast to white and to black.
INK = "#777777"
#: What pictures in a README are drawn on.
PAPER = "white"
#: A band behind curves, such as what is tolerated; a remark beside them.
BAND, ASIDE = "#eaecef", "#444444"
