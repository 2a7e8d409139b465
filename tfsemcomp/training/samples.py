"""The same few pictures after each piece of a training, for TensorBoard."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfsemcomp.training import fitting, recipe_flags

_TAG = "samples"


class Samples(tf.keras.callbacks.Callback):
    """Writes rows of pictures to FOLDER/logs/samples, one summary a piece.

    They show what numbers hide: a generator that ends up with one colour or one
    texture for everything.

    Args:
        folder: of the run.
        batch: the fixed examples, as the model's steps take them.
        draw: model, batch -> uint8 [B,H,W,3], what is shown of each example.
    """

    def __init__(
        self,
        folder: str,
        batch: Mapping[str, tf.Tensor],
        draw: Callable[[tf.keras.Model, Mapping[str, tf.Tensor]], np.ndarray],
    ) -> None:
        super().__init__()
        self.batch, self.draw = batch, draw
        self.writer = tf.summary.create_file_writer(f"{folder}/logs/{_TAG}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws the examples."""
        pictures = self.draw(self.model, self.batch)
        with self.writer.as_default():
            tf.summary.image(_TAG, pictures, epoch, max_outputs=len(pictures))
        self.writer.flush()


def of_validation(
    draw: Callable[[tf.keras.Model, Mapping[str, tf.Tensor]], np.ndarray],
    run: recipe_flags.Run,
    validation: fitting.Validation,
    count: int = 6,
) -> list[tf.keras.callbacks.Callback]:
    """What shows the first validation pictures after each piece, on one device.

    Args:
        draw: as of `Samples`.
        run: the shared flags.
        validation: what the recipe measures on; None shows nothing.
        count: of the pictures.
    """
    if validation is None or run.strategy != "default":
        return []
    batch = next(iter(validation().unbatch().batch(count).take(1)))
    return [Samples(run.out, batch, draw)]
