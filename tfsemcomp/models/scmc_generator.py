"""SCMC's generator of layer 2 and its judge, as published, without dead weights.

Source: Zhang et al., Rethinking Semantic Image Compression, IEEE TCSVT 33(8), 2023,
with its published code; the judge is that of HiFiC, arXiv 2006.09965.
"""

import tensorflow as tf

from tfsemcomp.layers.adain import SLOPE
from tfsemcomp.layers.spectral_norm import SpectralConv2D
from tfsemcomp.models import scmc_blocks as blocks

layers = tf.keras.layers


class ScmcGenerator(layers.Layer):
    """What a base picture shows, drawn where lines are.

        S: base -> f1..f4 at 1/4..1/32, vectors v1..v3;  E: lines / 2 -> E1..E4 likewise
        a1 = A(f1, E1, E1);  a_i = C3s2(A(f_i, E_i, a_(i-1)))
        x = a4 + T(E4);  up, M(x, v1, T(E3));  up, M(x, v2, T(E2));  up, M(x, v3, T(E1))
        x_hat = C3(twice up, residual block)

    A: channel attention, T: self-calibrated block, M: merge (`scmc_blocks`).

    Args:
        width: of all layers.
        attention_axis: see `scmc_blocks.ChannelAttention`.
    Call args:
        structure: float32 [B,H,W,1] of 0 and 1, H and W multiples of 32.
        base: float32 [B,H,W,3] in [-1, 1].
        words: not used; see `ModulatedUnet`.
    Returns: float32 [B,H,W,3], about [-1, 1].
    """

    def __init__(self, width: int, attention_axis: str = "query", **kwargs) -> None:
        super().__init__(**kwargs)
        self.semantic = _Semantic(width)
        self.enters = [blocks.conv(width) for _ in range(4)]
        self.slopes = [blocks.prelu() for _ in range(4)]
        self.downs = [blocks.Down(width) for _ in range(4)]
        self.attend = [blocks.ChannelAttention(width, attention_axis) for _ in range(4)]
        self.halve = [blocks.conv(width, strides=2) for _ in range(3)]
        self.transfer = [blocks.SelfCalibrated(width) for _ in range(4)]
        self.ups = [blocks.SubpixelUp(width) for _ in range(5)]
        self.merges = [blocks.Merge(width) for _ in range(3)]
        self.residuals = [blocks.Residual(width) for _ in range(2)]
        self.leave = blocks.conv(3)

    def call(
        self,
        structure: tf.Tensor,
        base: tf.Tensor,
        words: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Draws pictures."""
        features, vectors = self.semantic(base)
        x, lines = blocks.half_map(structure), []
        steps = zip(self.enters, self.slopes, self.downs, strict=True)
        for enter, slope, down in steps:
            x = down(slope(enter(x)), training=training)
            lines.append(x)
        x = self.attend[0](features[0], lines[0], lines[0], training=training)
        steps = zip(self.attend[1:], self.halve, features[1:], lines[1:], strict=True)
        for attend, halve, seen, drawn in steps:
            x = halve(attend(seen, drawn, x, training=training))
        moved = [move(line) for move, line in zip(self.transfer, lines, strict=True)]
        x += moved[3]
        steps = zip(self.ups[:3], self.merges, vectors, moved[2::-1], strict=True)
        for up, merge, vector, added in steps:
            x = merge(up(x), vector, added)
        for up, residual in zip(self.ups[3:], self.residuals, strict=True):
            x = residual(up(x), training=training)
        return tf.cast(self.leave(x), tf.float32)


class _Semantic(layers.Layer):
    """S: base -> features at 1/4, 1/8, 1/16, 1/32 and three vectors."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = [blocks.conv(width) for _ in range(4)]
        self.slopes = [blocks.prelu() for _ in range(5)]
        self.vectors = [layers.Dense(width, use_bias=False) for _ in range(4)]
        self.vector_slope = blocks.prelu(rank=2)

    def call(self, x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Finds features and vectors."""
        x = self.slopes[0](self.steps[0](x))
        x = self.slopes[1](tf.nn.max_pool2d(x, 5, 2, "SAME"))
        x = tf.nn.max_pool2d(x, 5, 2, "SAME")
        features = [x]
        for step, slope in zip(self.steps[1:], self.slopes[2:], strict=True):
            x = tf.nn.max_pool2d(slope(step(x)), 3, 2, "SAME")
            features.append(x)
        vector = self.vector_slope(self.vectors[0](tf.reduce_mean(x, axis=(1, 2))))
        vectors = []
        for linear in self.vectors[1:]:
            vector = linear(vector)
            vectors.append(vector)
        return features, vectors


class HificDiscriminator(layers.Layer):
    """A judge of patches who sees the picture alone.

        x --4x4 s2--> N --> 2 N --> 4 N --> 8 N --1x1--> logits

    Spectral norm, leaky ReLU, borders reflected.

    Args:
        width: N.
    Call args:
        structure, words: not used; see `ToldDiscriminators`.
        x: float32 [B,H,W,3] in [-1, 1], H and W multiples of 16, at least 32.
    Returns: a list of logits, float32 [B,H/16,W/16,1].
    """

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.steps = [
            SpectralConv2D(width * times, 4, 2, "VALID") for times in (1, 2, 4, 8)
        ]
        self.leave = layers.Conv2D(1, 1)

    def call(
        self, structure: tf.Tensor, x: tf.Tensor, words: tf.Tensor
    ) -> list[tf.Tensor]:
        """Judges pictures."""
        for step in self.steps:
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
            x = tf.nn.leaky_relu(step(x), SLOPE)
        return [tf.cast(self.leave(x), tf.float32)]
