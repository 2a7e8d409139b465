"""What a split of records holds, and whether it is whole: one pass over its shards."""

import collections
import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsemcomp import images
from tfsemcomp.data import framing, records, similarity
from tfsemcomp.errors import SemCompError

_MAGIC = {b"\xff\xd8": "JPEG", b"\x89PNG": "PNG", b"BM": "BMP"}
MAPS = ("label_map", "instances", "edges", "roi")


@dataclasses.dataclass(eq=False)
class Survey:
    """What was found in a split.

    Attributes:
        split: its name.
        index: its index.
        problems: what is wrong, a line each.
        kept: the records that were asked for, in order.
        prints: of the pictures, in order: name, hash, thumbnail (similarity.py).
        features: records that have each feature.
        formats: pictures by format.
        names: records by name.
        labels: records by class.
        sizes: height, width and bytes of each picture.
        captions: in all records together.
    """

    split: str
    index: dict[str, Any]
    problems: list[str] = dataclasses.field(default_factory=list)
    kept: list[records.Record] = dataclasses.field(default_factory=list)
    prints: list[tuple[str, int, np.ndarray]] = dataclasses.field(default_factory=list)
    features: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    formats: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    names: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    labels: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    sizes: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)
    captions: int = 0

    def summary(self) -> dict[str, Any]:
        """Counts and sizes, in JSON types."""
        heights, widths, sizes = (
            zip(*self.sizes, strict=True) if self.sizes else ([],) * 3
        )
        shards = self.index["shards"]
        return {
            "records": len(self.sizes),
            "expected": self.index["records"],
            "dead_letters": self.index.get("dead_letters", 0),
            "shards": len(shards),
            "bytes": sum(shard["bytes"] for shard in shards),
            "features": dict(sorted(self.features.items())),
            "formats": dict(sorted(self.formats.items())),
            "height": _spread(heights),
            "width": _spread(widths),
            "image_bytes": _spread(sizes),
            "classes": len(self.index["classes"]),
            "records_of_a_class": _spread([*self.labels.values()]),
            "captions": self.captions,
        }


def survey(
    folder: str,
    split: str,
    *,
    keep: Collection[int] = (),
    decode: bool = False,
    fingerprints: bool = False,
) -> Survey:
    """Reads a split from end to end; names and fingerprints are all that it holds.

    Args:
        folder: of the records.
        split: "train", "test", ...
        keep: running numbers of the records to keep whole.
        decode: also decode each picture and map and compare their sizes.
        fingerprints: also take fingerprints, for which pictures are decoded as well.

    Raises:
        SemCompError: there is no such split.
        BitstreamError: its index is damaged or of a newer schema.
    """
    found = Survey(split, records.read_index(folder, split))
    for number, (place, payload) in enumerate(_payloads(folder, found)):
        try:
            record = records.deserialize(payload)
            _count(found, record, payload)
            if decode or fingerprints:
                pixels = _look(record)
                if fingerprints:
                    print_ = similarity.fingerprint(pixels)
                    found.prints.append((record.name, *print_))
        except SemCompError as error:
            found.problems.append(f"{place}: {error}")
            continue
        if number in keep:
            found.kept.append(record)
    twice = [name for name, count in found.names.items() if count > 1]
    if twice:
        found.problems.append(
            f"{split}: {len(twice)} names are of several records, such as {twice[0]}"
        )
    return found


def read_maps(record: records.Record) -> dict[str, np.ndarray]:
    """The maps that a record has, by its field: uint8 or, of instances, uint16 [H,W].

    Raises:
        SemCompError: one cannot be read.
    """
    found = {}
    for field in MAPS:
        encoded = getattr(record, field)
        if not encoded:
            continue
        dtype = tf.uint16 if field == "instances" else tf.uint8
        try:
            found[field] = tf.io.decode_png(encoded, 1, dtype).numpy()[..., 0]
        except tf.errors.InvalidArgumentError as error:
            raise SemCompError(f"{record.name}: its {field} is no PNG") from error
    return found


def _payloads(folder: str, found: Survey) -> Iterator[tuple[str, bytes]]:
    """Where it lies and what it holds, of each whole record."""
    for shard in found.index["shards"]:
        path = tf.io.gfile.join(folder, shard["file"])
        if not tf.io.gfile.exists(path):
            found.problems.append(f"{path}: the shard is missing")
            continue
        count, damages = 0, 0
        for frame in framing.frames(path):
            place = f"{path}, offset {frame.offset}"
            if frame.payload is None:
                found.problems.append(f"{place}: {frame.damage}")
                damages += 1
                continue
            count += 1
            yield place, frame.payload
        if count != shard["records"]:
            found.problems.append(
                f"{path}: {count} whole records instead of {shard['records']}"
            )
        elif not damages and records.sha256_of(path) != shard["sha256"]:
            found.problems.append(
                f"{path}: its records are whole, but its SHA-256 is not that of the "
                "index"
            )


def _count(found: Survey, record: records.Record, payload: bytes) -> None:
    features = tf.train.Example.FromString(payload).features.feature
    for key, feature in features.items():
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else ()
        if any(value not in (b"", -1) for value in values):
            found.features[key] += 1
    kind = next(
        (k for magic, k in _MAGIC.items() if record.image.startswith(magic)), ""
    )
    found.formats[kind or "other"] += 1
    found.names[record.name] += 1
    found.sizes.append((record.height, record.width, len(record.image)))
    found.captions += len(record.captions)
    if record.label >= 0:
        found.labels[record.label] += 1


def _look(record: records.Record) -> np.ndarray:
    """Decodes everything in a record; returns the pixels."""
    pixels = images.load_bytes(record.image, name=record.name).pixels
    planes = {"picture": pixels, **read_maps(record)}
    for name, plane in planes.items():
        height, width = plane.shape[:2]
        if (height, width) != (record.height, record.width):
            raise SemCompError(
                f"{record.name}: its {name} has {height}x{width} pixels, the record "
                f"says {record.height}x{record.width}"
            )
    return pixels


def _spread(values: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        "least": int(min(values)),
        "median": float(np.median(values)),
        "most": int(max(values)),
    }
