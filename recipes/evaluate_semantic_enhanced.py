"""What do labels bring to a codec, and what do they cost? Three ways of counting.

Paper:  arXiv 2005.12810 (JPD-SE), which counts no byte of its labels.
Run:    python recipes/evaluate_semantic_enhanced.py --data=records/camvid:val \
            --bases=jpeg,webp --qualities=1,5,10,20,40 --perceptions=0,1 \
            --backbone=FILE.npz --out=results/semantic_enhanced
Cost:   19 s of CPU time for a frame of 480x360 at a base, a quality and two
        perceptions; a photo takes 6 files, and 6 pictures for each
        perception, at each base and quality. `--cases` leaves some out.
Result: OUT/evaluation.json and .md; with `--card` the figures in the model's card.

Pictures are read back from their files; bytes are those of whole files. Told are, for
each base and quality, as means over photos:

  base         the plain file of the base codec
  free         with the true labels, whose bytes do not count: the paper's way
  paid         the same pictures, with their bytes
  corrected    derived labels, the larger pieces of which are put right where they are
               wrong, paid; of bases that every machine decodes alike
  segment      labels that the encoder's segmenter found, paid
  derived      labels that the decoder finds in the base picture: no bytes
  zero labels  without labels
  zero base    true labels, and grey in place of the base picture; bytes of labels only
  noisy        true labels, some squares of them replaced by any class (`--noise`), paid

and the share of photos with a better value than their base picture, errors of each true
class, the labels' share of the bytes, seconds to code and decode a photo, the mIoU of a
frozen segmenter (`--judge`) that sees pictures only, and BD-rates against the plain
base (4 qualities at least). Where true labels shaped a picture, its mIoU was told the
answer and stands in brackets; where the judge is also the one who found the labels, it
judges its own work.
"""

import contextlib
import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

from tfsemcomp import bitstream, images
from tfsemcomp.codecs import (
    base,
    semantic_enhanced,
    semantic_labels,
    semantic_model,
)
from tfsemcomp.codecs.semantic_model import UNLABELLED
from tfsemcomp.data import label_maps, reading, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import bd_rate, markdown, model_cards, provenance
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.rulers import Ruler
from tfsemcomp.metrics import recognition
from tfsemcomp.semantics import segmentation
from tfsemcomp.serving import manifest, runner

_DATA = flags.DEFINE_string("data", None, "folder:split of records.", required=True)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_SEGMENTER = flags.DEFINE_string("segmenter", None, "Who finds labels; as --model.")
_JUDGE = flags.DEFINE_string("judge", None, "Whose mIoU is told; as --model.")
_BASES = flags.DEFINE_list("bases", ["jpeg", "webp"], "Base codecs.")
_QUALITIES = flags.DEFINE_list("qualities", ["1", "5", "10", "20", "40"], "Of ours.")
_PERCEPTIONS = flags.DEFINE_list("perceptions", ["0"], "Places of the dial, 0 to 1.")
_CASES = flags.DEFINE_list("cases", None, "Of those above but base; default: all.")
_SMOOTHING = flags.DEFINE_integer("label_smoothing", 0, "Of labels that are sent.")
_NOISE = flags.DEFINE_float("noise", 0.05, "Share of wrong squares, 8x8 pixels.", 0, 1)
_METRICS = flags.DEFINE_list("metrics", ["psnr", "ms_ssim"], "Of pictures.")
_BACKBONE = flags.DEFINE_string(
    "backbone", "mobilenet", "Whose features are compared, too; empty for none."
)
_LIMIT = flags.DEFINE_integer("limit", None, "The first so many photos only.", 1)
_OUT = flags.DEFINE_string("out", "results/semantic_enhanced", "Folder for results.")
_CARD = flags.DEFINE_boolean("card", False, "Enter figures in the model's card.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two photos, one quality, to OUT/smoke.")

PLAIN = "base"
# Cases whose pictures saw the true labels, and the others.
TOLD = ("free", "paid", "corrected", "zero base", "noisy")
CASES = (*TOLD, "segment", "derived", "zero labels")
_SQUARE = 8
_GREY = 128


