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
| compressed/metrics | bytes, any number | names of metrics |
| compressed/metric_values | float, as many | of the decoded picture |

The decoded picture is stored as PNG, unless it is left out (then `image/encoded` is
empty), and so is the original as it was compressed.
Sources: the pre-compressed records of arXiv 1910.03472's code, which lack the file.
"""

import dataclasses
import hashlib
import math
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfsemcomp import bitstream, images, version
from tfsemcomp import metrics as picture_metrics
from tfsemcomp.codecs import base
from tfsemcomp.data import (
    label_maps,
    pipeline,
    planes,
    records,
    sharding,
    transforms,
)
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
    metrics: tuple[tuple[str, float], ...] = ()

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
_METRICS, _METRIC_VALUES = "compressed/metrics", "compressed/metric_values"
# The whole of a map, for scaling it.
_WHOLE = (0.0, 0.0, 1.0, 1.0)
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
    return dataclasses.replace(
        record,
        image=images.encode(pixels, "png"),
        height=height,
        width=width,
        **_scaled_maps(record, height, width),
    )


def _scaled_maps(record: records.Record, height: int, width: int) -> dict[str, bytes]:
    """The maps of a record at another size, by field."""

    def nearest(plane: np.ndarray) -> np.ndarray:
        return planes.nearest(plane, _WHOLE, height, width)

    changes = {
        "label_map": (label_maps.decode, nearest),
        "instances": (planes.decode, nearest),
        "edges": (
            planes.decode,
            lambda plane: planes.strongest(plane, _WHOLE, height, width),
        ),
        "roi": (planes.decode, lambda plane: planes.smooth(plane, height, width)),
    }
    return {
        field: planes.encode(scale(read(getattr(record, field), field)))
        for field, (read, scale) in changes.items()
        if getattr(record, field)
    }


def compress(
    record: records.Record,
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
    *,
    decoded: bool = True,
    metrics: Sequence[str] = (),
) -> CompressedRecord:
    """Compresses and decodes the picture of one record.

    Args:
        record: the original; its other features come along.
        codec: the codec.
        setting: what tables call the arguments, such as "quality=50".
        arguments: what `codec.encode` takes beside the picture.
        decoded: whether the record holds the decoded picture.
        metrics: of the decoded picture, as `tfsemcomp.metrics.get` takes them, without
            those that need a map.

    Raises:
        SemCompError: whatever the codec raises, or a decoded picture of another size.
    """
    pixels = images.load_bytes(record.image, name="the original").pixels
    shown, values = b"", {}
    try:
        encoded = codec.encode(pixels, **arguments)
        if decoded or metrics:
            picture = codec.decompress(encoded.data)
            check_size(picture, pixels)
            shown = images.encode(picture, "png") if decoded else b""
            values = picture_metrics.measure(pixels, picture, metrics)
    except SemCompError as error:
        raise type(error)(f"{codec.name} {setting}: {error}") from error
    return CompressedRecord(
        **{**vars(record), "image": shown},
        data=encoded.data,
        codec=codec.name,
        model=codec.model or "",
        setting=setting,
        quality=math.nan if encoded.quality is None else float(encoded.quality),
        fingerprint=_fingerprint(encoded.data),
        version=version.__version__,
        source=hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest(),
        metrics=tuple(values.items()),
    )


def check_size(picture: np.ndarray, pixels: np.ndarray) -> None:
    """Raises SemCompError unless a codec's `picture` has the size of the original."""
    if picture.shape != pixels.shape:
        raise SemCompError(
            f"gave back {picture.shape[1]}x{picture.shape[0]} pixels for "
            f"{pixels.shape[1]}x{pixels.shape[0]}."
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
    names, values = [name for name, _ in record.metrics], dict(record.metrics).values()
    further[_METRICS] = records.bytes_feature(*names)
    value = tf.train.FloatList(value=values)
    further[_METRIC_VALUES] = tf.train.Feature(float_list=value)
    return records.serialize(record, further)


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses one serialized record in a graph.

    Args:
        serialized: string scalar.

    Returns:
        A scalar for each feature of this schema and of `records.parse`; a vector of
        the metrics' names, and one of their values.
    """
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in _STRINGS}
    spec |= {key: tf.io.FixedLenFeature([], tf.float32) for key in _FLOATS}
    spec[_METRICS] = tf.io.RaggedFeature(tf.string)
    spec[_METRIC_VALUES] = tf.io.RaggedFeature(tf.float32)
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
            f"{folder}: holds no originals; tfrecords_tools/compress_records.py makes "
            "them, and `--list` of recipes/evaluate_observers.py."
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
        if name.endswith(".json") and not name.startswith(".")
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


def originals_split(
    source: tuple[str, str],
    folder: str,
    short_side: int = 0,
    *,
    skip_broken: bool = False,
) -> sharding.Split:
    """The originals of a folder, to be made of records shard by shard.

    Args:
        source: folder and split of the records.
        folder: for the originals.
        short_side: see `original`.
        skip_broken: leave out damaged records and pictures that cannot be read.

    Raises:
        SemCompError: there is no such split.
        BitstreamError: its index is damaged or of a newer schema.
    """
    index = records.read_index(*source)
    return sharding.Split(
        folder=folder,
        name=ORIGINALS,
        shards=len(index["shards"]),
        count=index["records"],
        elements=lambda number: sharding.record_shard(
            source[0], index, number, unique=True
        ),
        transform=_Original(short_side),
        plan={
            "source": sharding.checksums(index),
            "short_side": short_side,
            "version": version.__version__,
        },
        further={"map_classes": index.get("map_classes", [])},
        classes=index["classes"],
        skip_broken=skip_broken,
    )


def compressed_split(
    folder: str,
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
    *,
    decoded: bool = True,
    metrics: Sequence[str] = (),
    skip_broken: bool = False,
    on_record: Callable[[CompressedRecord], None] | None = None,
) -> sharding.Split:
    """The originals of a folder, to be compressed with one codec at one setting.

    Args:
        folder: of the originals.
        codec: the codec.
        setting: what tables call the arguments.
        arguments: what `codec.encode` takes beside the picture.
        decoded: see `compress`.
        metrics: see `compress`.
        skip_broken: leave out pictures that the codec fails on.
        on_record: called with each record as it is made; in this process only.

    Raises:
        SemCompError: the folder holds no originals.
    """
    index = read_originals_index(folder)
    metrics = picture_metrics.select(metrics, has_map=False)
    return sharding.Split(
        folder=folder,
        name=split_name(codec.name, codec.model or "", setting),
        shards=len(index["shards"]),
        count=index["records"],
        elements=lambda number: sharding.record_shard(folder, index, number),
        transform=_Compression(
            SentCodec(codec), setting, arguments, decoded, tuple(metrics), on_record
        ),
        plan={
            "codec": codec.name,
            "model": codec.model or "",
            "setting": setting,
            "version": version.__version__,
            "weights": model_fingerprint(codec),
            "originals": sharding.checksums(index),
            "decoded": decoded,
            "metrics": list(metrics),
        },
        entry=ENTRY,
        classes=index["classes"],
        skip_broken=skip_broken,
    )


def write_split(
    folder: str,
    codec: base.Codec,
    setting: str,
    arguments: Mapping[str, Any],
    *,
    skip_broken: bool = False,
    on_record: Callable[[CompressedRecord], None] | None = None,
) -> dict:
    """Makes a `compressed_split` with decoded pictures in this process.

    A run that is stopped is taken up where its last whole shard ends; a split that is
    there already is left as it is.

    Returns:
        The index of the split, and under `broken` the names of what was left out.

    Raises:
        SemCompError: the codec fails, or the folder holds a split of this name that
            was made of other originals or by another version.
        BitstreamError: a damaged shard, named.
    """
    split = compressed_split(
        folder,
        codec,
        setting,
        arguments,
        skip_broken=skip_broken,
        on_record=on_record,
    )
    index = sharding.make([split])[split.name]
    letters = sharding.read_dead_letters(folder, split.name)
    return {**index, "broken": [letter["key"] for letter in letters]}


@dataclasses.dataclass(frozen=True)
class _Original:
    """Makes the original of a record."""

    short_side: int

    def __call__(self, record: records.Record) -> sharding.Made:
        return sharding.Made(records.serialize(original(record, self.short_side)))


@dataclasses.dataclass(frozen=True)
class SentCodec:
    """Holds a codec that is made again where it is sent to: codecs are not picklable.

    Attributes:
        codec: the codec.
    """

    codec: base.Codec

    def __reduce__(self) -> tuple:
        given = {"model": self.codec.model, "server": self.codec.server}
        options = {name: value for name, value in given.items() if value is not None}
        return _receive_codec, (self.codec.name, options)


def _receive_codec(name: str, options: Mapping[str, str]) -> SentCodec:
    return SentCodec(base.get_codec(name, **options))


@dataclasses.dataclass(frozen=True)
class _Compression:
    """Makes the compressed record of an original."""

    sent: SentCodec
    setting: str
    arguments: Mapping[str, Any]
    decoded: bool
    metrics: tuple[str, ...]
    on_record: Callable[[CompressedRecord], None] | None

    def __call__(self, record: records.Record) -> sharding.Made:
        made = compress(
            record,
            self.sent.codec,
            self.setting,
            self.arguments,
            decoded=self.decoded,
            metrics=self.metrics,
        )
        if self.on_record is not None:
            self.on_record(made)
        values = {"bytes": len(made.data), "bpp": made.bpp, **dict(made.metrics)}
        return sharding.Made(serialize(made), values)


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


def model_fingerprint(codec: base.Codec) -> str:
    """Fingerprint of the codec's model, in hexadecimal; empty if it runs none."""
    if not codec.uses_model:
        return ""
    return manifest.choose(codec.model, codec.name).fingerprint.hex()


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
    names = (name.decode() for name in parsed[_METRICS].numpy())
    values = map(float, parsed[_METRIC_VALUES].numpy())
    return CompressedRecord(
        **fields,
        quality=float(parsed["compressed/quality"]),
        metrics=tuple(zip(names, values, strict=True)),
    )
