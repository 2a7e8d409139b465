"""`tfsemcomp decompress`: any file of a codec, any image file, to image files."""

from __future__ import annotations

import argparse
import pathlib
import time
from typing import TYPE_CHECKING, Any

from tfsemcomp import api
from tfsemcomp.codecs import base
from tfsemcomp.commands import batch, settings, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    shared.add_files(parser, "compressed file or image file", "image file to write")
    shared.add_layers(parser, "Decode the first K layers only.")
    shared.add_torn(parser)
    parser.add_switch(
        "keep_metadata", help="Keep EXIF block and colour profile of image files."
    )
    parser.add_flag(
        "suffix", default=".png", help="Of files written to a directory (.png)."
    )
    settings.add_server(parser)
    group = parser.add_argument_group("settings of codecs")
    for name, codecs in settings.declared(decoding=True).items():
        settings.add_flag(parser, group, name, codecs)
    shared.add_limits(parser)
    shared.add_batch(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Decodes a file or a folder of files."""
    from tfsemcomp import images, inspection

    limits = shared.limits(args)
    suffix = shared.dotted(args.suffix)
    batch.check_input(args.INPUT)
    shared.check_image_suffix(
        pathlib.Path("image" + suffix) if args.INPUT.is_dir() else args.OUTPUT,
        images.WRITABLE_SUFFIXES,
    )
    if args.layers is not None:
        base.Setting("layers", int, "", low=1).check(args.layers)
    given = settings.given(args, ("server", *settings.declared(decoding=True)))

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        start = time.perf_counter()
        data = api.read_file(source)
        notes, metadata = (), {}
        if inspection.format_of(data) in ("tfsemcomp", "BPG"):
            pixels = api.decompress(
                data,
                layers=args.layers,
                limits=limits,
                allow_torn=bool(args.allow_torn),
                **given,
            )
        else:
            base.check_one_layer("an image file", args.layers)
            base.check_no_settings("an image file", given)
            loaded = images.load_bytes(data, name=str(source), limits=limits)
            pixels, notes = loaded.pixels, loaded.notes
            if args.keep_metadata:
                metadata = {"exif": loaded.exif, "icc": loaded.icc}
        images.write(target, pixels, **metadata)
        return {
            "input": source,
            "output": target,
            "codec": inspection.codec_of(data),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "bytes": target.stat().st_size,
            "seconds": round(time.perf_counter() - start, 3),
            "notes": notes,
        }

    def tell(record: dict[str, Any]) -> str:
        return f"{record['output']}: {record['width']}x{record['height']}"

    return shared.run_files(
        args, console, work, tell, suffix, more_suffixes=shared.STREAM_SUFFIXES
    )
