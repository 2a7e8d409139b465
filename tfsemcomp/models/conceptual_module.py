"""The exported form of the conceptual codec: signatures of stock ops, and tables."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfsemcomp.entropy import builders
from tfsemcomp.entropy import tables as table_files
from tfsemcomp.layers import spectral_norm
from tfsemcomp.models import conceptual
from tfsemcomp.serving import export

# The latent is all that probabilities are spent on: finer than TFC's 12 bits.
PRECISION = 16
# Symbols beyond it are no latent of a picture; float32 still tells them apart.
_LARGEST = 2**20


class ConceptualModule(tf.Module):
    """What codecs and servers call of a trained model.

    analyze:    images float32 [B,H,W,3] in [0, 255] -> z int32 [B,gh,gw,nz]
    synthesize: structure float32 [B,H,W,1] of 0 and 1, z int32 [B,gh,gw,nz] ->
                images float32 [B,H,W,3] in [0, 255], not clipped; and of `hf_gan`
                stage_0, stage_1, ...: float32 [B,h,w,3], each of twice the sides of the
                one before, `images` of twice those of the last

    H and W are multiples of 128. gh = gw = 1, or of a size with a grid H/128 and W/128.

    Args:
        model: trained, float32. Its kernels are copied, each divided by its largest
            singular value.
    """

    def __init__(self, model: conceptual.Conceptual) -> None:
        super().__init__()
        self.size, self.variant = model.size, model.variant
        self.encoder = model.make_encoder(spectral=False)
        self.generator = model.make_generator(spectral=False)
        self.step = tf.constant(np.exp(model.log_step.numpy()))
        side = self.size.multiple
        self.encoder(tf.zeros([1, side, side, 3]))
        latent = tf.zeros([1, 1, 1, self.size.latents])
        self.generator(tf.zeros([1, side, side, 1]), latent)
        spectral_norm.copy_folded(model.encoder, self.encoder)
        spectral_norm.copy_folded(model.generator, self.generator)

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """The functions that `serving.export.export` takes."""
        grid = [None, None] if self.size.grid else [1, 1]
        image = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
        structure = tf.TensorSpec([None, None, None, 1], tf.float32, name="structure")
        z = tf.TensorSpec([None, *grid, self.size.latents], tf.int32, name="z")
        return {
            "analyze": tf.function(self._analyze, input_signature=[image]),
            "synthesize": tf.function(self._synthesize, input_signature=[structure, z]),
        }

    def _analyze(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        mean, _ = self.encoder(images / 127.5 - 1)
        symbols = tf.clip_by_value(tf.round(mean / self.step), -_LARGEST, _LARGEST)
        return {"z": tf.cast(symbols, tf.int32)}

    def _synthesize(self, structure: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        drawn = self.generator(structure, tf.cast(z, tf.float32) * self.step)
        *stages, images = [(stage + 1) * 127.5 for stage in drawn]
        found = {f"stage_{number}": stage for number, stage in enumerate(stages)}
        return {"images": images, **found}


def tables(model: conceptual.Conceptual) -> dict[str, table_files.Tables]:
    """The frozen tables of a trained model: `z`, one for each dimension."""
    if model.latent == "rate":
        return {"z": builders.factorized_tables(model.prior, precision=PRECISION)}
    # A unit Gaussian, counted in steps.
    scales = 1 / np.exp(model.log_step.numpy().astype(np.float64))
    return {"z": builders.gaussian_tables(scales, precision=PRECISION)}


def latents(
    model: conceptual.Conceptual, structure: Mapping[str, Any]
) -> dict[str, Any]:
    """What a codec must know of the latents, for the card.

    Args:
        model: trained.
        structure: `method` of the edges that it was trained on, and what sets it.
    """
    return {
        "stride": conceptual.CELL,
        "channels": model.size.latents,
        "grid": model.size.grid,
        "variant": model.variant,
        "structure": dict(structure),
    }


def export_model(
    model: conceptual.Conceptual,
    folder: str | os.PathLike,
    version: int = 1,
    extras: Mapping[str, Any] | None = None,
    half: bool = False,
) -> pathlib.Path:
    """Saves signatures and tables as `folder`/`version`.

    Args:
        model: trained.
        folder: of the model; made when missing.
        version: see `serving.export.export`.
        extras: name -> function that writes a further file, such as primed tables of
            the structure's coder.
        half: weights of 16 bits in all signatures, see `serving.export.export`.
    Returns: the version folder.
    Raises: as `serving.export.export`.
    """
    built = tables(model)
    files = {table_files.FILE_NAME: lambda path: table_files.save(path, built)}
    signatures = ConceptualModule(model).signatures()
    files |= dict(extras or {})
    bits = 16 if half else 32
    return export.export(signatures, folder, version, files, bits=bits)
