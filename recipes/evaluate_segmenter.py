"""Measure a segmenter against label maps that people drew.

Paper:  none; mean intersection over union as data sets of streets report it.
Run:    python recipes/evaluate_segmenter.py --data=records/camvid:val \
            --out=runs/camvid_val --write_card
Cost:   0.4 s a frame of 480x360.
Result: OUT/segmenter.json and segmenter.md: IoU of each class, their mean and the share
        of right pixels, over all pixels of all pictures. `--write_card` enters them in
        the model's card.

Pixels of the class that the model ignores, by its card, do not count.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.data import label_maps, reading, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import recognition
from tfsemcomp.semantics import segmentation
from tfsemcomp.serving import manifest

_DATA = flags.DEFINE_string("data", None, "folder:split of records.", required=True)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_OUT = flags.DEFINE_string("out", "results/segmenter", "Folder for the results.")
_WRITE = flags.DEFINE_boolean("write_card", False, "Enter figures in the model's card.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two pictures, to OUT/smoke; no card.")


def count(info: manifest.ModelInfo) -> tuple[np.ndarray, int]:
    """Confusion of the classes, int64 [C,C], and how many pictures it is of."""
    classes = info.card["classes"]
    stream = reading.serialized(*records.parse_source(_DATA.value))
    total, pictures = np.zeros((classes["number"],) * 2, np.int64), 0
    for serialized in tqdm.tqdm(stream.take(2) if _SMOKE.value else stream):
        record = records.deserialize(serialized.numpy())
        if not record.label_map:
            raise SemCompError(
                f"{_DATA.value}: {record.name} has no label map; give records of a "
                "layout with label maps, such as camvid."
            )
        pixels = images.load_bytes(record.image, name=record.name).pixels
        found = segmentation.segment(pixels, info.path)
        truth = label_maps.decode(record.label_map, record.name)
        known = truth < classes["number"]
        if classes["ignored"] is not None:
            known &= truth != classes["ignored"]
        truth = np.where(known, truth, recognition.IGNORE)
        total += recognition.confusion(truth, found, classes["number"])
        pictures += 1
    return total, pictures


def scores(confusion: np.ndarray, pictures: int) -> dict[str, Any]:
    """The measures that the docstring names."""
    hits = np.diagonal(confusion)
    unions = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    return {
        "data": os.path.basename(_DATA.value),
        "pictures": pictures,
        "miou": round(recognition.miou(confusion), 4),
        "accuracy": round(float(hits.sum() / max(confusion.sum(), 1)), 4),
        "iou": {
            str(label): round(float(hits[label] / unions[label]), 4)
            for label in np.flatnonzero(unions)
        },
    }


def table(found: dict[str, Any]) -> str:
    """The measures as Markdown."""
    rows = ["| class | IoU |", "|---|---|"]
    rows += [f"| {label} | {value:.4f} |" for label, value in found["iou"].items()]
    rows += [f"| mean | {found['miou']:.4f} |"]
    rows += [f"| right pixels | {found['accuracy']:.4f} |"]
    return "\n".join(rows) + "\n"


def main(argv: list[str]) -> None:
    """Measures the model and writes the results."""
    del argv
    info = segmentation.find_model(_MODEL.value)
    found = scores(*count(info))
    out = pathlib.Path(_OUT.value)
    out = out / "smoke" if _SMOKE.value else out
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1) + "\n"
    images.write_atomic(out / "segmenter.json", text.encode())
    images.write_atomic(out / "segmenter.md", table(found).encode())
    print(table(found), end="")
    if _WRITE.value and not _SMOKE.value:
        results = {**info.card.get("results", {}), "label_maps": found}
        card = {**info.card, "results": results}
        manifest.add(info.path.parents[1], card, info.default)


if __name__ == "__main__":
    app.run(main)
