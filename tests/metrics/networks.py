"""Weights of networks for tests: random, of the right names and shapes."""

import functools
import pathlib
import tempfile

import numpy as np

# Kept until the process ends: making the files takes longer than most tests.
_FOLDER = tempfile.TemporaryDirectory()
# Above Keras's initial scale, or the signal dies away from layer to layer.
_SCALES = {"MobileNet": 4.0, "VGG16": 1.5}


@functools.cache
def weights_file(network: str) -> str:
    """The path of an npz with random weights of "MobileNet" or "VGG16" of Keras."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(5)
    whole = getattr(tf.keras.applications, network)(include_top=False, weights=None)
    weights = {
        f"{layer.name}/{weight.name.split('/')[-1][:-2]}": weight.numpy()
        * (_SCALES[network] if "kernel" in weight.name else 1.0)
        for layer in whole.layers
        for weight in layer.weights
    }
    path = pathlib.Path(_FOLDER.name) / f"{network}.npz"
    np.savez(path, **weights)
    return str(path)


def without(path: str, layers: tuple[str, ...], target: pathlib.Path) -> str:
    """Copies an npz less some layers' weights; returns the copy's path."""
    with np.load(path) as arrays:
        np.savez(
            target, **{k: arrays[k] for k in arrays if k.split("/")[0] not in layers}
        )
    return str(target)
