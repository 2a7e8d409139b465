"""What do lines and texture cost, and who else can be so small? `conceptual` measured.

Paper:  ICIP 2019 and arXiv 2011.04976: rates of a few hundredths of a bit a pixel.
Run:    python recipes/evaluate_conceptual.py --images=DATA_DIR/pairs/photo/test \
            --backbone=FILE.npz --qualities=3,4,5,7 --out=results/conceptual
Cost:   5 s of CPU time a photo and quality with five other codecs, most of it their
        searches.
Result: OUT/evaluation.json and .md: bytes of whole files by chunk; every metric beside
        codecs at equal bytes, or where they cannot be so small; textures swapped.
        `--card` enters ours in the model's card.

Pictures are read back from their files, bytes are those of whole files.

Equal bytes: of each photo each other codec makes its best file of at most as many bytes
as ours. Where it has none, its smallest is measured instead. The tables compare ours
and theirs over the photos of each kind, and say how many they are.

Lines: the F1 of the lines that our codec would send of the decoded picture, against
those that were sent, within as many pixels as a sample of them has.

Textures: each photo takes the texture of the one half the list away. Told are the F1 of
the lines as above, before and after, and against the lines of the other photo (chance);
how far the colours of pixels moved; and how near the mean colour came to the other's.
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
from tfsemcomp import images, metrics
from tfsemcomp.codecs import base, conceptual_structure
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import markdown, model_cards, provenance
from tfsemcomp.evaluation.rulers import Ruler
from tfsemcomp.serving import manifest

_IMAGES = flags.DEFINE_string("images", None, "Folder of photos.", required=True)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_QUALITIES = flags.DEFINE_list("qualities", None, "Of ours; default: the codec's.")
_CODECS = flags.DEFINE_list("codecs", None, "Others; default: all classical ones here.")
_METRICS = flags.DEFINE_list("metrics", ["psnr", "ms_ssim", "edge_f1"], "Of pictures.")
_BACKBONE = flags.DEFINE_string(
    "backbone", "mobilenet", "Whose features are compared, too; empty for none."
)
_LIMIT = flags.DEFINE_integer("limit", None, "The first so many photos only.", 1)
_OUT = flags.DEFINE_string("out", "results/conceptual", "Folder for the results.")
_CARD = flags.DEFINE_boolean("card", False, "Enter figures in the model's card.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two photos, two codecs, to OUT/smoke.")

_OTHERS = ("jpeg", "webp", "jpeg2000", "avif", "heif", "jxl", "bpg")
_SMOKE_OTHERS = ("jpeg", "webp")
_HEADER = "header"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A decoded file.

    Attributes:
        codec: its name.
        image: name of the photo.
        quality: of conceptual, whose bytes were to be met.
        size_bytes: of the file.
        bpp: bits of the file a pixel.
        fits: whether it has at most as many bytes as the file of conceptual.
        chunks: bytes by type of chunk, the header's besides; of conceptual only.
        lines_f1: see above; of conceptual only.
        values: by metric.
        features: of the picture, for distances between sets; None without backbone.
    """

    codec: str
    image: str
    quality: int
    size_bytes: int
    bpp: float
    fits: bool
    chunks: dict[str, int] | None
    lines_f1: float | None
    values: dict[str, float]
    features: np.ndarray | None = dataclasses.field(repr=False)


def lines_f1(sent: np.ndarray, found: np.ndarray, scale: int) -> float:
    """F1 of lines uint8 [H,W] against those that were sent."""
    return metrics.edge_map_f1(sent.astype(bool), found.astype(bool), scale)


class Ours:
    """Files of conceptual, and the lines of pictures as it would send them."""

    def __init__(self, codec: base.Codec, quality: int) -> None:
        self.codec, self.quality = codec, quality
        self.scale = conceptual_structure.STEPS[quality - 1].scale

    def compress(self, pixels: np.ndarray) -> bytes:
        """The file of a picture."""
        return self.codec.compress(pixels, quality=self.quality)

    def f1_of(self, picture: np.ndarray, sent: np.ndarray) -> float:
        """How many of the lines that were sent a picture shows."""
        found = self.codec.structure(self.compress(picture))
        return lines_f1(sent, found, self.scale)


def measure_ours(
    ours: Ours, name: str, photo: np.ndarray, data: bytes, ruler: Ruler
) -> Measured:
    """Decodes and measures a file of ours."""
    facts = tfsemcomp.info(data)
    picture = ours.codec.decompress(data)
    chunks = {chunk["type"]: chunk["bytes"] for chunk in facts["chunks"]}
    return Measured(
        codec="conceptual",
        image=name,
        quality=ours.quality,
        size_bytes=len(data),
        bpp=facts["bpp"],
        fits=True,
        chunks={_HEADER: facts["header_bytes"], **chunks},
        lines_f1=ours.f1_of(picture, ours.codec.structure(data)),
        values=ruler.measure(photo, picture),
        features=ruler.features(picture),
    )


