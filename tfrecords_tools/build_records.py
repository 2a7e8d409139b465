"""Makes sharded TFRecords from a folder of images.

Layouts (`--layout`):
  class_folders  a folder a class, as Caltech-101 and Caltech-256 have it; the label is
                 the class's place in the sorted names
  images         any tree of images, without labels

Splits: by list files (`--lists=train:train.txt,test:test.txt`, a line being a path
below `--input`) or by a seeded share (`--test_share=0.1`, drawn for each class). Images
are scaled to `--short_side` (0 keeps them) and stored as JPEG of `--quality`. An image
that can't be read stops the run unless `--skip_broken` is given, which names and counts
it.

Run:
    python tfrecords_tools/build_records.py --layout=class_folders \
        --input=256_ObjectCategories --out=records/caltech256 --test_share=0.1
"""

import json
import os
from collections.abc import Iterator

import numpy as np
from absl import app, flags, logging

from tfsemcomp import images
from tfsemcomp.data import records, transforms
from tfsemcomp.errors import SemCompError

_LAYOUT = flags.DEFINE_enum(
    "layout", "class_folders", ["class_folders", "images"], "How --input is arranged."
)
_INPUT = flags.DEFINE_string("input", None, "Folder of images.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for the shards.", required=True)
_LISTS = flags.DEFINE_list("lists", [], "split:file pairs; a path a line.")
_TEST_SHARE = flags.DEFINE_float("test_share", 0.0, "Share for split test.", 0.0, 0.9)
_SHARDS = flags.DEFINE_integer("shards", 8, "Files for each split.", lower_bound=1)
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", 256, "Pixels; smaller images stay, 0 keeps all.", lower_bound=0
)
_QUALITY = flags.DEFINE_integer("quality", 95, "JPEG quality.", 1, 100)
_SEED = flags.DEFINE_integer("seed", 1, "Fixes split and order.")
_SKIP_BROKEN = flags.DEFINE_boolean("skip_broken", False, "Go on past bad images.")


def find_images(folder: str) -> list[str]:
    """Paths below `folder` with an image suffix, sorted, "/" between parts."""
    found = []
    for path, _, files in os.walk(folder):
        for name in files:
            if os.path.splitext(name)[1].lower() in images.KNOWN_SUFFIXES:
                relative = os.path.relpath(os.path.join(path, name), folder)
                found.append(relative.replace(os.sep, "/"))
    if not found:
        raise SemCompError(f"{folder}: no image in it or below; check `--input`.")
    return sorted(found)


def split_by_lists(lists: list[str]) -> dict[str, list[str]]:
    """Reads `split:file` pairs into paths for each split."""
    splits = {}
    for pair in lists:
        split, colon, path = pair.partition(":")
        if not colon:
            raise ValueError(f"`--lists` takes split:file pairs; got '{pair}'.")
        if not os.path.isfile(path):
            raise SemCompError(f"{path}: no such list; check `--lists`.")
        with open(path, encoding="utf-8") as file:
            splits[split] = [line.strip() for line in file if line.strip()]
    return splits


def split_by_share(
    paths: list[str], test_share: float, seed: int
) -> dict[str, list[str]]:
    """Draws `test_share` of each folder's images for "test"; the rest is "train"."""
    if not test_share:
        return {"train": paths}
    splits: dict[str, list[str]] = {"train": [], "test": []}
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(os.path.dirname(path), []).append(path)
    rng = np.random.default_rng(seed)
    for group in groups.values():
        order = rng.permutation(len(group))
        cut = round(test_share * len(group))
        splits["test"] += [group[i] for i in order[:cut]]
        splits["train"] += [group[i] for i in order[cut:]]
    return splits


def class_of(path: str) -> str:
    """Name of the folder that holds the image."""
    return os.path.basename(os.path.dirname(path))


def make_records(
    folder: str,
    paths: list[str],
    classes: list[str],
    short_side: int,
    quality: int,
    broken: list[str] | None = None,
) -> Iterator[records.Record]:
    """Reads, scales and encodes images one by one.

    Args:
        folder: what `paths` are below.
        paths: images.
        classes: sorted class names; empty for no labels.
        short_side: pixels, 0 keeps the size.
        quality: of the stored JPEG, 1..100.
        broken: collects "path: reason" of unreadable images; None makes them errors.
    """
    for path in paths:
        try:
            pixels = images.read(os.path.join(folder, path))
        except SemCompError as error:
            if broken is None:
                raise
            logging.warning("skipped: %s", error)
            broken.append(str(error))
            continue
        pixels = transforms.resize_short_side(pixels, short_side)
        name = class_of(path) if classes else ""
        yield records.Record(
            image=images.encode(pixels, "jpeg", quality=quality),
            name=path,
            height=pixels.shape[0],
            width=pixels.shape[1],
            label=classes.index(name) if classes else -1,
            class_text=name,
        )


def main(argv: list[str]) -> None:
    """Builds every split and prints what was written as JSON."""
    del argv
    if _LISTS.value:
        splits = split_by_lists(_LISTS.value)
    else:
        paths = find_images(_INPUT.value)
        splits = split_by_share(paths, _TEST_SHARE.value, _SEED.value)
    classes: list[str] = []
    if _LAYOUT.value == "class_folders":
        classes = sorted({class_of(p) for paths in splits.values() for p in paths})
    summary = {}
    for split, paths in splits.items():
        order = np.random.default_rng(_SEED.value).permutation(len(paths))
        broken: list[str] = []
        stream = make_records(
            _INPUT.value,
            [paths[i] for i in order],
            classes,
            _SHORT_SIDE.value,
            _QUALITY.value,
            broken if _SKIP_BROKEN.value else None,
        )
        index = records.write_shards(stream, _OUT.value, split, _SHARDS.value, classes)
        summary[split] = {"records": index["records"], "broken": len(broken)}
    print(json.dumps({"out": _OUT.value, "classes": len(classes), "splits": summary}))


if __name__ == "__main__":
    app.run(main)
