"""Learning rates over the steps of a training."""

import tensorflow as tf

_WARMUP = 100


def warm_cosine(
    peak: float, steps: int
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """Rises for a hundred steps, then falls to a hundredth of `peak` by a cosine.

    Args:
        peak: the largest rate.
        steps: of the whole training; the rise is a tenth of them at most.
    """
    warmup = min(_WARMUP, steps // 10)
    return tf.keras.optimizers.schedules.CosineDecay(
        peak / 100,
        steps - warmup,
        alpha=0.01,
        warmup_target=peak,
        warmup_steps=warmup,
    )
