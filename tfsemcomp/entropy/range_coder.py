"""Integers <-> bytes through tensorflow-compression's range coder and frozen tables.

    symbols [B,...], indexes [B,...] --Encoder.put--> op --finish--> bytes [B]
    bytes [B], indexes [B,...] --Decoder.take--> op --> symbols [B,...]

`indexes` says which table codes which symbol. Each element of a batch is a stream of
its own. `put` and `take` may be called many times on one stream, as long as both sides
cut the symbols alike: this is how a text is decoded word by word, and how a context
model codes slice after slice. The symbols of one call are followed by their escapes
(`entropy.escape`).

Wrong bytes give wrong symbols or BitstreamError, in time and memory that depend on the
shape of `indexes` only; whoever selects tables by a network adds `checks.symbol_check`.
"""

import functools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfsemcomp import forking
from tfsemcomp.entropy import escape
from tfsemcomp.entropy.tables import Tables, row_starts
from tfsemcomp.errors import BitstreamError

if TYPE_CHECKING:
    import tensorflow as tf

_INT32 = np.iinfo(np.int32)


def _ops():
    """tensorflow and tensorflow_compression, imported when first needed."""
    import tensorflow as tf
    import tensorflow_compression as tfc

    forking.start()
    return tf, tfc


def _coder_lookup(tables: Tables) -> np.ndarray:
    """What the op gets: the tables without its own escape, then those of ours."""
    plain = tables.lookup.copy()
    plain[tables.starts] = tables.precision
    return np.concatenate([plain, escape.rows(tables.precision)])


# By tables, for as long as these live: those of captions have 400,000 numbers.
_lookups: weakref.WeakKeyDictionary[Tables, "tf.Tensor"] = weakref.WeakKeyDictionary()


def _lookup_tensor(tables: Tables) -> "tf.Tensor":
    tf, _ = _ops()
    if tables not in _lookups:
        _lookups[tables] = tf.constant(_coder_lookup(tables))
    return _lookups[tables]


@functools.lru_cache(maxsize=1024)
def _shape_tensor(shape: tuple[int, ...]) -> "tf.Tensor":
    """Kept, since TensorFlow 2.14 on Python 3.11 frees no tensor wholly."""
    tf, _ = _ops()
    return tf.constant(shape, tf.int32)


def _check_indexes(tables: Tables, indexes: np.ndarray) -> np.ndarray:
    """Returns `indexes` as [B,n]."""
    indexes = np.asarray(indexes)
    if indexes.dtype != np.int32 or indexes.ndim < 1:
        raise ValueError(
            "`indexes` must be int32 [B,...], received "
            f"{indexes.dtype} {list(indexes.shape)}"
        )
    if indexes.size and not (indexes.min() >= 0 and indexes.max() < len(tables)):
        raise ValueError(
            f"`indexes` must be from 0 to {len(tables) - 1}, one of the {len(tables)} "
            f"tables, received {indexes.min()} to {indexes.max()}"
        )
    return indexes.reshape(len(indexes), -1 if indexes.size else 0)


def _padding(escaped: np.ndarray) -> np.ndarray:
    """bool [B,m], the places of each row's escapes among as many as the fullest has."""
    counts = np.count_nonzero(escaped, axis=1)
    return np.arange(counts.max(initial=0)) < counts[:, None]


def _class_indexes(tables: Tables, places: np.ndarray) -> np.ndarray:
    """int32 [B,m], which tables code the classes; gaps take the table of 0 bits."""
    first = len(tables)
    table = np.where(places, escape.CLASS_TABLE, escape.BITS_TABLE)
    return (first + table).astype(np.int32)


