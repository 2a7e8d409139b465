"""Measure every codec and every shipped model, and write docs/RESULTS.md.

Paper:  each codec's own, see its page in docs/.
Run:    make results DATA_DIR=DIR          (DIR/kodak: the 24 Kodak pictures), or
        python recipes/benchmark_codecs.py --images=DIR/kodak --workers=2
Cost:   1 to 5 s of a core a picture and codec and quality, in all 2,500 of these.
        It can be stopped; the next run measures what is missing.
Result: DOCS/RESULTS.md, DOCS/images/results_*.png and .svg; OUT/results.csv with every
        file, OUT/report.html to look at them.
Expect: within 1 % of the quoted curves of the same encoders and settings in BD-rate:
        webp-pillow7, jpeg-prog-opt, avif-s6, jxl-e7 (RESULTS.md, "Against quoted
        curves of the same encoders").

Codecs whose library or model is not here are listed with the reason. A model that is
shipped later joins by itself: whatever `tfsemcomp.list_models()` names is measured.
"""

import dataclasses
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import tqdm
from absl import app, flags, logging

import tfsemcomp
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import figures, markdown, report, summary, sweep, table
from tfsemcomp.evaluation.summary import Summary
from tfsemcomp.evaluation.table import Row, Table
from tfsemcomp.semantics import roi

