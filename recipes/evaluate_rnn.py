"""What do machines still recognise, and humans still see? `rnn` beside other codecs.

Paper:  arXiv 1910.03472: accuracy over rate, distortion over rate, and the trade-off
        between them.
Run:    python recipes/evaluate_rnn.py --list=DATA_DIR/classification/test.txt \
            --images=DATA_DIR/kodak --observers=folder:caltech.npz --out=runs/rnn
        python recipes/evaluate_rnn.py --codecs=jpeg:1:5:10:20,avif:10:20:30 ...
Resume: the same command; rows that are there already are kept.
Cost:   compression as the codec's; an observer such as MobileNet takes about 30 ms of
        one core a picture and setting.
Result: OUT/evaluation.md and .json, OUT/figures/*; OUT/accuracy, OUT/originals and
        OUT/distortion, each a table that `tfsemcomp report` draws.

Rates are those of whole files. Accuracies have Wilson's intervals; what is compared at
equal rates (`--rates`) has intervals from drawing the pictures anew, paired by picture
(tfsemcomp/evaluation/equal_rates.py). `--codecs` takes words as `jpeg:5:10`,
`rnn:rnn-small-machine` or `rnn:rnn-small:2@machine_weight=0.5`
(tfsemcomp/evaluation/codec_specs.py); default: every model of `rnn` at every quality,
and the classical codecs that are here. Fit an observer of your own classes by
fit_observer.py or train_classifier.py; `--list` is what they take, too. `--images` and
`--list` may be given alone.
"""

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

import tfsemcomp
from tfsemcomp import bitstream, images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import (
    codec_specs,
    curves,
    equal_rates,
    figures,
    markdown,
    observer_labels,
    observer_runs,
    summary,
    sweep,
    table,
)
from tfsemcomp.evaluation.equal_rates import AtRate
from tfsemcomp.evaluation.figures import Dial
from tfsemcomp.evaluation.intervals import Draws, Estimate
from tfsemcomp.evaluation.sweep import Job
from tfsemcomp.evaluation.table import Table
from tfsemcomp.serving import manifest

