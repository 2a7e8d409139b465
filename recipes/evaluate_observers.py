"""What do recognisers still see? Accuracy against rate, for any codec and observer.

Paper:  arXiv 1910.03472 (classifiers as observers; pre-compressed records).
Run:    python recipes/evaluate_observers.py --list=DATA_DIR/classification/test.txt \
            --codecs=jpeg:5:10:20,webp:1:10:30 --records=runs/records \
            --observers=folder:caltech.npz,mobilenet --out=runs/observers
    or  python recipes/evaluate_observers.py --results=DIR --labels=FILE --observers=...
Cost:   compression as the codec's, once; then about 30 ms of one core for each decoded
        picture with MobileNet: 3 minutes for 505 pictures at 9 settings.
Result: a table on the screen; OUT/results.csv and .json, a row a picture, which
        `tfsemcomp report OUT` draws; OUT/observers.json and observers.md, the means.

First form: the pictures of `--list` (fit_observer.py tells its lines) are compressed to
records under `--records` (tfsemcomp/data/compressed.py), unless they are there already,
and judged. A stopped run is taken up by the same command. `--codecs` takes words as
`jpeg:5:10` or `hyperprior:MODEL:1@SETTING=VALUE` (tfsemcomp/evaluation/codec_specs.py);
`--short_side` scales pictures first, as the paper does (256 or 336).
Without `--codecs` all that the records hold is judged. Second form: the files that
`tfsemcomp evaluate` kept are judged, and its table gets the columns.

`--observers` takes what `tfsemcomp/evaluation/observers.py` lists. Labels are those of
the list, or of `--labels`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

from tfsemcomp import api, images
from tfsemcomp.data import compressed, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import (
    codec_specs,
    observer_labels,
    observer_runs,
    observers,
    sweep,
    table,
)
from tfsemcomp.evaluation.observers import Observer

_OBSERVERS = flags.DEFINE_list("observers", None, "Who looks.", required=True)
_OUT = flags.DEFINE_string("out", None, "Results; default: --results.")
_RESULTS = flags.DEFINE_string("results", None, "Folder of `tfsemcomp evaluate`.")
_RECORDS = flags.DEFINE_string("records", None, "Folder of pre-compressed records.")
_LIST = flags.DEFINE_string("list", None, "Labelled pictures to compress.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "What paths of --list are below.")
_CODECS = flags.DEFINE_list("codecs", [], "NAME[:MODEL][:QUALITY...][@SETTING=V...]")
_SHORT_SIDE = flags.DEFINE_integer("short_side", 0, "Pixels; 0 keeps pictures.", 0)
_SHARDS = flags.DEFINE_integer("shards", 8, "Files of each split.", 1)
_SKIP_BROKEN = flags.DEFINE_boolean("skip_broken", False, "Go on past failures.")
_LABELS = flags.DEFINE_string("labels", None, "List of classes.")
_LABEL_MAPS = flags.DEFINE_string("label_maps", None, "Folder of label maps.")
_METRICS = flags.DEFINE_list("metrics", [], "Picture metrics besides, as psnr.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two pictures of --list, to OUT/smoke.")


def read_list(path: str) -> dict[str, observer_labels.Label]:
    """Labels by picture of a list; with --smoke, of its first two."""
    labels = observer_labels.read_list(path)
    return dict(list(labels.items())[:2]) if _SMOKE.value else labels


def read_sources(path: str, classes: dict[str, int]) -> Iterator[records.Record]:
    """Records of the pictures of a list, read one by one.

    Args:
        path: of the list.
        classes: index by class name.
    """
    folder = _DATA_DIR.value or os.path.dirname(path)
    for name, label in read_list(path).items():
        is_name = isinstance(label, str)
        yield records.Record(
            image=api.read_file(os.path.join(folder, name)),
            name=name,
            height=0,  # `compressed.original` fills them in
            width=0,
            label=classes[label] if is_name else label,
            class_text=label if is_name else "",
        )


def make_originals(folder: str, path: str) -> None:
    """Writes the originals of a list, unless they are there.

    Raises:
        SemCompError: a picture that cannot be read, or the folder holds others.
    """
    labels = read_list(path)
    named = json.dumps([labels, _SHORT_SIDE.value, _SHARDS.value])
    digest = hashlib.sha256(named.encode()).hexdigest()
    if tf.io.gfile.exists(records.index_path(folder, compressed.ORIGINALS)):
        index = compressed.read_originals_index(folder)
        if index.get("list") != digest:
            raise SemCompError(
                f"{folder}: holds other originals than `--list`, `--short_side` and "
                "`--shards` say; choose another --records or remove it."
            )
        return
    names = sorted({name for name in labels.values() if isinstance(name, str)})
    classes = {name: number for number, name in enumerate(names)}
    compressed.write_originals(
        read_sources(path, classes),
        folder,
        _SHARDS.value,
        names,
        _SHORT_SIDE.value,
        list=digest,
    )


def make_splits(folder: str, jobs: list[sweep.Job]) -> list[str]:
    """Compresses what is not there yet; returns the names of the jobs' splits."""
    count = compressed.read_originals_index(folder)["records"]
    for job in jobs:
        with tqdm(total=count, desc=" ".join(job.key), disable=None) as bar:
            index = compressed.write_split(
                folder,
                job.codec,
                job.setting,
                job.arguments,
                skip_broken=_SKIP_BROKEN.value,
                on_record=lambda _, bar=bar: bar.update(),
            )
        if index["broken"]:
            print(f"left out of {' '.join(job.key)}: {', '.join(index['broken'])}")
    return [compressed.split_name(*job.key) for job in jobs]


