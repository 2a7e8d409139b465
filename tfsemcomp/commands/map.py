"""`tfsemcomp map`: the ROI map of an image, as a picture or as numbers."""

from __future__ import annotations

import argparse
import pathlib
import time
from typing import TYPE_CHECKING, Any

from tfsemcomp.commands import batch, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser

_MAP_SUFFIXES = (".png", ".npy")


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    shared.add_files(parser, "image file", "map to write, .png or .npy")
    parser.add_flag(
        "method",
        "map",
        help="Method, mask file, or a mixture such as 0.7*class_features+0.3*mask.png.",
    )
    parser.add_flag("model", help="Name or path of the model of a network method.")
    parser.add_flag(
        "overlay",
        type=pathlib.Path,
        help="Also write the map laid over the image, here; a directory for many.",
    )
    parser.add_flag(
        "bits", type=int, choices=(8, 16), default=8, help="Of a .png: 8 (default), 16."
    )
    parser.add_flag(
        "suffix", default=".png", help="Of maps written to a directory (.png)."
    )
    shared.add_limits(parser)
    shared.add_batch(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Draws the map of a file or of a folder of files."""
    from tfsemcomp import images

    limits = shared.limits(args)
    suffix = shared.dotted(args.suffix)
    batch.check_input(args.INPUT)
    is_batch = args.INPUT.is_dir()
    shared.check_image_suffix(
        pathlib.Path("map" + suffix) if is_batch else args.OUTPUT, _MAP_SUFFIXES
    )
    if args.overlay is not None:
        _check_overlay(args, is_batch)

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        from tfsemcomp.semantics import roi

        start = time.perf_counter()
        loaded = images.load(source, limits=limits)
        values = roi.resolve_map(args.method, loaded.pixels, args.model)
        record = {
            "input": source,
            "output": target,
            "width": values.shape[1],
            "height": values.shape[0],
            "mean": round(float(values.mean()), 4),
            "notes": loaded.notes,
        }
        roi.save_map(target, values, args.bits)
        if args.overlay is not None:
            record["overlay"] = args.overlay
            if is_batch:
                record["overlay"] = args.overlay / f"{target.stem}.png"
            images.write(record["overlay"], roi.overlay(loaded.pixels, values))
        record["seconds"] = round(time.perf_counter() - start, 3)
        return record

    def tell(record: dict[str, Any]) -> str:
        size = f"{record['width']}x{record['height']}"
        return f"{record['output']}: {size}, mean {record['mean']:.2f}"

    return shared.run_files(args, console, work, tell, suffix)


def _check_overlay(args: argparse.Namespace, is_batch: bool) -> None:
    """Finds out before the work what would keep overlays from being written."""
    from tfsemcomp import images

    overlay = args.overlay
    if overlay.resolve() == args.OUTPUT.resolve():
        raise ValueError(f"`overlay` and `OUTPUT` are the same, `{overlay}`")
    if not is_batch:
        shared.check_image_suffix(overlay, images.WRITABLE_SUFFIXES)
        batch.check_output(args.INPUT, overlay)
        return
    batch.make_directory(overlay)
    if overlay.samefile(args.INPUT):
        raise ValueError(f"`overlay` and `INPUT` are the same, `{overlay}`")
