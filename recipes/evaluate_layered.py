"""What does each layer of `layered` cost and bring? Against `hyperprior` and itself.

Paper:  IEEE TCSVT 33(8), 2023 (SCMC): layers of text, structure and signal.
Run:    python recipes/evaluate_layered.py --data=records/captions:test \
            --qualities=1,2,3,4 --backbone=FILE.npz --out=results/layered
Cost:   22 s of CPU time for a photo of 144x200; it takes 4 files a quality, 8 more
        captions, and one file a quality of hyperprior.
Result: OUT/evaluation.json and .md; with `--card` the figures in the model's card.

Pictures are read back from their files; bytes are those of whole files, cut after the
layer (`truncate`). Told are, as means over photos:

  layers     bytes and metrics of each, F1 of the lines that the codec would send of the
             decoded picture against those that were sent, and the share of photos that
             each layer improves, and that all of them do
  ablations  whole files without text, without lines, without either, so that the signal
             has no base picture, and with colours
  BD-rate    of whole files against hyperprior and of the ablations against whole files
             (4 qualities at least)
  captions   BLEU-4 of the text sent against the captions of the records, and how the
             text of each decoded picture agrees with the text that was sent
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

import tfsemcomp
from tfsemcomp import bitstream, images, metrics
from tfsemcomp.codecs import base, conceptual_structure
from tfsemcomp.data import reading, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import bd_rate, markdown, model_cards, provenance
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.rulers import Ruler
from tfsemcomp.serving import manifest

_DATA = flags.DEFINE_string("data", None, "folder:split of records.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of photos, in place of records.")
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_ANCHOR = flags.DEFINE_string("anchor_model", None, "Of hyperprior; default: shipped.")
_QUALITIES = flags.DEFINE_list("qualities", None, "Of ours; default: all.")
_ANCHORS = flags.DEFINE_list(
    "anchor_qualities", ["1", "2", "3", "4", "5", "6"], "Of hyperprior; empty for none."
)
_ABLATIONS = flags.DEFINE_boolean("ablations", True, "Whether to leave layers out.")
_METRICS = flags.DEFINE_list("metrics", ["psnr", "ms_ssim", "edge_f1"], "Of pictures.")
_BACKBONE = flags.DEFINE_string(
    "backbone", "mobilenet", "Whose features are compared, too; empty for none."
)
_LIMIT = flags.DEFINE_integer("limit", None, "The first so many photos only.", 1)
_OUT = flags.DEFINE_string("out", "results/layered", "Folder for the results.")
_CARD = flags.DEFINE_boolean("card", False, "Enter figures in the model's card.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two photos, one quality, to OUT/smoke.")

LAYERS = (1, 2, 3)
STEPS = ("1 to 2", "2 to 3", "1 to 2 to 3")
VARIANTS = {
    "no text": {"send": "structure,signal"},
    "no lines": {"send": "text,signal"},
    "no base": {"send": "signal"},
    "with colours": {"colour": True},
}
_WHOLE = "layered"
_NO_METRICS = ("photos", "bytes", "bpp", "lines_f1")


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo and what people say of it.

    Attributes:
        pixels: uint8 [H,W,3].
        captions: of the record; none of image files.
    """

    pixels: np.ndarray
    captions: tuple[str, ...]


Row = dict[str, float]


def photos() -> list[Photo]:
    """Those of records or of a folder.

    Raises: SemCompError if there are none, ValueError if both or neither is given.
    """
    if (_DATA.value is None) == (_IMAGES.value is None):
        raise ValueError("give either `--data` or `--images`")
    limit = 2 if _SMOKE.value else _LIMIT.value
    if _IMAGES.value is not None:
        paths = images.list_images(_IMAGES.value)[:limit]
        found = [Photo(images.read(path), ()) for path in paths]
    else:
        stream = reading.serialized(*records.parse_source(_DATA.value))
        found = []
        for serialized in stream if limit is None else stream.take(limit):
            record = records.deserialize(serialized.numpy())
            pixels = images.load_bytes(record.image, name=record.name).pixels
            found.append(Photo(pixels, record.captions))
    if not found:
        raise SemCompError(f"{_DATA.value or _IMAGES.value} holds no photos.")
    return found


