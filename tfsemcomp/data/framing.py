"""Where each record lies in a TFRecord file, and whether it is whole.

A file is one record after the other: length of the payload as 8 bytes, masked CRC32C of
these as 4, the payload, masked CRC32C of it as 4, all little-endian. Source:
TensorFlow, core/lib/io/record_writer.h.
"""

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Frame:
    """One record of a file, or the place where it should be.

    Attributes:
        offset: of the record's header in the file, bytes.
        payload: what is stored; None where it is damaged.
        damage: what is wrong; empty for a whole record.
    """

    offset: int
    payload: bytes | None
    damage: str = ""


@dataclasses.dataclass(frozen=True)
class Damage:
    """A place where a shard is not what was written.

    Attributes:
        path: of the shard.
        offset: of the damaged record in it, bytes.
        reason: what is wrong.
    """

    path: str
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, offset {self.offset}: {self.reason}"


@dataclasses.dataclass(frozen=True, eq=False)
class ShardCheck:
    """What a shard still holds.

    Attributes:
        path: of the shard.
        expected: records that it should hold.
        offsets: of the whole payloads, bytes; int64 [n].
        lengths: of them, bytes; int64 [n].
        damages: what is wrong; empty for a whole shard.
    """

    path: str
    expected: int
    offsets: np.ndarray
    lengths: np.ndarray
    damages: tuple[Damage, ...]

    @property
    def lost(self) -> int:
        """Records that cannot be read."""
        return max(0, self.expected - len(self.offsets))


def frames(path: str) -> Iterator[Frame]:
    """Reads a file record by record, checking every checksum.

    After a record whose payload is damaged it goes on with the next one. It ends at a
    damaged header, behind which nobody knows where records begin.
    """
    from tfsemcomp.data import crc32c

    size = tf.io.gfile.stat(path).length
    offset = 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while offset < size:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                yield Frame(offset, None, "the file ends within a record's header")
                return
            length, check = _HEADER.unpack(header)
            if crc32c.masked(header[:8]) != check:
                yield Frame(offset, None, "the checksum of a record's length differs")
                return
            end = offset + _HEADER.size + length + _FOOTER.size
            if end > size:
                yield Frame(offset, None, f"the file ends {end - size} bytes too early")
                return
            payload = file.read(length)
            (check,) = _FOOTER.unpack(file.read(_FOOTER.size))
            if crc32c.masked(payload) == check:
                yield Frame(offset, payload)
            else:
                yield Frame(offset, None, "the checksum of a record differs")
            offset = end


def check_shard(path: str, expected: int) -> ShardCheck:
    """Reads a shard and tells which of its records are whole.

    Args:
        path: of the shard, which may be missing.
        expected: records that it should hold.
    """
    offsets, lengths, damages = [], [], []
    if not tf.io.gfile.exists(path):
        damages.append(Damage(path, 0, "the shard is missing"))
    else:
        for frame in frames(path):
            if frame.payload is None:
                damages.append(Damage(path, frame.offset, frame.damage))
            else:
                offsets.append(frame.offset + _HEADER.size)
                lengths.append(len(frame.payload))
        if not damages and len(offsets) != expected:
            reason = f"the shard holds {len(offsets)} records instead of {expected}"
            damages.append(Damage(path, tf.io.gfile.stat(path).length, reason))
    return ShardCheck(
        path,
        expected,
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        tuple(damages),
    )
