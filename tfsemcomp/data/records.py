"""The record: one schema for every training and evaluation set.

A record is a ``tf.train.Example`` with these features. All but the image are optional;
a missing one is empty, or -1 for `label`.

| feature | type | meaning |
|---|---|---|
| image/encoded | bytes | JPEG, PNG or BMP file, upright |
| image/name | bytes | path below the folder it came from, "/" between parts |
| image/height, image/width | int64 | pixels |
| label | int64 | class index, -1 = none |
| class/text | bytes | class name |
| captions | bytes, any number | UTF-8 sentences |
| label_map/encoded | bytes | PNG, 8-bit class index at each pixel, 255 = none |
| instances/encoded | bytes | PNG, 16-bit number of the instance at each pixel |
| edges/encoded | bytes | PNG, 8 bit, lines = 255 |
| roi/encoded | bytes | PNG, 8 bit, importance 0..255 |
| split | bytes | "train", "test", ... |
| dataset | bytes | name of the collection that it came from |

Maps have the height and width of the image. Shards are
`<split>-00000-of-00008.tfrecord`, and `<split>.json` beside them lists counts, SHA-256
of each shard and the class names. reading.py reads them, building.py makes them from
image files.
"""

import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import tensorflow as tf
from google.protobuf import message

from tfsemcomp.errors import BitstreamError, SemCompError

SCHEMA_VERSION = 1
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Record:
    """One example; fields as in the table of this module."""

    image: bytes
    name: str
    height: int
    width: int
    label: int = -1
    class_text: str = ""
    captions: tuple[str, ...] = ()
    label_map: bytes = b""
    instances: bytes = b""
    edges: bytes = b""
    roi: bytes = b""
    split: str = ""
    dataset: str = ""


_STRINGS = {
    "image/encoded": "image",
    "image/name": "name",
    "class/text": "class_text",
    "label_map/encoded": "label_map",
    "instances/encoded": "instances",
    "edges/encoded": "edges",
    "roi/encoded": "roi",
    "split": "split",
    "dataset": "dataset",
}
_TEXTS = ("name", "class_text", "split", "dataset")
_INTEGERS = {"image/height": "height", "image/width": "width", "label": "label"}


def serialize(
    record: Record, further: Mapping[str, tf.train.Feature] | None = None
) -> bytes:
    """Returns the record as the bytes of a ``tf.train.Example``.

    Args:
        record: the record.
        further: features of schemas that build on this one (compressed.py).
    """
    features = {
        key: bytes_feature(getattr(record, field)) for key, field in _STRINGS.items()
    }
    for key, field in _INTEGERS.items():
        value = tf.train.Int64List(value=[getattr(record, field)])
        features[key] = tf.train.Feature(int64_list=value)
    features["captions"] = bytes_feature(*record.captions)
    features |= further or {}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def parse(
    serialized: tf.Tensor, keys: Collection[str] | None = None
) -> dict[str, tf.Tensor]:
    """Parses one serialized record in a graph.

    Args:
        serialized: string scalar.
        keys: of the features wanted; None wants all. Few are parsed faster.
    Returns: a scalar for each feature; `captions` is a string vector.
    """
    spec = {key: tf.io.FixedLenFeature([], tf.string, "") for key in _STRINGS}
    spec |= {key: tf.io.FixedLenFeature([], tf.int64, -1) for key in _INTEGERS}
    spec["captions"] = tf.io.RaggedFeature(tf.string)
    if keys is not None:
        spec = {key: spec[key] for key in keys}
    return tf.io.parse_single_example(serialized, spec)


def bytes_feature(*values: str | bytes) -> tf.train.Feature:
    """A feature of bytes, or of text as UTF-8."""
    encoded = [v.encode() if isinstance(v, str) else v for v in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))


def from_parsed(parsed: Mapping[str, tf.Tensor]) -> Record:
    """The record whose features `parse` gave, outside a graph."""
    strings = {field: parsed[key].numpy() for key, field in _STRINGS.items()}
    for field in _TEXTS:
        strings[field] = strings[field].decode()
    integers = {field: int(parsed[key]) for key, field in _INTEGERS.items()}
    captions = tuple(text.decode() for text in parsed["captions"].numpy())
    return Record(**strings, **integers, captions=captions)


