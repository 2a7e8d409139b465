"""What is where in a picture: the class of every pixel, by a trained network.

    labels = segmentation.segment(image)                    # uint8 [H,W]

A network is a SavedModel with the signature `segment`, as recipes/export_segmenter.py
makes them: image float32 [B,H,W,3] in [0, 255], H and W multiples of 32 -> labels
integers [B,H,W].
"""

import os

import numpy as np

from tfsemcomp import images
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.serving import manifest, runner

# The system that models of label maps belong to.
SYSTEM = "segmenter"
SIGNATURE = "segment"
MULTIPLE = 32


def segment(
    image: np.ndarray, model: str | os.PathLike | runner.Runner | None = None
) -> np.ndarray:
    """Finds the class of every pixel.

    Args:
        image: uint8 [H,W,3].
        model: a name, a path or a runner; None for the shipped one.
    Returns: uint8 [H,W], class indexes.
    Raises:
        ValueError: an image of another type.
        SemCompError: there is no such model.
        ModelMismatchError: it has no labels of the right shape.
    """
    images.check_pixels(image)
    named = model is None or isinstance(model, (str, os.PathLike))
    network = runner.shared(find_model(model)) if named else model
    height, width = image.shape[:2]
    padded = pad(image)
    labels = network.call(SIGNATURE, image=padded[None]).get("labels")
    if labels is None or labels.shape != (1, *padded.shape[:2]):
        raise ModelMismatchError(
            "`model` must give `labels` of the picture's size; export it again."
        )
    return labels[0, :height, :width].astype(np.uint8)


def find_model(model: str | os.PathLike | None = None) -> manifest.ModelInfo:
    """The segmenter with this name or path; None for the default one.

    Raises:
        SemCompError: there is none.
    """
    return manifest.choose(model, SYSTEM)


def pad(image: np.ndarray) -> np.ndarray:
    """float32 picture with its edge repeated to sides that networks divide.

    Args:
        image: uint8 [H,W,3].
    Returns: float32 [h,w,3], h and w the next multiples of 32.
    """
    height, width = image.shape[:2]
    missing = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
    return np.pad(image, missing, mode="edge").astype(np.float32)
