"""Reading records: damage is an error that says where, or counted and left out."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
from absl import logging

from tfsemcomp.data import framing, records
from tfsemcomp.errors import BitstreamError

_ADVICE = "build the records again, or leave damaged ones out with `skip_corrupt`"


def check(folder: str, split: str) -> list[framing.ShardCheck]:
    """Reads a split from end to end, verifying the checksum of each record.

    Returns: for each shard which records are whole and where it is damaged.
    Raises:
        SemCompError: there is no such split.
        BitstreamError: its index is damaged or of a newer schema.
    """
    return [
        framing.check_shard(tf.io.gfile.join(folder, entry["file"]), entry["records"])
        for entry in records.read_index(folder, split)["shards"]
    ]


def serialized(
    folder: str, split: str, *, skip_corrupt: bool = False
) -> tf.data.Dataset:
    """One pass over the records of a split, in the order of its shards.

    Args:
        folder: of `records.write_shards`.
        split: "train", "test", ...
        skip_corrupt: leave out records whose checksum differs. The shards are read
            once in advance to find them; the log counts and names them.

    Returns: dataset of serialized records, string scalars, for `records.parse`. Without
        `skip_corrupt` a damaged record ends it with ``tf.errors.DataLossError``, which
        names no file: wrap what iterates in `naming_damage`.
    Raises:
        SemCompError: there is no such split, or nothing in it is whole.
        BitstreamError: a shard is missing or of another length, without
            `skip_corrupt`.
    """
    if not skip_corrupt:
        _check_lengths(folder, split)
        return tf.data.TFRecordDataset(records.shard_paths(folder, split))
    checks = check(folder, split)
    for damage in (damage for shard in checks for damage in shard.damages):
        logging.warning("left out: %s", damage)
    lost = sum(shard.lost for shard in checks)
    if lost:
        total = sum(shard.expected for shard in checks)
        logging.warning("%s:%s: %d of %d records left out", folder, split, lost, total)
    whole = [shard for shard in checks if len(shard.offsets)]
    if not whole:
        raise BitstreamError(f"{folder}: split {split} holds no whole record.")
    stream = _shard(whole[0])
    for shard in whole[1:]:
        stream = stream.concatenate(_shard(shard))
    return stream


@contextlib.contextmanager
def naming_damage(sources: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Turns TensorFlow's error about a damaged record into one that says where it is.

    Args:
        sources: (folder, split) pairs that are read within.

    Raises:
        BitstreamError: with shard and offset.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        for source in sources:
            for shard in check(*source):
                if shard.damages:
                    raise BitstreamError(f"{shard.damages[0]}; {_ADVICE}.") from error
        raise


def _check_lengths(folder: str, split: str) -> None:
    """Finds missing and torn shards at once, before anything is read."""
    for entry in records.read_index(folder, split)["shards"]:
        path = tf.io.gfile.join(folder, entry["file"])
        if not tf.io.gfile.exists(path):
            raise BitstreamError(f"{path}: shard is missing; {_ADVICE}.")
        length = tf.io.gfile.stat(path).length
        if length != entry["bytes"]:
            raise BitstreamError(
                f"{path}: shard has {length} bytes, its index says {entry['bytes']}; "
                f"{_ADVICE}."
            )


def _shard(shard: framing.ShardCheck) -> tf.data.Dataset:
    if not shard.damages:
        return tf.data.TFRecordDataset(shard.path)
    # TensorFlow's reader gives up the rest of a file at the first damage, so that a
    # damaged shard is read in one piece and its whole records cut out.
    places = tf.data.Dataset.from_tensor_slices((shard.offsets, shard.lengths))
    files = tf.data.Dataset.from_tensors(shard.path).map(tf.io.read_file)
    return files.flat_map(
        lambda content: places.map(
            lambda offset, length: tf.strings.substr(content, offset, length)
        )
    )