class Measurer:
    """Makes files of one photo after the other and measures what they decode to."""

    def __init__(self, codec: base.Codec, ruler: Ruler) -> None:
        self.codec, self.ruler = codec, ruler

    def caption(self, pixels: np.ndarray) -> str:
        """What the model says of a picture."""
        return self.codec.caption(self.codec.compress(pixels, send="text"))

    def lines_f1(self, data: bytes, picture: np.ndarray) -> float:
        """F1 of a picture's lines against those of its file, within a sample."""
        sent = self.codec.structure(data)
        found = self.codec.structure(self.codec.compress(picture, send="structure"))
        payloads = {chunk.type: chunk.payload for chunk in bitstream.read(data).chunks}
        parsed = conceptual_structure.parse(payloads["structure"], *sent.shape)
        return metrics.edge_map_f1(sent.astype(bool), found.astype(bool), parsed.scale)

    def row(self, photo: Photo, data: bytes, picture: np.ndarray) -> Row:
        """Bytes and metrics of a file."""
        pixels = photo.pixels.shape[0] * photo.pixels.shape[1]
        rates = {"bytes": float(len(data)), "bpp": 8 * len(data) / pixels}
        return rates | self.ruler.measure(photo.pixels, picture)

    def layers(self, photo: Photo, data: bytes) -> list[tuple[Row, np.ndarray]]:
        """Rows and pictures of a file cut after each layer."""
        found = []
        for layers in LAYERS:
            picture = self.codec.decompress(data, layers=layers)
            row = self.row(photo, bitstream.truncate(data, layers), picture)
            row["lines_f1"] = self.lines_f1(data, picture)
            found.append((row, picture))
        return found


def improvements(
    table: Sequence[Sequence[Row]], ruler: Ruler
) -> dict[str, dict[str, float]]:
    """Shares of photos that a layer improves, by metric.

    Args:
        table: for each photo the rows of its layers.
        ruler: knows which way is better.
    """
    result: dict[str, dict[str, float]] = {
        "1 to 2": {},
        "2 to 3": {},
        "1 to 2 to 3": {},
    }
    for metric in ruler.metrics:
        sign = 1 if metric.higher_is_better else -1
        values = sign * np.array([[row[metric.name] for row in rows] for rows in table])
        better = values[:, 1:] > values[:, :-1]
        for name, found in zip(
            result, (better[:, 0], better[:, 1], better.all(axis=1)), strict=True
        ):
            result[name][metric.name] = float(found.mean())
    return result


