"""Builds the frozen tables of the text coder (`entropy.text`) from captions.

Words: a table for each of the most frequent words, that of what follows it, and shared
ones for what follows the others, told apart by their endings. Counts of pairs are
interpolated with the words' own by absolute discounting (Ney, Essen, Kneser, "On
structuring probabilistic dependences in stochastic language modelling", 1994); half of
what they give way to counts words by how many others they follow (Kneser and Ney 1995).

Spelling: a table for each two characters before, interpolated with those of one and of
none as in prediction by partial matching (method C of Moffat 1990).
"""

import collections
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfsemcomp.entropy import builders
from tfsemcomp.entropy.tables import MAX_PRECISION, Tables

# Symbols of a word table before those of the words.
END, UNKNOWN, FIRST_WORD = range(3)
# Symbols of a spelling table: its end, a byte of no symbol of its own, and these.
SPELLING_END, SPELLING_BYTE, FIRST_LETTER = range(3)
LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789'-"
SPELLING_SYMBOLS = FIRST_LETTER + len(LETTERS)
# Endings of words without a table of their own, then the table for none of them; the
# table for the first word is the one after.
ENDINGS = ("ing", "ed", "s")
SHARED_TABLES = len(ENDINGS) + 2

# Contexts that have tables of their own: 1023 would save 2 bits a caption more.
_CONTEXTS = 255
_DISCOUNT = 0.8
_CONTINUATION = 0.7
# Unknown words look like the rare ones of the vocabulary.
_RARE, _FREQUENT_WEIGHT = 5, 0.3
_ESCAPE_WEIGHT = 0.7
# Two characters that fewer words have share the table of the latter.
_LEAST_SPELLINGS = 2.0


def shared_table(word: str | None) -> int:
    """Which of the shared word tables follows a word; None is before the first."""
    if word is None:
        return SHARED_TABLES - 1
    for number, ending in enumerate(ENDINGS):
        if len(word) > len(ending) + 1 and word.endswith(ending):
            return number
    return len(ENDINGS)


def letters_of(word: bytes) -> list[int]:
    """Spelling symbols of the bytes of a word, without its end."""
    return [LETTERS.find(byte) + FIRST_LETTER for byte in word]


def word_rows(
    sentences: Sequence[Sequence[str]], numbers: Mapping[str, int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Probabilities of words after words.

    Args:
        sentences: tokens of each caption.
        numbers: word -> 0, 1, ... of the words that have symbols.
    Returns: rows of masses over symbols, the shared ones first; and int32 [V], which
        row follows each word, 0 where it is a shared one.
    """
    counts = collections.Counter(t for tokens in sentences for t in tokens)
    frequent = sorted(numbers, key=lambda word: (-counts[word], word))[:_CONTEXTS]
    followers = np.zeros(len(numbers), np.int32)
    for row, word in enumerate(frequent, SHARED_TABLES):
        followers[numbers[word]] = row
    rows = np.zeros((SHARED_TABLES + len(frequent), FIRST_WORD + len(numbers)))
    for tokens in sentences:
        before = None
        for token in [*tokens, None]:
            number = numbers.get(before, -1)
            row = followers[number] if number >= 0 else 0
            rows[row or shared_table(before), word_symbol(token, numbers)] += 1
            before = token
    # A word never seen is possible, in a vocabulary of all words, too.
    once = sum(count == 1 for count in counts.values())
    total = rows.sum(axis=0)
    total[UNKNOWN] = max(total[UNKNOWN], once / 2, 1)
    reach = np.maximum((rows > 0).sum(axis=0), 0.5)
    base = (1 - _CONTINUATION) * np.maximum(total, 0.5) / np.maximum(total, 0.5).sum()
    base += _CONTINUATION * reach / reach.sum()
    return [_interpolate(row, base) for row in rows], followers


def word_symbol(token: str | None, numbers: Mapping[str, int]) -> int:
    """Symbol of a token in a word table; None is the end."""
    if token is None:
        return END
    number = numbers.get(token)
    return UNKNOWN if number is None else FIRST_WORD + number


def _interpolate(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    total = counts.sum()
    if not total:
        return base
    kept = np.maximum(counts - _DISCOUNT, 0)
    return (kept + (total - kept.sum()) * base) / total


def spelling_rows(counts: Mapping[str, int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Probabilities of letters after two letters.

    Args:
        counts: word -> how often it is in the captions.
    Returns: rows of masses over symbols; and int32 [S,S], which row follows two
        symbols; before the first letter both are the end.
    """
    S = SPELLING_SYMBOLS
    found = np.zeros((S, S, S))
    for word, count in sorted(counts.items()):
        weight = 1 if count < _RARE else _FREQUENT_WEIGHT
        before = (SPELLING_END, SPELLING_END)
        for symbol in [*letters_of(word.encode()), SPELLING_END]:
            found[(*before, symbol)] += weight
            before = (before[1], symbol)
    none = _mix(found.sum(axis=(0, 1)), np.full(S, 1 / S))
    one = [_mix(row, none) for row in found.sum(axis=0)]
    rows, places = list(one), np.tile(np.arange(S, dtype=np.int32), (S, 1))
    for first, second in np.argwhere(found.sum(axis=2) >= _LEAST_SPELLINGS):
        places[first, second] = len(rows)
        rows.append(_mix(found[first, second], one[second]))
    return rows, places


def _mix(counts: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Counts with what the shorter context expects, the more as more kinds are seen."""
    weight = _ESCAPE_WEIGHT * max(np.count_nonzero(counts), 1)
    return (counts + weight * base) / (counts.sum() + weight)


def quantise(rows: Iterable[np.ndarray]) -> Tables:
    """Tables without escapes of the highest precision."""
    # Nothing falls below the least frequency, which it would take long to mend.
    size = 1 << MAX_PRECISION
    rows = [row / row.sum() * (1 - len(row) / size) + 1 / size for row in rows]
    return builders.from_pmf(rows, [0] * len(rows), MAX_PRECISION, escape=False)
