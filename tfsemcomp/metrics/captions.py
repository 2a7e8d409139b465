"""BLEU-4 of captions.

Sources: Papineni, Roukos, Ward, Zhu, "BLEU: a method for automatic evaluation of
machine translation", ACL 2002; Lin and Och, "ORANGE: a method for evaluating automatic
evaluation metrics for machine translation", COLING 2004 (smoothing).
"""

import collections
import math
import re
from collections.abc import Sequence

_LONGEST = 4
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def words(caption: str) -> list[str]:
    """The words that BLEU compares.

    Args:
        caption: any text.

    Returns:
        Runs of letters and digits in lower case, with apostrophes and hyphens inside
        them; punctuation and white space are dropped.
    """
    return _WORD.findall(caption.lower())


def _n_grams(sentence: Sequence[str], n: int) -> collections.Counter:
    return collections.Counter(zip(*(sentence[k:] for k in range(n)), strict=False))


def _closest_length(length: int, references: Sequence[Sequence[str]]) -> int:
    """The reference length nearest to `length`; of two as near the shorter."""
    return min((abs(len(r) - length), len(r)) for r in references)[1]


def _statistics(candidate: str, references: Sequence[str]) -> list[int]:
    """Lengths of both sides, then matches and candidates of each n."""
    if isinstance(references, str) or not references:
        raise ValueError(
            "`references` must hold a sequence of one or more captions for each "
            f"candidate, not {references!r}."
        )
    sentence = words(candidate)
    others = [words(reference) for reference in references]
    found = [len(sentence), _closest_length(len(sentence), others)]
    for n in range(1, _LONGEST + 1):
        mine = _n_grams(sentence, n)
        most = collections.Counter()
        for other in others:
            most |= _n_grams(other, n)
        found += [(mine & most).total(), mine.total()]
    return found


def _score(statistics: Sequence[int], *, add: int) -> float:
    """Brevity penalty times the geometric mean of the precisions."""
    length, reference_length, *counts = statistics
    logs = []
    for n in range(_LONGEST):
        matches, total = counts[2 * n : 2 * n + 2]
        if n > 0:
            matches, total = matches + add, total + add
        if matches == 0:
            return 0.0
        logs.append(math.log(matches / total))
    brevity = min(0.0, 1.0 - reference_length / length)
    return math.exp(brevity + sum(logs) / _LONGEST)


def bleu4(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU-4 of a corpus, as published: no smoothing.

    The geometric mean of the clipped n-gram precisions, n = 1..4, each counted over the
    whole corpus, times the brevity penalty exp(min(0, 1 - r / c)); c is the number of
    words of all candidates, r that of the references, for each candidate the one
    nearest in length (of two as near the shorter).

    Args:
        candidates: a caption a picture; at least one.
        references: for each candidate one or more captions.

    Returns:
        In [0, 1]; 0 where no 4-gram of the corpus matches.

    Raises:
        ValueError: no captions, not as many of one as of the other, or a candidate
            without a reference.
    """
    if isinstance(candidates, str) or len(candidates) != len(references):
        raise ValueError(
            "`candidates` must hold a caption for each of the "
            f"{len(references)} `references`, not {candidates!r:.80}."
        )
    if not candidates:
        raise ValueError("`candidates` must hold at least one caption.")
    rows = [_statistics(c, r) for c, r in zip(candidates, references, strict=True)]
    return _score([sum(column) for column in zip(*rows, strict=True)], add=0)


def caption_bleu4(candidate: str, references: Sequence[str]) -> float:
    """Smoothed BLEU-4 of one caption.

    `bleu4` of a single caption is 0 whenever one n has no match. Here matches and
    counts of n = 2..4 are raised by one (Lin and Och). Its mean over pictures is not
    the BLEU of the corpus, which `bleu4` gives.

    Args:
        candidate: the caption.
        references: one or more captions of the same picture.

    Returns:
        In [0, 1]; 1 for a candidate equal to a reference.

    Raises:
        ValueError: no reference.
    """
    return _score(_statistics(candidate, references), add=1)