def means(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over photos."""
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {"photos": len(rows), **found}


def measure_quality(
    measurer: Measurer,
    chosen: Sequence[Photo],
    texts: Sequence[str],
    quality: int,
    show: Callable[[], Any],
) -> tuple[dict[str, Any], list[list[np.ndarray]]]:
    """All of one quality, and the pictures of the layers of each photo."""
    tables, chunks, pictures = [], [], []
    variants: dict[str, list[Row]] = {name: [] for name in VARIANTS}
    codec = measurer.codec
    for photo, text in zip(chosen, texts, strict=True):
        data = codec.compress(photo.pixels, quality=quality, caption=text)
        rows, seen = zip(*measurer.layers(photo, data), strict=True)
        tables.append(rows)
        pictures.append(list(seen))
        facts = tfsemcomp.info(data)
        sizes = {chunk["type"]: chunk["bytes"] for chunk in facts["chunks"]}
        chunks.append({"header": facts["header_bytes"], **sizes})
        for name, settings in VARIANTS.items() if _ABLATIONS.value else ():
            if "text" in settings.get("send", "text"):
                settings = {**settings, "caption": text}
            other = codec.compress(photo.pixels, quality=quality, **settings)
            picture = codec.decompress(other)
            variants[name].append(measurer.row(photo, other, picture))
        show()
    columns = zip(*tables, strict=True)
    return {
        "chunks": {k: float(np.mean([row[k] for row in chunks])) for k in chunks[0]},
        "layers": [means(rows) for rows in columns],
        "improved": improvements(tables, measurer.ruler),
        "ablations": {name: means(rows) for name, rows in variants.items() if rows},
    }, pictures


def measure_captions(
    measurer: Measurer,
    chosen: Sequence[Photo],
    texts: Sequence[str],
    pictures: Sequence[Sequence[np.ndarray]],
) -> dict[str, Any]:
    """How good the texts are, and whether pictures say what they were painted from."""
    told = [i for i, photo in enumerate(chosen) if photo.captions]
    references = [chosen[i].captions for i in told]
    result: dict[str, Any] = {"with_references": len(told), "sent": {}, "layers": []}
    if told:
        result["sent"]["bleu4"] = metrics.bleu4([texts[i] for i in told], references)
    for number in range(len(LAYERS)):
        again = [measurer.caption(found[number]) for found in pictures]
        pairs = list(zip(again, texts, strict=True))
        entry = {
            "agreement_bleu4": float(
                np.mean([metrics.caption_bleu4(one, [two]) for one, two in pairs])
            ),
            "same": float(np.mean([one == two for one, two in pairs])),
        }
        if told:
            entry["bleu4"] = metrics.bleu4([again[i] for i in told], references)
        result["layers"].append(entry)
    return result


def measure_anchor(
    anchor: base.Codec,
    chosen: Sequence[Photo],
    measurer: Measurer,
    show: Callable[[], Any],
) -> dict[str, Any]:
    """hyperprior at its qualities: means by quality."""
    result = {}
    for quality in qualities(anchor, _ANCHORS.value):
        rows = []
        for photo in chosen:
            data = anchor.compress(photo.pixels, quality=quality)
            rows.append(measurer.row(photo, data, anchor.decompress(data)))
            show()
        result[str(quality)] = means(rows)
    return result


def compare(result: dict[str, Any], ruler: Ruler) -> dict[str, dict[str, Any]]:
    """BD-rates by metric and by what is compared, or why there is none."""
    found = result["qualities"].values()
    points = {_WHOLE: [entry["layers"][-1] for entry in found]}
    for name in VARIANTS:
        points[name] = [e["ablations"][name] for e in found if name in e["ablations"]]
    points["hyperprior"] = list(result["anchor"].values())
    table: dict[str, dict[str, Any]] = {}
    for metric in ruler.metrics:
        made = {name: _curve(name, metric.name, rows) for name, rows in points.items()}
        pairs = [(made["hyperprior"], made[_WHOLE])]
        pairs += [(made[_WHOLE], made[name]) for name in VARIANTS]
        table[metric.name] = {}
        for anchor, test in pairs:
            if anchor is None or test is None:
                continue
            (comparison,) = bd_rate.compare([anchor], [test])
            table[metric.name][f"{test.name} against {anchor.name}"] = (
                comparison.reason or round(comparison.result.percent, 2)
            )
    return table


def _curve(name: str, metric: str, rows: Sequence[dict[str, Any]]) -> Curve | None:
    """Rates and values of means; None without any."""
    points = sorted((row["bpp"], row[metric]) for row in rows)
    if not points:
        return None
    rates, values = zip(*points, strict=True)
    return Curve(name, metric, rates, values, True, "", rows[0]["photos"])


def to_markdown(result: dict[str, Any]) -> str:
    """The tables."""
    parts = [f"# layered on {result['photos']} photos", f"Model {result['model']}."]
    for quality, found in result["qualities"].items():
        chunks = ", ".join(f"{k} {v:.0f}" for k, v in found["chunks"].items())
        lines = [
            (f"layer {number}", entry)
            for number, entry in enumerate(found["layers"], 1)
        ]
        parts += [
            f"## Quality {quality}",
            f"Mean bytes: {chunks}.",
            _means_table([*lines, *found["ablations"].items()]),
            "Photos that became better:",
            _shares_table(found["improved"]),
        ]
    if result["anchor"]:
        rows = [(f"quality {q}", entry) for q, entry in result["anchor"].items()]
        parts += ["## hyperprior", _means_table(rows)]
    parts += ["## BD-rate", _bd_table(result["bd_rate"])]
    told = result["captions"]
    parts += ["## Captions", _captions_table(told)]
    if "bleu4" in told["sent"]:
        parts.append(
            f"BLEU-4 of the texts sent: {told['sent']['bleu4']:.3f}, over "
            f"{told['with_references']} photos."
        )
    return "\n\n".join(parts) + "\n"


def _means_table(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    names = [name for name in rows[0][1] if name not in _NO_METRICS]
    lines = []
    for title, entry in rows:
        cells = [title, f"{entry['bytes']:.0f}", f"{entry['bpp']:.4f}"]
        cells += [f"{entry[name]:.4g}" for name in names]
        f1 = entry.get("lines_f1")
        lines.append([*cells, "-" if f1 is None else f"{f1:.3f}"])
    return markdown.table(["files", "bytes", "bpp", *names, "F1 of lines"], lines)


def _shares_table(improved: dict[str, dict[str, float]]) -> str:
    names = list(next(iter(improved.values())))
    lines = [
        [title, *(f"{100 * found[name]:.0f} %" for name in names)]
        for title, found in improved.items()
    ]
    return markdown.table(["layers", *names], lines)


def _bd_table(found: dict[str, dict[str, Any]]) -> str:
    titles = list(next(iter(found.values())))
    lines = [
        [title, *(_percent(entries[title]) for entries in found.values())]
        for title in titles
    ]
    return markdown.table(["files", *found], lines)


def _percent(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:+.1f} %"


def _captions_table(told: dict[str, Any]) -> str:
    lines = [
        [
            f"layer {number}",
            f"{entry['agreement_bleu4']:.3f}",
            f"{100 * entry['same']:.0f} %",
            f"{entry['bleu4']:.3f}" if "bleu4" in entry else "-",
        ]
        for number, entry in enumerate(told["layers"], 1)
    ]
    head = ["text of the picture of", "BLEU-4 with the text sent", "the same"]
    return markdown.table([*head, "BLEU-4 with people's"], lines)


def qualities(codec: base.Codec, texts: Iterable[str] | None) -> list[int]:
    """Those asked for; all without any.

    Raises: ValueError if one is none of the codec's.
    """
    low, high = codec.quality_range
    if texts is None:
        return list(range(int(low), int(high) + 1))
    found = [int(text) if text.strip().isdigit() else 0 for text in texts]
    for quality in found:
        codec.check_quality(quality)
    return found


def main(argv: list[str]) -> None:
    """Measures and writes."""
    del argv
    codec = base.get_codec("layered", model=_MODEL.value)
    anchors = [base.get_codec("hyperprior", model=_ANCHOR.value)]
    anchors = anchors if _ANCHORS.value and not _SMOKE.value else []
    steps = qualities(codec, _QUALITIES.value)[: 1 if _SMOKE.value else None]
    ruler = Ruler(_METRICS.value, "" if _SMOKE.value else _BACKBONE.value)
    chosen = photos()
    out = pathlib.Path(_OUT.value)
    out = out / "smoke" if _SMOKE.value else out
    out.mkdir(parents=True, exist_ok=True)
    measurer = Measurer(codec, ruler)
    texts = [measurer.caption(photo.pixels) for photo in chosen]
    found = provenance.models([codec, *anchors])
    result: dict[str, Any] = {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "model": ", ".join(found.values()),
        "backbone": ruler.backbone.name if ruler.backbone else None,
        "photos": len(chosen),
        "qualities": {},
        "anchor": {},
    }
    runs = len(steps) + (len(_ANCHORS.value) if anchors else 0)
    with tqdm.tqdm(total=runs * len(chosen), disable=None) as bar:
        for number, quality in enumerate(steps):
            entry, pictures = measure_quality(
                measurer, chosen, texts, quality, bar.update
            )
            result["qualities"][str(quality)] = entry
            if number == 0:
                result["captions"] = measure_captions(measurer, chosen, texts, pictures)
        for anchor in anchors:
            result["anchor"] = measure_anchor(anchor, chosen, measurer, bar.update)
    result["bd_rate"] = compare(result, ruler)
    text = to_markdown(result)
    images.write_atomic(out / "evaluation.md", text.encode("utf-8"))
    content = json.dumps(result, indent=1) + "\n"
    images.write_atomic(out / "evaluation.json", content.encode("utf-8"))
    if _CARD.value and not _SMOKE.value:
        facts = {"data": f"{len(chosen)} photos of {_DATA.value or _IMAGES.value}"}
        kept = ("backbone", "qualities", "anchor", "bd_rate", "captions")
        facts |= {name: result[name] for name in kept}
        model = manifest.choose(_MODEL.value, codec.name)
        model_cards.enter_results({model.name: facts})
    print(text)


if __name__ == "__main__":
    app.run(main)
