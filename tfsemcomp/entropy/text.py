"""A caption <-> bytes: frozen tables of words after words, exact for any text.

    text --cut--> tokens, case, spaces --symbols of tables--> range coder --> bytes

| symbol | table | when |
|---|---|---|
| form | 0 | first: capital at sentence starts + 2 x plainly written + 4 x exceptions |
| word, end or unknown | of the word before | each token, and after the last |
| letter, end or byte | of the two letters before | the letters of an unknown word |
| byte | 2 | a byte that is no letter |
| shape | 1 | after each token, where there are exceptions |

Expected are words in the case that they mostly have, one space between them and, where
they are written plainly, none before punctuation ("a dog, running." and not "a dog ,
running ."). A shape tells how a token differs: 0 as expected, 1 as spelled, 2 with a
capital first, 3 in capitals, + 4 if it has a space where none is expected or the other
way round.

What these cannot say, such as two spaces, or what they say in more bytes, is stored as
the byte 255 and the UTF-8 text deflated with the words as its dictionary. The last
256th of table 0 belongs to no form, so that coded text never begins with this byte.

A caption as people write them takes 11 bytes (docs/text.md).
"""

import collections
import dataclasses
import functools
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from tfsemcomp import images
from tfsemcomp.entropy import archives, range_coder, text_tables
from tfsemcomp.entropy.tables import MAX_PRECISION, Tables
from tfsemcomp.errors import BitstreamError, ModelMismatchError
from tfsemcomp.semantics import vocabulary as vocabularies
from tfsemcomp.semantics.vocabulary import Vocabulary

# Beside saved_model.pb.
FILE_NAME = "text.npz"
# UTF-8 bytes of a text.
MOST_BYTES = 4096
# Words with symbols, the vocabulary's most frequent ones; others are spelled.
MOST_WORDS = 8192

_FORM_TABLE, _SHAPE_TABLE, _BYTE_TABLE, _SPELLING_TABLE = range(4)
_CAPITAL, _PLAIN, _EXCEPTIONS = 1, 2, 4
_FORMS = 8
_EXPECTED, _AS_SPELLED, _CAPITALISED, _UPPER = range(4)
_OTHER_SPACE = 4
_SHAPES = 8
_RESERVED = 2.0**-8
# Of captions written with spaces before punctuation, as many as would be written
# plainly: sets of captions are cut into tokens, people write "a dog, running."
_PLAIN_PRIOR = 0.5
_DEFLATED = b"\xff"
_WINDOW_BITS = -15
_WINDOW = 2**15
_SENTENCE_ENDS = frozenset(".!?")
_MAX_FILE_BYTES = 2**26
_CHECKSUM = "sha256"


