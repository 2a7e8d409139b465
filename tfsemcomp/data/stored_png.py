"""PNG files without compression: any reader shows them, and a graph cuts parts out.

Decoding costs most of the time of reading pictures for training, and cutting raw bytes
nearly none. A PNG may hold them raw: as deflate blocks that are stored. Here each block
is one row, so that all rows lie at equal distances:

    signature, IHDR, then IDAT: length, "IDAT", zlib header, H blocks, Adler-32, CRC
    a block: 0 (1 in the last), length, its complement, filter 0, 3 W samples

Sources: PNG (ISO/IEC 15948), zlib (RFC 1950), deflate (RFC 1951, 3.2.4).
"""

import struct
import zlib

import numpy as np
import tensorflow as tf

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_HEADER = b"\x78\x01"
# Of a block, before its samples: type, length, complement, filter.
_BLOCK_HEAD = 6
_MAX_BLOCK = 65535
# Places in the file: width and height, length of IDAT, first block.
_SIZE_AT, _LENGTH_AT, _BLOCKS_AT = 16, 33, 43


def encode(pixels: np.ndarray) -> bytes:
    """Makes such a file.

    Args:
        pixels: uint8 [H,W,3], at most 21,844 columns.

    Raises:
        ValueError: more columns.
    """
    height, width = pixels.shape[:2]
    length = 3 * width + 1
    if length > _MAX_BLOCK:
        raise ValueError(
            f"`pixels` may have {(_MAX_BLOCK - 1) // 3} columns, as many as a block "
            f"holds; got {width}."
        )
    rows = np.zeros((height, _BLOCK_HEAD + 3 * width), np.uint8)
    rows[-1, 0] = 1
    head = struct.pack("<HH", length, length ^ 0xFFFF)
    rows[:, 1:5] = np.frombuffer(head, np.uint8)
    rows[:, _BLOCK_HEAD:] = pixels.reshape(height, -1)
    # The checksum is that of what is stored: filter and samples.
    check = zlib.adler32(np.ascontiguousarray(rows[:, _BLOCK_HEAD - 1 :]))
    data = _ZLIB_HEADER + rows.tobytes() + struct.pack(">I", check)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b""))
    return _SIGNATURE + b"".join(chunks)


def is_stored(encoded: tf.Tensor) -> tf.Tensor:
    """Whether `encode` made a file, string scalar -> bool scalar, in a graph."""

    def fits() -> tf.Tensor:
        height, width = tf.unstack(size(encoded))
        length = tf.strings.substr(encoded, _LENGTH_AT, 4)
        length = tf.io.decode_raw(length, tf.int32, little_endian=False)[0]
        # Two bytes before the blocks, four behind.
        return length == height * (_BLOCK_HEAD + 3 * width) + 6

    is_png = tf.strings.substr(encoded, 0, len(_SIGNATURE)) == _SIGNATURE
    return tf.cond(is_png, fits, lambda: tf.constant(False))


def size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a PNG, string scalar -> int32 [2], in a graph."""
    sides = tf.strings.substr(encoded, _SIZE_AT, 8)
    sides = tf.io.decode_raw(sides, tf.int32, little_endian=False)
    return tf.ensure_shape(sides[::-1], [2])


def cut(encoded: tf.Tensor, corner: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Cuts a part out of such a file, in a graph.

    Args:
        encoded: string scalar, for which `is_stored` holds.
        corner: top and left of the part, int32 [2].
        shape: its height and width, int32 [2].

    Returns: uint8 [height,width,3].
    """
    row = _BLOCK_HEAD + 3 * size(encoded)[1]
    start = _BLOCKS_AT + corner[0] * row
    # Only the rows of the part are copied.
    rows = tf.strings.substr(encoded, start, shape[0] * row)
    rows = tf.reshape(tf.io.decode_raw(rows, tf.uint8), [shape[0], row])
    left = _BLOCK_HEAD + 3 * corner[1]
    samples = tf.slice(rows, [0, left], [shape[0], 3 * shape[1]])
    return tf.reshape(samples, [shape[0], shape[1], 3])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
