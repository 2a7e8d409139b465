"""Transforms of `layered`'s layer 3, which see the picture and the lines of layer 2.

`Lower` is what they see: the decoded picture of layer 2, float32 [B,H,W,3] in [0, 255],
and its lines, float32 [B,H,W,1] of 0 and 1. The entropy model never sees either.
"""

import tensorflow as tf

from tfsemcomp.layers import block_dct
from tfsemcomp.layers.gdn import Gdn
from tfsemcomp.layers.subpixel import SubpixelTranspose
from tfsemcomp.models import scmc_blocks as blocks

layers = tf.keras.layers

Lower = tuple[tf.Tensor, tf.Tensor]
# "none": a codec of its own; "v1": synthesis alone sees a Laplacian of the base, as in
# SCMC; "v2": analysis and synthesis see the base itself.
CONDITIONS = ("none", "v1", "v2")


class LowerBlocks(layers.Layer):
    """Base and lines as `DctAnalysis` has pictures: a position for each 8x8 pixels.

    base --BlockDct--> 192 channels;  lines --space_to_depth--> 64 channels

    Call args:
        lower: see the module.
    Returns: float32 [B,H/8,W/8,256].
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.transform = block_dct.BlockDct(dtype="float32")

    def call(self, lower: Lower) -> tf.Tensor:
        """Lines up blocks."""
        base, structure = lower
        lines = tf.nn.space_to_depth(structure, block_dct.BLOCK)
        return tf.concat([self.transform(base), lines], axis=-1)


class ScmcSynthesis(layers.Layer):
    """g_s of SCMC: that of Balle et al. with branches that see layer 2.

        base --Laplacian--> 4 x [C3, PReLU, Down] -> b at 1/2, 1/4, 1/8, 1/16
        lines / 2 --3 x [C3, PReLU, C3s2]--> e at 1/4, 1/8, 1/16
        t = T(C3(concat(b, e))) at 1/4, 1/8, 1/16
        h = C1 y_hat;  three times: M(concat(h, t), mean of h, h), deconv5 s2, IGDN
        x_hat = deconv5 s2

    T and M: `scmc_blocks`. The source's branches have one 3x3 convolution more, of
    which neither text nor code at hand tells the place.

    Args:
        width: N.
        laplacian: the base through a Laplacian summed over its colours, one plane three
            times, as published; False takes the base itself.
    Call args:
        y_hat: float [B,h,w,M].
        condition: not used; see `DctSynthesis`.
        lower: see the module; H = 16 h and W = 16 w, multiples of 32.
    Returns: float [B,16h,16w,3], about [0, 255].
    Source: Zhang et al., IEEE TCSVT 33(8), 2023, with its published code.
    """

    def __init__(self, width: int, laplacian: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.width, self.laplacian = width, laplacian
        self.base_enters = [blocks.conv(width) for _ in range(4)]
        self.base_slopes = [blocks.prelu() for _ in range(4)]
        self.base_downs = [blocks.Down(width) for _ in range(4)]
        self.line_enters = [blocks.conv(width) for _ in range(3)]
        self.line_slopes = [blocks.prelu() for _ in range(3)]
        self.line_downs = [blocks.conv(width, strides=2) for _ in range(3)]
        self.joins = [blocks.conv(width) for _ in range(3)]
        self.transfers = [blocks.SelfCalibrated(width) for _ in range(3)]
        self.enter = blocks.conv(width, 1)
        self.merges = [blocks.Merge(width) for _ in range(3)]
        self.ups = [layers.Conv2DTranspose(width, 5, 2, "same") for _ in range(3)]
        self.norms = [Gdn(inverse=True) for _ in range(3)]
        self.leave = SubpixelTranspose(3)

    def call(
        self,
        y_hat: tf.Tensor,
        condition: tf.Tensor | None = None,
        lower: Lower | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Synthesises pictures."""
        told = self._look(lower, training)
        x = self.enter(y_hat)
        steps = zip(self.merges, self.ups, self.norms, told[::-1], strict=True)
        for merge, up, norm, seen in steps:
            gate = tf.reduce_mean(x, axis=(1, 2))
            x = norm(up(merge(tf.concat([x, seen], axis=-1), gate, x)))
        return self.leave(x) * 255

    def _look(self, lower: Lower, training: bool | None) -> list[tf.Tensor]:
        """What layer 2 tells at 1/4, 1/8 and 1/16."""
        base, structure = lower
        x = base / 127.5 - 1
        x, bases = _laplacian(x) if self.laplacian else x, []
        steps = zip(self.base_enters, self.base_slopes, self.base_downs, strict=True)
        for enter, slope, down in steps:
            x = down(slope(enter(x)), training=training)
            bases.append(x)
        x, found = blocks.half_map(structure), []
        for number, join in enumerate(self.joins):
            x = self.line_slopes[number](self.line_enters[number](x))
            x = self.line_downs[number](x)
            both = join(tf.concat([bases[number + 1], x], axis=-1))
            found.append(self.transfers[number](both))
        return found

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"width": self.width, "laplacian": self.laplacian}
        return {**super().get_config(), **config}


def _laplacian(x: tf.Tensor) -> tf.Tensor:
    """Eight times each pixel less those around it, summed over colours, three times."""
    grey = tf.reduce_sum(x, axis=-1, keepdims=True)
    kernel = tf.constant([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], x.dtype)
    plane = tf.nn.conv2d(grey, kernel[..., None, None], 1, "SAME")
    return tf.repeat(plane, 3, axis=-1)