@dataclasses.dataclass(frozen=True, eq=False)
class TextModel:
    """The tables of the coder, as integers that are never computed again.

    Attributes:
        words: that have symbols, most frequent first.
        cases: uint8 [V], the case that a word mostly has within a sentence: 1 as it
            is, 2 with a capital first, 3 in capitals.
        followers: int32 [V], the word table for what follows a word; 0 where it has
            none of its own.
        spellings: int32 [S,S], the spelling table after two letters.
        tables: the tables of this module: three, those of spelling, those of words.

    Raises: ValueError if they are none of this, so that no coder ever meets tables
        that do not fit each other.
    """

    words: tuple[str, ...]
    cases: np.ndarray
    followers: np.ndarray
    spellings: np.ndarray
    tables: Tables

    def __post_init__(self) -> None:
        V, S = len(self.words), text_tables.SPELLING_SYMBOLS
        Vocabulary(self.words)
        _check_array("cases", self.cases, np.uint8, (V,), 1, _UPPER)
        _check_array("spellings", self.spellings, np.int32, (S, S), 0, 2**30)
        spelling = int(self.spellings.max()) + 1
        first_word = _SPELLING_TABLE + spelling
        words = len(self.tables) - first_word
        _check_array("followers", self.followers, np.int32, (V,), 0, words - 1)
        kinds = [_FORMS + 1, _SHAPES, 256] + spelling * [S]
        kinds += words * [text_tables.FIRST_WORD + V]
        if (
            words < text_tables.SHARED_TABLES
            or self.tables.counts.tolist() != kinds
            or self.tables.escapes.any()
            or self.tables.offsets.any()
        ):
            raise ValueError("`tables` do not fit the words and spellings")
        object.__setattr__(self, "_first_word_table", first_word)

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Word -> 0, 1, ..."""
        return {word: number for number, word in enumerate(self.words)}

    @functools.cached_property
    def dictionary(self) -> bytes:
        """What deflated texts refer to: the words, the most frequent ones last."""
        return " ".join(reversed(self.words)).encode()[-_WINDOW:]

    def word_table(self, before: str | None) -> int:
        """The table for what follows a token; None is before the first."""
        number = self.numbers.get(before)
        row = 0 if number is None else int(self.followers[number])
        return self._first_word_table + (row or text_tables.shared_table(before))

    def spelling_table(self, before: tuple[int, int]) -> int:
        """The table for what follows two letters."""
        return _SPELLING_TABLE + int(self.spellings[before])

    def case(self, token: str) -> int:
        """The case that a token mostly has within a sentence."""
        number = self.numbers.get(token)
        return _AS_SPELLED if number is None else int(self.cases[number])


def _check_array(name, array, dtype, shape, least, most) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"`{name}` must be {np.dtype(dtype)} {list(shape)}, received "
            f"{array.dtype} {list(array.shape)}"
        )
    if not (array.min() >= least and array.max() <= most):
        raise ValueError(f"`{name}` must be {least} to {most}")


def build(captions: Iterable[str], vocabulary: Vocabulary) -> TextModel:
    """Counts what captions say and how.

    Args:
        captions: texts, those for training only.
        vocabulary: of the words that get symbols; those beyond 8,192 do not.
    Raises: ValueError if there is no caption.
    """
    cut = [tokens for tokens in map(_cut, captions) if tokens]
    if not cut:
        raise ValueError("`captions` must hold at least one sentence.")
    words = vocabulary.words[:MOST_WORDS]
    numbers = {word: number for number, word in enumerate(words)}
    sentences = [[vocabularies.lower(token.surface) for token in text] for text in cut]
    cases = _usual_cases(cut, words)
    forms, shapes = np.ones(_FORMS), np.ones(_SHAPES)
    for text in cut:
        form, told = _best_form(text, lambda token: cases.get(token, _AS_SPELLED))
        forms[form] += 1
        np.add.at(shapes, told if form & _EXCEPTIONS else [], 1)
    for form in (0, _CAPITAL):
        forms[form | _PLAIN] += _PLAIN_PRIOR * forms[form]
    forms = np.append(forms / forms.sum() * (1 - _RESERVED), _RESERVED)
    spelled = collections.Counter(token for tokens in sentences for token in tokens)
    spelling_rows, spellings = text_tables.spelling_rows(spelled)
    word_rows, followers = text_tables.word_rows(sentences, numbers)
    rows = [forms, shapes, np.ones(256), *spelling_rows, *word_rows]
    return TextModel(
        words,
        np.uint8([cases[word] for word in words]),
        followers,
        spellings,
        text_tables.quantise(rows),
    )


@dataclasses.dataclass(frozen=True)
class _Token:
    """A token as it is written, and whether a space is before it."""

    surface: str
    space: bool


def _cut(text: str) -> list[_Token] | None:
    """The tokens of a text; None if there is more between them than single spaces."""
    found, end = [], 0
    for match in vocabularies.surfaces(text):
        gap = text[end : match.start()]
        if gap not in ("", " ") or (gap and not found):
            return None
        found.append(_Token(match.group(), bool(gap)))
        end = match.end()
    return found if end == len(text) else None


def _write(token: str, case: int) -> str:
    """A token in lower case, in this case."""
    if case == _CAPITALISED:
        return vocabularies.upper(token[:1]) + token[1:]
    return vocabularies.upper(token) if case == _UPPER else token


def _usual_cases(cut: Iterable[list[_Token]], words: tuple[str, ...]) -> dict[str, int]:
    """The case that each word mostly has where no sentence starts."""
    counts = {word: np.zeros(_UPPER + 1, np.int64) for word in words}
    for text in cut:
        for before, token in zip(text, text[1:], strict=False):
            low = vocabularies.lower(token.surface)
            if low in counts and before.surface not in _SENTENCE_ENDS:
                counts[low][_case_of(token.surface, low)] += 1
    return {word: max(_AS_SPELLED, int(row.argmax())) for word, row in counts.items()}


def _case_of(surface: str, low: str) -> int:
    """The first case that writes a token so; 0 if none does."""
    cases = (_AS_SPELLED, _CAPITALISED, _UPPER)
    return next((case for case in cases if _write(low, case) == surface), 0)


def _expected_case(usual: int, before: str | None, form: int) -> int:
    """The case that a token has without being told, from its usual one."""
    starts = before is None or before in _SENTENCE_ENDS
    if starts and form & _CAPITAL and usual == _AS_SPELLED:
        return _CAPITALISED
    return usual


def _expects_space(before: str | None, token: str, form: int) -> bool:
    if before is None:
        return False
    if form & _PLAIN:
        return token not in vocabularies.CLOSING and before not in vocabularies.OPENING
    # As tokenisers write it: "a dog 's tail".
    return before != "'"


def _shape(token: _Token, before: str | None, form: int, usual_case) -> int:
    """How a token differs from what is expected after another one."""
    low = vocabularies.lower(token.surface)
    expected = _expected_case(usual_case(low), before, form)
    case = _EXPECTED
    if _write(low, expected) != token.surface:
        # In mixed case it is spelled letter by letter, whatever its case.
        case = _case_of(token.surface, low) or _AS_SPELLED
    other = token.space != _expects_space(before, low, form)
    return case + _OTHER_SPACE * other


def _best_form(text: list[_Token], usual_case) -> tuple[int, list[int]]:
    """The form with the fewest exceptions, and the shapes of the tokens."""
    found = []
    for form in (0, _CAPITAL, _PLAIN, _CAPITAL | _PLAIN):
        before, shapes = None, []
        for token in text:
            shapes.append(_shape(token, before, form, usual_case))
            before = vocabularies.lower(token.surface)
        found.append((np.count_nonzero(shapes), form, shapes))
    exceptions, form, shapes = min(found, key=lambda item: item[:2])
    return form | (_EXCEPTIONS if exceptions else 0), shapes


class _Symbols:
    """Symbols and the tables that code them, in order."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.indexes: list[int] = []

    def put(self, index: int, value: int) -> None:
        """Adds a symbol of a table."""
        self.indexes.append(index)
        self.values.append(value)


