"""Materialized layers: what a producer makes of each picture, stored for training.

An upper layer is trained on what the layers below it give. Running them in every step
costs more than the step; so they are run once, and stored. A record here is an ordinary
record (records.py) with these features besides, for each layer NAME and value PLANE:

| feature | type | meaning |
|---|---|---|
| layer/NAME/fingerprint | bytes | of the model that made it, hexadecimal; or empty |
| layer/NAME/PLANE | bytes | a picture or map as PNG, or the bytes |

The plan in the index has them under `layers`: producer (producers.py), fingerprint and
planes. Whoever trains asks `check_models` whether the layers are those of the model
that will decode them.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfsemcomp import images, version
from tfsemcomp.data import coded, pipeline, planes, producers, records, sharding
from tfsemcomp.data.producers import BYTES, MAP, PICTURE
from tfsemcomp.errors import BitstreamError, ModelMismatchError, SemCompError

# The entry of a plan that tells which layers there are.
ENTRY = "layers"

Layers = dict[str, dict[str, np.ndarray | bytes]]


def split(
    source: tuple[str, str],
    folder: str,
    layers: Mapping[str, str],
    *,
    skip_broken: bool = False,
) -> sharding.Split:
    """A split of records, to be given layers.

    Args:
        source: folder and split of the records.
        folder: for the new ones, whose split has the same name.
        layers: producers by layer name, as `producers.parse` takes them.
        skip_broken: leave out damaged records and pictures that a producer fails on.

    Raises:
        ValueError: no layer, or a wrong name or producer.
        SemCompError: no such split or model, or `folder` is that of the records.
    """
    if not layers:
        raise ValueError("`layers` must name one layer at least.")
    for name in layers:
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError(
                f"`layers` are named by letters, digits, _ and -; got '{name}'."
            )
    if folder.rstrip("/") == source[0].rstrip("/"):
        raise SemCompError(f"{folder}: holds the records; choose another folder.")
    index = records.read_index(*source)
    made = {name: producers.parse(text) for name, text in layers.items()}
    return sharding.Split(
        folder=folder,
        name=source[1],
        shards=len(index["shards"]),
        count=index["records"],
        elements=lambda number: sharding.record_shard(source[0], index, number),
        transform=_Producing(made),
        plan={
            "source": sharding.checksums(index),
            ENTRY: _describe(layers, made),
            "version": version.__version__,
        },
        further={"map_classes": index.get("map_classes", [])},
        classes=index["classes"],
        skip_broken=skip_broken,
    )


def layers_of(folder: str, split: str) -> dict[str, dict[str, Any]]:
    """The layers of a split: `producer`, `fingerprint` and `planes` of each.

    Raises:
        SemCompError: there is no such split, or it has no layers.
        BitstreamError: its index is damaged or of a newer schema.
    """
    found = records.read_index(folder, split).get(sharding.PLAN, {}).get(ENTRY)
    if not found:
        raise SemCompError(
            f"{folder}: split {split} has no layers; make them with "
            "tfrecords_tools/materialize_layers.py."
        )
    return found


def codecs_of(folder: str, split: str) -> dict[str, str]:
    """The codec of each layer that is a coded picture.

    Raises:
        SemCompError: as `layers_of`.
    """
    found = {
        name: producers.codec_of(layer["producer"])
        for name, layer in layers_of(folder, split).items()
    }
    return {name: codec for name, codec in found.items() if codec is not None}


def bases(
    sources: Sequence[tuple[str, str]],
    codecs: Sequence[str],
    names: Sequence[str] = (),
) -> coded.Bases:
    """The coded pictures that records hold, for `pipeline.training_batches`.

    Args:
        sources: (folder, split) pairs, all with the same layers.
        codecs: their numbers are their places here; others have that after the last.
        names: of the layers; none for all that are coded pictures.

    Raises:
        ValueError: `names` has one that is no coded picture of all sources, or there is
            none at all.
        SemCompError: as `layers_of`.
    """
    found = [codecs_of(*source) for source in sources]
    names = tuple(names) or tuple(found[0])
    for source, one in zip(sources, found, strict=True):
        missing = [name for name in names if name not in one]
        if missing or not names:
            raise ValueError(
                f"`layers` must name coded pictures that {':'.join(source)} holds "
                f"({', '.join(one) or 'none'}); got {', '.join(missing) or 'none'}. "
                "tfrecords_tools/materialize_layers.py makes them."
            )
    numbers = {codec: number for number, codec in enumerate(codecs)}
    return coded.Bases(
        tuple(f"layer/{name}/picture" for name in names),
        tuple(f"layer/{name}/stream" for name in names),
        tuple(numbers.get(found[0][name], len(codecs)) for name in names),
    )


def check_models(folder: str, split: str, expected: Mapping[str, str]) -> None:
    """Checks that layers were made by the models that one has.

    Args:
        folder, split: of the records.
        expected: fingerprint in hexadecimal by layer name.

    Raises:
        ModelMismatchError: a layer is of another model, or not there.
        SemCompError: as `layers_of`.
    """
    found = layers_of(folder, split)
    for name, fingerprint in expected.items():
        there = found.get(name, {}).get("fingerprint", "none")
        if there != fingerprint:
            raise ModelMismatchError(
                f"{folder}: layer {name} of split {split} is of model {there}, not of "
                f"{fingerprint}; materialize it again."
            )


def read(folder: str, split: str) -> Iterator[tuple[records.Record, Layers]]:
    """Reads a split in order: each record, and its values by layer and plane.

    Raises:
        SemCompError: as `layers_of`.
        BitstreamError: a record is damaged, or of another model than its index says.
    """
    layers = layers_of(folder, split)
    index = records.read_index(folder, split)
    for number in range(len(index["shards"])):
        shard = sharding.record_shard(folder, index, number)
        for payload in shard.payloads():
            yield _read_one(shard.path, payload, layers)


def dataset(folder: str, split: str) -> tf.data.Dataset:
    """One pass over a split in order, in a graph.

    A damaged record ends it with ``tf.errors.DataLossError``; see
    `reading.naming_damage`.

    Returns: dataset of the features of `records.parse`; `image`, the picture, uint8
        [H,W,3]; and `layer/NAME/PLANE`, decoded: pictures uint8 [H,W,3], maps uint8
        [H,W,1], bytes as they are.
    Raises:
        SemCompError: as `layers_of`.
    """
    layers = layers_of(folder, split)

    def load(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = records.parse(serialized)
        parsed["image"] = pipeline.decode(parsed["image/encoded"])
        return parsed | _parse_layers(serialized, layers)

    stream = tf.data.TFRecordDataset(records.shard_paths(folder, split))
    return stream.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


@dataclasses.dataclass(frozen=True)
class _Producing:
    """Makes the record with layers of a record."""

    producers: Mapping[str, producers.Producer]

    def __call__(self, record: records.Record) -> sharding.Made:
        pixels = images.load_bytes(record.image, name="the picture").pixels
        further: dict[str, tf.train.Feature] = {}
        values: dict[str, float] = {}
        for name, producer in self.producers.items():
            key = f"layer/{name}"
            further[f"{key}/fingerprint"] = records.bytes_feature(producer.fingerprint)
            try:
                made = producer(pixels)
            except SemCompError as error:
                raise type(error)(f"layer {name}: {error}") from error
            for plane, kind in producer.planes.items():
                further |= _features(f"{key}/{plane}", kind, made[plane], pixels)
                if kind == BYTES:
                    values[f"{key}/{plane} bytes"] = len(made[plane])
        return sharding.Made(records.serialize(record, further), values)


def _describe(
    layers: Mapping[str, str], made: Mapping[str, producers.Producer]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "producer": layers[name],
            "fingerprint": producer.fingerprint,
            "planes": dict(producer.planes),
        }
        for name, producer in made.items()
    }


def _features(
    key: str, kind: str, value: np.ndarray | bytes, pixels: np.ndarray
) -> dict[str, tf.train.Feature]:
    """The features of one value; `pixels` is the picture that it was made of."""
    shapes = {PICTURE: pixels.shape, MAP: pixels.shape[:2]}
    if kind in shapes and (value.shape != shapes[kind] or value.dtype != np.uint8):
        raise SemCompError(
            f"{key} must be uint8 {list(shapes[kind])}; got {value.dtype} "
            f"{list(value.shape)}."
        )
    if kind == PICTURE:
        return {key: records.bytes_feature(images.encode(value, "png"))}
    if kind == MAP:
        return {key: records.bytes_feature(planes.encode(value))}
    return {key: records.bytes_feature(value)}


def _parse_layers(
    serialized: tf.Tensor, layers: Mapping[str, Mapping[str, Any]]
) -> dict[str, tf.Tensor]:
    """The values of one record, decoded in a graph."""
    kinds = {
        f"layer/{name}/{plane}": kind
        for name, layer in layers.items()
        for plane, kind in layer["planes"].items()
    }
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in kinds}
    parsed = tf.io.parse_single_example(serialized, spec)
    return {key: _decode(parsed[key], kind) for key, kind in kinds.items()}


def _decode(value: tf.Tensor, kind: str) -> tf.Tensor:
    if kind == BYTES:
        return value
    return tf.io.decode_png(value, 3 if kind == PICTURE else 1)


def _read_one(
    place: str, payload: bytes, layers: Mapping[str, Mapping[str, Any]]
) -> tuple[records.Record, Layers]:
    record = records.deserialize(payload)
    features = tf.train.Example.FromString(payload).features.feature
    for name, layer in layers.items():
        found = features[f"layer/{name}/fingerprint"].bytes_list.value
        if list(found) != [layer["fingerprint"].encode()]:
            raise BitstreamError(
                f"{place}: layer {name} of {record.name} is of another model than the "
                "index says; materialize it again."
            )
    try:
        values = _parse_layers(tf.constant(payload), layers)
    except tf.errors.InvalidArgumentError as error:
        raise BitstreamError(f"{place}: {record.name}: {error.message}.") from error
    return record, {
        name: {
            plane: _to_numpy(values[f"layer/{name}/{plane}"], kind)
            for plane, kind in layer["planes"].items()
        }
        for name, layer in layers.items()
    }


def _to_numpy(value: tf.Tensor, kind: str) -> np.ndarray | bytes:
    found = value.numpy()
    return found[..., 0] if kind == MAP else found
