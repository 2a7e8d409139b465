"""Networks of `semantic_enhanced`: two that draw, and judges that show what they see.

Sources: JPD-SE, arXiv 2005.12810, with its published code, whose generator and judges
are those of pix2pixHD, arXiv 1711.11585; the U-Net is this project's.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfsemcomp.layers.adain import SLOPE, instance_norm
from tfsemcomp.layers.film import Film
from tfsemcomp.layers.spade import Spade
from tfsemcomp.layers.spectral_norm import SpectralConv2D
from tfsemcomp.layers.upsample import enlarge

layers = tf.keras.layers

# Rates of base pictures that tell something, bits a pixel.
_RATES = 1 / 1024, 32.0
_BITS = 5.0
# Halvings of the published generator.
_HALVINGS = 4


def label_borders(labels: tf.Tensor) -> tf.Tensor:
    """Where a pixel's label is not that of one of its four neighbours.

    Args:
        labels: int [B,H,W].
    Returns: float32 [B,H,W,1] of 0 and 1; lines are two pixels wide.
    """
    down = tf.cast(tf.not_equal(labels[:, 1:], labels[:, :-1]), tf.float32)
    across = tf.not_equal(labels[:, :, 1:], labels[:, :, :-1])
    across = tf.cast(across, tf.float32)
    sides = [
        tf.pad(down, [[0, 0], [1, 0], [0, 0]]),
        tf.pad(down, [[0, 0], [0, 1], [0, 0]]),
        tf.pad(across, [[0, 0], [0, 0], [1, 0]]),
        tf.pad(across, [[0, 0], [0, 0], [0, 1]]),
    ]
    return tf.reduce_max(tf.stack(sides, axis=-1), axis=-1, keepdims=True)


class EnhancerUnet(layers.Layer):
    """What a base picture lacks, of itself, its labels, its codec and its rate.

        vector = MLP(codec, log2 rate)
        base, maps --C3--> W_0 --down--> W_1 ... --down--> W_L --block--> W_L
        L steps: up x2, concat what was there going down --block--> W_l
        delta = C3(f(W_0))                              zero at the start
        down:  mean of 2x2 of x + C3(FiLM(f(x), vector)), then C3 to the next width
        block: C1(x) + C3(f(SPADE(C3(f(FiLM(x, vector))), maps)));   f: leaky ReLU

    Maps at coarser scales are the shares of their classes. Nothing on the way from the
    base to the result is normalised but what SPADE adds.

    Args:
        widths: W_0 to W_L, from full size down.
        hidden: channels within SPADE.
        told: width of the vector.
        codecs: number of codecs, the last of which stands for all others.
    Call args:
        base: float32 [B,H,W,3] in [-1, 1], H and W multiples of 2**L.
        maps: float32 [B,H,W,M] in [0, 1].
        codec: int32 [B]; out of range for the last.
        rate: float32 [B], bits a pixel.
    Returns: float32 [B,H,W,3], in the unit of the base.
    Sources: arXiv 1505.04597 (U-Net), 1903.07291 (SPADE), 1709.07871 (FiLM).
    """

    def __init__(
        self, widths: Sequence[int], hidden: int, told: int, codecs: int, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.codecs = codecs
        self.tell = [layers.Dense(told, dtype="float32") for _ in range(2)]
        self.enter = _conv(widths[0])
        self.films = [Film() for _ in widths[:-1]]
        self.mixes = [_conv(width) for width in widths[:-1]]
        self.downs = [_conv(width) for width in widths[1:]]
        self.middle = _EnhancerBlock(widths[-1], hidden)
        self.blocks = [_EnhancerBlock(width, hidden) for width in widths[:-1]]
        self.leave = layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros")

    def call(
        self, base: tf.Tensor, maps: tf.Tensor, codec: tf.Tensor, rate: tf.Tensor
    ) -> tf.Tensor:
        """Draws what is added."""
        vector = self._vector(codec, rate)
        maps = tf.cast(maps, self.compute_dtype)
        x = self.enter(tf.concat([tf.cast(base, maps.dtype), maps], axis=-1))
        skips, scales = [], [maps]
        for film, mix, down in zip(self.films, self.mixes, self.downs, strict=True):
            x += mix(film(_active(x), vector))
            skips.append(x)
            x = down(_halve(x))
            scales.append(_halve(scales[-1]))
        x = self.middle(x, vector, scales[-1])
        for block, skip, seen in zip(
            self.blocks[::-1], skips[::-1], scales[-2::-1], strict=True
        ):
            x = block(tf.concat([enlarge(x, 2), skip], axis=-1), vector, seen)
        return tf.cast(self.leave(_active(x)), tf.float32)

    def _vector(self, codec: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        known = (codec >= 0) & (codec < self.codecs)
        codec = tf.where(known, codec, self.codecs - 1)
        bits = tf.math.log(tf.clip_by_value(rate, *_RATES)) / tf.math.log(2.0)
        told = [tf.one_hot(codec, self.codecs), bits[:, None] / _BITS]
        vector = tf.concat(told, axis=-1)
        for layer in self.tell:
            vector = _active(layer(vector))
        return vector


class _EnhancerBlock(layers.Layer):
    def __init__(self, width: int, hidden: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.film, self.spade = Film(), Spade(hidden)
        self.inner, self.outer = _conv(width), _conv(width)
        self.aside = layers.Conv2D(width, 1)

    def call(self, x: tf.Tensor, vector: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        found = self.inner(_active(self.film(x, vector)))
        return self.aside(x) + self.outer(_active(self.spade(found, maps)))


class GlobalGenerator(layers.Layer):
    """pix2pixHD's global generator: all is drawn anew through a narrow middle.

        C7, n, r --4 times C3 s2, n, r--> 16 N --residual blocks--> 16 N
        --4 times transposed C3 s2, n, r--> N --C7, tanh--> 3
        block: x + n(C3(r(n(C3 x)))), borders mirrored;   n: instance norm; r: ReLU

    Args:
        width: N.
        blocks: how many in the middle.
    Call args:
        x: float32 [B,H,W,C], H and W multiples of 16, at least 32.
    Returns: float32 [B,H,W,3] in [-1, 1].
    Source: arXiv 1711.11585, section 3.1, with the code of arXiv 2005.12810.
    """

    def __init__(self, width: int, blocks: int, **kwargs) -> None:
        super().__init__(**kwargs)
        widths = [width * 2**level for level in range(_HALVINGS + 1)]
        self.enter = _faint(width, 7, "valid")
        self.downs = [_faint(n, 3, "same", strides=2) for n in widths[1:]]
        self.blocks = [_MirroredBlock(widths[-1]) for _ in range(blocks)]
        self.ups = [
            layers.Conv2DTranspose(n, 3, 2, "same", kernel_initializer=_faint_kernels())
            for n in widths[-2::-1]
        ]
        self.leave = _faint(3, 7, "valid")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Draws the picture."""
        x = self.enter(_mirror(tf.cast(x, self.compute_dtype), 3))
        x = tf.nn.relu(instance_norm(x))
        for down in self.downs:
            x = tf.nn.relu(instance_norm(down(x)))
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = tf.nn.relu(instance_norm(up(x)))
        return tf.tanh(tf.cast(self.leave(_mirror(x, 3)), tf.float32))