_IMAGES = flags.DEFINE_string("images", None, "Folder of pictures.", required=True)
_OUT = flags.DEFINE_string("out", "results/codecs", "Result folder.")
_DOCS = flags.DEFINE_string("docs", "docs", "Folder of RESULTS.md and images/.")
_CODECS = flags.DEFINE_list("codecs", None, "Codecs to measure; default: all.")
_LIMIT = flags.DEFINE_integer("limit", None, "Pictures at most; default: all.", 1)
_MAP = flags.DEFINE_string("map", roi.DEFAULT_METHOD, "Map of the ROI metrics.")
_PLAN = flags.DEFINE_bool("plan", False, "Say what would be measured, and stop.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes; times are for one core.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 1, "Timed runs; the median counts.", 1)
_SMOKE = flags.DEFINE_boolean("smoke", False, "One picture, two qualities, OUT/smoke.")

METRICS = ("psnr", "ssim", "ms_ssim", "vifp", "psnr_hvsm", "roi_psnr")
# Qualities that spread a codec's files over the rates that people use.
QUALITIES: dict[str, tuple[float, ...]] = {
    "jpeg": (10, 20, 30, 50, 70, 80, 90),
    "msroi_jpeg": (10, 20, 30, 50, 70, 80, 90),
    "webp": (5, 20, 35, 50, 70, 80, 90),
    "avif": (10, 20, 30, 40, 50, 70, 90),
    "heif": (5, 10, 20, 30, 40, 50, 60),
    "jxl": (10, 30, 50, 65, 75, 85, 90),
    "jpeg2000": (15, 20, 30, 40, 50, 60),
    # Of 100 its base takes 6 bits for each pixel.
    "semantic_enhanced": (1, 17, 34, 51, 67, 83),
}
# For codecs not named above: all whole qualities of a short range, or so many.
_SHORT_RANGE = 10
_POINTS = 7
# Quoted curves of the same encoder, by codec, and what they were made with.
COUNTERPARTS: dict[str, dict[str, str]] = {
    "jpeg": {
        "jpeg-pillow7": "Pillow 7, Huffman codes not optimised",
        "jpeg-prog-opt": "Pillow 13, progressive",
    },
    "webp": {
        "webp-pillow7": "Pillow 7, effort 4 as here",
        "webp-m6": "Pillow 13, effort 6",
    },
    "avif": {"avif-s6": "Pillow 13, speed 6, which is effort 4"},
    "jxl": {"jxl-e7": "libjxl, effort 7"},
    "jpeg2000": {"jpeg2000-openjpeg": "OpenJPEG, by rate; ours aims at a PSNR"},
}
# A model of one rate among others of its family.
_NUMBERED = re.compile(r"(.+)-\d+")
_FIGURES = "images"
_PREFIX = "results_"
_KEY_FIGURES = ("rd_psnr", "rd_ms_ssim", "rd_psnr_hvsm", "rd_roi_psnr")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A codec with one of its models.

    Attributes:
        codec: what to measure.
        source: the library or the model behind it.
        qualities: at which.
    """

    codec: base.Codec
    source: str
    qualities: tuple[float, ...]

    @property
    def name(self) -> str:
        """As tables and curves call it."""
        return " ".join(filter(None, (self.codec.name, self.codec.model)))


def find_entries(wanted: Sequence[str] | None) -> tuple[list[Entry], dict[str, str]]:
    """Everything that can be measured here, and why the rest cannot.

    Args:
        wanted: names of codecs; None for all.
    Returns: entries, the default model of a codec before its others; reasons by name.
    Raises: ValueError if a name is not that of a codec.
    """
    codecs = {info.name: info for info in tfsemcomp.list_codecs()}
    unknown = sorted(set(wanted or ()) - set(codecs))
    if unknown:
        raise ValueError(
            f"`codecs` must be of {', '.join(codecs)}, received {', '.join(unknown)}."
        )
    entries: list[Entry] = []
    missing: dict[str, str] = {}
    for name, info in codecs.items():
        if wanted and name not in wanted:
            continue
        if not info.available:
            missing[name] = info.reason
        elif base.codec_class(name).uses_model:
            entries += _with_models(name)
            if not any(entry.codec.name == name for entry in entries):
                missing[name] = "no model of it is shipped"
        else:
            codec = tfsemcomp.load(name)
            entries.append(Entry(codec, info.source, qualities_of(codec)))
    return entries, missing


def _with_models(name: str) -> list[Entry]:
    models = [model for model in tfsemcomp.list_models() if model.system == name]
    entries = []
    for model in sorted(models, key=lambda model: not model.default):
        codec = tfsemcomp.load(name if model.default else model.name)
        source = f"{model.name}, version {model.version}"
        if "summary" in model.card:
            source += f": {model.card['summary']}"
        entries.append(Entry(codec, source, qualities_of(codec)))
    return entries


def qualities_of(codec: base.Codec) -> tuple[float, ...]:
    """At which qualities a codec is measured; with --smoke, at the ends of them."""
    chosen = _whole_range(codec)
    return tuple(dict.fromkeys((chosen[0], chosen[-1]))) if _SMOKE.value else chosen


def _whole_range(codec: base.Codec) -> tuple[float, ...]:
    low, high = codec.quality_range
    if codec.name in QUALITIES:
        return tuple(q for q in QUALITIES[codec.name] if low <= q <= high)
    if high - low < _SHORT_RANGE:
        return tuple(range(int(low), int(high) + 1))
    step = (high - low) / (_POINTS - 1)
    grid = codec.quality_step
    points = (low + grid * round(k * step / grid) for k in range(_POINTS))
    return tuple(dict.fromkeys(points))


def out_folder() -> pathlib.Path:
    """Where results go; apart from others with --smoke."""
    return pathlib.Path(_OUT.value, "smoke" if _SMOKE.value else "")


def measure(entries: Sequence[Entry], paths: Sequence[pathlib.Path]) -> Table:
    """Sweeps all entries over all pictures, keeping what is there already.

    Returns: the rows of these entries and pictures, codec by codec (`join_rates`), as
        OUT holds them too, before those of other runs.
    """
    keys: dict[tuple[str, str, str], int] = {}
    results = Table(())
    for entry in entries:
        qualities = {entry.codec.name: entry.qualities}
        for job in sweep.plan([entry.codec], qualities):
            keys[job.key] = len(keys)
        with tqdm.tqdm(desc=entry.name, unit="file", disable=None) as bar:
            results = sweep.run_sweep(
                [entry.codec],
                paths,
                out_folder(),
                qualities,
                METRICS,
                roi_map=_MAP.value,
                repeats=_REPEATS.value,
                workers=_WORKERS.value,
                resume=True,
                on_row=lambda _row, done, total, bar=bar: _show(bar, done, total),
            )
    names = sweep.name_pictures(paths)
    rows = [row for row in results.rows if row.image in names and row.key[1:] in keys]
    rows.sort(key=lambda row: (keys[row.key[1:]], row.image))
    chosen = {row.key for row in rows}
    ordered = (*rows, *(row for row in results.rows if row.key not in chosen))
    table.write(out_folder(), Table(ordered, results.meta))
    return Table(tuple(join_rates(rows, entries)), results.meta)


def join_rates(rows: Iterable[Row], entries: Iterable[Entry]) -> list[Row]:
    """Makes one curve of models that have one rate each, as papers draw them.

    Args:
        rows: of a table.
        entries: what they come from.
    Returns: the rows; those of models FAMILY-1, FAMILY-2, ... with one quality each
        have "FAMILY-N" as their model, and the model's name as their setting.
    """
    single = {entry.codec.model for entry in entries if len(entry.qualities) == 1}
    joined = []
    for row in rows:
        numbered = _NUMBERED.fullmatch(row.model) if row.model in single else None
        if numbered:
            row = dataclasses.replace(row, model=f"{numbered[1]}-N", setting=row.model)
        joined.append(row)
    return joined


def _show(bar: tqdm.tqdm, done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


def write_results(
    results: Table, entries: Sequence[Entry], missing: Mapping[str, str]
) -> pathlib.Path:
    """Writes RESULTS.md and its figures.

    Args:
        results: of `measure`.
        entries: what was measured.
        missing: what was not, and why.
    Returns: the path of RESULTS.md.
    """
    found = summary.summarise(results)
    docs = out_folder() if _SMOKE.value else pathlib.Path(_DOCS.value)
    drawn = figures.write_figures(found, docs / _FIGURES, prefix=_PREFIX)
    names = {path.stem.removeprefix(_PREFIX) for path in drawn}
    parts = [
        *_head(found),
        "## Codecs",
        "All are measured on the same pictures, also models that are for others: what "
        "they do there is told in their cards and on their pages.",
        _codec_table(entries, missing),
        "## Rate and quality",
        *(_figure(name, found) for name in _KEY_FIGURES if name in names),
        "## BD-rate",
        "Per cent of bits more (+) or fewer (\N{MINUS SIGN}) than `jpeg` at equal "
        "quality, and the range of quality that both curves reach. Akima interpolation "
        "over the logarithm of the rate, MS-SSIM in dB.",
        markdown.bd_rates(found, found.reference()),
        *_counterparts(found),
        "## At equal rates",
        "Linear between the two measured points around each rate, over its logarithm.",
        *_equal_rates(found),
        "## Speed",
        "Milliseconds a megapixel, means over the pictures: the middle setting, and in "
        "brackets the fastest and the slowest.",
        *([_figure("speed", found)] if "speed" in names else []),
        markdown.speeds(found),
        *(["## Failures", markdown.failures(found)] if found.failures else []),
        "## How this was measured",
        *_circumstances(results),
    ]
    path = docs / "RESULTS.md"
    images.write_atomic(path, ("\n\n".join(parts) + "\n").encode("utf-8"))
    return path


def _head(found: Summary) -> list[str]:
    pictures = f"{len(found.images)} pictures"
    if found.dataset:
        pictures = f"the {len(found.images)} pictures of the {found.set_name()} set"
    parts = [
        "# Results",
        "Generated by `recipes/benchmark_codecs.py` (`make results`); do not edit. "
        f"Every codec and shipped model on {pictures}: quality of the picture read "
        "back from the file, rate of the whole file, each picture first, then the "
        "mean. Metrics: [METRICS.md](METRICS.md).",
    ]
    if found.quoted():
        parts.append(
            "*Quoted* curves (dashed, hollow marks) were measured by others, or with "
            "other versions, on the same pictures; their sources are in "
            "[anchor_data](../tfsemcomp/evaluation/anchor_data/README.md)."
        )
    return parts


def _codec_table(entries: Sequence[Entry], missing: Mapping[str, str]) -> str:
    lines = [
        [
            entry.name,
            entry.source,
            ", ".join(f"{q:g}" for q in entry.qualities),
            ", ".join(COUNTERPARTS.get(entry.codec.name, ())),
        ]
        for entry in entries
    ]
    lines += [
        [name, f"not measured: {reason}", "", ""] for name, reason in missing.items()
    ]
    head = ["codec", "by", "qualities", "quoted curves of the same"]
    return markdown.table(head, lines, texts=len(head))


def _figure(name: str, found: Summary) -> str:
    labels = {f"rd_{metric.name}": metric.label for metric in found.metrics}
    label = labels.get(name)
    text = f"{label} over bits per pixel" if label else "Bits saved over time"
    return f"![{text}]({_FIGURES}/{_PREFIX}{name}.png)"


def _counterparts(found: Summary) -> list[str]:
    """BD-rates against quoted curves of the same encoders, as a check of both."""
    chosen = [m for m in found.main_metrics() if m.name in ("psnr", "ms_ssim")]
    lines = []
    for name, quoted in COUNTERPARTS.items():
        for other, made_with in quoted.items():
            cells = [
                markdown.rate_cell(found, metric, other, name) for metric in chosen
            ]
            if any(cells):
                lines.append([name, f"*{other}*: {made_with}", *cells])
    if not lines:
        return []
    head = ["measured", "against the quoted", *(metric.label for metric in chosen)]
    return [
        "## Against quoted curves of the same encoders",
        "What is left is the difference of versions and settings.",
        markdown.table(head, lines, texts=2),
    ]


def _equal_rates(found: Summary) -> Iterable[str]:
    for metric in found.main_metrics():
        if metric.name in ("psnr", "ms_ssim", "psnr_hvsm", "roi_psnr"):
            yield markdown.at_rates(found, metric)


def _circumstances(results: Table) -> list[str]:
    meta = results.meta
    machine = meta["machine"]
    flag = f" --repeats={_REPEATS.value}" if _REPEATS.value > 1 else ""
    processes = ", ".join(
        f"{number}, of one thread each" if number > 1 else "1"
        for number in meta["workers"]
    )
    versions = ", ".join(f"{name} {text}" for name, text in meta["versions"].items())
    facts = [
        "Command: `python recipes/benchmark_codecs.py --images=DIR "
        f"--workers={_WORKERS.value}{flag}`",
        f"Commit: {meta['commit'] or 'unknown'}",
        f"Processor: {machine['processor']}, {machine['cores']} cores; programs that "
        f"ran at the start: {machine.get('load at the start', 'unknown')}, which slow "
        "times down where they are more than the cores",
        f"Processes: {processes}; runs of which the median time counts: "
        f"{meta['repeats']}",
        f"ROI: the 20 % of the pixels where the map `{meta['roi_map']}` is highest",
        f"Versions: {versions}",
    ]
    return ["\n".join(f"- {fact}" for fact in facts)]


def main(argv: list[str]) -> None:
    """Measures and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)
    try:
        entries, missing = find_entries(_CODECS.value)
        if _PLAN.value:
            print(_codec_table(entries, missing))
        else:
            print(f"Results: {run(entries, missing)}")
    except (SemCompError, ValueError) as error:
        sys.exit(f"error: {error}")


def run(entries: Sequence[Entry], missing: Mapping[str, str]) -> pathlib.Path:
    """Measures what is missing and writes RESULTS.md, its figures and the report.

    Args:
        entries: what to measure.
        missing: what cannot be measured here, and why.
    Returns: the path of RESULTS.md.
    Raises: SemCompError or ValueError, as the parts of the work do.
    """
    limit = 1 if _SMOKE.value else _LIMIT.value
    paths = images.list_images(_IMAGES.value)[:limit]
    results = measure(entries, paths)
    failed: list[Row] = [row for row in results.rows if row.error]
    for row in failed:
        logging.warning("%s, %s: %s", row.image, row.codec, row.error)
    path = write_results(results, entries, missing)
    report.write_report(out_folder(), title="All codecs and models", pictures=3)
    return path


if __name__ == "__main__":
    app.run(main)
