"""Rate sweeps: codecs x settings x pictures -> one table, files kept for the report.

Quality is measured on the picture read back from the compressed bytes, and the rate is
the whole file. A picture or a codec that fails becomes a row with its error, and so
does what a worker process died of; the sweep goes on. The table on disk is whole at any
time, so that a stopped sweep can be resumed.

Times are medians of `repeats` runs. For each codec and size of pictures one run goes
before that does not count: it loads models and compiles. With several workers each
process has one thread (`workers.ONE_THREAD`), so that times are those of one core; with
one worker libraries take the cores that they like.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import logging as python_logging
import os
import pathlib
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from tfsemcomp import bitstream, version
from tfsemcomp import images as image_files
from tfsemcomp import metrics as picture_metrics
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, provenance, reuse, table
from tfsemcomp.evaluation import workers as processes
from tfsemcomp.evaluation.table import Row, Table
from tfsemcomp.metrics import backbones

if TYPE_CHECKING:
    from tfsemcomp.evaluation.observer_labels import LabelSource
    from tfsemcomp.evaluation.observers import Observer

# Where in a codec's quality range its curve is sampled when no qualities are given.
_DEFAULT_POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)
# With few pictures, tasks are cut smaller, so that no process waits long for another.
_TASKS_A_WORKER = 4
# Of the time of a sweep that may go into writing the table again and again.
_SHARE_OF_SAVING = 0.05

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
    codecs: Sequence[str | base.Codec | Job],
    qualities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Job]:
    """Lists the jobs of a sweep over qualities, and checks every argument of theirs.

    Args:
        codecs: names or codec objects; jobs of an earlier plan stay as they are.
        qualities: for all codecs, or by codec name; a codec without any gets
            `default_qualities`.
        settings: further keywords of `compress`, by codec name.

    Returns:
        A job for each codec and quality, labelled "quality=Q" and, behind a comma
        each, with the further settings that are not the codec's defaults.

    Raises:
        ValueError: an unknown codec, quality or setting, or one named twice.
    """
    jobs = []
    for codec in codecs:
        if isinstance(codec, Job):
            jobs.append(codec)
            continue
        codec = base.get_codec(codec) if isinstance(codec, str) else codec
        chosen = qualities
        if isinstance(qualities, Mapping):
            chosen = qualities.get(codec.name)
        for quality in chosen or default_qualities(codec):
            arguments = {**(settings or {}).get(codec.name, {}), "quality": quality}
            label = _label(codec, arguments)
            jobs.append(Job(codec, label, arguments))
    keys = [job.key for job in jobs]
    twice = sorted({" ".join(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"`codecs` and `qualities` name {', '.join(twice)} twice.")
    return jobs


def _label(codec: base.Codec, arguments: Mapping[str, Any]) -> str:
    """The name of a setting; raises ValueError where the codec does not take it."""
    checked = codec.check_settings(**arguments)
    parts = {"quality": f"{arguments['quality']:g}"}
    for setting in codec.settings:
        shown = _shown(checked[setting.name])
        if shown != _shown(setting.default):
            parts[setting.name] = shown
    return ", ".join(f"{name}={value}" for name, value in parts.items())


def _shown(value: Any) -> str:
    """A value of a setting in a few characters; maps and metadata by their hash."""
    if isinstance(value, np.ndarray):
        value = f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if isinstance(value, bytes):
        return f"sha256:{hashlib.sha256(value).hexdigest()[:8]}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def measure(
    job: Job,
    pixels: np.ndarray,
    image: str,
    *,
    metrics: Sequence[str],
    roi_map: np.ndarray | None = None,
    repeats: int = 1,
    observers: Sequence["Observer"] = (),
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
) -> tuple[Row, bytes]:
    """Compresses one picture once, decodes it and measures the result.

    Args:
        job: codec and setting.
        pixels: the picture, uint8 [H,W,3].
        image: its name in the table.
        metrics: as `tfsemcomp.metrics.get` takes them.
        roi_map: float [H,W] in [0, 1], for the metrics that need one.
        repeats: how often to encode and decode; the median time counts.
        observers: whose values join those of the metrics.
        limits: of the picture and the time to decode it.

    Returns:
        The row, and the compressed file.

    Raises:
        SemCompError: whatever the codec raises.
    """
    result = _measured(job, pixels, image, metrics, roi_map, repeats, limits)
    (row,) = _observed([result.row], pixels, [result.decoded], observers)
    return row, result.data


@dataclasses.dataclass(frozen=True)
class _Result:
    """What one job made of a picture; without file and picture where it failed."""

    job: Job
    row: Row
    data: bytes = b""
    decoded: np.ndarray | None = None


def _measured(
    job: Job,
    pixels: np.ndarray,
    image: str,
    metrics: Sequence[str],
    roi_map: np.ndarray | None,
    repeats: int,
    limits: bitstream.Limits,
) -> _Result:
    """What a job makes of a picture; the row has no observers' values yet."""
    encode_s, encoded = _timed(
        lambda: job.codec.encode(pixels, limits=limits, **job.arguments), repeats
    )
    decode_s, decoded = _timed(
        lambda: job.codec.decompress(encoded.data, limits=limits), repeats
    )
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
    return _Result(job, row, encoded.data, decoded)


