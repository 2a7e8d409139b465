"""`tfsemcomp truncate`: the first layers of a stream."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from tfsemcomp import api, bitstream, errors
from tfsemcomp.codecs import base
from tfsemcomp.commands import shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    shared.add_files(parser, "layered stream", "file to write")
    group = parser.add_argument_group("what to keep, one of")
    wishes = group.add_mutually_exclusive_group(required=True)
    shared.add_layers(parser, "How many layers to keep.", wishes)
    parser.add_flag(
        "target_bpp",
        group=wishes,
        type=float,
        help="As many layers as fit in so many bits a pixel.",
    )
    parser.add_flag(
        "target_bytes",
        group=wishes,
        type=int,
        help="As many layers as fit in so many bytes.",
    )
    shared.add_torn(parser)
    shared.add_limits(parser)
    shared.add_batch(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Cuts a stream or a folder of streams."""
    limits = shared.limits(args)
    base.Setting("layers", int, "", low=1).check(args.layers)
    base.Setting("target_bytes", int, "", low=1).check(args.target_bytes)
    base.Setting("target_bpp", float, "", low=0).check(args.target_bpp)

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        from tfsemcomp import images

        data = api.read_file(source)
        if not bitstream.is_container(data):
            raise errors.BitstreamError(
                f"`{source}` is no layered stream of tfsemcomp, so nothing can be cut "
                "off without re-encoding it"
            )
        torn = bool(args.allow_torn)
        size = args.target_bytes
        if args.target_bpp is not None:
            facts = bitstream.describe(data, limits=limits, allow_torn=torn)
            pixels = facts["width"] * facts["height"]
            size = max(1, int(args.target_bpp * pixels / 8))
        layers = bitstream.MAX_LAYERS if args.layers is None else args.layers
        cut = bitstream.truncate(
            data, layers, max_bytes=size, limits=limits, allow_torn=torn
        )
        facts = bitstream.describe(cut, limits=limits)
        images.write_atomic(target, cut)
        return {
            "input": source,
            "output": target,
            "codec": facts["codec"],
            "layers": facts["layers"],
            "bytes": len(cut),
            "bpp": facts["bpp"],
            "notes": (),
        }

    def tell(record: dict[str, Any]) -> str:
        return (
            f"{record['output']}: {record['layers']} layers, {record['bytes']:,} bytes"
        )

    return shared.run_files(
        args, console, work, tell, ".tfsc", (".tfsc",), images=False
    )
