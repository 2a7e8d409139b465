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


@tf.keras.utils.register_keras_serializable("tfsemcomp")
class LinearDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Stays for the first half of a training, then falls to 0 along a line.

    Args:
        peak: the largest rate.
        steps: of the whole training, at least 1.
    """

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = peak, steps

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """The rate at a step."""
        left = 2 * (1 - tf.cast(step, tf.float32) / self.steps)
        return self.peak * tf.clip_by_value(left, 0.0, 1.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps}
