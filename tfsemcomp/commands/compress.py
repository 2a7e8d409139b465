"""`tfsemcomp compress`: image files to the files of a codec."""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp.codecs import base
from tfsemcomp.commands import settings, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser
    from tfsemcomp.images import LoadedImage

_METADATA_NAMES = ("exif", "icc")


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes, the codecs' own settings among it."""
    shared.add_files(parser, "image file", "file to write")
    settings.add_encoding(parser)
    parser.add_switch(
        "keep_metadata", help="Keep the EXIF block and the colour profile."
    )
    shared.add_limits(parser)
    shared.add_batch(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Compresses a file or a folder of files."""
    codec, given = settings.encoding(args)
    kept = [s.name for s in codec.settings if s.name in _METADATA_NAMES]
    if args.keep_metadata and not kept:
        raise ValueError(f"`keep_metadata`: files of {codec.name} hold no metadata")
    limits = shared.limits(args)

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        from tfsemcomp import images

        start = time.perf_counter()
        loaded = images.load(source, limits=limits)
        metadata, notes = _metadata(loaded, kept if args.keep_metadata else [])
        encoded = codec.encode(loaded.pixels, limits=limits, **given, **metadata)
        images.write_atomic(target, encoded.data)
        return {
            "input": source,
            "output": target,
            **settings.rate_facts(codec, encoded, loaded.pixels),
            "seconds": round(time.perf_counter() - start, 3),
            "notes": (*loaded.notes, *notes),
        }

    def tell(record: dict[str, Any]) -> str:
        return f"{record['output']}: {settings.tell_rate(record)}"

    if args.INPUT.is_file():
        _check_suffix(args.OUTPUT, codec)
    return shared.run_files(args, console, work, tell, codec.suffix)


def _check_suffix(target: pathlib.Path, codec: base.Codec) -> None:
    """Raises ValueError if the name promises a format that the codec does not write."""
    from tfsemcomp import images

    own = (codec.suffix, *codec.other_suffixes)
    suffix = target.suffix.lower()
    if suffix in own or suffix not in (*images.KNOWN_SUFFIXES, *shared.STREAM_SUFFIXES):
        return
    classes = [base.codec_class(name) for name in base.codec_names()]
    others = [c.name for c in classes if suffix in (c.suffix, *c.other_suffixes)]
    hint = f", or add --codec={others[0]}" if others else ""
    raise ValueError(
        f"`OUTPUT` ends in {suffix}, but {codec.name} writes {codec.suffix} files; "
        f"name it {target.with_suffix(codec.suffix).name}{hint}"
    )


def _metadata(
    loaded: LoadedImage, kept: Sequence[str]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The blocks to keep, and a note if colours will look different without one."""
    found = {name: getattr(loaded, name) for name in kept}
    found = {name: block for name, block in found.items() if block is not None}
    profile = loaded.icc or b""
    # Profiles name themselves, in one of two encodings.
    is_srgb = any("sRGB".encode(code) in profile for code in ("ascii", "utf-16be"))
    if "icc" in found or not profile or is_srgb:
        return found, ()
    note = "its colour profile is not sRGB and was left out, so colours may change"
    return found, (note,)