_LIST = flags.DEFINE_string("list", None, "Labelled pictures, for accuracy.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "What paths of --list are below.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of pictures, for distortion.")
_CODECS = flags.DEFINE_list("codecs", None, "NAME[:MODEL][:QUALITY...][@SETTING=V...]")
_OBSERVERS = flags.DEFINE_list("observers", [], "Who looks at the pictures of --list.")
_METRICS = flags.DEFINE_list(
    "metrics", ["psnr", "ms_ssim", "psnr_hvsm"], "Of --images."
)
_RATES = flags.DEFINE_list("rates", ["0.25"], "Where codecs are compared, in bpp.")
_OUT = flags.DEFINE_string("out", "results/rnn", "Folder for the results.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes.", 1)
_TIMES = flags.DEFINE_integer("draws", 10000, "Of pictures, for intervals.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of these draws.", 0)
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two pictures of each, to OUT/smoke.")

# Qualities whose files lie around the rates of 1 to 8 iterations.
_CLASSICAL = {
    "jpeg": "jpeg:1:5:10:20:30:50:75",
    "webp": "webp:1:5:20:40:60:80",
    "avif": "avif:5:10:20:30:40:60",
    "bpg": "bpg:4:8:12:16:20:26",
    "jxl": "jxl:5:15:30:50:65:80",
}
_SMOKE_CODECS = ("jpeg:5:50", "webp:5:50")
_SMOKE_DRAWS = 100
_SYSTEM = "rnn"
_DIAL = "machine_weight"


class Lossless(base.Codec):
    """Gives pictures back as they are: what observers say of it holds for originals."""

    name = "original"
    summary = "PNG."
    suffix = ".png"
    quality_range = (1, 1)
    default_quality = 1

    def _encode(self, image: np.ndarray, quality: float) -> bytes:
        return images.encode(image, "png")

    def _decode(
        self, data: bytes, *, layers: int | None, limits: bitstream.Limits
    ) -> np.ndarray:
        base.check_one_layer("a PNG", layers)
        return images.load_bytes(data, limits=limits).pixels


def out_folder() -> pathlib.Path:
    """Where results go; with --smoke, apart from earnest."""
    out = pathlib.Path(_OUT.value)
    return out / "smoke" if _SMOKE.value else out


def some(pictures: list[pathlib.Path]) -> list[pathlib.Path]:
    """All pictures; with --smoke, the first two."""
    return pictures[:2] if _SMOKE.value else pictures


def default_codecs() -> Sequence[str]:
    """Words for every model of `rnn` and the classical codecs that can run here."""
    if _SMOKE.value:
        return _SMOKE_CODECS
    models = [m.name for m in tfsemcomp.list_models() if m.system == _SYSTEM]
    words = [f"{_SYSTEM}:{name}" for name in models]
    codecs = {info.name: info for info in tfsemcomp.list_codecs()}
    for name, word in _CLASSICAL.items():
        if codecs[name].available:
            words.append(word)
        else:
            print(f"left out: {name}: {codecs[name].reason}")
    return words


def name_of(job: Job) -> str:
    """The name of the curve that a job belongs to."""
    name, model, setting = job.key
    return curves.curve_name(name, model, setting.partition(", ")[2])


def dial_of(job: Job) -> tuple[str, float] | None:
    """What has a machine_weight, and which: a model by its card, or by a setting.

    Returns: family and weight; models of one codec that have a weight each are a
        family. None for what has no such weight.
    """
    codec = job.codec
    chosen = codec.check_settings(**job.arguments).get(_DIAL)
    if chosen is not None:
        return curves.curve_name(codec.name, codec.model or ""), float(chosen)
    if not codec.uses_model:
        return None
    model = manifest.choose(codec.model, codec.name)
    weight = model.card.get("codes", {}).get(_DIAL)
    return None if weight is None else (codec.name, float(weight))


def run_sweep(
    name: str,
    codecs: Sequence[Job | base.Codec],
    pictures: Sequence[pathlib.Path],
    metrics: Sequence[str],
    workers: int,
    **options: Any,
) -> Table:
    """Measures what is missing.

    Args:
        name: of the folder below OUT.
        codecs: what to measure.
        pictures: on what.
        metrics: of pictures.
        workers: processes.
        **options: of `sweep.run_sweep`.

    Returns: the rows of these pictures and codecs, in their order. Those that failed
        are told, and the next run tries them again; means are over the pictures that
        everything has.
    """
    jobs = sweep.plan(codecs)
    folder = out_folder() / name
    with tqdm.tqdm(desc=name, unit="file", disable=None) as bar:

        def show(_: table.Row, done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = sweep.run_sweep(
            jobs,
            pictures,
            folder,
            metrics=metrics,
            workers=workers,
            resume=True,
            on_row=show,
            **options,
        )
    names, keys = sweep.name_pictures(pictures), {job.key for job in jobs}
    rows = [row for row in found.rows if row.image in names and row.key[1:] in keys]
    for row in rows:
        if row.error:
            print(f"failed: {row.image}, {row.codec} {row.setting}: {row.error}")
    return Table(tuple(rows), found.meta)


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """What observers made of the pictures of a list.

    Attributes:
        results: of all codecs.
        originals: values by column, by picture.
    """

    results: Table
    originals: dict[str, dict[str, float]]

    def columns(self, *kinds: str) -> list[str]:
        """Columns of these kinds, which stand before the "@"."""
        names = self.results.metric_names()
        return [name for name in names if name.partition("@")[0] in kinds]

    def main_columns(self) -> list[str]:
        """The one of each observer that codecs are compared by."""
        accuracies = self.columns("top1")
        judged = {column.partition("@")[2] for column in accuracies}
        kept = self.columns("preserved")
        return accuracies + [c for c in kept if c.partition("@")[2] not in judged]

    def of_originals(self, column: str) -> dict[str, float]:
        """A column of the originals, by picture; pictures without it are left out."""
        values = self.originals.items()
        return {name: found[column] for name, found in values if column in found}

    def levels(self) -> dict[str, float]:
        """Accuracies of the originals, by column."""
        found = {c: self.of_originals(c).values() for c in self.columns("top1", "top5")}
        return {column: sum(values) / len(values) for column, values in found.items()}

    def at_rate(self, column: str, rate: float) -> AtRate:
        """All codecs at one rate."""
        collected = equal_rates.collect(self.results, column)
        known = None
        if column.startswith(("top1@", "top5@")):
            known = self.of_originals(column)
        return equal_rates.at_rate(collected, rate, _draws(), known)


def rates() -> list[float]:
    """Where codecs are compared.

    Raises:
        ValueError: no rates.
    """
    try:
        found = [float(text) for text in _RATES.value]
    except ValueError:
        found = []
    if not found or min(found) <= 0:
        raise ValueError(
            f"`rates` must be numbers above 0, received {','.join(_RATES.value)!r}."
        )
    return found


def _draws() -> Draws:
    return Draws(_SMOKE_DRAWS if _SMOKE.value else _TIMES.value, _SEED.value)


def measure_accuracy(jobs: Sequence[Job]) -> Accuracy:
    """Compresses the pictures of the list and lets the observers look."""
    folder = pathlib.Path(_DATA_DIR.value or os.path.dirname(_LIST.value))
    pictures = some([folder / name for name in observer_labels.read_list(_LIST.value)])
    options = {"observers": _OBSERVERS.value, "labels": _LIST.value}
    # A codec of this recipe alone cannot be made by other processes.
    originals = run_sweep(
        "originals", [Lossless()], pictures, (), 1, keep_files=False, **options
    )
    results = run_sweep("accuracy", jobs, pictures, (), _WORKERS.value, **options)
    whole = [row for row in originals.rows if not row.error]
    values = {row.image: dict(row.metrics) for row in whole}
    return Accuracy(results, values)


def report_accuracy(
    accuracy: Accuracy, folder: pathlib.Path
) -> tuple[list[str], dict[str, Any]]:
    """Tables and numbers of the list; its figures go to the folder."""
    points, count = observer_runs.summarise(
        accuracy.results, accuracy.results.metric_names(), accuracy.originals
    )
    drawn = figures.write_figures(
        summary.summarise(accuracy.results, dataset=summary.NONE),
        folder,
        prefix="accuracy_",
        rate_scale="log2",
        levels=accuracy.levels(),
    )
    parts = [
        f"## Accuracy over rate, {count} pictures",
        *_pictures(drawn),
        "Means in per cent, shares with 95 % intervals (Wilson).",
        observer_runs.to_markdown(points).rstrip(),
    ]
    facts = {
        "images": count,
        "points": [dataclasses.asdict(point) for point in points],
        "equal_rates": {},
    }
    for rate in rates():
        columns = accuracy.columns("top1", "top5", "preserved")
        found = {column: accuracy.at_rate(column, rate) for column in columns}
        facts["equal_rates"] |= {
            f"{column}, {rate:g} bpp": equal_rates.to_json(at_rate)
            for column, at_rate in found.items()
        }
        parts += [
            f"## Accuracy at {rate:g} bpp",
            "Per cent, with 95 % intervals; a dash where a codec's files do not reach "
            "the rate.",
            equal_rates.to_markdown(found),
        ]
        for column in accuracy.main_columns():
            parts += [
                f"{column} at {rate:g} bpp, row less column, points:",
                equal_rates.differences_to_markdown(found[column]),
            ]
    return parts, facts


def dials(
    jobs: Sequence[Job], accuracy: Accuracy, distortion: Table, rate: float
) -> list[Dial]:
    """MS-SSIM and preserved accuracy at a rate over the machine_weight."""
    collected = equal_rates.collect(distortion, "ms_ssim")
    ms_ssim = equal_rates.at_rate(collected, rate, _draws())
    places = {name_of(job): dial_of(job) for job in jobs}
    found = [_dial("MS-SSIM", ms_ssim.value, places)]
    for column in accuracy.main_columns():
        at_rate = accuracy.at_rate(column, rate)
        value = at_rate.value if at_rate.originals is None else at_rate.preserved
        label = f"preserved accuracy\n({column.partition('@')[2]})"
        found.append(_dial(label, value, places))
    return found


def _dial(
    label: str,
    value: Callable[[str], Estimate | None],
    places: dict[str, tuple[str, float] | None],
) -> Dial:
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    levels = {}
    for name, place in places.items():
        estimate = value(name)
        if estimate is None:
            continue
        if place is None:
            levels[name] = estimate
        else:
            lines.setdefault(place[0], []).append((place[1], estimate))
    return Dial(label, lines, levels)


def report_distortion(distortion: Table, folder: pathlib.Path) -> list[str]:
    """Tables of the folder of pictures; its figures go to the folder."""
    found = summary.summarise(distortion)
    drawn = figures.write_figures(found, folder, prefix="distortion_")
    return [
        f"## Distortion over rate, {len(found.images)} pictures",
        *_pictures(drawn),
        *markdown.sections(found),
    ]


def _pictures(drawn: Sequence[pathlib.Path]) -> list[str]:
    return [
        f"![{path.stem}](figures/{path.name})"
        for path in drawn
        if path.suffix == ".png"
    ]


def run() -> None:
    """Measures what is missing and writes tables and figures.

    Raises:
        SemCompError, ValueError: as the parts of the work do.
    """
    rates()  # wrong ones are told before any work
    jobs = codec_specs.parse_all(_CODECS.value or default_codecs())
    out = out_folder()
    folder = out / "figures"
    parts, facts = ["# What machines recognise and humans see"], {}
    accuracy = distortion = None
    if _LIST.value:
        accuracy = measure_accuracy(jobs)
        found, facts = report_accuracy(accuracy, folder)
        parts += found
    if _IMAGES.value:
        distortion = run_sweep(
            "distortion",
            jobs,
            some(images.list_images(_IMAGES.value)),
            _METRICS.value,
            _WORKERS.value,
        )
        parts += report_distortion(distortion, folder)
    if accuracy and distortion and "ms_ssim" in distortion.metric_names():
        rate = rates()[0]
        found = dials(jobs, accuracy, distortion, rate)
        if any(dial.lines for dial in found):
            drawn = figures.write_dials(found, folder)
            parts += [f"## Trade-off at {rate:g} bpp", *_pictures(drawn)]
    text = "\n\n".join(parts) + "\n"
    images.write_atomic(out / "evaluation.md", text.encode("utf-8"))
    facts |= {"codecs": [" ".join(job.key) for job in jobs], "seed": _SEED.value}
    content = json.dumps(facts, indent=1) + "\n"
    images.write_atomic(out / "evaluation.json", content.encode("utf-8"))
    print(text)


def main(argv: list[str]) -> None:
    """Checks the flags, then runs."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    if not (_LIST.value or _IMAGES.value):
        raise app.UsageError("give --list, --images or both.")
    if bool(_LIST.value) != bool(_OBSERVERS.value):
        raise app.UsageError("--list and --observers go together.")
    if any(spec.startswith("segmenter:") for spec in _OBSERVERS.value):
        raise app.UsageError("--observers must classify; one of them segments.")
    try:
        run()
    except (SemCompError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main)
