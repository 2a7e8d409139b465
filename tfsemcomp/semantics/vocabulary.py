"""Words of captions and their numbers, which networks and the text coder share.

| id | meaning |
|---|---|
| 0 | pad: no word |
| 1 | start: what the first word follows |
| 2 | end of the caption |
| 3 | unknown: a word that the vocabulary lacks |
| 4, 5, ... | its words, most frequent first |

A token is a run of letters and digits, with apostrophes and hyphens inside it, in lower
case, or any other single character but white space. All characters beyond ASCII count
as letters and none of them changes its case: a stream must not depend on the version of
Unicode that its decoder knows.
"""

import collections
import dataclasses
import functools
import json
import os
import re
import string
from collections.abc import Iterable, Sequence

import numpy as np

from tfsemcomp import images
from tfsemcomp.errors import ModelMismatchError

# Beside saved_model.pb.
FILE_NAME = "vocabulary.json"
PAD, START, END, UNKNOWN = range(4)
FIRST_WORD = 4
MOST_WORDS = 65536 - FIRST_WORD
SPACE = r"\t\n\v\f\r "
_LETTER = r"(?:[0-9A-Za-z]|[^\x00-\x7f])"
TOKEN = rf"{_LETTER}+(?:['-]{_LETTER}+)*|[^{SPACE}]"
# What may end a caption and tells nothing.
FULL_STOPS = "\t\n\v\f\r ."
# What follows the word before it without a space, and what the next word so follows.
CLOSING = frozenset(".,;:!?)]}%")
OPENING = frozenset("([{")

_TOKEN = re.compile(TOKEN)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_MAX_FILE_BYTES = 2**23


def lower(text: str) -> str:
    """The text with A to Z in lower case and all else as it is."""
    return text.translate(_LOWER)


def upper(text: str) -> str:
    """The text with a to z in upper case and all else as it is."""
    return text.translate(_UPPER)


def surfaces(text: str) -> list[re.Match]:
    """Where the tokens of a text are, in its own case."""
    return list(_TOKEN.finditer(text))


def tokens(text: str) -> list[str]:
    """The tokens of a text, as this module's table defines them."""
    return _TOKEN.findall(lower(text))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words that have numbers of their own.

    Attributes:
        words: tokens, most frequent first; word k has the id k + 4.

    Raises: ValueError if a word is no token or is there twice, or there are none or
        more than 65,532.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.words) <= MOST_WORDS:
            raise ValueError(
                f"`words` must be 1 to {MOST_WORDS} words; got {len(self.words)}."
            )
        wrong = [w for w in self.words if not isinstance(w, str) or tokens(w) != [w]]
        if wrong:
            raise ValueError(f"`words` must be tokens in lower case; got {wrong[0]!r}.")
        if len(self.numbers) != len(self.words):
            raise ValueError("`words` must differ; at least one is there twice.")

    def __len__(self) -> int:
        """Ids in all: those of the words and the four others."""
        return FIRST_WORD + len(self.words)

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Word -> id."""
        return {word: FIRST_WORD + k for k, word in enumerate(self.words)}

    def ids(self, text: str, length: int) -> np.ndarray:
        """The words of a caption as numbers.

        Args:
            text: any; full stops at its end do not count.
            length: words that are kept, >= 1.
        Returns: int32 [length]: ids of the words, then the end where it fits, then pad.
        Raises: ValueError if `length` is below 1.
        """
        if length < 1:
            raise ValueError(f"`length` must be at least 1; got {length}.")
        found = [
            self.numbers.get(token, UNKNOWN)
            for token in tokens(text.rstrip(FULL_STOPS))
        ]
        row = np.zeros(length, np.int32)
        kept = np.int32([*found, END][:length])
        row[: len(kept)] = kept
        return row

    def text(self, ids: Sequence[int] | np.ndarray) -> str:
        """The sentence that numbers stand for.

        `ids` of it gives them again but for full stops at the end.

        Args:
            ids: of words, up to the end; pad, start and unknown words are left out.
        Returns: as one writes it: a capital letter first and a full stop last; empty
            without words.
        Raises: ValueError if a number is none of this vocabulary.
        """
        words = []
        for number in np.asarray(ids, np.int64).tolist():
            if not 0 <= number < len(self):
                raise ValueError(f"`ids` must be 0 to {len(self) - 1}; got {number}.")
            if number == END:
                break
            if number >= FIRST_WORD:
                words.append(self.words[number - FIRST_WORD])
        return sentence(words)


def sentence(words: Sequence[str]) -> str:
    """Tokens as one writes them: spaces, a capital letter first, a full stop last.

    Args:
        words: tokens in lower case.
    """
    if not words:
        return ""
    parts = []
    for number, word in enumerate(words):
        follows = word in CLOSING or (number and words[number - 1] in OPENING)
        parts.append(word if follows or not number else f" {word}")
    text = "".join(parts)
    return upper(text[0]) + text[1:] + ("" if text.endswith(".") else ".")


def build(captions: Iterable[str], least: int = 2) -> Vocabulary:
    """The vocabulary of captions.

    Args:
        captions: texts, those for training only.
        least: how often a word must be there to be in it, >= 1.
    Raises: ValueError if no word is there as often.
    """
    counts = collections.Counter(t for caption in captions for t in tokens(caption))
    # Of words as frequent the first of the alphabet, whatever order the captions had.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = tuple(word for word, count in ranked if count >= least)
    if not words:
        raise ValueError(f"`captions` must hold a word at least {least} times.")
    return Vocabulary(words[:MOST_WORDS])


def save(path: str | os.PathLike[str], vocabulary: Vocabulary) -> None:
    """Writes a vocabulary as JSON, atomically."""
    text = json.dumps({"words": vocabulary.words}, ensure_ascii=False, indent=0)
    images.write_atomic(path, f"{text}\n".encode())


def load(path: str | os.PathLike[str]) -> Vocabulary:
    """Reads what `save` wrote.

    Raises: ModelMismatchError, naming the file, if it is missing or no vocabulary.
    """
    try:
        if os.path.getsize(path) > _MAX_FILE_BYTES:
            raise ValueError(f"it has more than {_MAX_FILE_BYTES} bytes")
        with open(path, encoding="utf-8") as file:
            words = json.load(file)["words"]
        if not isinstance(words, list):
            raise ValueError("`words` is no list")
        return Vocabulary(tuple(words))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelMismatchError(
            f"{os.fspath(path)}: is no vocabulary ({error}); restore the model's files."
        ) from error
