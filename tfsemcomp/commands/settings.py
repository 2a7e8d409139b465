"""Codec, rate and the settings that codecs declare, as flags of the command."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import api
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.cli import Parser

_WISHES = ("quality", "target_bpp", "target_bytes")


def add_encoding(parser: Parser, without: Iterable[str] = ()) -> None:
    """Adds everything that says how one image is compressed.

    Args:
        parser: takes the flags.
        without: settings whose names are flags of the command's own.
    """
    parser.add_flag(
        "codec",
        default=None,
        help="Codec; `tfsemcomp codecs` lists them. Default: that of --model, else "
        f"{api.DEFAULT_CODEC}.",
    )
    parser.add_flag("model", help="Name or path of the codec's model.")
    add_server(parser)
    rates = parser.add_argument_group("rate or picture wanted, one of")
    rates.add_argument("--quality", type=float, help="Higher is bigger and better.")
    rates.add_argument(
        "--target_bpp", type=float, help="Bits a pixel of the whole file, at most."
    )
    rates.add_argument(
        "--target_bytes", type=int, help="Bytes of the whole file, at most."
    )
    others = parser.add_argument_group("settings of codecs")
    for name, codecs in declared(without=without).items():
        group = rates if codecs[0][1].target else others
        add_flag(parser, group, name, codecs)


def add_server(parser: Parser) -> None:
    """Adds where the networks of codecs run."""
    parser.add_flag(
        "server",
        metavar="ADDRESS",
        help="TF Serving that runs the codec's networks: host:8500 (gRPC), "
        "http://host:8501 (REST), with TLS grpcs:// or https://; docs/SERVING.md. "
        "Default: they run here.",
    )


def encoding(
    args: argparse.Namespace, without: Iterable[str] = ()
) -> tuple[base.Codec, dict[str, Any]]:
    """The codec and the keywords of `encode` that the arguments ask for.

    Args:
        args: as parsed.
        without: as of `add_encoding`.
    Raises:
        ValueError: an unknown codec, or a keyword that it does not take.
        UnavailableError: the codec cannot run here.
    """
    if args.model is None:
        name = args.codec or api.DEFAULT_CODEC
    else:
        name = args.codec or api.codec_for_model(args.model)
    codec = base.get_codec(name, **given(args, ("model", "server")))
    keywords = given(args, (*_WISHES, *declared(without=without)))
    codec.check_settings(**keywords)
    codec.check_available()
    return codec, keywords


def rate_facts(
    codec: base.Codec, encoded: base.Encoded, pixels: np.ndarray
) -> dict[str, Any]:
    """What was made of an image, for the result of a command.

    Args:
        codec: that made it.
        encoded: what it made.
        pixels: uint8 [H,W,3], of which.
    """
    height, width = pixels.shape[:2]
    size = len(encoded.data)
    return {
        "codec": codec.name,
        "model": codec.model,
        "quality": encoded.quality,
        "width": width,
        "height": height,
        "bytes": size,
        "bpp": 8 * size / (width * height),
    }


def tell_rate(facts: dict[str, Any]) -> str:
    """Bytes, bpp and quality of `rate_facts` in words."""
    quality = facts["quality"]
    return f"{facts['bytes']:,} bytes, {facts['bpp']:.3f} bpp" + (
        f", quality {quality:g}" if quality is not None else ""
    )


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the flags that were given."""
    values = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def declared(
    decoding: bool = False, without: Iterable[str] = ()
) -> dict[str, list[tuple[str, base.Setting]]]:
    """Codecs and settings by the setting's name; bytes cannot be typed.

    Args:
        decoding: for settings of decoding, in place of those of encoding.
        without: names to leave out.
    """
    flags: dict[str, list[tuple[str, base.Setting]]] = {}
    for codec in base.codec_names():
        found = base.codec_class(codec)
        for setting in found.decode_settings if decoding else found.settings:
            if setting.type is not bytes and setting.name not in without:
                flags.setdefault(setting.name, []).append((codec, setting))
    return flags


def add_flag(
    parser: Parser,
    group: Any,
    name: str,
    declared: Sequence[tuple[str, base.Setting]],
) -> None:
    """Adds the flag of a setting, with what each codec allows.

    Args:
        parser: takes the flag.
        group: of its help.
        name: of the setting.
        declared: the codecs that have it, with their settings.
    """
    kind = declared[0][1].type
    codecs: dict[tuple[str, str], list[str]] = {}
    for codec, setting in declared:
        codecs.setdefault((setting.help, _allowed(setting)), []).append(codec)
    # What a setting is called means something else to some codecs.
    texts: dict[str, str] = {}
    for (words, allowed), names in codecs.items():
        texts[words] = texts.get(words, words) + f" [{', '.join(names)}{allowed}]"
    text = " ".join(texts.values())
    if kind is bool:
        parser.add_switch(name, group=group, help=text)
        return
    kind = str if kind is object else kind
    parser.add_flag(name, group=group, type=kind, help=text)


def _allowed(setting: base.Setting) -> str:
    """The values of a setting and its default, in words."""
    if setting.type is bool:
        return f": default, --no{setting.name} turns it off" if setting.default else ""
    words = []
    if setting.choices:
        words.append(", ".join(map(str, setting.choices)))
    elif setting.low is not None and setting.high is not None:
        words.append(f"{setting.low:g} to {setting.high:g}")
    if setting.default is not None:
        words.append(f"default {setting.default}")
    return ": " + "; ".join(words) if words else ""