class _MirroredBlock(layers.Layer):
    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inner, self.outer = (_faint(width, 3, "valid") for _ in range(2))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        found = tf.nn.relu(instance_norm(self.inner(_mirror(x, 1))))
        return x + instance_norm(self.outer(_mirror(found, 1)))


class FeatureDiscriminators(layers.Layer):
    """Two judges of patches, at full and at half size, who show all that they see.

        maps, x --4x4 s2--> N --s2--> 2 N, n --s2--> 4 N, n --s1--> 8 N, n --s1--> 1

    leaky ReLU between them, two zeros around each; both of the same width.

    Args:
        width: N.
        spectral: divide kernels by their largest singular value; not in the source.
    Call args:
        maps: float32 [B,H,W,M] in [0, 1].
        x: float32 [B,H,W,3] in [-1, 1].
    Returns: of each scale what each layer gave, float32 [B,h,w,C]; the last of each,
        [B,h,w,1], are its logits.
    Source: arXiv 1711.11585, section 3.2, with the code of arXiv 2005.12810.
    """

    def __init__(self, width: int, spectral: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        self.scales = [_Judge(width, spectral), _Judge(width, spectral)]

    def call(self, maps: tf.Tensor, x: tf.Tensor) -> list[list[tf.Tensor]]:
        """Judges pictures."""
        seen = [tf.cast(part, self.compute_dtype) for part in (maps, x)]
        x = tf.concat(seen, axis=-1)
        found = []
        for scale in self.scales:
            found.append(scale(x))
            x = tf.nn.avg_pool2d(x, 3, 2, "SAME")
        return found


class _Judge(layers.Layer):
    def __init__(self, width: int, spectral: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        shapes = [(width, 2), (2 * width, 2), (4 * width, 2), (8 * width, 1), (1, 1)]
        self.steps = [
            SpectralConv2D(filters, 4, strides, "VALID", spectral=spectral)
            for filters, strides in shapes
        ]

    def call(self, x: tf.Tensor) -> list[tf.Tensor]:
        """What each layer sees."""
        seen = []
        last = len(self.steps) - 1
        for number, step in enumerate(self.steps):
            x = step(tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]))
            if 0 < number < last:
                x = instance_norm(x)
            if number < last:
                x = _active(x)
            seen.append(tf.cast(x, tf.float32))
        return seen


def _conv(filters: int) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same")


def _faint(filters: int, side: int, padding: str, strides: int = 1) -> layers.Conv2D:
    return layers.Conv2D(
        filters, side, strides, padding, kernel_initializer=_faint_kernels()
    )


def _faint_kernels() -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.RandomNormal(stddev=0.02)


def _mirror(x: tf.Tensor, rim: int) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [rim, rim], [rim, rim], [0, 0]], "REFLECT")


def _halve(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def _active(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(x, SLOPE)
