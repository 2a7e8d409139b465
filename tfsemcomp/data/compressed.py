"""Pre-compressed records: a slow codec is paid once, whoever judges its pictures.

A folder holds the originals as one split of ordinary records, `original`, and a split
for each codec and setting. Shard by shard these hold the same pictures in the same
order. A record of theirs is an ordinary record (records.py) whose picture is the
decoded one, so that whatever reads records reads these, with these features besides:

| feature | type | meaning |
|---|---|---|
| compressed/encoded | bytes | the whole compressed file |
| compressed/bpp | float | bits of it per pixel of the picture |
| compressed/codec, compressed/model | bytes | names; no model: empty |
| compressed/setting | bytes | as in tables of results, "quality=50" |
| compressed/quality | float | the codec's quality number, NaN if it has none |
| compressed/fingerprint | bytes | of the model, in hexadecimal; no container: empty |
| compressed/version | bytes | of tfsemcomp, which wrote it |
| compressed/source | bytes | SHA-256 of the original's pixels, hexadecimal |

The decoded picture is stored as PNG, and so is the original as it was compressed.
Sources: the pre-compressed records of arXiv 1910.03472's code, which lack the file.
"""

import dataclasses
import hashlib
import json
import math
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from absl import logging

from tfsemcomp import bitstream, images, version
from tfsemcomp.codecs import base
from tfsemcomp.data import label_maps, pipeline, records, transforms
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.serving import manifest

ORIGINALS = "original"
# The entry of an index that tells which codec and setting made the split.
ENTRY = "compressed"


@dataclasses.dataclass(frozen=True)
class CompressedRecord(records.Record):
    """One picture, compressed; fields as in the table of this module."""

    data: bytes = b""
    codec: str = ""
    model: str = ""
    setting: str = ""
    quality: float = math.nan
    fingerprint: str = ""
    version: str = ""
    source: str = ""

    @property
    def bpp(self) -> float:
        """Bits of the whole compressed file per pixel."""
        return 8.0 * len(self.data) / (self.height * self.width)


_STRINGS = {
    "compressed/encoded": "data",
    "compressed/codec": "codec",
    "compressed/model": "model",
    "compressed/setting": "setting",
    "compressed/fingerprint": "fingerprint",
    "compressed/version": "version",
    "compressed/source": "source",
}
_FLOATS = {"compressed/bpp": "bpp", "compressed/quality": "quality"}
# Beside the shards of a split in the making: what it is made of.
_PLAN = ".plan.json"
T = TypeVar("T")
Parsed = dict[str, tf.Tensor]
Parser = Callable[[tf.Tensor], Parsed]


def original(record: records.Record, short_side: int = 0) -> records.Record:
    """A record whose picture is what codecs are given: upright 8-bit RGB, as PNG.

    Args:
        record: of a picture in any format that `images` reads.
        short_side: pixels to which larger pictures are scaled; 0 keeps them.

    Raises:
        SemCompError: a picture that cannot be read.
    """
    pixels = images.load_bytes(record.image, name=record.name).pixels
    pixels = transforms.resize_short_side(pixels, short_side)
    height, width = pixels.shape[:2]
    labels = record.label_map
    if labels:
        plane = label_maps.decode(labels, record.name)
        labels = label_maps.encode(label_maps.resize(plane, height, width))
    return dataclasses.replace(
        record,
        image=images.encode(pixels, "png"),
        height=height,
        width=width,
        label_map=labels,
    )


