"""Networks that draw pictures of sentences, and those that judge them.

Source: Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, with its published code.
"""

import tensorflow as tf

from tfsemcomp.losses import damsm as attention

layers = tf.keras.layers

SLOPE = 0.2
# Positions to a side from which pictures grow, and to which they are judged.
_SEED = 4
_BATCH_NORM_MOMENTUM = 0.9
# Colours begin faint: a saturated tanh learns nothing.
_FAINT = 0.02


def _convolution(width: int, kernel: int = 3, stride: int = 1) -> layers.Layer:
    return layers.Conv2D(width, kernel, stride, "same", use_bias=False)


def _normalisation() -> layers.Layer:
    return layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, epsilon=1e-5)


def gated(x: tf.Tensor) -> tf.Tensor:
    """Gated linear unit, half of x by sigmoids of the rest: [...,2C] -> [...,C]."""
    value, gate = tf.split(x, 2, axis=-1)
    return value * tf.sigmoid(gate)


class ConditioningAugmentation(layers.Layer):
    """A sentence as a Gaussian, from which training draws.

        sentence --linear, GLU--> mu, log variance          c = mu + sigma e

    Args:
        width: of c.
    Call args:
        sentence: float32 [B,D].
        training: draws; else c is mu, and a picture depends on words and noise alone.
    Returns: c, mu, log variance: float32 [B,width].
    """

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width = width
        self.linear = layers.Dense(4 * width, dtype="float32")

    def call(
        self, sentence: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws the condition."""
        mean, log_variance = tf.split(gated(self.linear(sentence)), 2, axis=-1)
        if not training:
            return mean, mean, log_variance
        noise = tf.random.normal(tf.shape(mean))
        return mean + tf.exp(log_variance / 2) * noise, mean, log_variance


class _Up(layers.Layer):
    """Nearest x2, 3x3 convolution, batch normalisation, GLU."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.convolve = _convolution(2 * width)
        self.normalise = _normalisation()

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        # The gradient of the stock nearest resizing is none of XLA's operations.
        x = self.convolve(tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2))
        return gated(self.normalise(x, training=training))


class _Residual(layers.Layer):
    """[C3, BN, GLU], [C3, BN], plus what came in."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inner, self.outer = _convolution(2 * width), _convolution(width)
        self.normalise_inner = _normalisation()
        self.normalise_outer = _normalisation()

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        found = gated(self.normalise_inner(self.inner(x), training=training))
        return x + self.normalise_outer(self.outer(found), training=training)


class _FirstStage(layers.Layer):
    """Condition and noise to a small map: linear, BN, GLU, 4x4, doublings."""

    def __init__(self, width: int, doublings: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.width = width * 2**doublings
        self.linear = layers.Dense(2 * _SEED * _SEED * self.width, use_bias=False)
        self.normalise = _normalisation()
        self.ups = [_Up(self.width // 2**n) for n in range(1, doublings + 1)]

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        x = gated(self.normalise(self.linear(x), training=training))
        x = tf.reshape(x, [-1, _SEED, _SEED, self.width])
        for up in self.ups:
            x = up(x, training=training)
        return x


class _Refinement(layers.Layer):
    """Words where they are needed, then twice the size.

    h --as queries--> attention to the words --concat h--> residual blocks --up--> h'
    """

    def __init__(self, width: int, residuals: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.project = layers.Dense(width, use_bias=False)
        self.residuals = [_Residual(2 * width) for _ in range(residuals)]
        self.up = _Up(width)

    def call(
        self,
        h: tf.Tensor,
        words: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        side = h.shape[1]
        queries = tf.reshape(h, [-1, side * side, self.width])
        projected = self.project(words)
        context, _ = attention.attend(queries, tf.cast(projected, h.dtype), mask)
        x = tf.concat([h, tf.reshape(context, tf.shape(h))], axis=-1)
        for residual in self.residuals:
            x = residual(x, training=training)
        return self.up(x, training=training)


class Generator(layers.Layer):
    """Draws a picture of a sentence in stages, each of twice the size.

        sentence --conditioning augmentation--> c
        c, noise --linear, doublings--> h_1 --C3, tanh--> x_1
        h_k, words --attention, residual blocks, up--> h_k+1 --C3, tanh--> x_k+1

    Args:
        width: N (ngf).
        doublings: of the first stage, which begins with 4x4.
        stages: pictures, at least 1.
        residuals: blocks of each refinement.
        condition: width of c.
    Call args:
        noise: float32 [B,nz].
        words: float32 [B,T,D].
        sentence: float32 [B,D].
        mask: bool [B,T], where there is a word.
        training: batch statistics, and draws of c.
    Returns: the pictures x_1, ..., float32 [B,h,h,3] in [-1, 1]; mu and log variance of
        the condition.
    """

    def __init__(
        self,
        width: int,
        doublings: int,
        stages: int,
        residuals: int,
        condition: int,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.augment = ConditioningAugmentation(condition)
        self.first = _FirstStage(width, doublings)
        self.refinements = [_Refinement(width, residuals) for _ in range(stages - 1)]
        self.colours = [
            layers.Conv2D(
                3,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=tf.keras.initializers.RandomNormal(stddev=_FAINT),
            )
            for _ in range(stages)
        ]

    def call(
        self,
        noise: tf.Tensor,
        words: tf.Tensor,
        sentence: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Draws pictures, small to large."""
        condition, mean, log_variance = self.augment(sentence, training=training)
        noise = tf.cast(noise, condition.dtype)
        h = self.first(tf.concat([condition, noise], axis=-1), training=training)
        maps = [h]
        for refine in self.refinements:
            maps.append(refine(maps[-1], words, mask, training=training))
        pictures = [
            tf.tanh(tf.cast(colour(h), tf.float32))
            for colour, h in zip(self.colours, maps, strict=True)
        ]
        return pictures, mean, log_variance


