"""Classifiers that were trained as a whole, as folders that observers read.

    FOLDER/1/saved_model.pb    SavedModel with the signature `classify`
    FOLDER/card.json           its name, its classes, what it wants to see

| | name | type |
|---|---|---|
| input | `image` | float32 [B,side,side,3], RGB in 0..255 |
| output | `shares` | float32 [B,C], >= 0, rows sum to 1 |

The card has the keys `name`, `classes` (C names), `side` (pixels) and `crop` (of
`observer_preprocessing.prepare`). `recipes/train_classifier.py` writes such folders;
any TF Serving can host them.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfsemcomp import images
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.evaluation.observer_preprocessing import CROPS

if TYPE_CHECKING:
    import tensorflow as tf

SIGNATURE = "classify"
SYSTEM = "classifier"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Card:
    """What a folder tells of its classifier.

    Attributes:
        name: what tables call it.
        classes: their names in the order of their indexes.
        side: of the pictures it takes, pixels.
        crop: how pictures become squares, one of `observer_preprocessing.CROPS`.
    """

    name: str
    classes: tuple[str, ...]
    side: int
    crop: str = "centre"


def save(
    folder: str | os.PathLike[str],
    classify: "Callable[[tf.Tensor], tf.Tensor]",
    card: Card,
    further: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Writes a classifier.

    Args:
        folder: made when missing.
        classify: from float32 [B,side,side,3], RGB in 0..255, to shares [B,C].
        card: of it.
        further: entries of card.json beyond those of `Card`, in JSON types.

    Returns:
        The folder of the SavedModel.

    Raises:
        SemCompError: there is one already, or the files cannot be written.
    """
    import tensorflow as tf

    from tfsemcomp.serving import export, manifest

    shape = [None, card.side, card.side, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    def run(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"shares": tf.cast(classify(image), tf.float32)}

    path = export.export({SIGNATURE: run}, folder, _VERSION)
    content = {**dataclasses.asdict(card), "version": _VERSION, "system": SYSTEM}
    text = json.dumps({**content, **(further or {})}, indent=1, ensure_ascii=False)
    images.write_atomic(path.parent / manifest.CARD, f"{text}\n".encode())
    return path


def load(folder: str | os.PathLike[str]) -> tuple[Network, Card]:
    """Reads a classifier that `save` wrote.

    Args:
        folder: that `save` was given, or the one with saved_model.pb in it.

    Returns:
        The network, named as its card says, and the card.

    Raises:
        SemCompError: there is no model.
        ModelMismatchError: its card or its signature is none of a classifier.
    """
    from tfsemcomp.serving import manifest, runner

    info = manifest.find(_model_folder(pathlib.Path(folder)))
    card = _read_card(info.card, info.path)
    local = runner.shared(info)

    def run(pictures: np.ndarray) -> np.ndarray:
        found = local.call(SIGNATURE, image=pictures.astype(np.float32))
        return found["shares"]

    probe = run(np.zeros((1, card.side, card.side, 3), np.uint8))
    if probe.shape != (1, len(card.classes)):
        raise ModelMismatchError(
            f"{info.path}: gives {probe.shape[-1]} shares for the "
            f"{len(card.classes)} classes of its card; export it again."
        )
    return Network(card.name, card.side, len(card.classes), run), card


def _model_folder(folder: pathlib.Path) -> pathlib.Path:
    if (folder / "saved_model.pb").is_file():
        return folder
    versions = [
        path.parent
        for path in folder.glob("*/saved_model.pb")
        if path.parent.name.isdecimal()
    ]
    if not versions:
        raise SemCompError(
            f"{folder}: no classifier; make one with train_classifier.py, or name the "
            ".npz of fit_observer.py."
        )
    return max(versions, key=lambda path: int(path.name))


def _read_card(card: Mapping[str, Any], path: pathlib.Path) -> Card:
    name, classes = card.get("name"), card.get("classes")
    side, crop = card.get("side"), card.get("crop")
    fits = (
        isinstance(name, str)
        and _are_names(classes)
        and isinstance(side, int)
        and side > 0
        and crop in CROPS
    )
    if not fits:
        raise ModelMismatchError(
            f"{path.parent}: its card.json must have a `name`, `classes`, a `side` and "
            f"a `crop` of {', '.join(CROPS)}; is it a classifier?"
        )
    return Card(name, tuple(classes), side, crop)


def _are_names(classes: Sequence[Any] | None) -> bool:
    return (
        isinstance(classes, list)
        and bool(classes)
        and all(isinstance(name, str) for name in classes)
    )
