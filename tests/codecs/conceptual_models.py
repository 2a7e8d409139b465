"""A folder of tiny models for tests of the codec `conceptual`: rules, no networks.

z holds the mean colour of each 128x128 pixels (or of the picture), in eighths of a grey
level scale, about 0. The picture has that colour, and `DARK` levels less on lines.
"""

import pathlib

import numpy as np
import tensorflow as tf

from tests.codecs.learned_codecs import made_once
from tests.harness import smooth_image
from tfsemcomp.entropy import builders, context_mixing, tables
from tfsemcomp.semantics import edges
from tfsemcomp.serving import export, manifest

STRIDE = 128
STEP = 8
DARK = 40
# Name -> grid, variant, primed.
DEFAULT = "primed"
MODELS = {
    DEFAULT: (False, "hf_gan", True),
    "cold": (False, "unet", False),
    "grid": (True, "hf_gan", False),
}
_PICTURES = tf.TensorSpec([None, None, None, 3], tf.float32, "images")
_LINES = tf.TensorSpec([None, None, None, 1], tf.float32, "structure")
_TEXTURES = tf.TensorSpec([None, None, None, 3], tf.int32, "z")


def write(root: pathlib.Path) -> None:
    """Exports all models, with card and manifest."""
    for name, (grid, variant, primed) in MODELS.items():
        extras = {tables.FILE_NAME: _write_tables}
        if primed:
            extras[context_mixing.FILE_NAME] = _write_primed
        export.export(_signatures(grid, variant), root / name, extras=extras)
        card = {
            "name": name,
            "version": 1,
            "system": "conceptual",
            "latents": {
                "stride": STRIDE,
                "channels": 3,
                "grid": grid,
                "variant": variant,
                "structure": {"method": "canny", "sigma": 1.5},
            },
        }
        manifest.add(root, card, default=name == DEFAULT)


folder = made_once(write)


def lines_of(image: np.ndarray) -> np.ndarray:
    """The lines that the models send at the method's own threshold."""
    return edges.extract(image, "canny", sigma=1.5)


def _write_tables(path: pathlib.Path) -> None:
    wide = builders.gaussian_tables([6.0, 6.0, 6.0])
    tables.save(path, {"z": wide})


def _write_primed(path: pathlib.Path) -> None:
    planes = [
        edges.downscale(lines_of(smooth_image(96, 96, seed)), scale)
        for seed in range(3)
        for scale in (1, 2, 4)
    ]
    context_mixing.save(path, context_mixing.prime(planes, 2))


def _signatures(grid: bool, variant: str) -> dict:
    @tf.function(input_signature=[_PICTURES])
    def analyze(images):
        if grid:
            means = tf.nn.avg_pool2d(images, STRIDE, STRIDE, "VALID")
        else:
            means = tf.reduce_mean(images, [1, 2], keepdims=True)
        return {"z": tf.cast(tf.round((means - 128) / STEP), tf.int32)}

    def paint(structure, z):
        size = tf.shape(structure)[1:3]
        colours = tf.cast(z, tf.float32) * STEP + 128
        colours = tf.image.resize(colours, size, "nearest")
        return colours - DARK * structure

    @tf.function(input_signature=[_LINES, _TEXTURES])
    def synthesize(structure, z):
        found = {"images": paint(structure, z)}
        if variant == "hf_gan":
            for stage, factor in enumerate((16, 4)):
                pooled = tf.nn.max_pool2d(structure, factor, factor, "VALID")
                found[f"stage_{stage}"] = paint(pooled, z)
        return found

    return {"analyze": analyze, "synthesize": synthesize}
