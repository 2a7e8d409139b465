"""Networks of the conceptual codec: encoder, two generators, discriminators.

Sources: arXiv 2011.04976 (hierarchical fusion) and Layered Conceptual Image
Compression, ICIP 2019 (U-Net), with the published code; the encoder and the U-Net are
those of BicycleGAN, arXiv 1711.11586.
"""

import tensorflow as tf

from tfsemcomp.layers.adain import SLOPE, Style, instance_norm, statistics
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.layers.spectral_norm import SpectralConv2D
from tfsemcomp.layers.upsample import enlarge

layers = tf.keras.layers

# Pixels to a cell of a grid of latents, along each axis.
CELL = 128
# Pixels to a position of what the encoder averages.
_ENCODER_STRIDE = 32
# Smallest side that leaves the half-size discriminator a patch, pixels.
SMALLEST_JUDGED = 64
# Variance of the first colours of a stage, times the usual.
_FAINT = 1e-3
# Widths of the last stages of a fusion generator, in N.
_LAST = (8, 4, 2, 1)


def edge_pyramid(structure: tf.Tensor, levels: int) -> list[tf.Tensor]:
    """The edge map and its halvings, a pixel an edge where any of its four is one.

    Sampled bilinearly, as published, thin lines would come and go by chance.

    Args:
        structure: float [B,H,W,1] in [0, 1], H and W multiples of 2**levels.
        levels: how many halvings.
    Returns: [B,H,W,1], [B,H/2,W/2,1], ..., in [-1, 1].
    """
    maps = [structure]
    for _ in range(levels):
        maps.append(tf.nn.max_pool2d(maps[-1], 2, 2, "VALID"))
    return [2 * level - 1 for level in maps]