@dataclasses.dataclass(frozen=True)
class Scene:
    """A photo and what is where in it.

    Attributes:
        pixels: uint8 [H,W,3].
        labels: uint8 [H,W]; 255 for what is none of the model's classes.
    """

    pixels: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Case:
    """A picture and what it cost.

    Attributes:
        name: which way of counting, and the place of the dial.
        size: bytes.
        picture: uint8 [H,W,3].
    """

    name: str
    size: int
    picture: np.ndarray


class Tally:
    """What the pictures of a case add up to.

    Args:
        classes: of the true labels.
        number: of classes of the judge; `ignored` is one of them that does not count.
    """

    def __init__(self, classes: int, number: int, ignored: int | None) -> None:
        self.rows: list[dict[str, float]] = []
        self.better: list[dict[str, bool]] = []
        self._confusion = np.zeros((number, number), np.int64)
        self._ignored = ignored
        # Of each class: values, squared and absolute errors.
        self._errors = np.zeros((classes, 3))

    def add(
        self, scene: Scene, case: Case, values: dict[str, float], seen: np.ndarray
    ) -> None:
        """Adds a picture, its metrics and what the judge sees in it, uint8 [H,W]."""
        pixels = scene.labels.size
        self.rows.append({"bytes": case.size, "bpp": 8 * case.size / pixels, **values})
        number = len(self._confusion)
        known = (scene.labels < number) & (scene.labels != self._ignored)
        truth = np.where(known, scene.labels, recognition.IGNORE)
        self._confusion += recognition.confusion(truth, seen, number)
        error = case.picture.astype(np.float64) - scene.pixels
        columns = np.ones(pixels), (error**2).mean(-1), abs(error).mean(-1)
        known = scene.labels.ravel() != UNLABELLED
        for index, column in enumerate(columns):
            np.add.at(
                self._errors[:, index],
                scene.labels.ravel()[known],
                column.ravel()[known],
            )

    def facts(self) -> dict[str, Any]:
        """Means, shares, mIoU and errors by class."""
        names = self.rows[0]
        found = {
            name: float(np.mean([row[name] for row in self.rows])) for name in names
        }
        shares = {
            name: float(np.mean([row[name] for row in self.better]))
            for name in (self.better[0] if self.better else ())
        }
        classes = {}
        for label, (count, squared, absolute) in enumerate(self._errors):
            if count:
                psnr = 10 * math.log10(255**2 / max(squared / count, 1e-10))
                classes[str(label)] = {"psnr": psnr, "l1": absolute / count}
        miou = float(recognition.miou(self._confusion))
        return {**found, "better": shares, "miou": miou, "classes": classes}


