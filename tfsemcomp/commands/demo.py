"""`tfsemcomp demo`: a page to try codecs with one's own photos."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    from tfsemcomp.demo import bounds as demo_bounds
    from tfsemcomp.demo import server

    bounds = demo_bounds.Bounds()
    parser.add_flag(
        "host",
        default=server.DEFAULT_HOST,
        help=f"Address to listen at ({server.DEFAULT_HOST}: this machine alone).",
    )
    parser.add_flag(
        "port",
        type=int,
        metavar="N",
        default=server.DEFAULT_PORT,
        help=f"Port ({server.DEFAULT_PORT}); 0 for any that is free.",
    )
    parser.add_flag(
        "max_pixels",
        type=int,
        metavar="N",
        default=bounds.limits.pixels,
        help=f"Refuse photos with more pixels ({bounds.limits.pixels}).",
    )
    parser.add_flag(
        "max_side",
        type=int,
        metavar="N",
        default=bounds.limits.side,
        help=f"Refuse photos with a longer side ({bounds.limits.side}).",
    )
    parser.add_flag(
        "work_pixels",
        type=int,
        metavar="N",
        default=bounds.work_pixels,
        help=f"Scale photos with more pixels down to so many ({bounds.work_pixels}).",
    )
    parser.add_flag(
        "max_upload",
        type=int,
        metavar="BYTES",
        default=bounds.upload_bytes,
        help=f"Refuse files with more bytes ({bounds.upload_bytes}).",
    )
    parser.add_flag(
        "seconds",
        type=float,
        default=bounds.seconds,
        help=f"That an answer may take ({bounds.seconds:g}).",
    )
    parser.add_flag(
        "workers",
        type=int,
        metavar="N",
        default=bounds.workers,
        help=f"Answers to make at a time ({bounds.workers}); others wait.",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Serves the page until Ctrl-C or SIGTERM."""
    from tfsemcomp import bitstream
    from tfsemcomp.demo import bounds as demo_bounds
    from tfsemcomp.demo import server

    bounds = demo_bounds.Bounds(
        limits=bitstream.Limits(
            pixels=args.max_pixels, side=args.max_side, seconds=args.seconds
        ),
        work_pixels=args.work_pixels,
        upload_bytes=args.max_upload,
        seconds=args.seconds,
        workers=args.workers,
    )
    if not server.is_local(args.host):
        console.note(
            f"others reach the page at {args.host}, without a password; leave --host "
            "out to keep it on this machine"
        )
    with _tidy_end(), server.serve(bounds, args.host, args.port) as running:
        console.result({"url": running.url}, f"{running.url} (Ctrl-C stops the server)")
        running.wait()
    return 0


@contextlib.contextmanager
def _tidy_end() -> Iterator[None]:
    """Makes the signal of service managers do what Ctrl-C does, so that files go."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