def deserialize(serialized: bytes) -> Record:
    """The record that `serialize` made the bytes of, outside a graph.

    Raises:
        BitstreamError: these are no ``tf.train.Example``, or its texts no UTF-8.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
        strings: dict[str, bytes | str] = {
            field: _only(features[key].bytes_list.value, b"")
            for key, field in _STRINGS.items()
        }
        for field in _TEXTS:
            strings[field] = strings[field].decode()
        captions = tuple(t.decode() for t in features["captions"].bytes_list.value)
    except (message.DecodeError, UnicodeDecodeError) as error:
        raise BitstreamError(f"no record: {error}.") from error
    integers = {
        field: _only(features[key].int64_list.value, -1)
        for key, field in _INTEGERS.items()
    }
    return Record(**strings, **integers, captions=captions)


def _only(values: Sequence[T], default: T) -> T:
    return values[0] if len(values) else default


def shard_name(split: str, index: int, shards: int) -> str:
    """File name of a shard: `train-00003-of-00008.tfrecord`."""
    return f"{split}-{index:05d}-of-{shards:05d}.tfrecord"


def write_shards(
    records: Iterable[Record],
    folder: str,
    split: str,
    shards: int,
    classes: Sequence[str] = (),
    **further: object,
) -> dict:
    """Writes records, dealt in turn to `shards` files, and the split's index.

    The files get their names only when all are whole, the index last of all: a run
    that is interrupted leaves neither an index nor a half-written shard.

    Args:
        records: the examples, streamed.
        folder: local or ``tf.io.gfile`` folder; made when missing.
        split: "train", "test", ...
        shards: number of files, >= 1.
        classes: class names in the order of the labels.
        **further: entries of the index beyond those of every one, in JSON types.
    Returns: the index as written.
    Raises:
        ValueError: if `shards` is below 1.
        SemCompError: if there is no record at all.
    """
    if shards < 1:
        raise ValueError(f"`shards` must be at least 1; got {shards}.")
    tf.io.gfile.makedirs(folder)
    temporary = [
        _temporary(tf.io.gfile.join(folder, shard_name(split, number, shards)))
        for number in range(shards)
    ]
    try:
        counts = _write_in_turn(map(serialize, records), temporary)
        if not sum(counts):
            raise SemCompError(f"no image for split '{split}': nothing was written.")
        for number, path in enumerate(temporary):
            name = shard_name(split, number, shards)
            tf.io.gfile.rename(path, tf.io.gfile.join(folder, name), overwrite=True)
    finally:
        for path in temporary:
            if tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)
    return write_index(folder, split, counts, classes, **further)


def write_shard(path: str, serialized: Iterable[bytes]) -> int:
    """Writes one shard, which gets its name only when it is whole.

    Args:
        path: of the shard, in a folder that exists.
        serialized: the examples as `serialize` gives them, streamed.
    Returns: the number of records.
    """
    temporary = _temporary(path)
    try:
        (count,) = _write_in_turn(serialized, [temporary])
        tf.io.gfile.rename(temporary, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
    return count


def _temporary(path: str) -> str:
    """A hidden name beside `path`, of this call only: machines may share the folder."""
    folder, name = os.path.split(path)
    return tf.io.gfile.join(folder, f".{name}.{uuid.uuid4().hex[:12]}")


def _write_in_turn(serialized: Iterable[bytes], paths: list[str]) -> list[int]:
    counts = [0] * len(paths)
    writers = [tf.io.TFRecordWriter(path) for path in paths]
    try:
        for number, record in enumerate(serialized):
            writers[number % len(paths)].write(record)
            counts[number % len(paths)] += 1
    finally:
        for writer in writers:
            writer.close()
    return counts


def write_index(
    folder: str,
    split: str,
    counts: Sequence[int],
    classes: Sequence[str] = (),
    **further: object,
) -> dict:
    """Writes the index of a split whose shards are all there.

    Args:
        folder: of the shards.
        split: "train", "test", ...
        counts: records in each shard, in order.
        classes: class names in the order of the labels.
        **further: entries beyond those of every index, in JSON types.

    Returns: the index.
    """
    entries = []
    for number, count in enumerate(counts):
        name = shard_name(split, number, len(counts))
        path = tf.io.gfile.join(folder, name)
        entries.append(
            {
                "file": name,
                "records": count,
                "bytes": tf.io.gfile.stat(path).length,
                "sha256": sha256_of(path),
            }
        )
    index = {
        "schema": SCHEMA_VERSION,
        "split": split,
        "records": sum(counts),
        "classes": list(classes),
        **further,
        "shards": entries,
    }
    write_json(index_path(folder, split), index)
    return index


def write_json(path: str, content: dict) -> None:
    """Writes a JSON file, all of it or nothing."""
    with tf.io.gfile.GFile(path + ".tmp", "w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
    tf.io.gfile.rename(path + ".tmp", path, overwrite=True)


def read_json(path: str) -> dict | None:
    """What `write_json` wrote; None if there is no such file."""
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def index_path(folder: str, split: str) -> str:
    """Path of the split's index file."""
    return tf.io.gfile.join(folder, f"{split}.json")