def _observed(
    rows: Sequence[Row],
    pixels: np.ndarray,
    decoded: Sequence[np.ndarray],
    observers: Sequence["Observer"],
) -> list[Row]:
    """Rows of one picture with what observers say of each decoded one."""
    values = [dict(row.metrics) for row in rows]
    for observer in observers:
        names = [row.image for row in rows]
        found = observer.observe_batch(names, [pixels] * len(rows), decoded)
        for known, further in zip(values, found, strict=True):
            known |= further
    return [
        dataclasses.replace(row, metrics=known)
        for row, known in zip(rows, values, strict=True)
    ]


def run_sweep(
    codecs: Sequence[str | base.Codec | Job],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    qualities: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    observers: Sequence[str] = (),
    labels: "LabelSource | None" = None,
    label_maps: str | os.PathLike[str] | None = None,
    roi_map: RoiSource | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    repeats: int = 1,
    seed: int = 0,
    workers: int = 1,
    keep_files: bool = True,
    resume: bool = False,
    limits: bitstream.Limits = bitstream.DEFAULT_LIMITS,
    on_row: Callable[[Row, int, int], None] | None = None,
) -> Table:
    """Compresses pictures with codecs at several qualities and tables the results.

    Args:
        codecs: names or codec objects, or jobs of `plan`.
        images: a folder, a file, or several of either.
        out: the result folder (layout.py); it is made if it is not there.
        qualities: for all codecs, or by codec name; None for five over each range.
        metrics: as `tfsemcomp.metrics.get` takes them; None for all of METRICS
            (without `roi_map`: all that need no map).
        observers: strings that `observers.load` takes.
        labels: for them; see there. Pictures go by their names in the table.
        label_maps: a folder of true label maps, for segmenters; see there.
        roi_map: for the metrics that need a map: what `semantics.roi.resolve_map`
            takes (a method's name, a mask's path), or a function from pixels to a map.
        settings: further keywords of `compress`, by codec name.
        repeats: how often to encode and decode; the median time counts.
        seed: of Python's and NumPy's random numbers, set anew before each row, so that
            rows depend on neither order nor workers.
        workers: how many processes to use, 1 for this one alone. More need codecs that
            have a name in the registry, maps by name, and a script that guards its
            start by ``if __name__ == "__main__"``.
        keep_files: keep compressed files, originals and maps, for the report's viewer.
        resume: keep the rows that `out` already holds as far as they still hold
            (reuse.py), and add to them; otherwise the table is made afresh.
        limits: of the pictures and the time to decode each.
        on_row: called with each new row, the rows done and the rows in all; with
            several workers in the order in which they get done.

    Returns:
        The table, which `out` holds too, in the order of pictures and jobs; rows of an
        earlier run that are not among them follow.

    Raises:
        ValueError: a wrong argument.
        SemCompError: no pictures, `out` cannot be written, or a network, model or list
            that metrics or observers need is not there.
    """
    metrics = picture_metrics.select(metrics, has_map=roi_map is not None)
    for name, value in (("repeats", repeats), ("workers", workers)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, not {value}.")
    for name, truth in (("labels", labels), ("label_maps", label_maps)):
        if truth is not None and not observers:
            raise ValueError(f"`{name}` are for `observers`: name some.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be from 0 to 2^32 - 1, not {seed}.")
    jobs = plan(codecs, qualities, settings)
    pictures = name_pictures(images)
    out = pathlib.Path(out)
    columns = picture_metrics.columns(metrics)
    meta = {
        "tfsemcomp": version.__version__,
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "models": provenance.models(job.codec for job in jobs),
        "machine": provenance.machine(),
        "metrics": list(columns),
        "observers": list(observers),
        "labels": _labels_digest(labels),
        "label_maps": _folder_digest(label_maps),
        "roi_map": roi_map if isinstance(roi_map, str) else bool(roi_map),
        "repeats": repeats,
        "seed": seed,
        "workers": [workers],
        "images": {i: provenance.file_digest(path) for i, path in pictures.items()},
    }
    kept = reuse.load(out, meta, columns, keep_files) if resume else Table((), meta)
    ledger = _Ledger(out, kept, [(i, *job.key) for i in pictures for job in jobs])
    options = _Options(
        metrics=metrics,
        observers=tuple(observers),
        labels=labels,
        label_maps=label_maps,
        roi_map=roi_map,
        repeats=repeats,
        seed=seed,
        out=out if keep_files else None,
        limits=limits,
    )
    queue = _tasks(pictures, jobs, ledger, workers)
    try:
        with contextlib.closing(_rows(queue, jobs, options, workers)) as rows:
            for row in rows:
                ledger.add(row)
                if on_row is not None:
                    on_row(row, ledger.done, ledger.total)
    except BaseException:
        if ledger.changed:
            ledger.save()
        raise
    ledger.save()
    return ledger.table()


class _Ledger:
    """The rows of a sweep, kept on disk as they come.

    Attributes:
        total: how many rows the sweep is to give.
        done: how many of them are there.
        changed: whether the table on disk lacks some.

    Args:
        out: the result folder.
        kept: rows that are there already, and the description of the run.
        order: the keys of all rows that the sweep is to give.
    """

    def __init__(self, out: pathlib.Path, kept: Table, order: list[reuse.Key]) -> None:
        self._out, self._meta = out, kept.meta
        self._rows = {row.key: row for row in kept.rows}
        self._order = order
        self._next_save = 0.0
        self.total = len(order)
        self.done = sum(key in self._rows for key in order)
        self.changed = False

    def __contains__(self, key: reuse.Key) -> bool:
        return key in self._rows

    def add(self, row: Row) -> None:
        """Takes a row, and writes the table unless that happened just now."""
        self._rows[row.key] = row
        self.done += 1
        self.changed = True
        if time.monotonic() >= self._next_save:
            self.save()

    def save(self) -> None:
        """Writes the table."""
        start = time.monotonic()
        table.write(self._out, self.table())
        end = time.monotonic()
        self._next_save = end + (end - start) / _SHARE_OF_SAVING
        self.changed = False

    def table(self) -> Table:
        """The rows in their order, those of no plan behind."""
        keys = dict.fromkeys([*self._order, *self._rows])
        return Table(tuple(self._rows[k] for k in keys if k in self._rows), self._meta)


@dataclasses.dataclass(frozen=True)
class _Task:
    """Some jobs, by their index in the plan, on one picture."""

    image: str
    path: pathlib.Path
    jobs: tuple[int, ...]


def _tasks(
    pictures: Mapping[str, pathlib.Path],
    jobs: Sequence[Job],
    ledger: _Ledger,
    count: int,
) -> collections.deque[_Task]:
    """What is left to do: a task a picture, or several where pictures are few."""
    parts = 1
    if count > 1:
        parts = min(-(-_TASKS_A_WORKER * count // len(pictures)), len(jobs))
    tasks: collections.deque[_Task] = collections.deque()
    for image, path in pictures.items():
        left = [i for i, job in enumerate(jobs) if (image, *job.key) not in ledger]
        for part in np.array_split(left, parts):
            if len(part):
                tasks.append(_Task(image, path, tuple(map(int, part))))
    return tasks


@dataclasses.dataclass(frozen=True)
class _Options:
    """What every row of a sweep shares; see `run_sweep`."""

    metrics: Sequence[str]
    observers: Sequence[str]
    labels: "LabelSource | None"
    label_maps: str | os.PathLike[str] | None
    roi_map: RoiSource | None
    repeats: int
    seed: int
    out: pathlib.Path | None
    limits: bitstream.Limits


def _rows(
    queue: collections.deque[_Task],
    jobs: Sequence[Job],
    options: _Options,
    count: int,
) -> Iterator[Row]:
    """The rows of all tasks; one for what a process died of."""
    if not queue:
        return
    if count == 1:
        bench = _Bench(jobs, options, together=True)
        for task in queue:
            yield from bench.rows(task)
        return
    if callable(options.roi_map):
        raise ValueError("`roi_map` must be a name or a path with several `workers`.")
    recipes = [_recipe(job) for job in jobs]
    arguments = (recipes, options, logging.get_verbosity())
    seen: collections.Counter[_Task] = collections.Counter()
    with contextlib.closing(
        processes.stream(queue, _build, arguments, count)
    ) as results:
        for task, result in results:
            if isinstance(result, Row):
                seen[task] += 1
                yield result
                continue
            # The process died of the first job without a row.
            left = task.jobs[seen[task] :]
            error = SemCompError(f"its process {result.reason}")
            for index in left[:1]:
                yield _failure(jobs[index], task.image, error)
            if left[1:]:
                queue.appendleft(dataclasses.replace(task, jobs=left[1:]))


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """A job without its codec, which every process makes for itself."""

    codec: str
    model: str | None
    server: str | None
    setting: str
    arguments: Mapping[str, Any]


def _recipe(job: Job) -> _Recipe:
    codec = job.codec
    if codec.name not in base.codec_names() or (
        type(codec) is not base.codec_class(codec.name)
    ):
        raise ValueError(
            f"`workers` must be 1 for {codec.name}: it is not in the registry, so that "
            "other processes cannot make it."
        )
    return _Recipe(codec.name, codec.model, codec.server, job.setting, job.arguments)


def _build(
    recipes: Sequence[_Recipe], options: _Options, verbosity: int
) -> processes.Handler:
    """Prepares a worker process."""
    logging.set_verbosity(verbosity)
    if verbosity < logging.WARNING:
        python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
        warnings.simplefilter("ignore")
    codecs: dict[tuple, base.Codec] = {}
    jobs = []
    for recipe in recipes:
        key = (recipe.codec, recipe.model, recipe.server)
        if key not in codecs:
            given = {"model": recipe.model, "server": recipe.server}
            given = {name: value for name, value in given.items() if value is not None}
            codecs[key] = base.get_codec(recipe.codec, **given)
        jobs.append(Job(codecs[key], recipe.setting, recipe.arguments))
    return _Bench(jobs, options, together=False).rows


class _Bench:
    """Measures tasks in one process.

    Args:
        jobs: those of the plan.
        options: of the sweep. Networks of metrics and observers are loaded at once.
        together: whether observers look at all decoded pictures of a task together,
            which takes a fraction of the time. Rows then come when all are done: where
            rows tell which job a process died of, they must look at each by itself.
    """

    def __init__(
        self, jobs: Sequence[Job], options: _Options, *, together: bool
    ) -> None:
        self._jobs, self._options = jobs, options
        self._together = together and bool(options.observers)
        for name in options.metrics:
            _, _, backbone = name.partition("@")
            if backbone:
                backbones.load(backbone)
        self._observers: list[Observer] = []
        if options.observers:
            from tfsemcomp.evaluation import observers

            self._observers = [
                observers.load(spec, options.labels, options.label_maps)
                for spec in options.observers
            ]
        self._warm: set[tuple[int, tuple[int, ...]]] = set()

    def rows(self, task: _Task) -> Iterator[Row]:
        """The rows of a task, in the order of its jobs; each failure is a row too."""
        jobs = [self._jobs[index] for index in task.jobs]
        try:
            pixels = image_files.read(task.path, limits=self._options.limits)
            roi_map = _find_map(self._options.roi_map, pixels)
        except Exception as error:  # whatever a broken file or a map's model raises
            for job in jobs:
                yield _failure(job, task.image, error)
            return
        out = self._options.out
        if out is not None:
            keep_picture(out, task.image, pixels, roi_map)
        at_once = len(jobs) if self._together else 1
        for start in range(0, len(jobs), at_once):
            group = jobs[start : start + at_once]
            for result in self._results(group, pixels, task.image, roi_map):
                row = result.row
                if out is not None and not row.error:
                    row = keep_file(out, row, result.data, result.job.codec.suffix)
                yield row

    def _results(
        self,
        jobs: Sequence[Job],
        pixels: np.ndarray,
        image: str,
        roi_map: np.ndarray | None,
    ) -> list[_Result]:
        """Results of some jobs on one picture, in their order."""
        results = []
        for job in jobs:
            try:
                results.append(self._measure(job, pixels, image, roi_map))
            except Exception as error:  # one codec's fault must not cost others' rows
                results.append(_Result(job, _failure(job, image, error)))
        whole = [result for result in results if not result.row.error]
        try:
            decoded = [result.decoded for result in whole]
            rows = _observed([r.row for r in whole], pixels, decoded, self._observers)
        except Exception as error:  # whatever a label or an observer raises
            rows = [_failure(result.job, image, error) for result in whole]
        found = iter(rows)
        return [
            result if result.row.error else dataclasses.replace(result, row=next(found))
            for result in results
        ]

    def _measure(
        self, job: Job, pixels: np.ndarray, image: str, roi_map: np.ndarray | None
    ) -> _Result:
        options = self._options
        _set_seed(options.seed)
        kind = (id(job.codec), pixels.shape)
        if kind not in self._warm:
            # Loading and compiling takes time that no limit of a picture's is about.
            limits = dataclasses.replace(options.limits, seconds=None)
            encoded = job.codec.encode(pixels, limits=limits, **job.arguments)
            job.codec.decompress(encoded.data, limits=limits)
            self._warm.add(kind)
            _set_seed(options.seed)
        return _measured(
            job,
            pixels,
            image,
            options.metrics,
            roi_map,
            options.repeats,
            options.limits,
        )


def _set_seed(seed: int) -> None:
    # Not TensorFlow's: setting that makes the next call compile anew, which would count
    # as the codec's time; and ops of models are told their seeds (serving.allowed_ops).
    random.seed(seed)
    np.random.seed(seed)


def _labels_digest(labels: "LabelSource | None") -> str | None:
    """What tells labels apart: a hash of the list, or of the mapping."""
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        text = json.dumps(dict(labels), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
    return provenance.file_digest(pathlib.Path(labels))


def _folder_digest(folder: str | os.PathLike[str] | None) -> str | None:
    """What tells folders of label maps apart: a hash of their files."""
    if folder is None:
        return None
    files = sorted(path for path in pathlib.Path(folder).glob("*") if path.is_file())
    text = json.dumps([(path.name, provenance.file_digest(path)) for path in files])
    return hashlib.sha256(text.encode()).hexdigest()


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


def _write(path: pathlib.Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemCompError(f"cannot make {path.parent}: {error}.") from error
    image_files.write_atomic(path, data)