def _spell(word: str, model: TextModel, symbols: _Symbols) -> None:
    before = (text_tables.SPELLING_END, text_tables.SPELLING_END)
    data = word.encode()
    for byte, letter in zip(data, text_tables.letters_of(data), strict=True):
        symbols.put(model.spelling_table(before), letter)
        if letter == text_tables.SPELLING_BYTE:
            symbols.put(_BYTE_TABLE, byte)
        before = (before[1], letter)
    symbols.put(model.spelling_table(before), text_tables.SPELLING_END)


def _symbols(text: list[_Token], model: TextModel) -> _Symbols:
    form, shapes = _best_form(text, model.case)
    symbols, before = _Symbols(), None
    symbols.put(_FORM_TABLE, form)
    for token, shape in zip(text, shapes, strict=True):
        low = vocabularies.lower(token.surface)
        spelled = low if _case_of(token.surface, low) else token.surface
        symbol = text_tables.word_symbol(spelled, model.numbers)
        symbols.put(model.word_table(before), symbol)
        if symbol == text_tables.UNKNOWN:
            _spell(spelled, model, symbols)
        if form & _EXCEPTIONS:
            symbols.put(_SHAPE_TABLE, shape)
        before = low
    symbols.put(model.word_table(before), text_tables.END)
    return symbols


def encode(text: str, model: TextModel) -> bytes:
    """Codes a text without loss.

    Args:
        text: at most 4,096 bytes of UTF-8.
        model: whose tables the decoder has.
    Raises: ValueError if `text` is no text, too long or has half a surrogate pair.
    """
    if not isinstance(text, str):
        raise ValueError(f"`text` must be a text, received {type(text).__name__}.")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"`text` must be valid Unicode: {error}.") from error
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"`text` must have at most {MOST_BYTES} bytes of UTF-8, received "
            f"{len(data)}; shorten it."
        )
    deflater = zlib.compressobj(
        9, zlib.DEFLATED, _WINDOW_BITS, 9, zdict=model.dictionary
    )
    deflated = _DEFLATED + deflater.compress(data) + deflater.flush()
    tokens = _cut(text)
    if tokens is None:
        return deflated
    symbols = _symbols(tokens, model)
    rows = (np.int32([values]) for values in (symbols.values, symbols.indexes))
    coded = range_coder.encode(model.tables, *rows)[0]
    if len(coded) > len(deflated) or coded.startswith(_DEFLATED):
        return deflated
    return coded