def load_observers(folder: str | None) -> list[Observer]:
    """The observers, with the labels of `--labels` or else of the records."""
    labels, label_maps = _LABELS.value, _LABEL_MAPS.value
    if folder is not None:
        labels = labels or observer_runs.labels_of(folder) or None
        label_maps = label_maps or observer_runs.label_maps_of(folder) or None
    return [observers.load(spec, labels, label_maps) for spec in _OBSERVERS.value]


def below(folder: str) -> str:
    """Where to write; with --smoke, apart from earnest."""
    return os.path.join(folder, "smoke") if _SMOKE.value else folder


def judge_records() -> tuple[table.Table, list[Observer], dict | None]:
    """The first form: results, observers, and what they say of the originals."""
    folder, jobs = below(_RECORDS.value), codec_specs.parse_all(_CODECS.value)
    if _LIST.value:
        make_originals(folder, _LIST.value)
    splits = make_splits(folder, jobs) or compressed.splits(folder)
    if not splits:
        raise SemCompError(f"{folder}: nothing is compressed; give --codecs.")
    found = load_observers(folder)
    originals = observer_runs.observe_originals(folder, found)
    with tqdm(desc="judged", disable=None) as bar:
        results = observer_runs.observe_records(
            folder,
            found,
            splits,
            _METRICS.value,
            on_rows=lambda done: bar.update(done - bar.n),
        )
    return results, found, originals


def judge_results() -> tuple[table.Table, list[Observer], None]:
    """The second form."""
    found = load_observers(None)
    with tqdm(desc="judged", disable=None) as bar:
        results = observer_runs.observe_results(
            _RESULTS.value, found, on_rows=lambda done: bar.update(done - bar.n)
        )
    return results, found, None


def main(argv: list[str]) -> None:
    """Compresses what is missing, judges, and reports."""
    del argv
    if bool(_RESULTS.value) == bool(_RECORDS.value):
        raise app.UsageError("give --records or --results, and one of them only.")
    out = _OUT.value or _RESULTS.value
    if not out:
        raise app.UsageError("--out is needed with --records.")
    if _SMOKE.value and not _LIST.value:
        raise app.UsageError("--smoke goes with --list.")
    out = below(out)
    results, found, originals = judge_results() if _RESULTS.value else judge_records()
    names = [*dict.fromkeys([*results.meta.get("observers", ()), *_OBSERVERS.value])]
    results = table.Table(results.rows, {**results.meta, "observers": names})
    table.write(out, results)
    columns = [column for observer in found for column in observer.columns]
    points, count = observer_runs.summarise(results, columns, originals)
    text = observer_runs.to_markdown(points)
    summary = {
        "images": count,
        "observers": _OBSERVERS.value,
        "points": [dataclasses.asdict(point) for point in points],
    }
    folder = pathlib.Path(out)
    images.write_atomic(folder / "observers.md", text.encode())
    images.write_atomic(
        folder / "observers.json", (json.dumps(summary, indent=1) + "\n").encode()
    )
    print(text)
    print(f"Means over {count} images; shares in %, with 95 % confidence intervals.")


if __name__ == "__main__":
    app.run(main)
