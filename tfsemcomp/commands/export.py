"""`tfsemcomp export`: models to where TF Serving hosts them, and its configuration."""

from __future__ import annotations

import argparse
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser
    from tfsemcomp.serving.manifest import ModelInfo

_BASE_PATH = "/models"


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_argument(
        "MODEL",
        nargs="*",
        help="Name of a model, folder that holds saved_model.pb, or folder of a "
        "training.",
    )
    parser.add_switch("all", help="All installed models.")
    parser.add_flag(
        "out",
        type=pathlib.Path,
        required=True,
        help="Folder to write to: OUT/NAME/VERSION, and OUT/models.config for all that "
        "is in it.",
    )
    parser.add_switch(
        "tflite",
        help="Write the networks of decoders for TensorFlow Lite instead: "
        "OUT/NAME/VERSION/SIGNATURE.tflite.",
    )
    parser.add_switch("overwrite", help="Replace versions that are there.")
    parser.add_flag(
        "base_path",
        default=_BASE_PATH,
        help=f"Where the server sees OUT, for models.config ({_BASE_PATH}).",
    )
    parser.add_flag("name", help="Of the model of a training; default: its folder's.")
    parser.add_flag("version", type=int, help="Of the model of a training; default: 1.")


def run(args: argparse.Namespace, console: Console) -> int:
    """Exports models."""
    from tfsemcomp.serving import hosting, manifest

    if bool(args.MODEL) == bool(args.all):
        raise ValueError("`MODEL` must be one or more models, or `--all`, not both")
    if args.version is not None and args.version < 1:
        raise ValueError(f"`version` must be at least 1, received {args.version}")
    with tempfile.TemporaryDirectory() as scratch:
        # All is found and checked before anything is written.
        if args.all:
            models = manifest.list_models()
        else:
            found = [_find(name, args, pathlib.Path(scratch)) for name in args.MODEL]
            models = list(dict.fromkeys(found))
        if args.tflite:
            return _run_lite(args, console, models)
        for model in models:
            target = args.out / model.name / str(model.version)
            hosting.check_free(target, bool(args.overwrite))
        paths = [hosting.copy(m, args.out, bool(args.overwrite)) for m in models]
    config, hosted = hosting.write_config(args.out, args.base_path)
    pairs = list(zip(models, paths, strict=True))
    facts = {
        "models": [_describe(model, path) for model, path in pairs],
        "config": config,
        "hosted": [f"{model.path.parent.name}/{model.version}" for model in hosted],
    }
    lines = [f"{path}: {model.name} version {model.version}" for model, path in pairs]
    lines.append(f"{config}: {len(hosted)} models")
    console.result(facts, "\n".join(lines))
    return 0


def _run_lite(
    args: argparse.Namespace, console: Console, models: list[ModelInfo]
) -> int:
    """Exports decoders; with `--all` those of the models that have any."""
    from tfsemcomp.serving import lite

    if args.all:
        models = [model for model in models if lite.decoders(model)]
    facts, lines = [], []
    for model in models:
        written, reasons = lite.export_decoders(model, args.out, bool(args.overwrite))
        facts.append({"name": model.name, "written": written, "left_out": reasons})
        lines += [f"{path}: {name} of {model.name}" for name, path in written.items()]
        lines += [f"not written: {reason}" for reason in reasons.values()]
    console.result({"models": facts}, "\n".join(lines))
    return 0


def _find(name: str, args: argparse.Namespace, scratch: pathlib.Path) -> ModelInfo:
    """The model of a name or a folder; that of a training is exported first."""
    from tfsemcomp.serving import manifest

    path = pathlib.Path(name)
    is_model = (path / "saved_model.pb").is_file()
    if is_model or not (path / "run.json").is_file():
        if args.name is not None or args.version is not None:
            given = "name" if args.name is not None else "version"
            raise ValueError(f"`{given}` is of trainings, `{name}` has its own")
        return manifest.find(name)
    from tfsemcomp.models import run_exports

    called = args.name or path.resolve().name
    if pathlib.Path(called).name != called:
        raise ValueError(f"`name` must be that of a folder, received {called!r}")
    run_exports.check_run(path)
    version = args.version or 1
    return manifest.find(run_exports.export_run(path, scratch / called, version))


def _describe(model: ModelInfo, path: pathlib.Path) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "codec": model.system,
        "fingerprint": model.fingerprint.hex(),
        "path": path,
    }
