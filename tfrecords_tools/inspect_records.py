"""Tells what records hold, whether they are whole, and whether splits share pictures.

Run:    python tfrecords_tools/inspect_records.py --records=records/caltech256 \
            --contact_sheet=sheet.png --leaks
Cost:   a minute for 100,000 records on an SSD; `--decode` and `--leaks` decode every
        picture, 3 ms each at 256x256 pixels.
Result: JSON on stdout; exit status 1 if anything is wrong.

For each split: counts of records and bytes; how many records have each feature; the
formats and sizes of pictures; classes and captions. `problems` lists what is wrong:
  - a record whose checksum differs, with shard and offset; torn and missing shards
  - a shard that differs from its SHA-256 in the index
  - records that are none, and names that two records share
  - with `--decode`: pictures and maps that cannot be read or whose size is not the
    record's
  - with `--leaks`: pictures of two splits that seem to be one, though scaled or
    recompressed (tfsemcomp/data/similarity.py)
`--contact_sheet` draws `--pictures` records of each split with their maps and classes.
"""

import json

import numpy as np
import tensorflow as tf
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.data import contact_sheet, records, similarity, survey
from tfsemcomp.errors import SemCompError

_RECORDS = flags.DEFINE_string("records", None, "Folder of records.", required=True)
_SPLITS = flags.DEFINE_list("splits", [], "Which splits; default: all.")
_DECODE = flags.DEFINE_boolean("decode", False, "Decode every picture and map.")
_LEAKS = flags.DEFINE_boolean("leaks", False, "Compare the pictures of all splits.")
_SHEET = flags.DEFINE_string("contact_sheet", None, "PNG file to draw.")
_PICTURES = flags.DEFINE_integer("pictures", 24, "On the sheet, of each split.", 1)
_SEED = flags.DEFINE_integer("seed", 1, "Chooses these pictures.")


def find_splits(folder: str) -> list[str]:
    """The splits that have an index in `folder`, sorted.

    Raises:
        SemCompError: there is none.
    """
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    found = sorted(
        name.removesuffix(".json")
        for name in names
        if name.endswith(".json") and not name.startswith(".")
    )
    if not found:
        raise SemCompError(f"{folder}: no index of records in it.")
    return found


def inspect(folder: str, split: str) -> survey.Survey:
    """Reads a split, and keeps the records that the sheet shows."""
    count = records.read_index(folder, split)["records"]
    order = np.random.default_rng(_SEED.value).permutation(count)
    return survey.survey(
        folder,
        split,
        keep=set(order[: _PICTURES.value].tolist()) if _SHEET.value else (),
        decode=_DECODE.value,
        fingerprints=_LEAKS.value,
    )


def main(argv: list[str]) -> int:
    """Inspects every split; returns the exit status."""
    del argv
    folder = _RECORDS.value
    surveys = [inspect(folder, split) for split in _SPLITS.value or find_splits(folder)]
    problems = [problem for found in surveys for problem in found.problems]
    prints = {found.split: similarity.gather(found.prints) for found in surveys}
    problems += map(str, similarity.leaks(prints))
    if _SHEET.value:
        groups = [(found.split, found.kept) for found in surveys]
        images.write(_SHEET.value, contact_sheet.draw(groups))
    splits = {found.split: found.summary() for found in surveys}
    print(json.dumps({"splits": splits, "problems": problems}, indent=1))
    return 1 if problems else 0


if __name__ == "__main__":
    app.run(main)
