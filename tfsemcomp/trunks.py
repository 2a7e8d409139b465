"""Frozen ImageNet networks, as features: for teachers, metrics and observers.

Their weights are the user's: downloaded by Keras, or read from an npz with one array a
weight, named `<layer>/<weight>` as in ``tf.keras.applications``. Nothing of them is
ever exported. This module imports TensorFlow only when it builds a network.
"""

import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tfsemcomp.errors import BitstreamError, SemCompError, UnavailableError

if TYPE_CHECKING:
    import tensorflow as tf

IMAGENET = "imagenet"
# An array of its first layer tells which network a file belongs to.
FIRST_WEIGHTS = {"mobilenet": "conv1/kernel", "vgg16": "block1_conv1/kernel"}

# What numpy and zipfile raise for bytes that are no whole npz.
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def build(network: str, weights: str, layers: Sequence[str]) -> "tf.keras.Model":
    """Builds a network up to some of its layers, frozen.

    Args:
        network: "mobilenet" (v1, width 1) or "vgg16".
        weights: "imagenet", which Keras downloads, or the path of an npz; it may lack
            what lies beyond `layers`.
        layers: names of the layers whose outputs are wanted, at least one.

    Returns:
        A model from float [B,H,W,3], as `preprocess` gives it, to a list of the
        layers' outputs, [B,h,w,C] each.

    Raises:
        UnavailableError: Keras cannot download the weights.
        SemCompError: there is no such file.
        BitstreamError: the file is no npz, or a weight is missing or misshapen.
    """
    import tensorflow as tf

    builder = {
        "mobilenet": tf.keras.applications.MobileNet,
        "vgg16": tf.keras.applications.VGG16,
    }[network]
    options = {"include_top": False, "input_shape": (None, None, 3)}
    if weights == IMAGENET:
        try:
            whole = builder(weights=IMAGENET, **options)
        except Exception as error:  # Keras raises a plain Exception
            raise UnavailableError(
                f"cannot get the ImageNet weights of {network}: {error}. Give the path "
                "of an npz with its weights instead."
            ) from error
    else:
        whole = builder(weights=None, **options)
    outputs = [whole.get_layer(name).output for name in layers]
    trunk = tf.keras.Model(whole.input, outputs)
    if weights != IMAGENET:
        load_npz(trunk, weights)
    trunk.trainable = False
    return trunk


def preprocess(network: str, images: "tf.Tensor") -> "tf.Tensor":
    """Scales pictures as a network of `build` was trained on them.

    Args:
        network: "mobilenet" or "vgg16".
        images: [B,H,W,3] RGB in [0, 255], integers or floating point.

    Returns:
        float32 [B,H,W,3]: for MobileNet in [-1, 1], for VGG16 BGR less its means.
    """
    import tensorflow as tf

    images = tf.cast(images, tf.float32)
    if network == "mobilenet":
        return images / 127.5 - 1.0
    return tf.keras.applications.vgg16.preprocess_input(images)


def detect(path: str | os.PathLike[str]) -> str:
    """Tells which network the weights in an npz belong to.

    Args:
        path: of the npz.

    Returns:
        "mobilenet" or "vgg16".

    Raises:
        OSError: the file cannot be read.
        BitstreamError: it is no npz, or one of another network.
    """
    path = os.fspath(path)
    with open(path, "rb") as file, _read_npz(file, path) as arrays:
        for network, key in FIRST_WEIGHTS.items():
            if key in arrays:
                return network
    raise BitstreamError(
        f"{path}: holds none of the arrays {', '.join(FIRST_WEIGHTS.values())}, so it "
        f"is no file of weights of {' or '.join(FIRST_WEIGHTS)}."
    )


def _read_npz(file: BinaryIO, path: str) -> np.lib.npyio.NpzFile:
    try:
        arrays = np.load(file, allow_pickle=False)
    except _DAMAGE as error:
        raise BitstreamError(f"{path}: is no whole npz: {error}.") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise BitstreamError(f"{path}: is no npz but a single array.")
    return arrays


def _read_array(arrays: np.lib.npyio.NpzFile, key: str, path: str) -> np.ndarray | None:
    if key not in arrays:
        return None
    try:
        return arrays[key]
    except _DAMAGE as error:
        raise BitstreamError(f"{path}: array `{key}` is damaged: {error}.") from error


def load_npz(
    network: "tf.keras.Model", path: str, may_lack_layers: bool = False
) -> list[str]:
    """Takes the weights of a network from an npz.

    Args:
        network: whose layers are named as in ``tf.keras.applications``.
        path: of the npz.
        may_lack_layers: layers of which the file holds nothing keep their weights.

    Returns:
        Names of those layers.

    Raises:
        SemCompError: there is no such file.
        BitstreamError: the file is no npz, or a weight is missing or misshapen.
    """
    import tensorflow as tf

    if not tf.io.gfile.exists(path):
        raise SemCompError(f"{path}: no such file of network weights.")
    lacking = []
    with tf.io.gfile.GFile(path, "rb") as file, _read_npz(file, path) as arrays:
        for layer in network.layers:
            weights = {
                f"{layer.name}/{weight.name.rsplit('/', 1)[-1].split(':')[0]}": weight
                for weight in layer.weights
            }
            if (
                may_lack_layers
                and weights
                and not any(key in arrays for key in weights)
            ):
                lacking.append(layer.name)
                continue
            for key, weight in weights.items():
                array = _read_array(arrays, key, path)
                if array is None or array.shape != tuple(weight.shape):
                    raise BitstreamError(
                        f"{path}: needs an array `{key}` of shape {weight.shape}."
                    )
                weight.assign(array)
    return lacking
