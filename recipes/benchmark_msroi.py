"""Compare `msroi_jpeg` with other JPEG encoders at equal bytes.

Paper:  arXiv 1612.08712 (`mode3`, `mode6` and the map).
Run:    python recipes/benchmark_msroi.py --images=DIR --quality=30,50,75 --out=OUT
Cost:   about 4 s an image and quality on two cores; the map's network comes on top.
Expect: docs/msroi_jpeg.md has the figures of the Kodak photos.
Result: tables on the screen; OUT/benchmark.csv, a row an image, quality and method, and
        OUT/benchmark.json with means, differences and versions too.

The bytes are those of plain JPEG (libjpeg-turbo, 4:2:0, optimised Huffman codes) at
--quality. All methods are 4:2:0 and are decoded by the same decoder:

    jpeg                  plain JPEG itself
    mozjpeg               plain JPEG after mozjpeg's lossless progressive pass
    jpegli                pyjpegli, as it writes (baseline)
    jpegli_progressive    the same after that pass
    mode3, mode6          the published mosaics, mixing modes 3 and 6
    msroi                 ours, baseline, as libjpeg-turbo's file
    msroi_progressive     ours, progressive

Where a method has whole qualities only, its two files around the target stand for it:
values are interpolated between them, linearly over the logarithm of their bytes, and
`bytes_below` and `bytes_above` are their sizes. Ours are files of at most the target
and, so that equal means equal, at least 99.5 % of it. `ms` is one encoding at a given
quality, but the whole search for mode3, mode6 and ours; the map is timed apart.

ROI: the 20 % of the pixels with the highest map values; the rest is the background.
"""

import csv
import dataclasses
import io
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
from absl import app, flags, logging

from tfsemcomp import images, metrics, version
from tfsemcomp.codecs import base, jpeg_coefficients, mosaic
from tfsemcomp.errors import SemCompError
from tfsemcomp.semantics import roi

_IMAGES = flags.DEFINE_string("images", None, "Folder of images.", required=True)
_QUALITIES = flags.DEFINE_list("quality", ["50"], "Qualities of plain JPEG.")
_MAP = flags.DEFINE_string("map", None, "As of the codec; default: its model's map.")
_MODEL = flags.DEFINE_string("model", None, "Model of the map; default: the shipped.")
_LIMIT = flags.DEFINE_integer("limit", None, "Images at most; default: all.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed encodings; the median counts.", 1)
_OUT = flags.DEFINE_string("out", None, "Folder for benchmark.csv and .json.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two images, one quality, timed once.")

SUBSAMPLING = "4:2:0"
METRICS = (
    "psnr",
    "roi_psnr",
    "background_psnr",
    "ssim",
    "psnr_hvs",
    "psnr_hvsm",
)
OURS = {
    "msroi": {},
    "msroi_progressive": {"progressive": True},
}
MODES = {"mode3": 3, "mode6": 6}
# Share of the target by which a file may differ and count as equal.
_EQUAL = 0.005

Encoder = Callable[[int], bytes]


@dataclasses.dataclass(frozen=True)
class Row:
    """One image at one quality by one method.

    Attributes:
        image: file name.
        quality: of the plain JPEG whose bytes are the target.
        method: see the module.
        bytes: that the values stand for.
        bytes_below, bytes_above: of the files they come from; equal if there is one.
        ms: to encode, in milliseconds.
        values: by metric.
    """

    image: str
    quality: int
    method: str
    bytes: float
    bytes_below: int
    bytes_above: int
    ms: float
    values: dict[str, float]

    def flat(self) -> dict[str, object]:
        """One level of names, for CSV."""
        facts = dataclasses.asdict(self)
        return {**{k: v for k, v in facts.items() if k != "values"}, **self.values}