class Experiment:
    """Codes photos with one base codec after the other."""

    def __init__(self, codec: base.Codec, info: manifest.ModelInfo) -> None:
        self.codec = codec
        self.model = semantic_model.load(info)
        self.perceptions = [float(text) for text in _PERCEPTIONS.value]
        self.wanted = tuple(_CASES.value or CASES)
        unknown = sorted(set(self.wanted) - set(CASES))
        if unknown:
            raise SemCompError(
                f"`cases` must be of {', '.join(CASES)}; received {', '.join(unknown)}."
            )
        inexact = sorted(set(_BASES.value) - set(semantic_enhanced.EXACT_BASES))
        if inexact and set(self.wanted) == {"corrected"}:
            raise SemCompError(
                f"`cases` leaves nothing of {', '.join(inexact)}: `corrected` is of "
                f"{', '.join(semantic_enhanced.EXACT_BASES)}."
            )
        self._random = np.random.default_rng(0)
        self._segmenter = {"segmenter": _SEGMENTER.value}
        self._times: dict[str, dict[str, list[float]]] = {}

    def cases(self, scene: Scene, name: str, quality: float) -> Iterator[Case]:
        """All pictures of a photo; the plain base picture comes first."""
        files = {
            way: self._compress(way, scene, name, quality, settings)
            for way, settings in self._files(scene, name).items()
        }
        first = next(iter(files.values()))
        plain = len(bitstream.read(first).chunks[0].payload[1:])
        picture = self.codec.decompress(first, layers=1)
        yield Case(PLAIN, plain, picture)
        for way, data in files.items():
            free = {"free": plain} if way == "paid" else {}
            sizes = {**free, way: len(data)}
            sizes = {case: sizes[case] for case in sizes if case in self.wanted}
            for number, perception in enumerate(self.perceptions if sizes else ()):
                drawn = self._decompress(way, data, perception)
                for case, size in sizes.items():
                    yield Case(self._titles(case)[number], size, drawn)
        if "zero base" in self.wanted:
            yield from self._blind(name, plain, files["paid"], picture)

    def _files(self, scene: Scene, name: str) -> dict[str, dict[str, Any]]:
        """What is asked of the codec for the file of each case that has its own."""
        noisy = self._noisy(scene.labels)
        sent = {"label_smoothing": _SMOOTHING.value}
        files = {
            "paid": {"labels": scene.labels, **sent},
            "segment": {"mode": "segment", **self._segmenter, **sent},
            "derived": {"mode": "derived", **self._segmenter},
            "corrected": {
                "mode": "corrected",
                "labels": scene.labels,
                **self._segmenter,
                **sent,
            },
            "zero labels": {"mode": "none"},
            "noisy": {"labels": noisy, **sent},
        }
        wanted = {
            "paid" if case in ("free", "zero base") else case for case in self.wanted
        }
        if name not in semantic_enhanced.EXACT_BASES:
            wanted.discard("corrected")
        return {way: settings for way, settings in files.items() if way in wanted}

    def _blind(
        self, name: str, plain: int, data: bytes, picture: np.ndarray
    ) -> Iterator[Case]:
        """What the labels of a file alone give."""
        labels = self.codec.labels(data)
        size = len(bitstream.truncate(data, 1))
        blind = semantic_model.Seen(
            np.full_like(picture, _GREY),
            name,
            8 * plain / labels.size,
            labels,
            semantic_labels.borders(labels),
        )
        titles = self._titles("zero base")
        for title, wanted in zip(titles, self.perceptions, strict=True):
            drawn = semantic_model.enhance(self.model, [blind], wanted)[0]
            yield Case(title, len(data) - size, drawn)

    def _titles(self, way: str) -> list[str]:
        if len(self.perceptions) == 1:
            return [way]
        return [f"{way}, perception {wanted:g}" for wanted in self.perceptions]

    def _compress(
        self,
        way: str,
        scene: Scene,
        name: str,
        quality: float,
        settings: dict[str, Any],
    ) -> bytes:
        with self._timed("compress", way):
            return self.codec.compress(
                scene.pixels, base=name, quality=quality, **settings
            )

    def _decompress(self, way: str, data: bytes, perception: float) -> np.ndarray:
        finds = self._segmenter if way in ("derived", "corrected") else {}
        with self._timed("decompress", way):
            return self.codec.decompress(data, perception=perception, **finds)

    @contextlib.contextmanager
    def _timed(self, what: str, way: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        times = self._times.setdefault(way, {"compress": [], "decompress": []})
        times[what].append(time.perf_counter() - start)

    def seconds(self) -> dict[str, dict[str, float]]:
        """What a file took by case, medians: the first of each loads and compiles."""
        return {
            way: {what: float(np.median(found)) for what, found in times.items()}
            for way, times in self._times.items()
        }

    def _noisy(self, labels: np.ndarray) -> np.ndarray:
        """Labels with some squares of another class."""
        rows, columns = (-(-side // _SQUARE) for side in labels.shape)
        wrong = self._random.random((rows, columns)) < _NOISE.value
        any_class = self._random.integers(0, self.model.classes, (rows, columns))
        squares = np.where(wrong, any_class, -1)
        large = squares.repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)
        large = large[: labels.shape[0], : labels.shape[1]]
        return np.where(large < 0, labels, large).astype(np.uint8)


def scenes(classes: int) -> list[Scene]:
    """Those of the records.

    Raises: SemCompError if there are none, or one has no label map.
    """
    stream = reading.serialized(*records.parse_source(_DATA.value))
    limit = 2 if _SMOKE.value else _LIMIT.value
    found = []
    for serialized in stream if limit is None else stream.take(limit):
        record = records.deserialize(serialized.numpy())
        if not record.label_map:
            raise SemCompError(
                f"{_DATA.value}: {record.name} has no label map; give records of a "
                "layout with label maps, such as camvid."
            )
        pixels = images.load_bytes(record.image, name=record.name).pixels
        labels = label_maps.decode(record.label_map, record.name)
        labels = np.where(labels < classes, labels, UNLABELLED).astype(np.uint8)
        found.append(Scene(pixels, labels))
    if not found:
        raise SemCompError(f"{_DATA.value} holds no photos.")
    return found


def measure(
    experiment: Experiment,
    chosen: Sequence[Scene],
    name: str,
    quality: float,
    ruler: Ruler,
    judge: manifest.ModelInfo,
    bar: tqdm.tqdm,
) -> dict[str, Any]:
    """All cases of a base codec at a quality: facts by case."""
    classes = judge.card["classes"]
    tallies: dict[str, Tally] = {}
    last: tuple[np.ndarray, dict[str, float], np.ndarray] | None = None
    for scene in chosen:
        plain: dict[str, float] = {}
        for case in experiment.cases(scene, name, quality):
            if last is None or last[0] is not case.picture:
                values = ruler.measure(scene.pixels, case.picture)
                seen = segmentation.segment(case.picture, runner.shared(judge))
                last = case.picture, values, seen
            _, values, seen = last
            tally = tallies.setdefault(
                case.name,
                Tally(experiment.model.classes, classes["number"], classes["ignored"]),
            )
            tally.add(scene, case, values, seen)
            if case.name == PLAIN:
                plain = values
                continue
            tally.better.append(
                {
                    m.name: (values[m.name] > plain[m.name])
                    if m.higher_is_better
                    else (values[m.name] < plain[m.name])
                    for m in ruler.metrics
                }
            )
        bar.update()
    return {case: tally.facts() for case, tally in tallies.items()}


def compare(
    qualities: dict[str, dict[str, Any]], ruler: Ruler
) -> dict[str, dict[str, Any]]:
    """BD-rates against the plain base by case and metric, or why there is none."""
    table: dict[str, dict[str, Any]] = {}
    cases = next(iter(qualities.values()))
    for case in cases:
        if case == PLAIN or case.startswith("zero base"):
            continue
        table[case] = {}
        for metric in ruler.metrics:
            anchor, test = (
                _curve(
                    which, metric.name, [found[which] for found in qualities.values()]
                )
                for which in (PLAIN, case)
            )
            (comparison,) = bd_rate.compare([anchor], [test])
            table[case][metric.name] = comparison.reason or round(
                comparison.result.percent, 2
            )
    return table


def _curve(name: str, metric: str, rows: Sequence[dict[str, Any]]) -> Curve:
    points = sorted((row["bpp"], row[metric]) for row in rows)
    rates, values = zip(*points, strict=True)
    return Curve(name, metric, rates, values, True, "", 0)


def to_markdown(result: dict[str, Any]) -> str:
    """The tables."""
    parts = [
        f"# semantic_enhanced on {result['photos']} photos",
        f"Model {result['model']}; judge {result['judge']}. `free` and `zero base` are "
        "of the files of `paid`.",
        markdown.table(
            ["file", "seconds to code a photo", "to decode it"],
            [
                [way, f"{times['compress']:.2f}", f"{times['decompress']:.2f}"]
                for way, times in result["seconds"].items()
            ],
        ),
    ]
    for name, found in result["bases"].items():
        for quality, cases in found["qualities"].items():
            parts += [f"## {name}, quality {quality}", _cases_table(cases)]
        first = next(iter(found["qualities"]))
        parts += [
            f"## {name}: BD-rate against the plain base",
            _bd_table(found["bd_rate"]),
            f"## {name}: PSNR of each class at quality {first}",
            _classes_table(found["qualities"][first]),
        ]
    return "\n\n".join(parts) + "\n"


def _is_told(case: str) -> bool:
    return case.startswith(TOLD)


def _cases_table(cases: dict[str, dict[str, Any]]) -> str:
    plain = cases[PLAIN]
    names = [n for n in plain if n not in ("bytes", "bpp", "better", "miou", "classes")]
    lines = []
    for case, facts in cases.items():
        miou = f"{facts['miou']:.4f}"
        cells = [case, f"{facts['bytes']:.0f}", f"{facts['bpp']:.4f}"]
        for name in names:
            share = facts["better"].get(name)
            better = "" if share is None else f" ({100 * share:.0f} %)"
            cells.append(f"{facts[name]:.4g}{better}")
        tax = 1 - plain["bytes"] / facts["bytes"]
        cells.append("-" if case.startswith("zero base") else f"{100 * tax:.1f} %")
        lines.append([*cells, f"({miou})" if _is_told(case) else miou])
    head = ["case", "bytes", "bpp", *(f"{name} (photos better)" for name in names)]
    return markdown.table([*head, "not of the base", "mIoU"], lines)


def _bd_table(found: dict[str, dict[str, Any]]) -> str:
    metrics = list(next(iter(found.values())))
    lines = [
        [case, *(v if isinstance(v, str) else f"{v:+.1f} %" for v in row.values())]
        for case, row in found.items()
    ]
    return markdown.table(["case", *metrics], lines)


def _classes_table(cases: dict[str, dict[str, Any]]) -> str:
    labels = list(cases[PLAIN]["classes"])
    lines = [
        [case, *(f"{facts['classes'][label]['psnr']:.2f}" for label in labels)]
        for case, facts in cases.items()
    ]
    return markdown.table(["case", *labels], lines)


def main(argv: list[str]) -> None:
    """Measures and writes."""
    del argv
    codec = base.get_codec("semantic_enhanced", model=_MODEL.value)
    info = manifest.choose(_MODEL.value or None, codec.name)
    judge = segmentation.find_model(_JUDGE.value)
    experiment = Experiment(codec, info)
    steps = [float(text) for text in _QUALITIES.value][: 1 if _SMOKE.value else None]
    ruler = Ruler(_METRICS.value, "" if _SMOKE.value else _BACKBONE.value)
    chosen = scenes(experiment.model.classes)
    out = pathlib.Path(_OUT.value)
    out = out / "smoke" if _SMOKE.value else out
    out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "model": f"{info.name} {info.fingerprint.hex()}",
        "segmenter": segmentation.find_model(_SEGMENTER.value).name,
        "judge": judge.name,
        "backbone": ruler.backbone.name if ruler.backbone else None,
        "noise": _NOISE.value,
        "photos": len(chosen),
        "bases": {},
    }
    total = len(_BASES.value) * len(steps) * len(chosen)
    with tqdm.tqdm(total=total, disable=None) as bar:
        for name in _BASES.value:
            found = {
                f"{q:g}": measure(experiment, chosen, name, q, ruler, judge, bar)
                for q in steps
            }
            result["bases"][name] = {
                "qualities": found,
                "bd_rate": compare(found, ruler),
            }
    result["seconds"] = experiment.seconds()
    text = to_markdown(result)
    images.write_atomic(out / "evaluation.md", text.encode("utf-8"))
    content = json.dumps(result, indent=1) + "\n"
    images.write_atomic(out / "evaluation.json", content.encode("utf-8"))
    if _CARD.value and not _SMOKE.value:
        model_cards.enter_results({info.name: for_card(result)})
    print(text)


def for_card(result: dict[str, Any]) -> dict[str, Any]:
    """What the model's card tells: all but errors of classes."""
    facts = {"data": f"{result['photos']} photos of {_DATA.value}"}
    facts |= {name: result[name] for name in ("segmenter", "judge", "backbone")}
    for name, one in result["bases"].items():
        facts[name] = {
            "bd_rate": one["bd_rate"],
            "qualities": {
                quality: {
                    case: {key: of[key] for key in of if key != "classes"}
                    for case, of in cases.items()
                }
                for quality, cases in one["qualities"].items()
            },
        }
    return facts


if __name__ == "__main__":
    app.run(main)