def compress(
    record: records.Record,
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
) -> CompressedRecord:
    """Compresses and decodes the picture of one record.

    Args:
        record: the original; its other features come along.
        codec: the codec.
        setting: what tables call the arguments, such as "quality=50".
        arguments: what `codec.encode` takes beside the picture.

    Raises:
        SemCompError: whatever the codec raises, with the record's name, or a decoded
            picture of another size.
    """
    try:
        pixels = images.load_bytes(record.image, name=record.name).pixels
        encoded = codec.encode(pixels, **arguments)
        decoded = codec.decompress(encoded.data)
    except SemCompError as error:
        raise type(error)(f"{record.name}, {codec.name} {setting}: {error}") from error
    if decoded.shape != pixels.shape:
        raise SemCompError(
            f"{record.name}: {codec.name} gave back {decoded.shape[1]}x"
            f"{decoded.shape[0]} pixels for {pixels.shape[1]}x{pixels.shape[0]}."
        )
    return CompressedRecord(
        **{**vars(record), "image": images.encode(decoded, "png")},
        data=encoded.data,
        codec=codec.name,
        model=codec.model or "",
        setting=setting,
        quality=math.nan if encoded.quality is None else float(encoded.quality),
        fingerprint=_fingerprint(encoded.data),
        version=version.__version__,
        source=hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest(),
    )


