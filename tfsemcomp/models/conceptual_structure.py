"""What training makes of edge maps: those that a file of some quality would give."""

import dataclasses

import tensorflow as tf

# Side of the squares in which lines are dropped together, pixels.
_PATCH = 16


@dataclasses.dataclass(frozen=True)
class Degradation:
    """How maps vary from picture to picture while training.

    Attributes:
        scales: divisors of the size that maps are coded at; sides are multiples of
            each.
        thresholds: least and largest share of full strength that makes a line. Maps
            that are binary already stay as they are.
        dropout: largest share of 16x16 squares that lose their lines.
    """

    scales: tuple[int, ...] = (1, 2, 4)
    thresholds: tuple[float, float] = (0.25, 0.6)
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if not self.scales or not set(self.scales) <= {1, 2, 4}:
            raise ValueError(f"`scales` must be of 1, 2 and 4; got {self.scales}.")
        low, high = self.thresholds
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"`thresholds` must rise within (0, 1]; got {self.thresholds}."
            )
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"`dropout` must be in [0, 1]; got {self.dropout}.")


def draw(planes: tf.Tensor, plan: Degradation) -> tf.Tensor:
    """A map for each picture as a decoder would have it, drawn at random.

    Args:
        planes: uint8 [B,H,W,P], strength of edges in 0..255 by P methods, one of which
            each picture gets; H and W static, multiples of 16.
        plan: the ranges.
    Returns: float32 [B,H,W,1] of 0 and 1.
    """
    count, height, width, methods = planes.shape
    count = tf.shape(planes)[0] if count is None else count
    chosen = tf.one_hot(_draw_integers(count, methods), methods)
    plane = tf.reduce_sum(tf.cast(planes, tf.float32) * chosen[:, None, None], -1)
    threshold = 255 * tf.random.uniform([count, 1, 1], *plan.thresholds)
    lines = tf.cast(plane >= threshold, tf.float32)[..., None]
    if plan.dropout:
        rate = tf.random.uniform([count, 1, 1, 1], 0, plan.dropout)
        squares = [count, height // _PATCH, width // _PATCH, 1]
        kept = tf.cast(tf.random.uniform(squares) >= rate, tf.float32)
        lines *= _enlarge(kept, _PATCH)
    shares = tf.one_hot(_draw_integers(count, len(plan.scales)), len(plan.scales))
    coded = tf.stack([decoded(lines, scale) for scale in plan.scales], axis=-1)
    return tf.reduce_sum(coded * shares[:, None, None, None], axis=-1)


def fixed(planes: tf.Tensor, plan: Degradation) -> tf.Tensor:
    """What pictures are measured with: the first method, the middle threshold, the
    first scale, and nothing dropped; arguments and result as those of `draw`."""
    lines = tf.cast(planes[..., :1], tf.float32) >= 255 * sum(plan.thresholds) / 2
    return decoded(tf.cast(lines, tf.float32), plan.scales[0])


def decoded(lines: tf.Tensor, scale: int) -> tf.Tensor:
    """A map after coding at 1/`scale`: largest of each square, then nearest.

    Args:
        lines: float [B,H,W,1] of 0 and 1, sides multiples of `scale`.
        scale: divisor of the sides.
    Returns: the same shape and dtype.
    """
    if scale == 1:
        return lines
    return _enlarge(tf.nn.max_pool2d(lines, scale, scale, "VALID"), scale)


def _enlarge(x: tf.Tensor, times: int) -> tf.Tensor:
    return tf.repeat(tf.repeat(x, times, axis=1), times, axis=2)


def _draw_integers(count: int | tf.Tensor, limit: int) -> tf.Tensor:
    """Integers below `limit`, int32 [count]; XLA draws floats alike everywhere."""
    drawn = tf.cast(tf.random.uniform([count]) * limit, tf.int32)
    return tf.minimum(drawn, limit - 1)