def _group_indexes(
    tables: Tables, places: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """int32 [B,4m], which tables code the groups of the escapes at `places`."""
    bits = np.zeros((*places.shape, escape.GROUPS), np.int32)
    bits[places] = escape.group_bits(classes)
    return (len(tables) + escape.BITS_TABLE + bits).reshape(len(places), -1)


def _plan(
    tables: Tables, symbols: np.ndarray, indexes: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the op is to code in turn: pairs of table indexes and symbols, int32 [B,k].

    Args:
        tables: see there.
        symbols: int32 [B,n].
        indexes: int32 [B,n], checked.
    """
    relative = symbols.astype(np.int64) - tables.offsets[indexes]
    counts = tables.counts[indexes]
    # One comparison for both ends: negative numbers are huge without their sign.
    escaped = relative.view(np.uint64) >= counts.view(np.uint64)
    if not escaped.any():
        return [(indexes, relative.astype(np.int32))]
    if not tables.escapes[indexes[escaped]].all():
        raise ValueError(
            "`symbols` must be in the range of their tables where these have no "
            f"escape; received {symbols[escaped & ~tables.escapes[indexes]][:3]}"
        )
    overshoot, counts = relative[escaped], counts[escaped]
    below = overshoot < 0
    overshoot = np.where(below, -overshoot, overshoot - counts + 1)
    classes, groups = escape.split(overshoot, below)
    relative[escaped] = counts
    places = _padding(escaped)
    padded_classes = np.zeros(places.shape, np.int32)
    padded_classes[places] = classes
    padded_groups = np.zeros((*places.shape, escape.GROUPS), np.int32)
    padded_groups[places] = groups
    return [
        (indexes, relative.astype(np.int32)),
        (_class_indexes(tables, places), padded_classes),
        (
            _group_indexes(tables, places, classes),
            padded_groups.reshape(len(places), -1),
        ),
    ]


def _check_pair(
    tables: Tables, symbols: np.ndarray, indexes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as [B,n]."""
    symbols = np.asarray(symbols)
    if symbols.dtype != np.int32 or symbols.shape != np.shape(indexes):
        raise ValueError(
            f"`symbols` must be int32 {list(np.shape(indexes))} as `indexes` is, "
            f"received {symbols.dtype} {list(symbols.shape)}"
        )
    indexes = _check_indexes(tables, indexes)
    return symbols.reshape(indexes.shape), indexes


class Encoder:
    """Puts symbols into one stream for each element of a batch.

    Args:
        tables: that `indexes` count.
        batch: number of streams, >= 0.
    """

    def __init__(self, tables: Tables, batch: int) -> None:
        self.tables = tables
        self.batch = batch
        if not batch:  # the op would write beyond its own output
            return
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            self._handle = tfc.create_range_encoder(
                _shape_tensor((batch,)), _lookup_tensor(tables)
            )

    def put(self, symbols: np.ndarray, indexes: np.ndarray) -> None:
        """Codes symbols, in row-major order within each element.

        Args:
            symbols: int32 [B,...], any value where the table has an escape.
            indexes: int32 of the same shape, 0 to T - 1.
        Raises: ValueError if shapes, dtypes or values are none of these.
        """
        symbols, indexes = _check_pair(self.tables, symbols, indexes)
        if len(symbols) != self.batch:
            raise ValueError(
                f"`symbols` must be a batch of {self.batch}, received {len(symbols)}"
            )
        if not symbols.size:
            return
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            for rows, values in _plan(self.tables, symbols, indexes):
                self._handle = tfc.entropy_encode_index(self._handle, rows, values)

    def finish(self) -> list[bytes]:
        """Ends the streams and returns their bytes; call it once, and last."""
        if not self.batch:
            return []
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            return list(tfc.entropy_encode_finalize(self._handle).numpy())


class Decoder:
    """Takes symbols from the streams that an `Encoder` made.

    Args:
        tables: the encoder's.
        data: bytes of each stream.
    Raises: ValueError if `data` is no sequence of bytes.
    """

    def __init__(self, tables: Tables, data: Sequence[bytes]) -> None:
        if isinstance(data, bytes) or not all(isinstance(d, bytes) for d in data):
            raise ValueError("`data` must be a list of bytes, one for each element")
        self.tables = tables
        self.batch = len(data)
        if not data:
            return
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            streams = tf.constant(list(data), tf.string)
            self._handle = tfc.create_range_decoder(streams, _lookup_tensor(tables))

    def take(self, indexes: np.ndarray) -> np.ndarray:
        """Decodes the symbols of one `put`.

        Args:
            indexes: int32 [B,...] as they were put, 0 to T - 1.
        Returns: int32 symbols, shape of `indexes`. Of a damaged stream they are wrong.
        Raises:
            ValueError: if `indexes` are none of these.
            BitstreamError: if a symbol comes out that has more than 32 bits.
        """
        shape = np.shape(indexes)
        indexes = _check_indexes(self.tables, indexes)
        if len(indexes) != self.batch:
            raise ValueError(
                f"`indexes` must be a batch of {self.batch}, received {len(indexes)}"
            )
        if not indexes.size:
            return np.zeros(shape, np.int32)
        values = self._decode(indexes)
        escaped = self.tables.escapes[indexes] & (values == self.tables.counts[indexes])
        values += self.tables.offsets[indexes]
        if escaped.any():
            values[escaped] = self._take_escaped(indexes, escaped)
        return values.reshape(shape)

    def _take_escaped(self, indexes: np.ndarray, escaped: np.ndarray) -> np.ndarray:
        places = _padding(escaped)
        classes = self._decode(_class_indexes(self.tables, places))[places]
        classes = classes.astype(np.int64)
        groups = self._decode(_group_indexes(self.tables, places, classes))
        groups = groups.reshape(*places.shape, escape.GROUPS)[places].astype(np.int64)
        overshoot, below = escape.join(classes, groups)
        tables = indexes[escaped]
        upper = overshoot + self.tables.counts[tables] - 1
        symbols = np.where(below, -overshoot, upper) + self.tables.offsets[tables]
        if symbols.min() < _INT32.min or symbols.max() > _INT32.max:
            raise BitstreamError("a coded symbol has more than 32 bits")
        return symbols

    def _decode(self, indexes: np.ndarray) -> np.ndarray:
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            self._handle, values = tfc.entropy_decode_index(
                self._handle, indexes, _shape_tensor(indexes.shape[1:]), tf.int32
            )
        # A copy: the tensor's own memory must not be written to.
        return np.array(values)

    def finish(self) -> None:
        """Checks that the streams ended with the last symbol.

        Raises: BitstreamError if one was longer or shorter. It is a weak check: streams
            that are damaged may pass.
        """
        if not self.batch:
            return
        tf, tfc = _ops()
        with tf.device("/CPU:0"):
            whole = tfc.entropy_decode_finalize(self._handle).numpy()
        if not whole.all():
            raise BitstreamError(
                f"coded symbols {np.flatnonzero(~whole)[0] + 1} of {self.batch} do not "
                "end where their bytes end: these are damaged, cut, or of other tables"
            )


def encode(tables: Tables, symbols: np.ndarray, indexes: np.ndarray) -> list[bytes]:
    """Codes each element of a batch to bytes.

    Args:
        tables: that `indexes` count.
        symbols: int32 [B,...], any value where the table has an escape.
        indexes: int32 of the same shape, 0 to T - 1.
    Returns: B byte strings, empty for no symbols.
    Raises: ValueError if shapes, dtypes or values are none of these.
    """
    encoder = Encoder(tables, len(np.atleast_1d(symbols)))
    encoder.put(symbols, indexes)
    return encoder.finish()


def decode(tables: Tables, data: Sequence[bytes], indexes: np.ndarray) -> np.ndarray:
    """The inverse of `encode`.

    Args:
        tables: the encoder's.
        data: B byte strings.
        indexes: int32 [B,...], the encoder's.
    Returns: int32 symbols, shape of `indexes`.
    Raises:
        ValueError: if an argument is none of these.
        BitstreamError: if the bytes are found to be damaged, which need not happen.
    """
    decoder = Decoder(tables, data)
    symbols = decoder.take(indexes)
    decoder.finish()
    return symbols


def encode_channels(tables: Tables, symbols: np.ndarray) -> list[bytes]:
    """Codes each element of a batch, channel c by table c.

    Args:
        tables: one for each channel.
        symbols: int32 [B,...,C], C the number of tables.
    Returns: B byte strings.
    Raises: ValueError if `symbols` is none of this.
    """
    return encode(tables, symbols, channel_indexes(tables, np.shape(symbols)))


def decode_channels(
    tables: Tables, data: Sequence[bytes], shape: Sequence[int]
) -> np.ndarray:
    """The inverse of `encode_channels`.

    Args:
        tables: one for each channel.
        data: B byte strings.
        shape: of an element: (...,C), without the batch.
    Returns: int32 [B,...,C].
    Raises: ValueError, BitstreamError as `decode`.
    """
    return decode(tables, data, channel_indexes(tables, (len(data), *shape)))


def channel_indexes(tables: Tables, shape: Sequence[int]) -> np.ndarray:
    """Indexes that select table c for channel c.

    Returns: int32 of `shape` [B,...,C].
    Raises: ValueError if there are not as many tables as channels.
    """
    if len(shape) < 2 or shape[-1] != len(tables):
        raise ValueError(
            f"`symbols` must be [B,...,C] with C = {len(tables)}, the number of "
            f"tables, received {list(shape)}"
        )
    return np.broadcast_to(np.arange(len(tables), dtype=np.int32), shape)


def estimate_bits(
    tables: Tables, symbols: np.ndarray, indexes: np.ndarray
) -> np.ndarray:
    """The information that the tables give to the symbols, escapes included.

    `encode` needs these bits and at most a few bytes more.

    Args:
        tables: that `indexes` count.
        symbols: int32 [B,...].
        indexes: int32 of the same shape.
    Returns: float64 [B], bits.
    Raises: ValueError as `encode`.
    """
    symbols, indexes = _check_pair(tables, symbols, indexes)
    lookup = _coder_lookup(tables)
    starts = row_starts(lookup, tables.precision)
    bits = np.zeros(len(symbols))
    for rows, values in _plan(tables, symbols, indexes):
        places = starts[rows] + 1 + values
        frequencies = lookup[places + 1] - lookup[places]
        bits += (tables.precision - np.log2(frequencies)).sum(axis=1)
    return bits