def serialize(record: CompressedRecord) -> bytes:
    """Returns the record as the bytes of a ``tf.train.Example``."""
    further = {
        key: records.bytes_feature(getattr(record, field))
        for key, field in _STRINGS.items()
    }
    for key, field in _FLOATS.items():
        value = tf.train.FloatList(value=[getattr(record, field)])
        further[key] = tf.train.Feature(float_list=value)
    return records.serialize(record, further)


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses one serialized record in a graph.

    Args:
        serialized: string scalar.

    Returns:
        A scalar for each feature of this schema and of `records.parse`.
    """
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in _STRINGS}
    spec |= {key: tf.io.FixedLenFeature([], tf.float32) for key in _FLOATS}
    return records.parse(serialized) | tf.io.parse_single_example(serialized, spec)


def split_name(codec: str, model: str, setting: str) -> str:
    """The split of a codec and setting: plain in file names, different for each."""
    parts = [codec, model, setting] if model else [codec, setting]
    return "@".join(urllib.parse.quote(part, safe="=,") for part in parts)


def read_originals_index(folder: str) -> dict:
    """The index of the originals of a folder.

    Raises:
        SemCompError: there is none.
        BitstreamError: it is damaged or of a newer schema.
    """
    if not tf.io.gfile.exists(records.index_path(folder, ORIGINALS)):
        raise SemCompError(
            f"{folder}: holds no originals; `--list` of recipes/evaluate_observers.py "
            "makes them."
        )
    return records.read_index(folder, ORIGINALS)


def splits(folder: str) -> list[str]:
    """The compressed splits of a folder that are whole, sorted.

    Raises:
        SemCompError: the folder holds no originals.
    """
    read_originals_index(folder)
    names = sorted(
        name.removesuffix(".json")
        for name in tf.io.gfile.listdir(folder)
        if name.endswith(".json") and not name.endswith(_PLAN)
    )
    return [name for name in names if ENTRY in records.read_index(folder, name)]


def write_originals(
    sources: Iterable[records.Record],
    folder: str,
    shards: int,
    classes: Sequence[str] = (),
    short_side: int = 0,
    **further: object,
) -> dict:
    """Writes the pictures that will be compressed.

    Args:
        sources: their records, streamed.
        folder: local or ``tf.io.gfile`` folder; made when missing.
        shards: number of files of this split and of all compressed ones, >= 1.
        classes: class names in the order of the labels.
        short_side: see `original`.
        **further: entries of the index, in JSON types.

    Returns:
        The index.

    Raises:
        SemCompError: no record, a picture that cannot be read, or a name given twice.
    """
    stream = (original(record, short_side) for record in _different(sources))
    further = {"short_side": short_side, **further}
    return records.write_shards(stream, folder, ORIGINALS, shards, classes, **further)


def write_split(
    folder: str,
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
    *,
    skip_broken: bool = False,
    on_record: Callable[[CompressedRecord], None] | None = None,
) -> dict:
    """Compresses the originals of a folder with one codec at one setting.

    A run that is stopped is taken up where its last whole shard ends; a split that is
    there already is left as it is.

    Args:
        folder: of `write_originals`.
        codec: the codec.
        setting: what tables call the arguments.
        arguments: what `codec.encode` takes beside the picture.
        skip_broken: leave out pictures that the codec fails on; the log tells why and
            the index, under `broken`, which.
        on_record: called with each record as it is made.

    Returns:
        The index of the split.

    Raises:
        SemCompError: the codec fails, or the folder holds a split of this name that
            was made of other originals or by another version.
        BitstreamError: a damaged shard, named.
    """
    index = read_originals_index(folder)
    split = split_name(codec.name, codec.model or "", setting)
    plan = {
        "codec": codec.name,
        "model": codec.model or "",
        "setting": setting,
        "version": version.__version__,
        "weights": _weights(codec),
        "originals": [shard["sha256"] for shard in index["shards"]],
    }
    if tf.io.gfile.exists(records.index_path(folder, split)):
        finished = records.read_index(folder, split)
        _check_plan(folder, split, finished.get(ENTRY), plan)
        return finished
    plan_path = _claim(folder, split, plan)
    counts, broken = [], []
    for number, shard in enumerate(index["shards"]):
        name = records.shard_name(split, number, len(index["shards"]))
        path = tf.io.gfile.join(folder, name)
        originals = list(_originals_of(folder, shard))
        if not tf.io.gfile.exists(path):
            made = _compress_all(originals, codec, setting, arguments, skip_broken)
            _write_shard(path, made, on_record)
        held = {record.name for record in _read_shard(path, parse, _to_compressed)}
        counts.append(len(held))
        broken += [record.name for record in originals if record.name not in held]
    entries = {ENTRY: plan, "broken": broken}
    index = records.write_index(folder, split, counts, index["classes"], **entries)
    tf.io.gfile.remove(plan_path)
    return index


def read_originals(folder: str) -> Iterator[records.Record]:
    """Reads the originals of a folder in order.

    Raises:
        SemCompError: there are none.
        BitstreamError: a shard that is missing, damaged or short, named.
    """
    for shard in read_originals_index(folder)["shards"]:
        yield from _originals_of(folder, shard)


def read(folder: str, split: str) -> Iterator[CompressedRecord]:
    """Reads a compressed split in order.

    Raises:
        BitstreamError: a shard that is missing, damaged or short, named.
    """
    for shard in records.read_index(folder, split)["shards"]:
        yield from _compressed_of(folder, shard)


def pairs(folder: str, split: str) -> Iterator[tuple[records.Record, CompressedRecord]]:
    """Reads a compressed split with the original of each picture, matched by name.

    Raises:
        BitstreamError: a shard that is missing, damaged or short, or a picture without
            its original, named.
    """
    sources = read_originals_index(folder)["shards"]
    shards = records.read_index(folder, split)["shards"]
    for source, shard in zip(sources, shards, strict=True):
        held = {record.name: record for record in _originals_of(folder, source)}
        for record in _compressed_of(folder, shard):
            if record.name not in held:
                raise BitstreamError(
                    f"{shard['file']}: {record.name} is not in {source['file']}; "
                    "compress the originals again."
                )
            yield held[record.name], record


def dataset(folder: str, split: str) -> tf.data.Dataset:
    """One pass over a compressed split in order.

    A damaged shard ends it with ``tf.errors.DataLossError``, which names no file:
    `records.verify` does.

    Returns:
        Dataset of the features of `parse`, and `image`, the decoded picture, uint8
        [H,W,3].
    """

    def load(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = parse(serialized)
        return {**parsed, "image": pipeline.decode(parsed["image/encoded"])}

    stream = tf.data.TFRecordDataset(records.shard_paths(folder, split))
    return stream.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _different(sources: Iterable[records.Record]) -> Iterator[records.Record]:
    seen = set()
    for record in sources:
        if record.name in seen:
            raise SemCompError(f"{record.name}: two records have this name.")
        seen.add(record.name)
        yield record


def _fingerprint(data: bytes) -> str:
    """Of the model of a file, in hexadecimal; empty where it does not tell."""
    if not bitstream.is_container(data):
        return ""
    return bitstream.read(data).header.fingerprint.hex()


def _weights(codec: base.Codec) -> str:
    """Fingerprint of the codec's model, in hexadecimal; empty if it runs none."""
    if not codec.uses_model:
        return ""
    if codec.model:
        return manifest.find(codec.model).fingerprint.hex()
    return manifest.default_model(codec.name).fingerprint.hex()


