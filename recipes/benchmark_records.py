"""How fast are records read? Against a folder of images and tfds.load, in one run.

Paper:  none: it measures this project's records.
Run:    python recipes/benchmark_records.py --dataset=bsds500 --data_dir=DIR/bsds500
Cost:   two minutes and 0.5 GB in a temporary folder; leave the machine idle.
Expect: raw records at least three times as fast as the folder.
Result: a table, and OUT/records.json: pictures a second of each way, the median of
        `--rounds`, in which the ways take turns.

Every way gives endless shuffled batches of random crops of `--crop` pixels, mirrored or
not, from pictures whose short side is `--side`:
  folder       read_file, decode_image, resize, random_crop; as tutorials have it
  tfds         tfds.load of the same files (our builder), then the same
  records-...  records of pictures at `--side` in each of `--encodings`, read by
               pipeline.training_batches as training does
What makes records fast: pictures are stored at the size of training, only the part that
is kept is decoded or, from raw records, copied, and files are read in order.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

from tfsemcomp.data import (
    builders,
    building,
    items,
    layouts,
    pipeline,
    preparation,
    records,
)
from tfsemcomp.evaluation import provenance

_BUILDERS = {
    "kodak": builders.Kodak,
    "bsds500": builders.Bsds500Boundaries,
    "camvid": builders.Camvid,
}
_DATASET = flags.DEFINE_enum("dataset", "bsds500", sorted(_BUILDERS), "Which pictures.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Their folder.", required=True)
_SPLIT = flags.DEFINE_string("split", None, "Which split; default: the first.")
_OUT = flags.DEFINE_string("out", "results/records", "Folder for the result.")
_CROP = flags.DEFINE_integer("crop", 256, "Pixels.", 1)
_SIDE = flags.DEFINE_integer("side", 288, "Short side of the pictures, pixels.", 1)
_BATCH = flags.DEFINE_integer("batch", 16, "Crops in a batch.", 1)
_ENCODINGS = flags.DEFINE_list("encodings", ["jpeg", "raw"], "Of the records.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Runs whose median counts.", 1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Of each run.", 0.01)
_SEED = flags.DEFINE_integer("seed", 1, "Fixes the order.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "One short run, to see that it works.")

# Batches that wait ready, and must not count.
_READY = 8


def crop(image: tf.Tensor) -> tf.Tensor:
    """A random crop of a decoded picture, as tutorials make it: uint8 [C,C,3]."""
    image = tf.ensure_shape(image, [None, None, 3])
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.cast(_SIDE.value, tf.float32) / tf.reduce_min(shape)
    size = tf.cast(tf.round(shape * scale), tf.int32)
    image = tf.cast(tf.image.resize(image, size), tf.uint8)
    image = tf.image.random_crop(image, [_CROP.value, _CROP.value, 3])
    return tf.image.random_flip_left_right(image)


def read_folder(held: items.Items) -> tf.data.Dataset:
    """Batches from image files."""
    paths = [item.image for item in held.part(0, 1, _SEED.value)]

    def load(path: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(path)
        return crop(tf.io.decode_image(content, channels=3, expand_animations=False))

    stream = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat()
    return batches(stream.map(load, num_parallel_calls=tf.data.AUTOTUNE))


def read_tfds(split: str, folder: str) -> tf.data.Dataset:
    """Batches from what our builder prepared of the same files."""
    config = tfds.download.DownloadConfig(manual_dir=_DATA_DIR.value)
    stream = tfds.load(
        _BUILDERS[_DATASET.value].name,
        split=split,
        data_dir=folder,
        shuffle_files=True,
        download_and_prepare_kwargs={"download_config": config},
    )
    stream = stream.shuffle(1024).repeat()
    return batches(
        stream.map(
            lambda example: crop(example["image"]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    )


def batches(stream: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of a stream of crops."""
    return stream.batch(_BATCH.value, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def read_records(
    collection: items.Collection, split: str, folder: str, encoding: str
) -> tf.data.Dataset:
    """Batches from records, which are built before."""
    side = _SIDE.value
    settings = building.Settings(
        out=os.path.join(folder, encoding),
        preparation=preparation.Preparation(side, side, encoding=encoding),
    )
    building.build(collection, settings)
    plan = pipeline.Augmentation(crop=_CROP.value, resized=0.0, colour=0.0)
    source = (settings.out, split)
    stream = pipeline.training_batches([source], _BATCH.value, plan, _SEED.value)
    return stream.map(lambda batch: batch["image"])


def images_per_second(stream: Iterator[tf.Tensor], seconds: float) -> float:
    """Takes batches for a while."""
    for _ in range(_READY):
        next(stream)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += int(next(stream).shape[0])
    return count / (time.perf_counter() - start)


def measure(ways: dict[str, tf.data.Dataset]) -> dict[str, list[float]]:
    """Rates of each way in each round, in pictures a second."""
    iterators = {name: iter(stream) for name, stream in ways.items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    seconds = 0.1 if _SMOKE.value else _SECONDS.value
    for _ in range(1 if _SMOKE.value else _ROUNDS.value):
        for name, iterator in iterators.items():
            rates[name].append(images_per_second(iterator, seconds))
    return rates


def main(argv: list[str]) -> None:
    """Builds, measures and writes the result."""
    del argv
    collection = layouts.read(_DATASET.value, _DATA_DIR.value)
    split = _SPLIT.value or next(iter(collection.splits))
    held = collection.splits[split]
    collection = items.Collection(collection.name, {split: held})
    with tempfile.TemporaryDirectory() as folder:
        ways = {"folder": read_folder(held), "tfds": read_tfds(split, folder)}
        for encoding in _ENCODINGS.value:
            name = f"records-{encoding}"
            ways[name] = read_records(collection, split, folder, encoding)
        rates = measure(ways)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print("| way | pictures/s | times the folder | ms a batch |\n|---|---|---|---|")
    for name, rate in medians.items():
        print(
            f"| {name} | {rate:.0f} | {rate / medians['folder']:.2f} | "
            f"{1000 * _BATCH.value / rate:.1f} |"
        )
    result = {
        "dataset": _DATASET.value,
        "pictures": len(held),
        "crop": _CROP.value,
        "side": _SIDE.value,
        "batch": _BATCH.value,
        "images_per_second": medians,
        "rounds": rates,
        "machine": provenance.machine(),
        "versions": provenance.versions(),
    }
    os.makedirs(_OUT.value, exist_ok=True)
    records.write_json(os.path.join(_OUT.value, "records.json"), result)


if __name__ == "__main__":
    app.run(main)
