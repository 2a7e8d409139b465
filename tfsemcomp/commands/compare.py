"""`tfsemcomp compare`: photos as content-aware and as plain JPEGs of the same bytes."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
from typing import TYPE_CHECKING

from tfsemcomp.commands import batch, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_flag(
        "images",
        type=pathlib.Path,
        help="Directory of images, or one. Default: three photos of the package.",
    )
    parser.add_flag(
        "out", required=True, type=pathlib.Path, help="Directory for page and files."
    )
    parser.add_flag(
        "qualities",
        default="30,50,75",
        help="Of the plain JPEGs, separated by commas (30,50,75).",
    )
    parser.add_flag("map", help="Method or mask; default: the shipped model.")
    shared.add_limits(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Compresses photos both ways and writes the page."""
    limits = shared.limits(args)
    qualities = parse_qualities(args.qualities)
    from tfsemcomp.evaluation import comparison

    with contextlib.closing(batch.Progress("photo")) as progress:
        path = comparison.compare(
            args.out,
            args.images,
            qualities,
            roi_map=args.map,
            limits=limits,
            on_picture=progress.show,
        )
    console.result({"report": path}, str(path))
    return 0


def parse_qualities(text: str) -> list[int]:
    """Whole numbers from text that separates them by commas.

    Raises: ValueError if there are none, or one is none.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"`qualities` must be whole numbers, separated by commas, received {text!r}"
        )
    return [int(part) for part in parts]