def _claim(folder: str, split: str, plan: dict) -> str:
    """Notes what a split in the making is made of; returns the path of the note."""
    path = tf.io.gfile.join(folder, split + _PLAN)
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            _check_plan(folder, split, json.loads(file.read()), plan)
    records.write_json(path, plan)
    return path


def _check_plan(folder: str, split: str, found: dict | None, plan: dict) -> None:
    other = [name for name in plan if (found or {}).get(name) != plan[name]]
    if other:
        raise SemCompError(
            f"{folder}: split {split} was made with another {' and '.join(other)}; "
            "remove its files or choose another folder."
        )


def _compress_all(
    originals: Iterable[records.Record],
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
    skip_broken: bool,
) -> Iterator[CompressedRecord]:
    for record in originals:
        try:
            yield compress(record, codec, setting, arguments)
        except SemCompError as error:
            if not skip_broken:
                raise
            logging.warning("left out: %s", error)


def _write_shard(
    path: str,
    made: Iterable[CompressedRecord],
    on_record: Callable[[CompressedRecord], None] | None,
) -> None:
    """Writes a shard that gets its name only when it is whole."""
    folder, name = os.path.split(path)
    temporary = tf.io.gfile.join(folder, f".{name}.{os.getpid()}")
    try:
        with tf.io.TFRecordWriter(temporary) as writer:
            for record in made:
                writer.write(serialize(record))
                if on_record is not None:
                    on_record(record)
        tf.io.gfile.rename(temporary, path)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)


def _originals_of(folder: str, shard: dict) -> Iterator[records.Record]:
    return _whole_shard(folder, shard, records.parse, records.from_parsed)


def _compressed_of(folder: str, shard: dict) -> Iterator[CompressedRecord]:
    return _whole_shard(folder, shard, parse, _to_compressed)


def _whole_shard(
    folder: str, shard: dict, parser: Parser, convert: Callable[[Parsed], T]
) -> Iterator[T]:
    """The records of a shard; an error that names it where some are missing."""
    path = tf.io.gfile.join(folder, shard["file"])
    count = 0
    for record in _read_shard(path, parser, convert):
        yield record
        count += 1
    if count != shard["records"]:
        raise BitstreamError(
            f"{path}: holds {count} records, its index says {shard['records']}; make "
            "the split again."
        )


def _read_shard(
    path: str, parser: Parser, convert: Callable[[Parsed], T]
) -> Iterator[T]:
    count = 0
    try:
        # Parsing in the graph takes a fraction of the time.
        for parsed in tf.data.TFRecordDataset(path).map(parser):
            yield convert(parsed)
            count += 1
    except tf.errors.OpError as error:
        raise BitstreamError(
            f"{path}: record {count} is damaged or missing: {error.message}; remove "
            "the shard and make the split again."
        ) from error


def _to_compressed(parsed: Parsed) -> CompressedRecord:
    fields = {field: parsed[key].numpy() for key, field in _STRINGS.items()}
    texts = {name: fields[name].decode() for name in fields if name != "data"}
    fields = {**vars(records.from_parsed(parsed)), **fields, **texts}
    return CompressedRecord(**fields, quality=float(parsed["compressed/quality"]))
