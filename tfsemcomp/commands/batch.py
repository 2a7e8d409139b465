"""One job a file: which inputs go to which outputs, and how they all get done."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfsemcomp import errors

Work = Callable[[pathlib.Path, pathlib.Path], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A file that could not be done, and why."""

    path: pathlib.Path
    error: Exception


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a batch gave, each in the order of its inputs."""

    records: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]


def check_input(path: pathlib.Path) -> None:
    """Raises SemCompError unless `path` is there; folders are fine."""
    if not path.exists():
        raise errors.SemCompError(f"cannot read `{path}`: No such file or directory")


def check_output(source: pathlib.Path, target: pathlib.Path) -> None:
    """Finds out before the work what would keep its result from being written.

    Raises:
        SemCompError: if `target` is a folder or its folder is missing.
        ValueError: if both are the same file.
    """
    if target.is_dir():
        raise errors.SemCompError(
            f"cannot write `{target}`: it is a directory; name a file in it"
        )
    if not target.parent.is_dir():
        raise errors.SemCompError(
            f"cannot write `{target}`: there is no directory `{target.parent}`"
        )
    if target.exists() and os.path.samefile(source, target):
        raise ValueError(
            f"`OUTPUT` is the same file as `INPUT`, `{source}`; name another"
        )


def list_files(
    folder: pathlib.Path, suffixes: Sequence[str], with_images: bool
) -> list[pathlib.Path]:
    """The files in a folder, not below it, sorted, without hidden ones.

    Args:
        folder: where.
        suffixes: that count, in lower case.
        with_images: whether those of image files count, too.

    Raises: SemCompError if the folder cannot be listed.
    """
    from tfsemcomp import images

    known = (*suffixes, *(images.KNOWN_SUFFIXES if with_images else ()))
    return images.list_files(folder, known)


def make_directory(path: pathlib.Path) -> None:
    """Makes a directory, and those above it, unless it is there.

    Raises: SemCompError if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.SemCompError(
            f"cannot make the directory `{path}`: {error.strerror or error}"
        ) from error


def pair_files(
    paths: Sequence[pathlib.Path],
    source: pathlib.Path,
    target: pathlib.Path,
    suffix: str,
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Gives each file of a folder its place in the folder of results, which is made.

    Args:
        paths: the files.
        source: their folder.
        target: the folder of results.
        suffix: of the results. Where two files differ in their suffix only, it is
            added to the whole name, so that neither result overwrites the other.

    Raises:
        SemCompError: if there are no files, or the folder cannot be made.
        ValueError: if both folders are the same.
    """
    if not paths:
        raise errors.SemCompError(f"`{source}` holds no files of a known kind")
    make_directory(target)
    if os.path.samefile(source, target):
        raise ValueError(
            f"`OUTPUT` is the same directory as `INPUT`, `{source}`; name another"
        )
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    if len(set(names)) < len(names):
        names = [path.name for path in paths]
    return [
        (path, target / (name + suffix))
        for path, name in zip(paths, names, strict=True)
    ]


def run(
    pairs: Sequence[tuple[pathlib.Path, pathlib.Path]], work: Work, workers: int
) -> Outcome:
    """Does `work` for each pair of input and output, whatever happens to the others.

    Args:
        pairs: inputs and outputs.
        work: does one; it runs in a thread, since codecs leave Python for the most.
        workers: how many threads.

    Returns: records and failures. On Ctrl-C the files begun are finished, none other
        is begun, and KeyboardInterrupt goes on.
    """

    def attempt(pair: tuple[pathlib.Path, pathlib.Path]) -> dict | Failure:
        try:
            return work(*pair)
        except Exception as error:
            return Failure(pair[0], error)

    results = []
    with (
        contextlib.closing(Progress("file")) as progress,
        contextlib.closing(_attempts(pairs, attempt, workers)) as attempts,
    ):
        for result in attempts:
            results.append(result)
            progress.show(len(results), len(pairs))
    records = tuple(result for result in results if isinstance(result, dict))
    failures = tuple(result for result in results if isinstance(result, Failure))
    return Outcome(records, failures)


class Progress:
    """A progress bar, if a person watches and there is more than one thing to do.

    Args:
        unit: what is done.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def show(self, done: int, total: int) -> None:
        """Moves the bar, which appears with the first call, to `done` of `total`."""
        if total < 2 or not sys.stderr.isatty():
            return
        if self._bar is None:
            import tqdm

            self._bar = tqdm.tqdm(
                total=total, unit=self._unit, leave=False, file=sys.stderr
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()


def default_workers() -> int:
    """As many as there are processor cores for this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _attempts(pairs: Sequence[Any], attempt: Callable, workers: int) -> Iterator[Any]:
    if workers == 1:
        yield from map(attempt, pairs)
        return
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        yield from pool.map(attempt, pairs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
