"""What several sub-commands share: arguments, and one or many files."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream
from tfsemcomp.commands import batch
from tfsemcomp.commands.console import Console, describe_error, explain

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser

# What is looked for in folders of compressed files, beside image files.
STREAM_SUFFIXES = (".tfsc", ".bpg")


def add_files(parser: Parser, source: str, target: str) -> None:
    """Adds INPUT and OUTPUT, told by these words."""
    parser.add_argument(
        "INPUT",
        type=pathlib.Path,
        help=f"{source}, or a directory of such".capitalize(),
    )
    parser.add_argument(
        "OUTPUT", type=pathlib.Path, help=f"{target}, or a directory".capitalize()
    )


def add_layers(parser: Parser, text: str, group: Any = None) -> None:
    """Adds --layers=K, to an argument group."""
    parser.add_flag("layers", group=group, type=int, metavar="K", help=text)


def add_torn(parser: Parser) -> None:
    """Adds --allow_torn."""
    parser.add_switch(
        "allow_torn", help="Take the whole layers of a stream that is cut or damaged."
    )


# The flag of each limit that is a whole number, and what it refuses.
_LIMITS = {
    "pixels": ("max_pixels", "images with more pixels"),
    "side": ("max_side", "images with a longer side"),
    "layers": ("max_layers", "streams of more layers"),
    "pixels_per_byte": (
        "max_pixels_per_byte",
        "files that declare more pixels for each of their bytes",
    ),
}


def add_limits(parser: Parser) -> None:
    """Adds the limits of the size of images and the time that they take."""
    defaults = bitstream.Limits()
    for limit, (flag, refused) in _LIMITS.items():
        default = getattr(defaults, limit)
        text = f"Refuse {refused} ({default}); 0 for no limit."
        parser.add_flag(flag, type=int, metavar="N", default=default, help=text)
    parser.add_flag(
        "max_seconds",
        type=float,
        metavar="S",
        default=0.0,
        help="Give a file up that takes longer to decode; 0, the default, never does.",
    )


def limits(args: argparse.Namespace) -> bitstream.Limits:
    """The limits that the arguments ask for."""
    values = {
        limit: getattr(args, flag) or None for limit, (flag, _) in _LIMITS.items()
    }
    return bitstream.Limits(seconds=args.max_seconds or None, **values)


def add_batch(parser: Parser) -> None:
    """Adds how a folder is worked through."""
    parser.add_flag(
        "workers",
        type=int,
        metavar="N",
        help="Files of a directory to work on at a time; default: the processor cores.",
    )


def run_files(
    args: argparse.Namespace,
    console: Console,
    work: batch.Work,
    tell: Callable[[dict[str, Any]], str],
    suffix: str,
    more_suffixes: Sequence[str] = (),
    images: bool = True,
) -> int:
    """Does a file, or those of a folder.

    Args:
        args: with INPUT, OUTPUT and workers.
        console: for the results.
        work: does one file.
        tell: a line about its record.
        suffix: of the files written to a folder.
        more_suffixes: of the files looked for in a folder, beside those of images.
        images: whether image files are looked for, too.
    """
    workers = batch.default_workers() if args.workers is None else args.workers
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, received {workers}")
    source, target = args.INPUT, args.OUTPUT
    batch.check_input(source)
    if not source.is_dir():
        batch.check_output(source, target)
        record = work(source, target)
        for note in record["notes"]:
            console.note(f"{source}: {note}")
        console.result(record, tell(record))
        return 0
    paths = batch.list_files(source, more_suffixes, images)
    pairs = batch.pair_files(paths, source, target, suffix)
    outcome = batch.run(pairs, work, workers)
    for record in outcome.records:
        for note in record["notes"]:
            console.note(f"{record['input']}: {note}")
    for failure in outcome.failures:
        console.failure(_named(failure))
    facts = {
        "files": outcome.records,
        "failed": [
            {"input": failure.path, **describe_error(failure.error)}
            for failure in outcome.failures
        ],
    }
    total = sum(record.get("bytes", 0) for record in outcome.records)
    summary = f"{target}: {len(outcome.records)} files"
    summary += f", {total:,} bytes" if total else ""
    summary += f"; {len(outcome.failures)} failed" if outcome.failures else ""
    lines = [tell(record) for record in outcome.records]
    console.result(facts, "\n".join([*lines, summary]))
    return 1 if outcome.failures else 0


def check_image_suffix(target: pathlib.Path, allowed: Sequence[str]) -> None:
    """Raises ValueError unless the file to write has one of the suffixes."""
    if target.suffix.lower() not in allowed:
        raise ValueError(
            f"`OUTPUT` must end in one of {', '.join(allowed)}, received `{target}`"
        )


def dotted(suffix: str) -> str:
    """A suffix with its dot, in lower case."""
    return "." + suffix.lower().lstrip(".")


def _named(failure: batch.Failure) -> str:
    """The message of a failure, with its file where it is not named yet."""
    text = explain(failure.error)[1]
    return text if str(failure.path) in text else f"`{failure.path}`: {text}"