class Bench:
    """Measures the methods on one image at one quality."""

    def __init__(
        self, name: str, pixels: np.ndarray, roi_map: np.ndarray, quality: int
    ) -> None:
        self.name, self.pixels, self.roi_map = name, pixels, roi_map
        self.quality = quality
        self.target = len(self._plain(pixels, quality))

    def rows(self) -> Iterable[Row]:
        """All methods that can run here."""
        reference = self._plain(self.pixels, self.quality)
        yield self._row("jpeg", reference, reference, self._time_plain())
        encoders = {"mozjpeg": self._mozjpeg, **_jpegli(self.pixels)}
        for method, encoder in encoders.items():
            yield self._bracketed(method, encoder)
        for method, mode in MODES.items():
            yield self._mosaic(method, mode)
        for method, settings in OURS.items():
            yield self._ours(method, settings)

    def _plain(self, pixels: np.ndarray, quality: int) -> bytes:
        return jpeg_coefficients.plain(pixels, quality, SUBSAMPLING)

    def _time_plain(self) -> float:
        return _milliseconds(lambda: self._plain(self.pixels, self.quality))

    def _mozjpeg(self, quality: int) -> bytes:
        return jpeg_coefficients.to_progressive(self._plain(self.pixels, quality))

    def _bracketed(self, method: str, encoder: Encoder) -> Row:
        below, above, quality = _bracket(encoder, self.target)
        return self._row(method, below, above, _milliseconds(lambda: encoder(quality)))

    def _mosaic(self, method: str, mode: int) -> Row:
        qualities = mosaic.mode_qualities(self.roi_map, mode)
        mixed = mosaic.mix(self.pixels, qualities, SUBSAMPLING)
        below, above, _ = _bracket(lambda q: self._plain(mixed, q), self.target)
        codec, target = base.get_codec("msroi_jpeg"), self.target
        spent = _milliseconds(
            lambda: codec.compress(
                self.pixels, target_bytes=target, map=self.roi_map, mode=mode
            )
        )
        return self._row(method, below, above, spent)

    def _ours(self, method: str, settings: dict) -> Row:
        def encode() -> bytes:
            return base.get_codec("msroi_jpeg").compress(
                self.pixels,
                target_bytes=self.target,
                map=self.roi_map,
                subsampling=SUBSAMPLING,
                **settings,
            )

        data = encode()
        if len(data) < (1 - _EQUAL) * self.target:
            logging.warning(
                "%s: %s has %d of %d bytes: not equal within %.1f %%",
                self.name,
                method,
                len(data),
                self.target,
                100 * _EQUAL,
            )
        return self._row(method, data, data, _milliseconds(encode))

    def _row(self, method: str, below: bytes, above: bytes, ms: float) -> Row:
        low, high = self._measure(below), self._measure(above)
        share = 0.0
        if len(above) > len(below):
            share = math.log(self.target / len(below))
            share /= math.log(len(above) / len(below))
        values = {name: low[name] + share * (high[name] - low[name]) for name in low}
        size = len(below) if below == above else self.target
        sizes = (len(below), len(above))
        return Row(self.name, self.quality, method, size, *sizes, ms, values)

    def _measure(self, data: bytes) -> dict[str, float]:
        decoded = jpeg_coefficients.decode(data)
        return metrics.measure(self.pixels, decoded, METRICS, self.roi_map)


def _jpegli(pixels: np.ndarray) -> dict[str, Encoder]:
    try:
        import pyjpegli
    except ImportError:
        logging.warning("jpegli left out: pip install pyjpegli")
        return {}
    height, width = pixels.shape[:2]
    data = pixels.tobytes()

    def encode(quality: int) -> bytes:
        return pyjpegli.encode(data, width, height, quality)

    return {
        "jpegli": encode,
        "jpegli_progressive": lambda q: jpeg_coefficients.to_progressive(encode(q)),
    }


def _bracket(encoder: Encoder, target: int) -> tuple[bytes, bytes, int]:
    """The files of two neighbouring qualities around `target`, and the lower quality.

    Raises: SemCompError if no quality lies below or none above.
    """
    low, high = 1, 100
    files = {low: encoder(low), high: encoder(high)}
    if not len(files[low]) <= target < len(files[high]):
        raise SemCompError(
            f"an encoder gives {len(files[low])} to {len(files[high])} bytes, not the "
            f"{target} of plain JPEG; choose another --quality"
        )
    while high - low > 1:
        middle = (low + high) // 2
        files[middle] = encoder(middle)
        if len(files[middle]) <= target:
            low = middle
        else:
            high = middle
    return files[low], files[high], low


def _milliseconds(function: Callable[[], object]) -> float:
    spent = []
    for _ in range(1 if _SMOKE.value else _REPEATS.value):
        start = time.perf_counter()
        function()
        spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent)


def mean_values(rows: Iterable[Row]) -> dict[str, float]:
    """Means of bytes, milliseconds and all metrics."""
    flat = [row.flat() for row in rows]
    names = ("bytes", *METRICS, "ms")
    return {name: statistics.fmean(row[name] for row in flat) for name in names}


