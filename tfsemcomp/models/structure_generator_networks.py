"""Networks that draw layer 2: our U-Net under lines and words, and its judges."""

from collections.abc import Sequence

import tensorflow as tf

from tfsemcomp.layers.adain import SLOPE
from tfsemcomp.layers.film import Film
from tfsemcomp.layers.sentence import MeanEmbedding
from tfsemcomp.layers.spade import Spade
from tfsemcomp.layers.upsample import enlarge
from tfsemcomp.models import conceptual_networks

layers = tf.keras.layers

# Channels by which the judges see the sentence.
_SEEN = 8


class ModulatedUnet(layers.Layer):
    """U-Net over picture and lines, modulated by lines (SPADE) and sentence (FiLM).

        base, lines --C3--> W_0 --down--> W_1 ... --down--> W_L
        L steps: up x2, concat what was there going down --block--> W_l
        x_hat = tanh(C3(leaky ReLU x))
        down:  mean of 2x2 of (x + C3(leaky ReLU x)), then C3 to the next width
        block: C3(f(FiLM(SPADE(x, lines)))) twice, + C1(x);   f: leaky ReLU

    SPADE sees the lines at its own scale, a pixel a line where any of those that it
    covers is one. Skips and the path around each block are not normalised: the base
    keeps its colours.

    Args:
        widths: W_0 to W_L, from full size down.
        hidden: channels within SPADE.
        vocabulary: ids of words; 0 for a network that is told no sentence.
        sentence: width of the sentence's vector.
    Call args:
        structure: float32 [B,H,W,1] of 0 and 1, H and W multiples of 2**L.
        base: float32 [B,H,W,3] in [-1, 1].
        words: int32 [B,T], 0 for padding; all 0 for no text.
    Returns: float32 [B,H,W,3] in [-1, 1].
    Sources: arXiv 1505.04597 (U-Net), 1903.07291 (SPADE), 1709.07871 (FiLM).
    """

    def __init__(
        self,
        widths: Sequence[int],
        hidden: int,
        vocabulary: int = 0,
        sentence: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.embed = MeanEmbedding(vocabulary, sentence) if vocabulary else None
        self.enter = _conv(widths[0])
        self.mixes = [_conv(width) for width in widths[:-1]]
        self.downs = [_conv(width) for width in widths[1:]]
        told = vocabulary > 0
        self.middle = _ModulatedBlock(widths[-1], hidden, told)
        self.blocks = [_ModulatedBlock(width, hidden, told) for width in widths[:-1]]
        self.leave = _conv(3)

    def call(
        self,
        structure: tf.Tensor,
        base: tf.Tensor,
        words: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Draws pictures."""
        maps = conceptual_networks.edge_pyramid(structure, len(self.downs))
        sentence = None if self.embed is None else self.embed(words)
        x = self.enter(tf.concat([tf.cast(base, maps[0].dtype), maps[0]], axis=-1))
        skips = []
        for mix, down in zip(self.mixes, self.downs, strict=True):
            x += mix(_active(x))
            skips.append(x)
            x = down(tf.nn.avg_pool2d(x, 2, 2, "VALID"))
        x = self.middle(x, maps[-1], sentence)
        for block, skip, lines in zip(
            self.blocks[::-1], skips[::-1], maps[-2::-1], strict=True
        ):
            x = block(tf.concat([enlarge(x, 2), skip], axis=-1), lines, sentence)
        return tf.tanh(tf.cast(self.leave(_active(x)), tf.float32))


class _ModulatedBlock(layers.Layer):
    def __init__(self, width: int, hidden: int, told: bool, **kwargs) -> None:
        super().__init__(**kwargs)
        self.spades = [Spade(hidden), Spade(hidden)]
        self.films = [Film(), Film()] if told else [None, None]
        self.steps = [_conv(width), _conv(width)]
        self.aside = layers.Conv2D(width, 1)

    def call(
        self, x: tf.Tensor, lines: tf.Tensor, sentence: tf.Tensor | None
    ) -> tf.Tensor:
        """Runs the block."""
        aside = self.aside(x)
        for spade, film, step in zip(self.spades, self.films, self.steps, strict=True):
            x = spade(x, lines)
            if film is not None:
                x = film(x, sentence)
            x = step(_active(x))
        return aside + x


class ToldDiscriminators(layers.Layer):
    """The conceptual codec's two judges of patches, who see lines and sentence.

        words --mean of embeddings, linear, sigmoid--> 8 planes of one value each
        x, lines, planes --PatchDiscriminators--> logits of two scales

    Args:
        width: of the full-size judge.
        vocabulary: ids of words; 0 for judges that are told no sentence.
        sentence: width of the sentence's vector.
    Call args: as those of `ModulatedUnet`, with pictures x [B,H,W,3] in [-1, 1], sides
        at least 64, in place of the base.
    Returns: logits, float32 [B,h,w,1] of each scale.
    """

    def __init__(
        self, width: int, vocabulary: int = 0, sentence: int = 0, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.embed = MeanEmbedding(vocabulary, sentence) if vocabulary else None
        if vocabulary:
            self.project = layers.Dense(_SEEN, "sigmoid", dtype="float32")
        self.judges = conceptual_networks.PatchDiscriminators(width)

    def call(
        self, structure: tf.Tensor, x: tf.Tensor, words: tf.Tensor
    ) -> list[tf.Tensor]:
        """Judges pictures."""
        seen = structure
        if self.embed is not None:
            planes = self.project(self.embed(words))[:, None, None]
            planes = tf.cast(planes, seen.dtype)
            shape = tf.concat([tf.shape(structure)[:3], [_SEEN]], axis=0)
            seen = tf.concat([seen, tf.broadcast_to(planes, shape)], axis=-1)
        return self.judges(x, seen)


def _conv(filters: int) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same")


def _active(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(x, SLOPE)
