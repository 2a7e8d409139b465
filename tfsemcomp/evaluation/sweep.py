"""Rate sweeps: codecs x settings x pictures -> one table, files kept for the report.

Quality is measured on the picture read back from the compressed bytes, and the rate is
the whole file. A picture or a codec that fails becomes a row with its error; the sweep
goes on. The unit of work is one picture (`_measure_picture`), after which the table on
disk is whole again, so that a stopped sweep can be resumed.
"""

import dataclasses
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tfsemcomp import bitstream, version
from tfsemcomp import images as image_files
from tfsemcomp import metrics as picture_metrics
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, table
from tfsemcomp.evaluation.table import Row, Table

# Where in a codec's quality range its curve is sampled when no qualities are given.
_DEFAULT_POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)

RoiSource = str | Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Job:
    """One codec at one setting.

    Attributes:
        codec: the codec.
        setting: the label of the setting; see `table.Row.setting`.
        arguments: what `codec.encode` takes beside the picture.
    """

    codec: base.Codec
    setting: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """The part of a row's key that belongs to the job."""
        return (self.codec.name, self.codec.model or "", self.setting)


def default_qualities(codec: base.Codec) -> tuple[float, ...]:
    """Five qualities spread over the codec's range, whole ones where it is wide."""
    low, high = codec.quality_range
    span = high - low
    step = 1 if span >= 10 else codec.quality_step
    points = (low + step * round(span * share / step) for share in _DEFAULT_POINTS)
    return tuple(dict.fromkeys(points))