class Discriminator(layers.Layer):
    """Judges pictures of one size: are they real, and of this sentence?

        x --4x4 s2, leaky ReLU--> N --4x4 s2, BN, leaky ReLU--> 2 N ... to 4x4
          --3x3, BN, leaky ReLU where wider than 8 N--> f, 4x4, at most 8 N channels
        f --4x4--> logit             f, sentence --3x3, BN, leaky ReLU, 4x4--> logit

    Args:
        width: N (ndf).
        halvings: from the picture's side to 4.
    """

    def __init__(self, width: int, halvings: int, **kwargs) -> None:
        super().__init__(**kwargs)
        widths = [width * 2**n for n in range(halvings)]
        self.enter = _convolution(widths[0], 4, 2)
        self.halve = [_convolution(n, 4, 2) for n in widths[1:]]
        # Back to 8 N, by half at a time.
        self.narrow = [_convolution(n) for n in widths[3:-1][::-1]]
        self.normalisations = [
            _normalisation() for _ in range(len(self.halve) + len(self.narrow))
        ]
        last = widths[min(3, halvings - 1)]
        self.match = _convolution(last)
        self.normalise_match = _normalisation()
        self.to_real = layers.Conv2D(1, _SEED, dtype="float32")
        self.to_match = layers.Conv2D(1, _SEED, dtype="float32")

    def features(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Pictures float32 [B,H,H,3] in [-1, 1] -> f [B,4,4,C]."""
        x = _active(self.enter(x))
        steps = zip([*self.halve, *self.narrow], self.normalisations, strict=True)
        for convolve, normalise in steps:
            x = _active(normalise(convolve(x), training=training))
        return x

    def judge(self, features: tf.Tensor) -> tf.Tensor:
        """Whether pictures are real: f -> logits, float32 [B,1,1,1]."""
        return self.to_real(features)

    def judge_match(
        self, features: tf.Tensor, sentence: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Whether they are real and of the sentence: f, [B,D] -> [B,1,1,1]."""
        shape = [1, _SEED, _SEED, 1]
        sentence = tf.tile(tf.cast(sentence, features.dtype)[:, None, None], shape)
        x = self.match(tf.concat([features, sentence], axis=-1))
        return self.to_match(_active(self.normalise_match(x, training=training)))

    def call(
        self, x: tf.Tensor, sentence: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Both judgements."""
        features = self.features(x, training)
        return self.judge(features), self.judge_match(features, sentence, training)


def _active(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(x, SLOPE)
