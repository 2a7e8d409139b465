"""Classifiers of the user's own folders: a frozen trunk and a linear head in an npz.

A head is a small file, made by `recipes/fit_observer.py`. It names its trunk and holds
none of its weights: those are downloaded by Keras, or stay in the user's own npz.

| array | content |
|---|---|
| kernel | float32 [D,C] |
| bias | float32 [C] |
| classes | C class names |
| trunk | a network of ``tf.keras.applications``, or the path of an npz |
| trunk_name | name of that trunk, which tells files of weights apart |
| crop | "centre" or "squash" |
| format | "tfsemcomp-head 1" |
"""

import dataclasses
import io
import os
import pathlib
import zipfile
from collections.abc import Iterable

import numpy as np

from tfsemcomp import images
from tfsemcomp.errors import BitstreamError, ModelMismatchError, SemCompError
from tfsemcomp.evaluation import observer_networks
from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_networks import Network, in_batches

_FORMAT = "tfsemcomp-head 1"
# The size that the ImageNet weights of the networks in npz files were trained on.
_NPZ_SIDE = 224
_BATCH = 32
_TEXTS = ("trunk", "trunk_name", "crop")
# Whatever reading an npz that is none, or one with other arrays, may raise.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    AttributeError,
    zipfile.BadZipFile,
)


@dataclasses.dataclass(frozen=True)
class Head:
    """A linear classifier of a trunk's features; fields as in this module's table."""

    kernel: np.ndarray
    bias: np.ndarray
    classes: tuple[str, ...]
    trunk: str
    trunk_name: str
    crop: str = "centre"

    def shares(self, features: np.ndarray) -> np.ndarray:
        """Class shares, the softmax of the linear scores.

        Args:
            features: float32 [B,D].

        Returns:
            float32 [B,C].
        """
        scores = features @ self.kernel + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def load_trunk(name_or_path: str) -> Network:
    """Loads a network without its classifier.

    Args:
        name_or_path: a network of ``tf.keras.applications``, such as "mobilenet", or
            the path of an npz that `metrics.backbones.load` takes.

    Returns:
        The trunk, whose features are the last layer's means over positions.

    Raises:
        UnavailableError: Keras cannot download the weights.
        SemCompError: there is neither such a network nor such a file.
        BitstreamError: the file is no npz of weights.
    """
    from tfsemcomp.metrics import backbones

    key = preprocessing.find_network(name_or_path)
    if key is not None:
        network = observer_networks.keras_application(key, top=False)
        return dataclasses.replace(network, name=_trunk_name(name_or_path))
    if not os.path.isfile(name_or_path):
        raise SemCompError(
            f"the trunk {name_or_path} is not there: give the path of an npz, or a "
            "network of tf.keras.applications, such as mobilenet."
        )
    backbone = backbones.load(name_or_path)
    probe = backbone.embed(np.zeros((1, _NPZ_SIDE, _NPZ_SIDE, 3), np.uint8))
    return Network(backbone.name, _NPZ_SIDE, probe.shape[1], backbone.embed)


def embed(
    trunk: Network,
    pictures: Iterable[np.ndarray],
    crop: str = "centre",
    mirrored: bool = False,
) -> np.ndarray:
    """Features of pictures.

    Args:
        trunk: of `load_trunk`.
        pictures: uint8 [H,W,3] each, streamed.
        crop: of `observer_preprocessing.prepare`.
        mirrored: of the pictures as a mirror shows them.

    Returns:
        float32 [N,D].
    """
    step = -1 if mirrored else 1
    ready = (preprocessing.prepare(p, trunk.side, crop)[:, ::step] for p in pictures)
    return np.concatenate([trunk.run(np.stack(b)) for b in in_batches(ready, _BATCH)])


def save(path: str | os.PathLike[str], head: Head) -> None:
    """Writes a head, all of it or nothing.

    Raises:
        SemCompError: the file cannot be written.
    """
    content = io.BytesIO()
    fields = {**dataclasses.asdict(head), "format": _FORMAT}
    np.savez_compressed(content, **{k: np.asarray(v) for k, v in fields.items()})
    images.write_atomic(path, content.getvalue())


def read(path: str | os.PathLike[str]) -> Head:
    """Reads a head.

    Raises:
        SemCompError: the file is missing or cannot be read.
        BitstreamError: it is no head, or one whose arrays do not fit each other.
    """
    if not os.path.isfile(path):
        raise SemCompError(f"{path}: no such head; make it with fit_observer.py.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            fields = {name: arrays[name] for name in arrays.files}
            kind = str(fields.pop("format"))
        texts = {
            name: str(fields.pop(name)) for name in ("trunk", "trunk_name", "crop")
        }
        classes = tuple(map(str, fields.pop("classes")))
        head = Head(**fields, **texts, classes=classes)
    except _DAMAGE as error:
        raise BitstreamError(f"{path}: is no whole head: {error}.") from error
    count = len(head.classes)
    fits = head.kernel.ndim == 2 and head.kernel.shape[1:] == (count,)
    if kind != _FORMAT or not fits or head.bias.shape != (count,):
        raise BitstreamError(
            f"{path}: must be a `{_FORMAT}` with a kernel [D,{count}] and a bias "
            f"[{count}] for its {count} classes; fit it again."
        )
    return head


def classifier(
    path: str | os.PathLike[str], trunk: str | None = None
) -> tuple[Network, Head]:
    """The network of a head and its trunk.

    Args:
        path: of the head.
        trunk: where its trunk's weights are, if not where they were at its fitting.

    Returns:
        The network, named after the file and the trunk, and the head.

    Raises:
        ModelMismatchError: the trunk is another one than the head was fitted on.
        Others as `read` and `load_trunk`.
    """
    head = read(path)
    found = load_trunk(trunk or head.trunk)
    if found.name != head.trunk_name or found.width != len(head.kernel):
        raise ModelMismatchError(
            f"{path}: was fitted on {head.trunk_name}, not on {found.name}; name that "
            "trunk after a second colon, or fit it again."
        )
    name = f"{pathlib.PurePath(path).stem}-{head.trunk_name}"

    def run(pictures: np.ndarray) -> np.ndarray:
        return head.shares(found.run(pictures))

    return Network(name, found.side, len(head.classes), run), head


def _trunk_name(network: str) -> str:
    return f"{preprocessing.find_network(network)}-imagenet"
