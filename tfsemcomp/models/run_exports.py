"""Exports of trainings that need nothing but their run folder."""

import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from tfsemcomp.errors import SemCompError
from tfsemcomp.serving import manifest

_RECORD = "run.json"
# Trainings that need more than their folder: data, other runs, or files beside.
_RECIPES = {
    "captioner": "export_layered.py",
    "conceptual": "export_conceptual.py",
    "damsm": "export_layered.py",
    "layered": "export_layered.py",
    "msroi_cnn": "export_msroi.py",
    "recurrent_autoencoder": "export_rnn.py",
    "semantic_enhancer": "export_semantic_enhancer.py",
    "structure_generator": "export_layered.py",
    "text_to_image": "export_layered.py",
}


def is_run(folder: str | os.PathLike) -> bool:
    """Whether a folder is that of a training."""
    return (pathlib.Path(folder) / _RECORD).is_file()


def export_run(
    folder: str | os.PathLike, target: pathlib.Path, version: int = 1
) -> pathlib.Path:
    """Exports the trained model of a run, and writes its card.

    Args:
        folder: of the run.
        target: of the model, which is called as this folder is.
        version: number of the version folder.
    Returns: the version folder.
    Raises: SemCompError naming the recipe if the folder alone is not enough; as
        `serving.export.export`.
    """
    kind = _kind_of(pathlib.Path(folder))
    system, path, facts = _EXPORTS[kind](str(folder), target, version)
    card = {"name": target.name, "version": version, "system": system, **facts}
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    (target / manifest.CARD).write_text(text, encoding="utf-8")
    return path


def check_run(folder: str | os.PathLike) -> None:
    """Raises SemCompError unless `export_run` can export a folder."""
    _kind_of(pathlib.Path(folder))


def _kind_of(folder: pathlib.Path) -> str:
    path = folder / _RECORD
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["network"]["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SemCompError(f"{path}: tells no network; let the training end") from error
    # Keras numbers the networks of a process.
    kind = re.sub(r"_\d+$", "", name)
    if kind in _EXPORTS:
        return kind
    if kind in _RECIPES:
        raise SemCompError(
            f"{folder}: a run of `{kind}` needs more than its folder: export it with "
            f"recipes/{_RECIPES[kind]}, then name the model's folder"
        )
    raise SemCompError(
        f"{folder}: no exporter for a run of `{name}`; there are those of "
        f"{', '.join(sorted(_EXPORTS))}, and recipes/export_*.py"
    )


_Exported = tuple[str, pathlib.Path, dict[str, Any]]


def _hyperprior(folder: str, target: pathlib.Path, version: int) -> _Exported:
    from tfsemcomp.models import hyperprior, hyperprior_module

    model = hyperprior.load_run(folder)
    path = hyperprior_module.export_model(model, target, version)
    return "hyperprior", path, {"latents": hyperprior_module.latents(model)}


def _edge_detector(folder: str, target: pathlib.Path, version: int) -> _Exported:
    from tfsemcomp.models import edge_detector
    from tfsemcomp.semantics import edges
    from tfsemcomp.serving import export

    signatures = edge_detector.signatures(edge_detector.load_run(folder))
    return edges.SYSTEM, export.export(signatures, target, version), {}


def _segmenter(folder: str, target: pathlib.Path, version: int) -> _Exported:
    from tfsemcomp.models import segmenter
    from tfsemcomp.semantics import segmentation
    from tfsemcomp.serving import export

    model = segmenter.load_run(folder)
    path = export.export(segmenter.signatures(model), target, version)
    classes = {"number": model.classes, "ignored": model.ignored}
    return segmentation.SYSTEM, path, {"classes": classes}


_EXPORTS: dict[str, Callable[[str, pathlib.Path, int], _Exported]] = {
    "edge_detector": _edge_detector,
    "hyperprior": _hyperprior,
    "segmenter": _segmenter,
}
