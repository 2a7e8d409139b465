"""The exported form of the recurrent codec: signatures of stock ops and contexts."""

import os
import pathlib

import tensorflow as tf

from tfsemcomp.entropy import bit_contexts
from tfsemcomp.models import recurrent_autoencoder
from tfsemcomp.models.recurrent_transforms import STRIDE
from tfsemcomp.serving import export


class RecurrentModule(tf.Module):
    """What codecs and servers call of a trained model.

    analyze:    images float32 [B,H,W,3] in [0, 255], stops int32 [B,h,w] in 0..T ->
                codes int32 [B,n,h,w,C] of -1, 1, and 0 where a cell has stopped,
                errors float32 [B,n,h,w]; h = H/16, w = W/16, n = the largest stop
    synthesize: codes int32 [B,n,h,w,C], 1 <= n <= T -> images float32 [B,H,W,3], not
                clipped

    analyze_bytes: encoded string [B], JPEG or PNG files of one size, iterations int32
                [B] in 1..T -> as analyze of what they show where no cell stops, and
                size int32 [B,2]; see `serving.export.from_bytes`

    errors: mean squared error of a cell's 16x16 pixels as uint8, after each iteration.
    Models with a dial take `machine_weight` float32 [B] in [0, 1] too, in each.

    Args:
        model: trained, float32.
    """

    def __init__(self, model: recurrent_autoencoder.RecurrentAutoencoder) -> None:
        super().__init__()
        self.model = model
        self.dial = []
        if model.machine_weight is None:
            self.dial = [tf.TensorSpec([None], tf.float32, name="machine_weight")]

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """The functions that `serving.export.export` takes."""
        bits = self.model.size.bits
        image = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
        stops = tf.TensorSpec([None, None, None], tf.int32, name="stops")
        codes = tf.TensorSpec([None, None, None, None, bits], tf.int32, name="codes")
        iterations = tf.TensorSpec([None], tf.int32, name="iterations")
        everywhere = tf.function(
            self._analyze_everywhere, input_signature=[image, iterations, *self.dial]
        )
        return {
            "analyze_bytes": export.from_bytes(everywhere, multiple=STRIDE),
            "analyze": tf.function(
                self._analyze, input_signature=[image, stops, *self.dial]
            ),
            "synthesize": tf.function(
                self._synthesize, input_signature=[codes, *self.dial]
            ),
        }

    def _condition(self, batch: tf.Tensor, dial: tf.Tensor | None) -> tf.Tensor:
        if dial is None:
            dial = tf.fill([batch], float(self.model.machine_weight))
        return self.model.condition(dial)

    def _analyze(
        self, images: tf.Tensor, stops: tf.Tensor, machine_weight: tf.Tensor = None
    ) -> dict[str, tf.Tensor]:
        model, transforms = self.model, self.model.transforms
        shape = tf.shape(images)
        grid = shape[0], shape[1] // STRIDE, shape[2] // STRIDE
        condition = self._condition(shape[0], machine_weight)
        count = tf.reduce_max(stops)
        source = transforms.prepare(images)

        def step(i, estimate, states, codes, errors):
            mask = tf.cast(stops > i, tf.float32)[..., None]
            found, estimate, states = model.step(
                source, estimate, states, i, condition, mask
            )
            picture = transforms.finish(estimate, i, condition)
            codes = codes.write(i, tf.cast(tf.round(found), tf.int32))
            errors = errors.write(i, _cell_errors(images, picture))
            return i + 1, estimate, states, codes, errors

        start = (
            tf.constant(0),
            transforms.zero_estimate(*grid),
            (transforms.encoder_state(*grid), transforms.decoder_state(*grid)),
            tf.TensorArray(
                tf.int32, count, element_shape=[None] * 3 + [model.size.bits]
            ),
            tf.TensorArray(tf.float32, count, element_shape=[None] * 3),
        )
        *_, codes, errors = tf.while_loop(lambda i, *_: i < count, step, start)
        return {
            "codes": tf.transpose(codes.stack(), [1, 0, 2, 3, 4]),
            "errors": tf.transpose(errors.stack(), [1, 0, 2, 3]),
        }

    def _analyze_everywhere(
        self, images: tf.Tensor, iterations: tf.Tensor, machine_weight: tf.Tensor = None
    ) -> dict[str, tf.Tensor]:
        """The same with all cells of a picture taking part in as many iterations."""
        grid = tf.shape(images)[1:3] // STRIDE
        stops = tf.tile(iterations[:, None, None], [1, grid[0], grid[1]])
        return self._analyze(images, stops, machine_weight)

    def _synthesize(
        self, codes: tf.Tensor, machine_weight: tf.Tensor = None
    ) -> dict[str, tf.Tensor]:
        model, transforms = self.model, self.model.transforms
        shape = tf.shape(codes)
        grid = shape[0], shape[2], shape[3]
        condition = self._condition(shape[0], machine_weight)

        def step(i, estimate, state):
            found = tf.cast(codes[:, i], tf.float32)
            estimate, state = model.decode_step(found, estimate, state, i, condition)
            return i + 1, estimate, state

        start = (
            tf.constant(0),
            transforms.zero_estimate(*grid),
            transforms.decoder_state(*grid),
        )
        _, estimate, _ = tf.while_loop(lambda i, *_: i < shape[1], step, start)
        return {"images": transforms.finish(estimate, shape[1] - 1, condition)}


def _cell_errors(images: tf.Tensor, picture: tf.Tensor) -> tf.Tensor:
    """Mean squared error of each cell: [B,H,W,3] twice -> [B,H/16,W/16]."""
    picture = tf.round(tf.clip_by_value(picture, 0.0, 255.0))
    error = tf.reduce_mean(tf.math.squared_difference(images, picture), axis=-1)
    return tf.nn.avg_pool2d(error[..., None], STRIDE, STRIDE, "VALID")[..., 0]


def facts(model: recurrent_autoencoder.RecurrentAutoencoder) -> dict:
    """What a codec must know of the codes, for the card."""
    return {
        "stride": STRIDE,
        "iterations": model.size.iterations,
        "channels": model.size.bits,
        "machine_weight": model.machine_weight,
    }


def export_model(
    model: recurrent_autoencoder.RecurrentAutoencoder,
    contexts: bit_contexts.BitModel,
    folder: str | os.PathLike,
    version: int = 1,
) -> pathlib.Path:
    """Saves signatures and the contexts of the codes as `folder`/`version`.

    Args:
        model: trained.
        contexts: that `training.bit_predictor` fitted to the model's codes.
        folder: of the model; made when missing.
        version: see `serving.export.export`.
    Returns: the version folder.
    Raises: as `serving.export.export`.
    """
    extras = {
        bit_contexts.FILE_NAME: lambda path: bit_contexts.save(str(path), contexts)
    }
    signatures = RecurrentModule(model).signatures()
    return export.export(signatures, folder, version, extras)
