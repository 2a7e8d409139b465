"""The exported form of `hyperprior`: signatures of stock ops, tables and facts."""

import os
import pathlib

import tensorflow as tf

from tfsemcomp.entropy import builders
from tfsemcomp.entropy import tables as table_files
from tfsemcomp.models import hyperprior
from tfsemcomp.models.hyperprior_conditions import Lower
from tfsemcomp.serving import export

# TFC's 12 bits cost 2 % at .025 bpp, where nearly all symbols are zero.
PRECISION = 16


class HyperpriorModule(tf.Module):
    """What codecs and servers call of a trained model.

    analyze:         images float32 [B,H,W,3] in [0, 255] -> y float32 [B,h,w,M],
                     z int32 [B,h/4,w/4,N]; H and W multiples of `size.multiple`
    hyper_synthesis: z int32 -> index int32 [B,h,w,M] in 0..63, mu float32 [B,h,w,M]
    synthesize:      y_hat float32 [B,h,w,M] -> images float32 [B,H,W,3], not clipped

    analyze_bytes:   encoded string [B], JPEG or PNG files of one size -> as analyze of
                     what they show, and size int32 [B,2]; `serving.export.from_bytes`

    Models of many rates take `quality` float32 [B] too, in each. `factorized` has no
    z and no `hyper_synthesis`. `hyper_synthesis` runs in float64 on the CPU.

    Args:
        model: trained, float32.
    """

    def __init__(self, model: hyperprior.Hyperprior) -> None:
        super().__init__()
        self.model = model
        self.has_hyper = model.variant != "factorized"
        size = model.size
        if self.has_hyper:
            # A copy of h_s whose weights and sums are double.
            self.h_s = model.make_hyper_synthesis("float64")
            self.h_s.build([None, None, None, size.hyper_channels])
            self.h_s.set_weights([w.numpy() for w in model.h_s.weights])
        self.quality = [tf.TensorSpec([None], tf.float32, name="quality")]
        if len(model.lmbdas) == 1:
            self.quality = []

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """The functions that `serving.export.export` takes."""
        size = self.model.size
        image = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
        z = tf.TensorSpec([None, None, None, size.hyper_channels], tf.int32, name="z")
        y_hat = tf.TensorSpec(
            [None, None, None, size.channels], tf.float32, name="y_hat"
        )
        found = {
            "analyze": self._function(self._analyze, image),
            "synthesize": self._function(self._synthesize, y_hat),
        }
        told = latents(self.model)
        multiple = told["stride"] * max(told["hyper_stride"], 1)
        found["analyze_bytes"] = export.from_bytes(found["analyze"], multiple=multiple)
        if self.has_hyper:
            found["hyper_synthesis"] = self._function(self._hyper_synthesis, z)
        return found

    def _function(
        self, method, spec: tf.TensorSpec
    ) -> tf.types.experimental.GenericFunction:
        return tf.function(method, input_signature=[spec, *self.quality])

    def _analyze(
        self,
        images: tf.Tensor,
        quality: tf.Tensor | None = None,
        lower: Lower | None = None,
    ) -> dict[str, tf.Tensor]:
        y = self.model.analyze(images, _or_one(quality, images), lower)
        if not self.has_hyper:
            return {"y": y}
        z = self.model.hyper_analyze(y)
        return {"y": y, "z": tf.cast(tf.round(z), tf.int32)}

    def _hyper_synthesis(
        self, z: tf.Tensor, quality: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        with tf.device("/CPU:0"):
            z_hat = tf.cast(z, tf.float64)
            quality = tf.cast(_or_one(quality, z), tf.float64)
            mu, index = self.model.predict_y(z_hat, quality, self._h_s_in_halves)
            last = len(hyperprior.SCALE_TABLE) - 1
            index = tf.clip_by_value(tf.round(index), 0, last)
            return {
                "index": tf.cast(index, tf.int32),
                "mu": tf.cast(mu, tf.float32),
            }

    def _h_s_in_halves(self, x: tf.Tensor) -> tf.Tensor:
        """h_s, half of each layer's channels apart: TensorFlow's double precision
        kernels use one thread each, so that two cores run two of them at a time."""
        for layer in self.h_s.layers:
            if not layer.weights:
                x = layer(x)
                continue
            # A transposed kernel has its outputs before its inputs.
            transposed = isinstance(layer, tf.keras.layers.Conv2DTranspose)
            kernels = tf.split(layer.kernel, _halves(layer.filters), 3 - transposed)
            convolve = _deconvolve if transposed else _convolve
            x = tf.concat([convolve(x, kernel) for kernel in kernels], axis=-1)
            x = tf.nn.bias_add(x, layer.bias)
        return x

    def _synthesize(
        self,
        y_hat: tf.Tensor,
        quality: tf.Tensor | None = None,
        lower: Lower | None = None,
    ) -> dict[str, tf.Tensor]:
        images = self.model.synthesize(y_hat, _or_one(quality, y_hat), lower)
        return {"images": images}


def _halves(channels: int) -> list[int]:
    return [channels // 2, channels - channels // 2]


def _convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _deconvolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(x)
    outputs = [shape[0], 2 * shape[1], 2 * shape[2], kernel.shape[2]]
    return tf.nn.conv2d_transpose(x, kernel, outputs, 2, "SAME")


def _or_one(quality: tf.Tensor | None, batch: tf.Tensor) -> tf.Tensor:
    return tf.ones(tf.shape(batch)[:1]) if quality is None else quality


def tables(model: hyperprior.Hyperprior) -> dict[str, table_files.Tables]:
    """The frozen tables of a trained model: `y`, and `z` where there is one."""
    prior = builders.factorized_tables(model.prior, precision=PRECISION)
    if model.variant == "factorized":
        return {"y": prior}
    gaussian = builders.gaussian_tables(hyperprior.SCALE_TABLE, precision=PRECISION)
    return {"y": gaussian, "z": prior}


def latents(model: hyperprior.Hyperprior) -> dict[str, int]:
    """What a codec must know of the latents, for the card."""
    return {
        "stride": model.size.stride,
        "hyper_stride": 0 if model.variant == "factorized" else 4,
        "channels": model.size.channels,
        "hyper_channels": model.size.hyper_channels,
        "rates": len(model.lmbdas),
    }


def export_model(
    model: hyperprior.Hyperprior, folder: str | os.PathLike, version: int = 1
) -> pathlib.Path:
    """Saves signatures and tables as `folder`/`version`.

    Returns: the version folder.
    Raises: as `serving.export.export`.
    """
    built = tables(model)
    extras = {table_files.FILE_NAME: lambda path: table_files.save(path, built)}
    signatures = HyperpriorModule(model).signatures()
    return export.export(signatures, folder, version, extras)