def decode(data: bytes, model: TextModel) -> str:
    """The inverse of `encode`.

    Whatever the bytes are, no more than 4,096 bytes of text come out, in time that
    depends on these only.

    Args:
        data: of `encode`.
        model: the encoder's.
    Raises:
        ValueError: if `data` is not bytes.
        BitstreamError: if it is found to be damaged, which need not happen.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"`data` must be bytes, received {type(data).__name__}.")
    if data.startswith(_DEFLATED):
        return _inflate(data[len(_DEFLATED) :], model)
    return _Reader(data, model).read()


def _inflate(data: bytes, model: TextModel) -> str:
    inflater = zlib.decompressobj(_WINDOW_BITS, zdict=model.dictionary)
    try:
        text = inflater.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise BitstreamError(f"a deflated text is damaged: {error}") from error
    if len(text) > MOST_BYTES:
        raise _too_long()
    if not inflater.eof or inflater.unused_data:
        raise BitstreamError("a deflated text does not end where its bytes end")
    return _as_text(text)


def _as_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BitstreamError(f"a coded text is no UTF-8: {error}") from error


def _too_long() -> BitstreamError:
    return BitstreamError(f"a coded text has more than {MOST_BYTES} bytes")


class _Reader:
    """Takes the symbols of one text in turn, for what they say selects the tables."""

    def __init__(self, data: bytes, model: TextModel) -> None:
        self.model = model
        self.decoder = range_coder.Decoder(model.tables, [data])

    def read(self) -> str:
        """The whole text."""
        form = self._take(_FORM_TABLE)
        if form == _FORMS:
            raise BitstreamError("a coded text has no form")
        parts, size, before = [], 0, None
        while (token := self._take_token(before)) is not None:
            shape = self._take(_SHAPE_TABLE) if form & _EXCEPTIONS else 0
            case, other = shape % _OTHER_SPACE, shape // _OTHER_SPACE
            low = vocabularies.lower(token)
            if case == _EXPECTED:
                case = _expected_case(self.model.case(low), before, form)
            space = _expects_space(before, low, form) != bool(other)
            parts.append(" " * space + _write(token, case))
            size += len(parts[-1].encode())
            if size > MOST_BYTES:
                raise _too_long()
            before = low
        self.decoder.finish()
        return "".join(parts)

    def _take(self, table: int) -> int:
        return int(self.decoder.take(np.int32([[table]]))[0, 0])

    def _take_token(self, before: str | None) -> str | None:
        """The next token; None at the end."""
        symbol = self._take(self.model.word_table(before))
        if symbol == text_tables.END:
            return None
        if symbol == text_tables.UNKNOWN:
            return self._take_spelled()
        return self.model.words[symbol - text_tables.FIRST_WORD]

    def _take_spelled(self) -> str:
        data = bytearray()
        before = (text_tables.SPELLING_END, text_tables.SPELLING_END)
        while True:
            letter = self._take(self.model.spelling_table(before))
            if letter == text_tables.SPELLING_END:
                break
            if letter == text_tables.SPELLING_BYTE:
                data.append(self._take(_BYTE_TABLE))
            else:
                data.append(text_tables.LETTERS[letter - text_tables.FIRST_LETTER])
            if len(data) > MOST_BYTES:
                raise _too_long()
            before = (before[1], letter)
        if not data:
            raise BitstreamError("a coded text spells a word of no letters")
        return _as_text(bytes(data))


def save(path: str | os.PathLike[str], model: TextModel) -> None:
    """Writes a model to an npz file with a checksum, atomically."""
    arrays = _arrays(model)
    arrays[_CHECKSUM] = np.frombuffer(_digest(arrays), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    images.write_atomic(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> TextModel:
    """Reads what `save` wrote.

    Whatever the file holds, no more than 64 MiB are unpacked and nothing is executed.

    Raises: ModelMismatchError, naming the file, if it is missing, damaged, too large
        or no file of text tables, or does not match its checksum.
    """
    try:
        arrays = archives.read(path, _MAX_FILE_BYTES)
        if arrays.pop(_CHECKSUM).tobytes() != _digest(arrays):
            raise ValueError("it does not match its checksum")
        return _model(arrays)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds
        raise ModelMismatchError(
            f"{os.fspath(path)}: is no file of text coding tables ({error}); restore "
            "the model's files."
        ) from error


def _arrays(model: TextModel) -> dict[str, np.ndarray]:
    """What a file holds. Frequencies pack better than their sums."""
    lookup, starts = model.tables.lookup, model.tables.starts
    inside = np.ones(len(lookup), bool)
    inside[starts] = inside[starts + 1] = False
    frequencies = np.diff(lookup, prepend=0)[inside]
    return {
        "words": np.frombuffer("\n".join(model.words).encode(), np.uint8),
        "cases": model.cases,
        "followers": model.followers,
        "spellings": model.spellings,
        "frequencies": frequencies.astype(np.uint16),
        "counts": model.tables.counts.astype(np.int32),
    }


def _model(arrays: Mapping[str, np.ndarray]) -> TextModel:
    rows = np.split(arrays["frequencies"], np.cumsum(arrays["counts"])[:-1])
    head = np.int64([MAX_PRECISION, 0])
    lookup = [part for row in rows for part in (head, row.cumsum(dtype=np.int64))]
    tables = Tables(
        np.concatenate(lookup).astype(np.int32), np.zeros(len(rows), np.int32)
    )
    words = arrays["words"].tobytes().decode().split("\n")
    return TextModel(
        tuple(words),
        arrays["cases"],
        arrays["followers"],
        arrays["spellings"],
        tables,
    )


def _digest(arrays: Mapping[str, np.ndarray]) -> bytes:
    """SHA-256 of names, types, shapes and little-endian values, in order of names."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        stored = array.astype(array.dtype.newbyteorder("<"))
        digest.update(f"{name} {stored.dtype.str} {stored.shape}\n".encode())
        digest.update(stored.tobytes())
    return digest.digest()
