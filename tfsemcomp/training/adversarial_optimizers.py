"""The two optimizers of an adversarial training, each with a schedule of its own."""

import tensorflow as tf

from tfsemcomp.training import schedules


def make(
    peak: float,
    steps: int,
    *,
    two_rates: bool = True,
    clip: float | None = None,
    ema_momentum: float = 0.0,
) -> tuple[tf.keras.optimizers.Optimizer, tf.keras.optimizers.Optimizer]:
    """Adam for what draws and codes, and Adam for the discriminators.

    Both rates stay for the first half of the training and then fall to 0; their ratio
    is the same in every step.

    Args:
        peak: the learning rate, of which both are a fixed multiple.
        steps: of the whole training.
        two_rates: the two time-scales rule: half of `peak` for what draws, twice it for
            the discriminators, moments 0 and .9. Without it `peak` and half of it,
            moments .5 and .999.
        clip: largest norm of all gradients of an optimizer; None doesn't clip.
        ema_momentum: of the averaged weights of what draws and codes; 0 for none.
    Returns: optimizers of what draws, and of the discriminators.
    Source: Heusel et al., arXiv 1706.08500; factors and moments of the code of arXiv
        2011.04976.
    """
    factors, moments = (
        ((0.5, 2.0), (0.0, 0.9)) if two_rates else ((1, 0.5), (0.5, 0.999))
    )
    averages = {"use_ema": True, "ema_momentum": ema_momentum} if ema_momentum else {}
    drawing, judging = (
        tf.keras.optimizers.Adam(
            schedules.LinearDecay(peak * factor, steps),
            *moments,
            global_clipnorm=clip,
            **further,
        )
        for factor, further in zip(factors, (averages, {}), strict=True)
    )
    return drawing, judging
