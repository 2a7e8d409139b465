"""`tfsemcomp structure`, `pyramid`, `swap_texture`, `edit_structure`, `interpolate`.

What can be done to files of the codec `conceptual` without the photo they came from.
"""

from __future__ import annotations

import argparse
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import api, bitstream, errors
from tfsemcomp.codecs import base
from tfsemcomp.commands import batch, settings, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.cli import Parser
    from tfsemcomp.codecs.conceptual import ConceptualCodec

_INPUT = "file of conceptual"
_TEXTURE = "File of conceptual whose texture to take."
_GIF = ".gif"
_WHITE = 255


def add_structure(parser: Parser) -> None:
    """Tells what `structure` takes."""
    shared.add_files(parser, _INPUT, "image file to write, lines white")
    shared.add_torn(parser)
    shared.add_limits(parser)
    shared.add_batch(parser)


def run_structure(args: argparse.Namespace, console: Console) -> int:
    """Writes the lines that files hold as pictures."""
    from tfsemcomp import images

    limits = shared.limits(args)
    if not args.INPUT.is_dir():
        shared.check_image_suffix(args.OUTPUT, images.WRITABLE_SUFFIXES)

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        data = _read(source)
        if args.allow_torn:
            data = bitstream.truncate(data, limits=limits, allow_torn=True)
        lines = _codec().structure(data, limits=limits)
        images.write(target, (lines * _WHITE)[..., None].repeat(3, axis=-1))
        return {
            "input": source,
            "output": target,
            "width": lines.shape[1],
            "height": lines.shape[0],
            "density": float(lines.mean()),
            "notes": (),
        }

    def tell(record: dict[str, Any]) -> str:
        return (
            f"{record['output']}: {record['width']}x{record['height']}, lines on "
            f"{100 * record['density']:.1f} % of it"
        )

    return _run_files(args, console, work, tell, ".png")


def add_pyramid(parser: Parser) -> None:
    """Tells what `pyramid` takes."""
    parser.add_argument("INPUT", type=pathlib.Path, help=f"A {_INPUT}.")
    parser.add_argument(
        "OUTPUT", type=pathlib.Path, help="Directory for stage-0.png and so on."
    )
    settings.add_server(parser)
    shared.add_limits(parser)


def run_pyramid(args: argparse.Namespace, console: Console) -> int:
    """Writes the pictures that the generator goes through."""
    batch.check_input(args.INPUT)
    limits = shared.limits(args)
    stages = _codec(args.server).return_pyramid(_read(args.INPUT), limits=limits)
    paths = _write_all(args.OUTPUT, "stage", stages)
    sizes = [[stage.shape[1], stage.shape[0]] for stage in stages]
    facts = {"input": args.INPUT, "output": paths, "sizes": sizes}
    text = ", ".join(f"{width}x{height}" for width, height in sizes)
    console.result(facts, f"{args.OUTPUT}: {text}")
    return 0


def add_swap_texture(parser: Parser) -> None:
    """Tells what `swap_texture` takes."""
    _add_partner(parser, "TEXTURE", _TEXTURE)
    shared.add_limits(parser)
    shared.add_batch(parser)


def run_swap_texture(args: argparse.Namespace, console: Console) -> int:
    """Gives files the texture of another."""
    batch.check_input(args.TEXTURE)
    limits, texture = shared.limits(args), _read(args.TEXTURE)

    def edit(data: bytes) -> bytes:
        return _codec().swap_texture(data, texture, limits=limits)

    return _run_edit(args, console, edit)


def add_edit_structure(parser: Parser) -> None:
    """Tells what `edit_structure` takes."""
    _add_partner(
        parser,
        "STRUCTURE",
        "Image of the new lines, white, as `structure` writes it, of the same size.",
    )
    shared.add_limits(parser)
    shared.add_batch(parser)


def run_edit_structure(args: argparse.Namespace, console: Console) -> int:
    """Gives files other lines."""
    batch.check_input(args.STRUCTURE)
    limits = shared.limits(args)

    def edit(data: bytes) -> bytes:
        return _codec().edit_structure(data, args.STRUCTURE, limits=limits)

    return _run_edit(args, console, edit)