class TextureEncoder(layers.Layer):
    """A picture as the mean, and where asked the spread, of its texture latent.

        x --4x4 s2, N--> residual down 2N, 3N, 4N, 4N --leaky ReLU--> mean over a cell
        --linear--> mu, log_variance [B,g,g',nz]

    A cell is the whole picture, or with a grid 128x128 pixels of it.

    Args:
        width: N.
        latents: nz.
        grid: a latent for each cell.
        spread: whether log_variance is wanted.
        spectral: of the blocks' convolutions.
    Call args:
        x: float [B,H,W,3] in [-1, 1], H and W multiples of 32.
    Returns: mu, log_variance (None without `spread`), float32.
    """

    def __init__(
        self,
        width: int,
        latents: int,
        grid: bool = False,
        spread: bool = False,
        spectral: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.grid = grid
        self.enter = layers.Conv2D(width, 4, 2, "same")
        widths = [width * factor for factor in (1, 2, 3, 4, 4)]
        self.blocks = [
            _DownBlock(before, after, spectral)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        ]
        self.to_mean = layers.Dense(latents, dtype="float32")
        self.to_spread = layers.Dense(latents, dtype="float32") if spread else None

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Encodes pictures."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        x = tf.cast(tf.nn.leaky_relu(x, SLOPE), tf.float32)
        if self.grid:
            side = CELL // _ENCODER_STRIDE
            # Less than a whole cell is averaged over what there is.
            x = tf.nn.avg_pool2d(x, side, side, "SAME")
        else:
            x = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
        spread = None if self.to_spread is None else self.to_spread(x)
        return self.to_mean(x), spread


class _DownBlock(layers.Layer):
    """Residual block that halves: [n, leaky ReLU, C3] twice, mean of 2x2; 1x1 aside."""

    def __init__(self, before: int, after: int, spectral: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inner = SpectralConv2D(before, 3, spectral=spectral)
        self.outer = SpectralConv2D(after, 3, spectral=spectral)
        self.aside = SpectralConv2D(after, 1, spectral=spectral)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        found = self.inner(tf.nn.leaky_relu(instance_norm(x), SLOPE))
        found = self.outer(tf.nn.leaky_relu(instance_norm(found), SLOPE))
        return _halve(found) + self.aside(_halve(x))


class FusionGenerator(layers.Layer):
    """Hierarchical fusion: edges at every scale, texture in every normalisation.

        edges / 2^S --C3--> 16 N
        S stages: up x2 --concat edges of that size--> AdaIN residual block(z) --> x_k
                  rgb_k = C3(style(x_k, z)) + up x2 (rgb_{k-1})
        x_hat = tanh(rgb_S)

    Stages have 16 N channels; the last four 8, 4, 2 and 1 N.

    Args:
        width: N.
        stages: S, at least 4.
        grid: z has one latent for each 128x128 pixels.
        spectral: of convolutions.
    Call args:
        structure: float [B,H,W,1] of 0 and 1, H and W multiples of 2**S.
        z: float32 [B,g,g',nz].
        training: unused.
    Returns: tanh(rgb_1), ..., x_hat: float32 [B,h,w,3] in [-1, 1].
    """

    def __init__(
        self,
        width: int,
        stages: int,
        grid: bool = False,
        spectral: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.stages = stages
        widths = [16 * width] * (stages - 4) + [factor * width for factor in _LAST]
        self.enter = SpectralConv2D(16 * width, 3, spectral=spectral)
        before = 16 * width
        self.blocks, self.styles, self.colours = [], [], []
        for number, after in enumerate(widths, start=1):
            times = 2**number if grid else 1
            self.blocks.append(_FusionBlock(before + 1, after, times, spectral))
            self.styles.append(Style(times))
            # A sum of seven colours of full size would saturate from the first step,
            # and a saturated tanh learns nothing any more.
            faint = tf.keras.initializers.VarianceScaling(_FAINT)
            self.colours.append(
                layers.Conv2D(3, 3, padding="same", kernel_initializer=faint)
            )
            before = after

    def call(
        self, structure: tf.Tensor, z: tf.Tensor, training: bool | None = None
    ) -> list[tf.Tensor]:
        """Draws the picture, coarse to fine."""
        edges = edge_pyramid(structure, self.stages)
        x = self.enter(edges[-1])
        colour, pictures = None, []
        parts = zip(self.blocks, self.styles, self.colours, strict=True)
        for level, (block, style, to_colour) in zip(edges[-2::-1], parts, strict=True):
            x = tf.concat([enlarge(x, 2), tf.cast(level, x.dtype)], axis=-1)
            x = block(x, z)
            added = tf.cast(to_colour(style(x, z)), tf.float32)
            colour = added if colour is None else added + enlarge(colour, 2)
            pictures.append(tf.tanh(colour))
        return pictures


class _FusionBlock(layers.Layer):
    """Residual block whose three normalisations take their style from z."""

    def __init__(
        self, before: int, after: int, times: int, spectral: bool, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.style_inner = Style(times)
        self.style_outer = Style(times)
        self.style_aside = Style(times)
        middle = min(before, after)
        self.inner = SpectralConv2D(middle, 3, spectral=spectral)
        self.outer = SpectralConv2D(after, 3, spectral=spectral)
        self.aside = SpectralConv2D(after, 1, use_bias=False, spectral=spectral)

    def call(self, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        moments = statistics(x)
        aside = self.aside(_active(self.style_aside(x, z, moments)))
        inner = self.inner(_active(self.style_inner(x, z, moments)))
        moments = statistics(inner)
        return self.outer(_active(self.style_outer(inner, z, moments))) + aside


class UnetGenerator(layers.Layer):
    """U-Net with the texture latent before every convolution on the way down.

        down: concat z, leaky ReLU, 4x4 s2, n      S + 1 times, to one position
        up:   ReLU, 4x4 s2 transposed, n, dropout, concat what was there going down
        x_hat = tanh(last up)

    Widths N, 2 N, 4 N, 8 N, 8 N, ...

    Args:
        width: N.
        stages: S, at least 4.
        grid: z has one latent for each 128x128 pixels.
        dropout: share dropped in the blocks of 8 N but the innermost.
    Call args:
        structure: float [B,H,W,1] of 0 and 1, H and W multiples of 2**S.
        z: float32 [B,g,g',nz].
        training: for the dropout.
    Returns: a list of x_hat alone: float32 [B,H,W,3] in [-1, 1].
    """

    def __init__(
        self,
        width: int,
        stages: int,
        grid: bool = False,
        dropout: float = 0.5,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.stages, self.grid = stages, grid
        widths = [width * min(2**level, 8) for level in range(stages + 1)]
        self.downs = [layers.Conv2D(n, 4, 2, "same") for n in widths]
        self.ups = [layers.Conv2DTranspose(n, 4, 2, "same") for n in [3, *widths[:-1]]]
        self.dropout = UniformDropout(dropout)

    def call(
        self, structure: tf.Tensor, z: tf.Tensor, training: bool | None = None
    ) -> list[tf.Tensor]:
        """Draws the picture."""
        x = 2 * structure - 1
        skips = []
        for level, down in enumerate(self.downs):
            skips.append(x)
            times = 2 ** (self.stages - level) if self.grid else 0
            x = tf.concat([x, tf.cast(_tile(z, x, times), x.dtype)], axis=-1)
            x = down(_active(x) if level else x)
            if 0 < level < self.stages:
                x = instance_norm(x)
        for level, up in reversed(list(enumerate(self.ups))):
            x = up(tf.nn.relu(x))
            if not level:
                break
            x = instance_norm(x)
            if 4 <= level < self.stages:
                x = self.dropout(x, training=training)
            # Below one position there is nothing to halve: what came back is cut.
            shape = tf.shape(skips[level])
            x = tf.concat([x[:, : shape[1], : shape[2]], skips[level]], axis=-1)
        return [tf.tanh(tf.cast(x, tf.float32))]


class PatchDiscriminators(layers.Layer):
    """Two judges of patches, one at full and one at half size.

        x, edges --4x4 s2--> N --s2--> 2 N, n --s2--> 4 N, n --s1--> 8 N, n --s1--> 1

    leaky ReLU between them; the half-size one has half the width.

    Args:
        width: N of the first.
        conditional: whether they see the edges.
    Call args:
        x: float [B,H,W,3] in [-1, 1], sides at least 64.
        structure: float [B,H,W,1] of 0 and 1.
    Returns: logits, float32 [B,h,w,1] of each scale.
    Source: PatchGAN, arXiv 1611.07004; spectral norm, arXiv 1802.05957.
    """

    def __init__(self, width: int, conditional: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conditional = conditional
        self.scales = [_PatchDiscriminator(width), _PatchDiscriminator(width // 2)]

    def call(self, x: tf.Tensor, structure: tf.Tensor) -> list[tf.Tensor]:
        """Judges pictures."""
        if self.conditional:
            x = tf.concat([x, tf.cast(2 * structure - 1, x.dtype)], axis=-1)
        found = []
        for scale in self.scales:
            found.append(scale(x))
            x = tf.nn.avg_pool2d(x, 3, 2, "SAME")
        return found


class _PatchDiscriminator(layers.Layer):
    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        halving = [SpectralConv2D(width * n, 4, 2) for n in (1, 2, 4)]
        keeping = [SpectralConv2D(n, 4, 1, "VALID") for n in (8 * width, 1)]
        self.steps = halving + keeping

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Judges patches."""
        last = len(self.steps) - 1
        for number, step in enumerate(self.steps):
            if step.padding == "VALID":
                x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
            x = step(x)
            if 0 < number < last:
                x = instance_norm(x)
            if number < last:
                x = tf.nn.leaky_relu(x, SLOPE)
        return tf.cast(x, tf.float32)


def _active(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(x, SLOPE)


def _halve(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def _tile(z: tf.Tensor, x: tf.Tensor, times: int) -> tf.Tensor:
    """z [B,g,g',nz] at every position of x: each cell `times` wide, 0 for all of x."""
    if times:
        return tf.repeat(tf.repeat(z, times, axis=1), times, axis=2)
    shape = tf.shape(x)
    return tf.broadcast_to(z, [shape[0], shape[1], shape[2], z.shape[-1]])