def plan(
    codecs: Sequence[str | base.Codec],
    qualities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Job]:
    """Lists the jobs of a sweep over qualities, and checks every argument of theirs.

    Args:
        codecs: names or codec objects.
        qualities: for all codecs, or by codec name; a codec without any gets
            `default_qualities`.
        settings: further keywords of `compress`, by codec name.

    Returns:
        A job for each codec and quality, labelled "quality=Q".

    Raises:
        ValueError: an unknown codec, quality or setting, or one named twice.
    """
    jobs = []
    for codec in codecs:
        codec = base.get_codec(codec) if isinstance(codec, str) else codec
        chosen = qualities
        if isinstance(qualities, Mapping):
            chosen = qualities.get(codec.name)
        for quality in chosen or default_qualities(codec):
            arguments = {**(settings or {}).get(codec.name, {}), "quality": quality}
            codec.check_settings(**arguments)
            jobs.append(Job(codec, f"quality={quality:g}", arguments))
    keys = [job.key for job in jobs]
    twice = sorted({" ".join(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"`codecs` and `qualities` name {', '.join(twice)} twice.")
    return jobs


def measure(
    job: Job,
    pixels: np.ndarray,
    image: str,
    *,
    metrics: Sequence[str],
    roi_map: np.ndarray | None = None,
    repeats: int = 1,
) -> tuple[Row, bytes]:
    """Compresses one picture once, decodes it and measures the result.

    Args:
        job: codec and setting.
        pixels: the picture, uint8 [H,W,3].
        image: its name in the table.
        metrics: keys of `tfsemcomp.metrics.METRICS`.
        roi_map: float [H,W] in [0, 1], for the metrics that need one.
        repeats: how often to encode and decode; the median time counts.

    Returns:
        The row, and the compressed file.

    Raises:
        SemCompError: whatever the codec raises.
    """
    encode_s, encoded = _timed(
        lambda: job.codec.encode(pixels, **job.arguments), repeats
    )
    decode_s, decoded = _timed(lambda: job.codec.decompress(encoded.data), repeats)
    if decoded.shape != pixels.shape:
        raise SemCompError(
            f"{job.codec.name} gave back {decoded.shape[1]}x{decoded.shape[0]} pixels "
            f"for {pixels.shape[1]}x{pixels.shape[0]}."
        )
    name, model, setting = job.key
    row = Row(
        image=image,
        codec=name,
        model=model,
        setting=setting,
        quality=encoded.quality,
        width=pixels.shape[1],
        height=pixels.shape[0],
        size_bytes=len(encoded.data),
        payload_bytes=_payload_bytes(encoded.data),
        encode_s=encode_s,
        decode_s=decode_s,
        metrics=picture_metrics.measure(pixels, decoded, metrics, roi_map),
    )
    return row, encoded.data


def run_sweep(
    codecs: Sequence[str | base.Codec],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    qualities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    roi_map: RoiSource | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    repeats: int = 1,
    keep_files: bool = True,
    resume: bool = False,
    on_row: Callable[[Row, int, int], None] | None = None,
) -> Table:
    """Compresses pictures with codecs at several qualities and tables the results.

    Args:
        codecs: names or codec objects.
        images: a folder, a file, or several files.
        out: the result folder (layout.py); it is made if it is not there.
        qualities: for all codecs, or by codec name; None for five over each range.
        metrics: keys of `tfsemcomp.metrics.METRICS`; None for all (without `roi_map`:
            all that need no map).
        roi_map: for the metrics that need a map: what `semantics.roi.resolve_map`
            takes (a method's name, a mask's path), or a function from pixels to a map.
        settings: further keywords of `compress`, by codec name.
        repeats: how often to encode and decode; the median time counts.
        keep_files: keep compressed files, originals and maps, for the report's viewer.
        resume: keep the rows that `out` already holds with all these metrics and
            without an error, and add to them; otherwise the table is made afresh.
        on_row: called with each new row, the rows done and the rows in all.

    Returns:
        The table, which `out` holds too.

    Raises:
        ValueError: a wrong argument.
        SemCompError: no pictures, or `out` cannot be written.
    """
    metrics = picture_metrics.select(metrics, has_map=roi_map is not None)
    if repeats < 1:
        raise ValueError(f"`repeats` must be at least 1, not {repeats}.")
    jobs = plan(codecs, qualities, settings)
    pictures = name_pictures(images)
    out = pathlib.Path(out)
    rows = _finished(out, metrics) if resume else {}
    meta = {
        "tfsemcomp": version.__version__,
        "metrics": list(metrics),
        "roi_map": roi_map if isinstance(roi_map, str) else bool(roi_map),
        "repeats": repeats,
    }
    left = sum((image, *job.key) not in rows for image in pictures for job in jobs)
    total = len(jobs) * len(pictures)
    for image, path in pictures.items():
        todo = [job for job in jobs if (image, *job.key) not in rows]
        for row in _measure_picture(
            path,
            image,
            todo,
            out=out if keep_files else None,
            metrics=metrics,
            roi_map=roi_map,
            repeats=repeats,
        ):
            rows[row.key] = row
            left -= 1
            if on_row is not None:
                on_row(row, total - left, total)
        table.write(out, Table(tuple(rows.values()), meta))
    return Table(tuple(rows.values()), meta)


def _measure_picture(
    path: pathlib.Path,
    image: str,
    jobs: Sequence[Job],
    *,
    out: pathlib.Path | None,
    metrics: Sequence[str],
    roi_map: RoiSource | None,
    repeats: int,
) -> Iterator[Row]:
    """The rows of one picture; each failure is a row with its error."""
    if not jobs:
        return
    try:
        pixels = image_files.read(path)
        found_map = _find_map(roi_map, pixels)
    except Exception as error:  # whatever a broken file or a map's model raises
        for job in jobs:
            yield _failure(job, image, error)
        return
    if out is not None:
        keep_picture(out, image, pixels, found_map)
    for job in jobs:
        try:
            row, data = measure(
                job,
                pixels,
                image,
                metrics=metrics,
                roi_map=found_map,
                repeats=repeats,
            )
        except Exception as error:  # one codec's fault must not cost the others' rows
            yield _failure(job, image, error)
            continue
        yield row if out is None else keep_file(out, row, data, job.codec.suffix)


def keep_picture(
    out: pathlib.Path, image: str, pixels: np.ndarray, roi_map: np.ndarray | None
) -> None:
    """Keeps an original and its map in a result folder, as PNG.

    Args:
        out: the result folder.
        image: the picture's name in the table.
        pixels: uint8 [H,W,3].
        roi_map: float [H,W] in [0, 1], or None.

    Raises:
        SemCompError: the files cannot be written.
    """
    _write(layout.original(out, image), image_files.encode(pixels, "png"))
    if roi_map is not None:
        grey = np.rint(roi_map * 255).astype(np.uint8)
        grey = np.repeat(grey[..., None], 3, axis=2)
        _write(layout.roi_map(out, image), image_files.encode(grey, "png"))


def keep_file(out: pathlib.Path, row: Row, data: bytes, suffix: str) -> Row:
    """Keeps a compressed file in a result folder.

    Args:
        out: the result folder.
        row: its row.
        data: the whole file.
        suffix: of its name, with the dot.

    Returns:
        The row, which now names the file.

    Raises:
        SemCompError: the file cannot be written.
    """
    name = layout.compressed_file(row, suffix)
    _write(out / name, data)
    return dataclasses.replace(row, file=name)


def name_pictures(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> dict[str, pathlib.Path]:
    """Finds the pictures and gives each a name of its own.

    Args:
        images: a folder, a file, or several of either.

    Returns:
        Paths by name: the file's name, or where two share it the path below the folder
        that all have in common.

    Raises:
        SemCompError: a path that is not there, or no picture at all.
    """
    if isinstance(images, (str, os.PathLike)):
        images = [images]
    paths: list[pathlib.Path] = []
    for path in map(pathlib.Path, images):
        if not path.exists():
            raise SemCompError(f"{path} is not there.")
        paths.extend(image_files.list_images(path) if path.is_dir() else [path])
    paths = list({path.resolve(): path for path in paths}.values())
    if not paths:
        raise SemCompError("no pictures found: give a folder with image files.")
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return dict(zip(names, paths, strict=True))
    whole = [path.resolve() for path in paths]
    common = pathlib.Path(os.path.commonpath(whole))
    return {path.relative_to(common).as_posix(): path for path in whole}


def _find_map(source: RoiSource | None, pixels: np.ndarray) -> np.ndarray | None:
    if source is None:
        return None
    if callable(source):
        return source(pixels)
    from tfsemcomp.semantics import roi

    return roi.resolve_map(source, pixels)


def _timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def _payload_bytes(data: bytes) -> int:
    if not bitstream.is_container(data):
        return len(data)
    return sum(len(chunk.payload) for chunk in bitstream.read(data).chunks)


def _failure(job: Job, image: str, error: Exception) -> Row:
    name, model, setting = job.key
    logging.warning("%s, %s %s: %s", image, name, setting, error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return Row(image=image, codec=name, model=model, setting=setting, error=text)


def _finished(out: pathlib.Path, metrics: Sequence[str]) -> dict[tuple[str, ...], Row]:
    """The rows in `out` that need not be made again, by key."""
    if not (out / table.JSON_NAME).is_file():
        return {}
    return {
        row.key: row
        for row in table.read(out).rows
        if not row.error and set(metrics) <= set(row.metrics)
    }


def _write(path: pathlib.Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make {path.parent}: {error}.") from error
    image_files.write_atomic(path, data)
