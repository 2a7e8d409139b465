"""Measure an exported MSROI model: does it know the classes, does it find the places?

Paper:  arXiv 1612.08712 (the map network).
Run:    python recipes/evaluate_msroi.py --model=msroi-small \
            --records=records/caltech101:test --saliency=osie --skip=20 --write_card
Cost:   forward passes only: 0.1 s a record, and every method once a photo.
Expect: the shipped model's card.json has what this recipe entered.
Result: top-1 and top-5 on the records; AUC, NSS and CC of its maps against fixations,
        beside those of a centred Gaussian, the spectral residual and the network-free
        contrast map. `--saliency` holds images/ and fixation_maps/ (the same names,
        .png); `--skip` leaves out the first photos, on which settings were chosen.
        Prints JSON; with --write_card enters it in card.json and the manifest.
"""

import json
import pathlib

import numpy as np
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.data import pipeline, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import saliency
from tfsemcomp.semantics import roi
from tfsemcomp.serving import manifest
from tfsemcomp.serving.runner import LocalRunner

_MODEL = flags.DEFINE_string("model", "msroi-small", "Name or path of the model.")
_RECORDS = flags.DEFINE_string("records", None, "folder:split of labelled records.")
_SALIENCY = flags.DEFINE_string("saliency", None, "images/ and fixation_maps/.")
_SKIP = flags.DEFINE_integer("skip", 0, "Photos of --saliency to leave out.", 0)
_METHODS = flags.DEFINE_list(
    "methods",
    [*roi.METHODS[:-1], "cam_topk+class_features", "cam_topk+centre"],
    "Methods and mixtures to compare.",
)
_CROP = flags.DEFINE_integer("crop", 224, "Pixels of the classified square.")
_WRITE = flags.DEFINE_boolean("write_card", False, "Enter the figures in the card.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "One batch, two photos, no card.")
_SCORES = {"auc": saliency.auc, "nss": saliency.nss, "cc": saliency.cc}


def classify(runner: LocalRunner, source: tuple[str, str], crop: int) -> dict:
    """Top-1 and top-5 of the centre squares of labelled records."""
    ranks = []
    batches = pipeline.evaluation_batches(source, 16, crop)
    for batch in batches.take(1) if _SMOKE.value else batches:
        image = batch["image"].numpy().astype(np.float32)
        logits = runner.call("analyze", image=image)["logits"]
        labels = batch["label"].numpy()
        own = logits[np.arange(len(labels)), labels]
        ranks.append((logits > own[:, None]).sum(axis=1))
    ranks = np.concatenate(ranks)
    return {
        "images": len(ranks),
        "top1": round(float(np.mean(ranks < 1)), 4),
        "top5": round(float(np.mean(ranks < 5)), 4),
    }


def find_fixations(
    folder: pathlib.Path, methods: list[str], runner: LocalRunner, skip: int
) -> dict:
    """Mean AUC, NSS and CC of every method over the folder's photos."""
    paths = images.list_images(folder / "images")[skip:]
    paths = paths[:2] if _SMOKE.value else paths
    if not paths:
        raise SemCompError(f"{folder / 'images'}: no images; check `--saliency`.")
    rows: dict[str, list[list[float]]] = {name: [] for name in methods}
    for path in paths:
        path = pathlib.Path(path)
        pixels = images.read(path)
        density = images.read(folder / "fixation_maps" / f"{path.stem}.png")[..., 0]
        for name in methods:
            found = roi.resolve_map(name, pixels, runner)
            rows[name].append([score(found, density) for score in _SCORES.values()])
    means = {name: np.mean(values, axis=0) for name, values in rows.items()}
    return {
        "images": len(paths),
        **{
            name: {key: round(float(v), 4) for key, v in zip(_SCORES, row, strict=True)}
            for name, row in means.items()
        },
    }


def main(argv: list[str]) -> None:
    """Measures and reports."""
    del argv
    model = manifest.find(_MODEL.value)
    runner = LocalRunner(model)
    results = {}
    if _RECORDS.value:
        source = records.parse_source(_RECORDS.value)
        results["classification"] = classify(runner, source, _CROP.value)
    if _SALIENCY.value:
        folder = pathlib.Path(_SALIENCY.value)
        results["fixations"] = find_fixations(
            folder, _METHODS.value, runner, _SKIP.value
        )
    print(json.dumps(results, indent=1))
    if _WRITE.value and not _SMOKE.value:
        card = {**model.card, "results": {**model.card["results"], **results}}
        manifest.add(model.path.parents[1], card, model.default)


if __name__ == "__main__":
    app.run(main)
