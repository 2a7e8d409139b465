"""`tfsemcomp codecs`, `models` and `info`: what is here and what a file holds.

`models` also fetches models that are not here yet.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import api
from tfsemcomp.codecs import base
from tfsemcomp.commands import batch, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser
    from tfsemcomp.serving.manifest import ModelInfo


def add_info(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_argument("FILE", type=pathlib.Path, help="Compressed or image file.")
    shared.add_limits(parser)


def run_info(args: argparse.Namespace, console: Console) -> int:
    """Tells what a file holds."""
    facts = api.info(args.FILE, limits=shared.limits(args))
    pixels = facts["width"] * facts["height"]
    lines = [
        f"{args.FILE}: {facts['format']}, {facts['width']}x{facts['height']}, "
        f"{facts['bytes']:,} bytes, {facts['bpp']:.4f} bpp",
        f"codec: {facts['codec'] or 'none'}",
    ]
    if facts["fingerprint"] is not None:
        lines.append(f"model: {facts['model'] or 'unknown'} ({facts['fingerprint']})")
    if facts["format"] == "tfsemcomp":
        lines += [
            f"layer {layer}: {size:,} bytes, {8 * size / pixels:.4f} bpp: "
            + ", ".join(
                f"{chunk['type']} {chunk['bytes']:,}"
                for chunk in facts["chunks"]
                if chunk["layer"] == layer
            )
            for layer, size in enumerate(facts["layer_bytes"])
        ]
    console.result({"file": args.FILE, **facts}, "\n".join(lines))
    return 0


def add_nothing(_parser: Parser) -> None:
    """Nothing but the arguments that all commands take."""


def run_codecs(_args: argparse.Namespace, console: Console) -> int:
    """Lists the codecs."""
    codecs = api.list_codecs()
    rows = [("CODEC", "QUALITY", "DEFAULT", "FILE", "WHAT AND BY WHAT")]
    for codec in codecs:
        low, high = codec.quality_range
        state = "" if codec.available else f" NOT AVAILABLE: {codec.reason}"
        rows.append(
            (
                codec.name,
                f"{low:g}..{high:g}",
                f"{codec.default_quality:g}",
                codec.suffix,
                f"{codec.summary.rstrip('.')} ({codec.source}){state}",
            )
        )
    facts = [
        dataclasses.asdict(codec)
        | {"settings": [_describe_setting(setting) for setting in codec.settings]}
        for codec in codecs
    ]
    console.result({"codecs": facts}, _columns(rows))
    return 0


def _describe_setting(setting: base.Setting) -> dict[str, Any]:
    return dataclasses.asdict(setting) | {"type": setting.type.__name__}


def add_models(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_switch(
        "signatures", help="Tell what each model takes and gives, too; runs none."
    )
    parser.add_flag(
        "fetch",
        metavar="NAMES",
        help="Fetch these models, separated by commas, unless they are here already; "
        "they stay in TFSEMCOMP_CACHE, default ~/.cache/tfsemcomp.",
    )
    parser.add_flag(
        "url",
        help="Folder of models to fetch from, http or https: MANIFEST.json and what it "
        "names. Default: the environment variable TFSEMCOMP_MODELS_URL.",
    )


def run_models(args: argparse.Namespace, console: Console) -> int:
    """Lists the models, or those that are to be fetched."""
    if args.fetch is None:
        if args.url is not None:
            raise ValueError("`url` needs `fetch`, which names the models")
        models = api.list_models()
    else:
        models = _fetch(args.fetch, args.url)
    rows = [("MODEL", "VERSION", "CODEC", "PATH")]
    rows += [
        (
            model.name,
            str(model.version),
            model.system + (" (default)" if model.default else ""),
            str(model.path),
        )
        for model in models
    ]
    facts = [
        {
            "name": model.name,
            "version": model.version,
            "codec": model.system,
            "default": model.default,
            "path": model.path,
            "fingerprint": model.fingerprint.hex(),
            "card": model.card,
        }
        for model in models
    ]
    text = _columns(rows)
    if args.signatures:
        for model, fact in zip(models, facts, strict=True):
            fact["signatures"], told = _signatures(model)
            text += f"\n\n{model.name}\n{told}"
    console.result({"models": facts}, text)
    return 0


def _signatures(model: ModelInfo) -> tuple[dict[str, Any], str]:
    """A model's signatures for JSON, and in words."""
    from tfsemcomp.serving import signatures

    found = sorted(signatures.read(model.path).items())
    facts = {
        name: {
            side: {
                key: {"dtype": tensor.dtype, "shape": tensor.shape}
                for key, tensor in sorted(tensors.items())
            }
            for side, tensors in (
                ("inputs", signature.inputs),
                ("outputs", signature.outputs),
            )
        }
        for name, signature in found
    }
    lines = []
    for name, signature in found:
        lines.append(f"  {name}")
        for side, tensors in (
            ("takes", signature.inputs),
            ("gives", signature.outputs),
        ):
            lines += [f"    {side} {k}: {t}" for k, t in sorted(tensors.items())]
    return facts, "\n".join(lines)


def _fetch(names: str, url: str | None) -> list[ModelInfo]:
    from tfsemcomp.serving import fetching

    listed = [name.strip() for name in names.split(",") if name.strip()]
    if not listed:
        raise ValueError("`fetch` must name at least one model")
    progress = batch.Progress("B")
    try:
        return [fetching.fetch(name, url, on_bytes=progress.show) for name in listed]
    finally:
        progress.close()


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