def add_interpolate(parser: Parser) -> None:
    """Tells what `interpolate` takes."""
    parser.add_argument(
        "INPUT", type=pathlib.Path, help=f"A {_INPUT}, its lines and first texture."
    )
    parser.add_argument("TEXTURE", type=pathlib.Path, help=_TEXTURE)
    parser.add_argument(
        "OUTPUT",
        type=pathlib.Path,
        help="File .gif to write, or a directory for frame-0.png and so on.",
    )
    parser.add_flag("frames", type=int, metavar="N", default=8, help="How many (8).")
    parser.add_flag(
        "mode",
        default="linear",
        help="How textures mix: linear, or slerp, along the arc (linear).",
    )
    parser.add_flag(
        "milliseconds",
        type=int,
        metavar="N",
        default=120,
        help="How long a frame of a .gif is shown (120).",
    )
    parser.add_switch(
        "streams", help="Write files frame-0.tfsc and so on to the directory, too."
    )
    settings.add_server(parser)
    shared.add_limits(parser)


def run_interpolate(args: argparse.Namespace, console: Console) -> int:
    """Paints the lines of a file with textures from its own to another's."""
    from tfsemcomp import images

    for path in (args.INPUT, args.TEXTURE):
        batch.check_input(path)
    suffix = args.OUTPUT.suffix.lower()
    is_gif = suffix == _GIF
    if not is_gif and suffix in (*images.KNOWN_SUFFIXES, *shared.STREAM_SUFFIXES):
        raise ValueError(
            f"`OUTPUT` must end in {_GIF} or be a directory, received `{args.OUTPUT}`"
        )
    if is_gif and args.streams:
        raise ValueError("`streams` needs a directory as `OUTPUT`, not a .gif")
    base.Setting("milliseconds", int, "", low=10, high=60000).check(args.milliseconds)
    if is_gif:
        batch.check_output(args.INPUT, args.OUTPUT)
    limits, codec = shared.limits(args), _codec(args.server)
    files = codec.interpolate(
        _read(args.INPUT),
        _read(args.TEXTURE),
        args.frames,
        mode=args.mode,
        limits=limits,
    )
    frames = [codec.decompress(data, limits=limits) for data in files]
    if is_gif:
        images.write_atomic(args.OUTPUT, _gif(frames, args.milliseconds))
        paths = [args.OUTPUT]
    else:
        paths = _write_all(args.OUTPUT, "frame", frames)
        for path, data in zip(paths, files if args.streams else (), strict=False):
            images.write_atomic(path.with_suffix(".tfsc"), data)
    facts = {"input": args.INPUT, "output": paths, "frames": len(frames)}
    console.result(facts, f"{args.OUTPUT}: {len(frames)} frames")
    return 0


def _codec(server: str | None = None) -> ConceptualCodec:
    return base.get_codec("conceptual", server=server)


def _read(path: pathlib.Path) -> bytes:
    data = api.read_file(path)
    if not bitstream.is_container(data):
        raise errors.BitstreamError(
            f"`{path}` is no stream of conceptual; make one by "
            "`tfsemcomp compress --codec=conceptual`"
        )
    return data


def _add_partner(parser: Parser, name: str, text: str) -> None:
    parser.add_argument(
        "INPUT",
        type=pathlib.Path,
        help=f"{_INPUT}, or a directory of such".capitalize(),
    )
    parser.add_argument(name, type=pathlib.Path, help=text)
    parser.add_argument(
        "OUTPUT", type=pathlib.Path, help="File to write, or a directory."
    )


def _run_edit(
    args: argparse.Namespace, console: Console, edit: Callable[[bytes], bytes]
) -> int:
    """Edits a stream or those of a folder."""
    from tfsemcomp import images

    def work(source: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
        data = edit(_read(source))
        images.write_atomic(target, data)
        facts = api.info(data)
        return {
            "input": source,
            "output": target,
            "layers": facts["layers"],
            "bytes": len(data),
            "bpp": facts["bpp"],
            "notes": (),
        }

    def tell(record: dict[str, Any]) -> str:
        return f"{record['output']}: {record['bytes']:,} bytes"

    return _run_files(args, console, work, tell, ".tfsc")


def _run_files(
    args: argparse.Namespace,
    console: Console,
    work: batch.Work,
    tell: Callable[[dict[str, Any]], str],
    suffix: str,
) -> int:
    return shared.run_files(args, console, work, tell, suffix, (".tfsc",), images=False)


def _write_all(
    folder: pathlib.Path, name: str, pictures: Sequence[np.ndarray]
) -> list[pathlib.Path]:
    """Writes pictures to a folder, numbered so that names sort."""
    from tfsemcomp import images

    batch.make_directory(folder)
    digits = len(str(len(pictures) - 1))
    paths = [folder / f"{name}-{i:0{digits}}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        images.write(path, picture)
    return paths


def _gif(frames: Sequence[np.ndarray], milliseconds: int) -> bytes:
    """An animation that goes there and back for ever."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in (*frames, *frames[-2:0:-1])]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
    )
    return buffer.getvalue()
