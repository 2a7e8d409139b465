"""Networks whose features metrics compare, each named in every result.

A backbone is frozen and its weights are the user's: Keras downloads them, or a file
gives them (trunks.py). Values from two backbones, or from two files, do not compare,
so the name of a backbone tells them apart.
"""

import dataclasses
import functools
import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

from tfsemcomp import trunks
from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import inputs

if TYPE_CHECKING:
    import tensorflow as tf

# The last ReLU at each resolution. Of VGG16 LPIPS and DISTS take these too. MobileNet
# ends before `conv_pw_13`, which files of weights need not hold.
STAGES = {
    "mobilenet": (
        "conv_pw_1_relu",
        "conv_pw_3_relu",
        "conv_pw_5_relu",
        "conv_pw_11_relu",
        "conv_pw_12_relu",
    ),
    "vgg16": (
        "block1_conv2",
        "block2_conv2",
        "block3_conv3",
        "block4_conv3",
        "block5_conv3",
    ),
}
# Pictures that `embed` runs at once.
_BATCH = 16
# The shortest side that leaves a position at the last stage.
SHORTEST_SIDE = 32


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A frozen network.

    Attributes:
        name: what tables call it, such as "mobilenet-imagenet", or "mobilenet-" and
            the first 8 hexadecimal digits of the SHA-256 of the file of its weights.
        stages: the layers whose outputs `features` gives, finest first.
    """

    name: str
    stages: tuple[str, ...]
    _network: str
    _trunk: "tf.keras.Model" = dataclasses.field(repr=False)

    def features(self, images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Runs the network up to each of its stages.

        A side below 32 px is mirrored until it has 32; nothing else is resized.

        Args:
            images: uint8 [B,H,W,3], RGB, B, H and W >= 1.

        Returns:
            For each stage float32 [B,h,w,C], >= 0. A stage's values at one position
            depend on pixels around it, also across the edge, where zeros are assumed.

        Raises:
            ValueError: pictures of another type or shape.
        """
        inputs.check_pictures(images, "images")
        height, width = (max(side, SHORTEST_SIDE) for side in images.shape[1:3])
        whole = np.stack([inputs.extend(image, height, width) for image in images])
        scaled = trunks.preprocess(self._network, whole)
        return tuple(stage.numpy() for stage in self._trunk(scaled, training=False))

    def embed(self, images: np.ndarray) -> np.ndarray:
        """The last stage's mean over positions.

        Args:
            images: uint8 [B,H,W,3], RGB.

        Returns:
            float32 [B,D], >= 0; D is 1024 for MobileNet, 512 for VGG16.

        Raises:
            ValueError: pictures of another type or shape.
        """
        inputs.check_pictures(images, "images")
        batches = (
            self.features(images[start : start + _BATCH])[-1].mean(axis=(1, 2))
            for start in range(0, len(images), _BATCH)
        )
        return np.concatenate(list(batches))


def load(name_or_path: str | os.PathLike[str]) -> Backbone:
    """Loads a backbone; the last few stay in memory.

    Args:
        name_or_path: "mobilenet" or "vgg16" (also with "-imagenet", as tables write
            it), whose ImageNet weights Keras downloads once; or the path of an npz
            with the weights of either, one array a weight, named `<layer>/<weight>`
            as in ``tf.keras.applications``. It may lack what lies beyond the stages.

    Returns:
        The backbone.

    Raises:
        UnavailableError: Keras cannot download the weights.
        SemCompError: there is neither a backbone nor a file of this name.
        BitstreamError: the file is no npz, or one without the weights needed.
    """
    network, weights, name = _identify(name_or_path)
    return _build(network, weights, name)


def resolve_name(name_or_path: str | os.PathLike[str]) -> str:
    """The name of the backbone that `load` would give, without loading it.

    Args and errors as `load`, but for the download and single weights.
    """
    return _identify(name_or_path)[2]


def _identify(name_or_path: str | os.PathLike[str]) -> tuple[str, str, str]:
    """Network, source of its weights, and name."""
    text = os.fspath(name_or_path)
    network = text.removesuffix(f"-{trunks.IMAGENET}")
    if network in STAGES:
        return network, trunks.IMAGENET, f"{network}-{trunks.IMAGENET}"
    if not os.path.isfile(text):
        raise SemCompError(
            f"{text!r} is neither a backbone ({', '.join(STAGES)}) nor a file: name "
            "one, or give the path of an npz with its weights."
        )
    try:
        network = trunks.detect(text)
        status = os.stat(text)
        digest = _digest(text, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise SemCompError(f"cannot read the weights in {text}: {error}.") from error
    return network, text, f"{network}-{digest[:8]}"


@functools.lru_cache(maxsize=16)
def _digest(path: str, _mtime_ns: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@functools.lru_cache(maxsize=2)
def _build(network: str, weights: str, name: str) -> Backbone:
    trunk = trunks.build(network, weights, STAGES[network])
    return Backbone(name, STAGES[network], network, trunk)
