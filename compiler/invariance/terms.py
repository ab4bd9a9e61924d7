"""Sums of words of matrices with scalars in front: their algebra, and their forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from normdsl.compiler.invariance.forms import EYE, Form, flipped, joined
from normdsl.compiler.invariance.pushing import pushed

ONE = Fraction(1)
#: Scalars with whole exponents; what divides stands apart from what multiplies: x / x stays.
Scalars = tuple[tuple[Form, int], ...]
Word = tuple[Form, ...]
Terms = dict[tuple[Scalars, Word], Fraction]


def added(sums: Iterable[Terms]) -> Terms:
    """Return a sum of sums; terms that cancel are left out."""
    total: Terms = {}
    for terms in sums:
        for key, c in terms.items():
            total[key] = total.get(key, Fraction(0)) + c
    return {key: c for key, c in total.items() if c}


def multiplied(one: Terms, two: Terms, join: Callable[[Word, Word], Word] | None = None) -> Terms:
    """Return the product of two sums, term by term; `join` makes a word of two, by default v w."""
    return added(
        {(_together(s, r), v + w if join is None else join(v, w)): a * b}
        for (s, v), a in one.items()
        for (r, w), b in two.items()
    )


def _together(one: Scalars, two: Scalars) -> Scalars:
    powers: dict[tuple[Form, bool], int] = {}
    for form, k in (*one, *two):
        powers[form, k > 0] = powers.get((form, k > 0), 0) + k
    together = [(form, k) for (form, _), k in powers.items()]
    return tuple(sorted(together, key=lambda x: (x[0].digest, x[1])))


def lettered(form: Form) -> Terms:
    """Return a form as a sum of one term."""
    return {(((form, 1),), ()) if form.scalar else ((), (form,)): ONE}


def turned(word: Word) -> Word:
    """Return the transpose of a word."""
    return tuple(flipped(x) for x in reversed(word))


def shortened(word: Word) -> Word:
    """Return a word without identities, and with functions of Gram matrices pushed through."""
    return tuple(pushed([x for x in word if x.kind != EYE])) or word[:1]


def traced(terms: Terms) -> Terms:
    """Return the trace of a sum of words; a word may begin anywhere, and be read backwards."""
    return added(
        multiplied({(scalars, ()): c}, lettered(_trace(shortened(word))))
        for (scalars, word), c in terms.items()
    )


def _trace(word: Word) -> Form:
    readings = [w[k:] + w[:k] for w in (word, turned(word)) for k in range(len(word))]
    first = min(readings, key=lambda w: [x.digest for x in w])
    return Form("Trace", first, None, True, True)


def order(term: tuple[Scalars, Word]) -> list[bytes]:
    """Return what terms are ordered by."""
    scalars, word = term
    return [x.digest for x, _ in scalars] + [b""] + [x.digest for x in word]


def spelled(word: Word) -> Form:
    """Return a word as a form: the product of its letters."""
    return word[0] if len(word) == 1 else Form("MatMul", word, None, word == turned(word))


def collected(terms: Terms) -> Form:
    """Return a sum as a form: the multiples of each word together, in order."""
    words: dict[Word, list[Form]] = {}
    for (scalars, word), c in terms.items():
        words.setdefault(word, []).append(_as_form(scalars, c))
    parts = []
    for word, multiples in words.items():
        total = multiples[0] if len(multiples) == 1 else joined("Add", multiples)
        parts.append(_multiple(total, word))
    return parts[0] if len(parts) == 1 else joined("Add", parts)


def _multiple(number: Form, word: Word) -> Form:
    if not word:
        return number
    return spelled(word) if number == _as_form((), ONE) else joined("Mul", [number, spelled(word)])


def _as_form(scalars: Scalars, c: Fraction) -> Form:
    numbers = [_power(form, k) for form, k in scalars]
    if c != 1 or not scalars:
        numbers.append(Form("Constant", (), str(c), True, True))
    return numbers[0] if len(numbers) == 1 else joined("Mul", numbers)


def _power(form: Form, k: int) -> Form:
    return form if k == 1 else Form("Pow", (form,), k, True, True)
