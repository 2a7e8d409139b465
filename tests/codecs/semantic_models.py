"""A folder of tiny models for tests of `semantic_enhanced`: rules, no weights.

`synthesize` adds to the base picture what `added` says: everything that it is given
shows in the picture. The segmenter tells how bright a pixel's red is, in three classes.
"""

import pathlib

import numpy as np
import tensorflow as tf

from tests.codecs.learned_codecs import made_once
from tests.harness import smooth_image
from tfsemcomp.entropy import context_mixing
from tfsemcomp.semantics import segmentation
from tfsemcomp.serving import export, manifest

CLASSES = 3
BASES = ("jpeg", "webp", "other")
MULTIPLE = 16
DEFAULT = "enhancer"
SEGMENTER = "thresholds"
# Name -> whether it has a dial, looks at borders, and has a primed coder of labels.
MODELS = {DEFAULT: (True, True, True), "plain": (False, False, False)}


def labels_of(image: np.ndarray) -> np.ndarray:
    """What the segmenter finds in uint8 [H,W,3]."""
    return np.digitize(image[..., 0], (85, 170)).astype(np.uint8)


def added(labels, boundaries, codec: int, rate: float, perception: float):
    """What a model with a dial adds to a picture.

    Args:
        labels: [H,W], `CLASSES` where there is none.
        boundaries: [H,W] of 0 and 1.
        codec, rate, perception: numbers.
    Returns: float [H,W].
    """
    number = 2 * labels + 3 * boundaries + codec
    return number + 8 * (rate < 1) + 4 * perception


def write(root: pathlib.Path) -> None:
    """Exports all models, with card and manifest."""
    for name, (dial, boundaries, primed) in MODELS.items():
        extras = {context_mixing.FILE_NAME: _write_primed} if primed else {}
        export.export({"synthesize": _synthesize(dial)}, root / name, extras=extras)
        card = {
            "name": name,
            "version": 1,
            "system": "semantic_enhanced",
            "enhancer": {
                "classes": CLASSES,
                "ignored": None,
                "bases": BASES,
                "multiple": MULTIPLE,
                "boundaries": boundaries,
                "dial": dial,
            },
        }
        manifest.add(root, card, default=name == DEFAULT)
    export.export({segmentation.SIGNATURE: _segment()}, root / SEGMENTER)
    card = {
        "name": SEGMENTER,
        "version": 1,
        "system": segmentation.SYSTEM,
        "classes": {"number": CLASSES, "ignored": None},
        # Comparisons alone: there is nothing to round.
        "exact": True,
    }
    manifest.add(root, card, default=True)


folder = made_once(write)


def _write_primed(path: pathlib.Path) -> None:
    planes = [labels_of(smooth_image(96, 96, seed)) for seed in range(3)]
    context_mixing.save(path, context_mixing.prime(planes, CLASSES))


def _synthesize(dial: bool):
    numbers = tf.TensorSpec([None], tf.float32)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float32, "base"),
            tf.TensorSpec([None, None, None], tf.int32, "labels"),
            tf.TensorSpec([None, None, None, 1], tf.float32, "boundaries"),
            tf.TensorSpec([None], tf.int32, "codec"),
            tf.TensorSpec.from_spec(numbers, "rate"),
            tf.TensorSpec.from_spec(numbers, "perception"),
        ]
    )
    def synthesize(base, labels, boundaries, codec, rate, perception):
        tf.debugging.assert_equal(tf.shape(base)[1:3] % MULTIPLE, 0)
        picture = 2 * tf.cast(labels[..., None], tf.float32) + 3 * boundaries
        number = tf.cast(codec, tf.float32) + 8 * tf.cast(rate < 1, tf.float32)
        number += 4 * perception if dial else 0 * perception
        return {"images": base + picture + number[:, None, None, None]}

    return synthesize


def _segment():
    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, "image")]
    )
    def segment(image):
        red = tf.cast(image[..., 0], tf.float32)
        return {"labels": tf.cast(red >= 85, tf.int32) + tf.cast(red >= 170, tf.int32)}

    return segment
