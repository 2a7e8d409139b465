"""Makes sharded TFRecords of any data set: a TFDS name, or a folder of a known layout.

With `--input` the `--dataset` is a layout of that folder (tfsemcomp/data/layouts.py
tells what each expects):

  images, class_folders, captions, maps
  imagenet, cub200, cub200_attngan, stanford_dogs, caltech256, kodak, edges2photos,
  edges2shoes, edges2handbags, camvid, cityscapes, bsds500, flickr8k

Without it, `--dataset` is any name of TensorFlow Datasets (caltech101, imagenet2012,
caltech_birds2011, cityscapes, clic, coco_captions, ... and ours: kodak,
bsds500_boundaries, edges2photos, camvid, cub_captions, flickr8k), prepared below
`--tfds_data_dir`, where needed from `--tfds_manual_dir`. Image, label, text and maps
are found by themselves (tfsemcomp/data/tfds_source.py), or named by
`--features=image=hr,label=`.

Splits: those of the data set; of local folders also by list files
(`--lists=train:train.txt,test:test.txt`: a line is an image, with or without its
suffix, or a folder) or by a seeded share (`--test_share=0.1`, drawn in each folder).

`--mode=short_side` scales pictures down to `--size` (0 keeps all), `squash` and
`centre_crop` give all of them that size, as 256 or 512x1024. They are stored as JPEG of
`--quality`, or without loss: `--encoding=png`, `raw` (quickest to read) or `source`
(the files themselves). What a record holds: tfsemcomp/data/records.py.

A picture that cannot be read ends the run, or with `--skip_broken` becomes a line of
OUT/SPLIT.dead_letters.jsonl; records and dead letters add up to the pictures. A run
that was killed goes on where it was. `--workers=N` uses N processes, `--runner` Apache
Beam: DirectRunner, or FlinkRunner, SparkRunner and DataflowRunner, whose own flags are
passed on. The files are the same with all of them.

Run:
    python tfrecords_tools/build_records.py --dataset=class_folders \
        --input=101_ObjectCategories --out=records/caltech101 --test_share=0.1
    python tfrecords_tools/build_records.py --dataset=coco_captions --out=records/coco \
        --splits=train,val --tfds_data_dir=DIR --shards=64 --workers=8
    python tfrecords_tools/build_records.py --dataset=imagenet --input=ILSVRC2012 \
        --out=records/imagenet --shards=1024 --runner=FlinkRunner \
        --flink_master=HOST:8081 --parallelism=64
Cost:   about 10 ms a photo of 500x375 pixels and process.
Result: shards and index of each split in OUT; a line of JSON with the counts, seconds
        and peak memory.
"""

from typing import Any

from absl import flags

from tfsemcomp.data import (
    building,
    items,
    layouts,
    preparation,
    sharding,
    tfds_source,
    tool_running,
)

_DATASET = flags.DEFINE_string("dataset", None, "Layout or TFDS name.", required=True)
_INPUT = flags.DEFINE_string("input", None, "Folder of the layout.")
_OUT = flags.DEFINE_string("out", None, "Folder for the shards.", required=True)
_SPLITS = flags.DEFINE_list("splits", [], "Which splits; default: all.")
_LISTS = flags.DEFINE_list("lists", [], "split:file pairs.")
_TEST_SHARE = flags.DEFINE_float("test_share", 0.0, "Share for split test.", 0.0, 0.9)
_DRAWING = flags.DEFINE_enum(
    "drawing", "left", ["left", "right"], "Half that is the drawing, in edges2photos."
)
_TRAIN_IDS = flags.DEFINE_boolean("train_ids", False, "The 19 classes of cityscapes.")
_TFDS_DATA = flags.DEFINE_string("tfds_data_dir", None, "Prepared TFDS data.")
_TFDS_MANUAL = flags.DEFINE_string("tfds_manual_dir", None, "Files for TFDS.")
_FEATURES = flags.DEFINE_list("features", [], "field=feature pairs, for TFDS.")
_SHARDS = flags.DEFINE_integer("shards", 8, "Files for each split.", lower_bound=1)
_SIZE = flags.DEFINE_string("size", "256", "Pixels: 256, 512x1024, 0 keeps all.")
_MODE = flags.DEFINE_enum("mode", "short_side", preparation.MODES, "How to scale.")
_BOX_CROP = flags.DEFINE_boolean("box_crop", False, "Cut around the object first.")
_ENCODING = flags.DEFINE_enum(
    "encoding", "jpeg", preparation.ENCODINGS, "How pictures are stored."
)
_QUALITY = flags.DEFINE_integer("quality", 95, "JPEG quality.", 1, 100)
_SEED = flags.DEFINE_integer("seed", 1, "Fixes split and order.")
flags.adopt_module_key_flags(tool_running)


def read_collection() -> items.Collection:
    """The pictures that the flags name.

    Raises:
        ValueError: an unknown name, or a split that there is not.
        SemCompError: they are not there.
    """
    if _INPUT.value:
        if _DATASET.value not in layouts.NAMES:
            raise ValueError(
                f"`--dataset` with `--input` is one of {', '.join(layouts.NAMES)}; got "
                f"'{_DATASET.value}'."
            )
        return layouts.read(
            _DATASET.value,
            _INPUT.value,
            lists=_LISTS.value,
            test_share=_TEST_SHARE.value,
            seed=_SEED.value,
            drawing=_DRAWING.value,
            train_ids=_TRAIN_IDS.value,
        )
    if _LISTS.value or _TEST_SHARE.value:
        raise ValueError("`--lists` and `--test_share` need `--input`.")
    pairs = [text.partition("=") for text in _FEATURES.value]
    return tfds_source.read(
        _DATASET.value,
        _TFDS_DATA.value,
        _TFDS_MANUAL.value,
        {field: name for field, _, name in pairs},
    )


def choose_splits(collection: items.Collection, wanted: list[str]) -> items.Collection:
    """The collection with some of its splits; all if none are wanted.

    Raises:
        ValueError: a split that there is not.
    """
    unknown = sorted(set(wanted) - set(collection.splits))
    if unknown:
        raise ValueError(
            f"`--splits` may be {', '.join(collection.splits)}; got {unknown[0]}."
        )
    chosen = wanted or collection.splits
    splits = {split: collection.splits[split] for split in chosen}
    return items.Collection(
        collection.name,
        splits,
        collection.classes,
        collection.map_classes,
        collection.map_table,
    )


def build(run: sharding.Runner) -> dict[str, Any]:
    """Builds every split; returns the counts."""
    settings = building.Settings(
        out=_OUT.value,
        preparation=preparation.Preparation(
            *preparation.parse_size(_SIZE.value),
            mode=_MODE.value,
            encoding=_ENCODING.value,
            quality=_QUALITY.value,
            box_crop=_BOX_CROP.value,
        ),
        shards=_SHARDS.value,
        seed=_SEED.value,
        skip_broken=tool_running.skip_broken(),
    )
    collection = choose_splits(read_collection(), _SPLITS.value)
    indexes = building.build(collection, settings, run)
    return {
        "out": _OUT.value,
        "dataset": collection.name,
        "classes": len(collection.classes),
        "splits": {name: tool_running.counts(index) for name, index in indexes.items()},
    }


if __name__ == "__main__":
    tool_running.run_tool(build)