def read_index(folder: str, split: str) -> dict:
    """Reads the index that `write_shards` wrote.

    Raises:
        SemCompError: if there is none.
        BitstreamError: if it is damaged or of a newer schema.
    """
    path = index_path(folder, split)
    if not tf.io.gfile.exists(path):
        raise SemCompError(
            f"{path}: no such index; make the records with "
            "tfrecords_tools/build_records.py."
        )
    with tf.io.gfile.GFile(path, "r") as file:
        text = file.read()
    try:
        index = json.loads(text)
        schema, _ = index["schema"], index["shards"]
    except (ValueError, KeyError, TypeError) as error:
        raise BitstreamError(f"{path}: not an index of records ({error}).") from error
    if schema > SCHEMA_VERSION:
        raise BitstreamError(
            f"{path}: schema {schema} is newer than {SCHEMA_VERSION}; "
            "update tfsemcomp or build the records again."
        )
    return index


def parse_source(text: str) -> tuple[str, str]:
    """Splits "folder:split", as recipes name their records.

    Raises:
        ValueError: if it has another form.
    """
    folder, colon, split = text.rpartition(":")
    if not colon or not folder or not split:
        raise ValueError(f"records are named folder:split; got '{text}'.")
    return folder, split


def class_names(sources: Sequence[tuple[str, str]]) -> list[str]:
    """The one list of classes that labelled records share.

    Args:
        sources: (folder, split) pairs; those without classes do not count.

    Raises:
        SemCompError: none has classes, or their lists differ.
    """
    lists = [read_index(*source)["classes"] for source in sources]
    named = [names for names in lists if names]
    if not named or any(names != named[0] for names in named):
        raise SemCompError(
            "`--data` needs labelled records that share their classes, received "
            f"{', '.join(map(':'.join, sources))}."
        )
    return named[0]


def shard_paths(folder: str, split: str) -> list[str]:
    """Paths of the split's shards, in order."""
    entries = read_index(folder, split)["shards"]
    return [tf.io.gfile.join(folder, entry["file"]) for entry in entries]


def verify(folder: str, split: str) -> int:
    """Checks size and SHA-256 of every shard; returns the number of records.

    Raises:
        BitstreamError: naming the first shard that is missing or changed.
    """
    index = read_index(folder, split)
    for entry in index["shards"]:
        path = tf.io.gfile.join(folder, entry["file"])
        if not tf.io.gfile.exists(path):
            raise BitstreamError(f"{path}: shard is missing; build the records again.")
        if sha256_of(path) != entry["sha256"]:
            raise BitstreamError(
                f"{path}: shard differs from its checksum in {split}.json; "
                "build the records again."
            )
    return index["records"]


def sha256_of(path: str) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