def measure_other(
    codec: base.Codec, name: str, photo: np.ndarray, like: Measured, ruler: Ruler
) -> Measured:
    """Makes, decodes and measures the file of another codec at the bytes of ours."""
    try:
        data, fits = codec.compress(photo, target_bytes=like.size_bytes), True
    except SemCompError:
        data, fits = codec.compress(photo, quality=codec.quality_range[0]), False
    picture = codec.decompress(data)
    return Measured(
        codec=codec.name,
        image=name,
        quality=like.quality,
        size_bytes=len(data),
        bpp=8 * len(data) / (photo.shape[0] * photo.shape[1]),
        fits=fits,
        chunks=None,
        lines_f1=None,
        values=ruler.measure(photo, picture),
        features=ruler.features(picture),
    )


def measure_swaps(
    ours: Ours, files: Sequence[bytes], show: Callable[[], Any]
) -> dict[str, float]:
    """What becomes of lines and colours where textures are swapped: means."""
    found = []
    for number, data in enumerate(files):
        other = files[(number + len(files) // 2) % len(files)]
        sent = ours.codec.structure(data)
        before = ours.codec.decompress(data)
        after = ours.codec.decompress(ours.codec.swap_texture(data, other))
        donor = ours.codec.decompress(other)
        goal = donor.mean(axis=(0, 1))
        row = {
            "lines_f1_before": ours.f1_of(before, sent),
            "lines_f1_after": ours.f1_of(after, sent),
            "colour_change": float(abs(after.astype(float) - before).mean()),
            "mean_colour_off_before": float(abs(before.mean((0, 1)) - goal).mean()),
            "mean_colour_off_after": float(abs(after.mean((0, 1)) - goal).mean()),
        }
        if donor.shape == after.shape:
            row["lines_f1_chance"] = ours.f1_of(donor, sent)
        found.append(row)
        show()
    names = {name for row in found for name in row}
    return {n: _mean(row[n] for row in found if n in row) for n in sorted(names)}


def summarise(
    rows: Sequence[Measured], originals: dict[str, np.ndarray | None]
) -> dict[str, Any]:
    """Means of one quality.

    Args:
        rows: of all codecs, ours among them.
        originals: features of the photos.
    Returns: `ours`, and by name of the others: how many photos `fit`, the means over
        them of `theirs` and `ours`, and the same over those that do not.
    """
    own = {row.image: row for row in rows if row.codec == "conceptual"}
    result: dict[str, Any] = {"ours": means([*own.values()], originals), "others": {}}
    for name in dict.fromkeys(row.codec for row in rows):
        if name == "conceptual":
            continue
        theirs = [row for row in rows if row.codec == name]
        entry = {}
        for kind, chosen in (
            ("fit", [row for row in theirs if row.fits]),
            ("smallest", [row for row in theirs if not row.fits]),
        ):
            entry[kind] = {"photos": len(chosen)}
            if chosen:
                same = [own[row.image] for row in chosen]
                entry[kind]["theirs"] = means(chosen, originals)
                entry[kind]["ours"] = means(same, originals)
        result["others"][name] = entry
    return result


def means(
    rows: Sequence[Measured], originals: dict[str, np.ndarray | None]
) -> dict[str, Any]:
    """Means over files of one codec; KID of their set of pictures to the photos."""
    result: dict[str, Any] = {
        "photos": len(rows),
        "bytes": _mean(row.size_bytes for row in rows),
        "bpp": _mean(row.bpp for row in rows),
        **{m: _mean(row.values[m] for row in rows) for m in rows[0].values},
    }
    if rows[0].chunks is not None:
        kinds = rows[0].chunks
        result["chunks"] = {k: _mean(row.chunks[k] for row in rows) for k in kinds}
        result["lines_f1"] = _mean(row.lines_f1 for row in rows)
    if rows[0].features is not None and len(rows) > 1:
        photos = np.stack([originals[row.image] for row in rows])
        result["kid"] = metrics.kid(photos, np.stack([r.features for r in rows]))
    return result


def to_markdown(result: dict[str, Any]) -> str:
    """The tables."""
    parts = [f"# conceptual on {result['photos']} photos", f"Model {result['model']}."]
    for quality, found in result["qualities"].items():
        ours = found["ours"]
        chunks = ", ".join(f"{k} {v:.0f}" for k, v in ours["chunks"].items())
        swaps = found["swaps"]
        parts += [
            f"## Quality {quality}",
            f"{ours['bytes']:.0f} bytes ({chunks}), {ours['bpp']:.4f} bpp; F1 of the "
            f"lines {ours['lines_f1']:.3f}.",
            _comparison(found),
            f"Textures swapped: F1 of the lines {swaps['lines_f1_before']:.3f} before, "
            f"{swaps['lines_f1_after']:.3f} after"
            + (
                f", {swaps['lines_f1_chance']:.3f} by chance"
                if "lines_f1_chance" in swaps
                else ""
            )
            + f"; pixels moved by {swaps['colour_change']:.1f} grey levels; the mean "
            f"colour was {swaps['mean_colour_off_before']:.1f} off the other's and is "
            f"{swaps['mean_colour_off_after']:.1f} off.",
        ]
    return "\n\n".join(parts) + "\n"


def _comparison(found: dict[str, Any]) -> str:
    """A line for ours over all photos, then theirs and ours over the same photos."""
    known = ("photos", "bytes", "bpp", "chunks", "lines_f1")
    names = [name for name in found["ours"] if name not in known]

    def line(title: str, values: dict[str, Any]) -> list[str]:
        cells = [title, f"{values['photos']}", f"{values['bytes']:.0f}"]
        return cells + [f"{values[n]:.4g}" if n in values else "-" for n in names]

    lines = [line("conceptual", found["ours"])]
    for codec, entry in found["others"].items():
        for kind, title in (
            ("fit", f"{codec}, at most as many bytes"),
            ("smallest", f"{codec}, its smallest where none is so small"),
        ):
            if entry[kind]["photos"]:
                lines.append(line(title, entry[kind]["theirs"]))
                lines.append(line("conceptual, the same photos", entry[kind]["ours"]))
    return markdown.table(["files", "photos", "bytes", *names], lines)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def other_codecs() -> list[base.Codec]:
    """The codecs to compare with; those that cannot run here are told."""
    if _CODECS.value is not None:
        found = [tfsemcomp.load(name) for name in _CODECS.value]
        for codec in found:
            codec.check_available()
        return found
    found = [tfsemcomp.load(n) for n in (_SMOKE_OTHERS if _SMOKE.value else _OTHERS)]
    for codec in found:
        if reason := codec.unavailable_reason():
            print(f"left out: {codec.name}: {reason}")
    return [codec for codec in found if codec.unavailable_reason() is None]


def qualities(codec: base.Codec) -> list[int]:
    """Those asked for.

    Raises: ValueError if one is none of the codec's.
    """
    texts = _QUALITIES.value
    if texts is None:
        return [int(codec.default_quality)]
    found = [int(text) if text.strip().isdigit() else 0 for text in texts]
    for quality in found:
        codec.check_quality(quality)
    return found


def main(argv: list[str]) -> None:
    """Measures and writes."""
    del argv
    codec = base.get_codec("conceptual", model=_MODEL.value)
    model = manifest.choose(_MODEL.value, codec.name)
    chosen, others = qualities(codec), other_codecs()
    paths = images.list_images(_IMAGES.value)[: 2 if _SMOKE.value else _LIMIT.value]
    if len(paths) < 2:
        raise SemCompError(f"{_IMAGES.value} must hold at least 2 photos.")
    out = pathlib.Path(_OUT.value)
    out = out / "smoke" if _SMOKE.value else out
    out.mkdir(parents=True, exist_ok=True)
    ruler = Ruler(_METRICS.value, _BACKBONE.value)
    photos = {path.name: images.read(path) for path in paths}
    originals = {name: ruler.features(photo) for name, photo in photos.items()}
    result: dict[str, Any] = {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "model": ", ".join(provenance.models([codec]).values()),
        "backbone": ruler.backbone.name if ruler.backbone else None,
        "photos": len(photos),
        "qualities": {},
        "rows": [],
    }
    with tqdm.tqdm(total=2 * len(chosen) * len(photos), disable=None) as bar:
        for quality in chosen:
            ours = Ours(codec, quality)
            rows, files = [], []
            for name, photo in photos.items():
                files.append(ours.compress(photo))
                rows.append(measure_ours(ours, name, photo, files[-1], ruler))
                like = rows[-1]
                rows += [measure_other(o, name, photo, like, ruler) for o in others]
                bar.update()
            found = summarise(rows, originals)
            found["swaps"] = measure_swaps(ours, files, bar.update)
            result["qualities"][quality] = found
            result["rows"] += [_plain(row) for row in rows]
    text = to_markdown(result)
    images.write_atomic(out / "evaluation.md", text.encode("utf-8"))
    content = json.dumps(result, indent=1) + "\n"
    images.write_atomic(out / "evaluation.json", content.encode("utf-8"))
    print(text)
    if _CARD.value and not _SMOKE.value:
        model_cards.enter_results({model.name: for_card(model, result)})


def for_card(model: manifest.ModelInfo, result: dict[str, Any]) -> dict[str, Any]:
    """What the card then has under `results`: each quality's, beside others' before."""
    before = model.card.get("results", {}).get("qualities", {})
    folder = pathlib.Path(_IMAGES.value)
    return {
        "data": f"{result['photos']} photos of {'/'.join(folder.parts[-3:])}",
        "qualities": {
            **before,
            **{
                str(quality): {**found["ours"], "swaps": found["swaps"]}
                for quality, found in result["qualities"].items()
            },
        },
    }


def _plain(row: Measured) -> dict[str, Any]:
    """A row for JSON, which has no infinity (equal pictures)."""
    fields = {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    del fields["features"]
    values = fields["values"]
    fields["values"] = {n: v if np.isfinite(v) else str(v) for n, v in values.items()}
    return fields


if __name__ == "__main__":
    app.run(main)
