"""Squares of pictures with the words of their captions, as AttnGAN is trained on."""

from collections.abc import Callable

import tensorflow as tf

from tfsemcomp.data import captions, pipeline
from tfsemcomp.training import loop, recipe_flags

# Short sides to which pictures are scaled before a square is cut out, over its side: up
# to 304 for 256, as published.
_LARGEST = 1.1875


def training_batches(
    run: recipe_flags.Run, words: Callable[[], captions.Words], colour: float = 0.0
) -> loop.Batches:
    """Squares cut out anywhere, mirrored, with one of their captions.

    Args:
        run: the shared flags.
        words: how captions become words; called when the first batch is made, since
            nothing of TensorFlow may run before a strategy for many workers.
        colour: largest change of contrast and saturation.
    """
    sides = run.crop, round(_LARGEST * run.crop)
    plan = pipeline.Augmentation(crop=run.crop, short_sides=sides, colour=colour)

    def make(
        step: int, input_context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        return run.batches(plan, words=words())(step, input_context)

    return make


def validation_batches(
    run: recipe_flags.Run, words: Callable[[], captions.Words]
) -> Callable[[], tf.data.Dataset] | None:
    """Squares in the middle with the first caption; None without `--validation`.

    Args:
        run: the shared flags, whose batches are as large.
        words: as in `training_batches`.
    """
    if run.validation is None:
        return None
    return lambda: run.validation_batches(run.batch, words=words())()