def summarise(rows: list[Row]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Means and differences, by quality and method.

    Returns: quality -> method -> {"mean": ..., "over_jpeg": ..., "over_jpegli": ...};
        differences are those of the means, of bytes in per cent.
    """
    result: dict = {}
    for quality in dict.fromkeys(row.quality for row in rows):
        chosen = [row for row in rows if row.quality == quality]
        means = {
            method: mean_values(row for row in chosen if row.method == method)
            for method in dict.fromkeys(row.method for row in chosen)
        }
        result[str(quality)] = {
            method: {"mean": mean}
            | {
                f"over_{anchor}": _difference(mean, means[anchor])
                for anchor in ("jpeg", "jpegli")
                if anchor in means
            }
            for method, mean in means.items()
        }
    return result


def _difference(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    percent = 100 * (one["bytes"] / other["bytes"] - 1)
    return {"bytes": percent} | {name: one[name] - other[name] for name in METRICS}


def format_tables(summary: dict) -> str:
    """The summary as text."""
    labels = [metrics.METRICS[name].label for name in METRICS]
    lines = []
    for quality, methods in summary.items():
        lines.append(f"\nMeans at the bytes of plain JPEG, quality {quality}")
        lines.append(_line("method", ["bytes", *labels, "ms"]))
        for method, facts in methods.items():
            lines.append(
                _line(method, [_text(*item) for item in facts["mean"].items()])
            )
        for anchor in ("jpeg", "jpegli"):
            lines.append(f"Differences from {anchor} (bytes in %)")
            for method, facts in methods.items():
                change = facts.get(f"over_{anchor}")
                if change is not None and method != anchor:
                    cells = [_text(*item, signed=True) for item in change.items()]
                    lines.append(_line(method, cells))
    return "\n".join(lines)


def _text(name: str, value: float, signed: bool = False) -> str:
    if name == "bytes" and not signed:
        return f"{value:,.0f}"
    digits = {"ssim": 4, "ms": 0, "bytes": 2}.get(name, 3 if signed else 2)
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def _line(first: str, cells: list[str]) -> str:
    return f"{first:20}" + "".join(f"{cell:>16}" for cell in cells)


def save(folder: str, rows: list[Row], summary: dict, map_ms: float) -> None:
    """Writes benchmark.csv and benchmark.json."""
    import os

    os.makedirs(folder, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].flat(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.flat() for row in rows)
    path = os.path.join(folder, "benchmark.csv")
    images.write_atomic(path, text.getvalue().encode())
    report = {
        "version": version.__version__,
        "map": _MAP.value,
        "model": _MODEL.value,
        "map_ms": map_ms,
        "summary": summary,
        "rows": [row.flat() for row in rows],
    }
    path = os.path.join(folder, "benchmark.json")
    images.write_atomic(path, (json.dumps(report, indent=1) + "\n").encode())


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    del argv
    qualities = [int(quality) for quality in _QUALITIES.value]
    paths = images.list_images(_IMAGES.value)[: _LIMIT.value]
    if _SMOKE.value:
        paths, qualities = paths[:2], qualities[:1]
    if not paths:
        raise SemCompError(f"{_IMAGES.value}: no images there")
    rows: list[Row] = []
    map_ms = []
    for path in paths:
        pixels = images.read(path)
        roi_map = roi.resolve_map(_MAP.value, pixels, _MODEL.value)
        map_ms.append(
            _milliseconds(
                lambda pixels=pixels: roi.resolve_map(_MAP.value, pixels, _MODEL.value)
            )
        )
        for quality in qualities:
            found = list(Bench(path.name, pixels, roi_map, quality).rows())
            rows.extend(found)
            for row in found:
                cells = [_text("bytes", row.bytes)]
                cells += [_text(name, row.values[name]) for name in METRICS]
                label = f"{row.image} {row.quality} {row.method}"
                print(f"{label:40}", *(f"{c:>9}" for c in cells), f"{row.ms:7.0f} ms")
    summary = summarise(rows)
    print(format_tables(summary))
    print(f"\nMap: {_MAP.value or 'of the model'}, {statistics.median(map_ms):.0f} ms")
    if _OUT.value:
        save(_OUT.value, rows, summary, statistics.median(map_ms))


if __name__ == "__main__":
    app.run(main)
