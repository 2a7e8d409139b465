"""Blocks of SCMC's networks, which its layers 2 and 3 share.

Source: Zhang et al., Rethinking Semantic Image Compression, IEEE TCSVT 33(8), 2023,
with its published code. C3: 3x3 convolution; s2: stride 2.
"""

import tensorflow as tf

from tfsemcomp.layers.dropout import UniformDropout

layers = tf.keras.layers

AXES = ("query", "key")
# Of the weights of two paths, softmax(MLP / temperature).
_TEMPERATURE = 30.0
_SLOPE = 0.2


def conv(
    filters: int, kernel: int = 3, strides: int = 1, bias: bool = True
) -> layers.Conv2D:
    """A convolution that keeps the size, or halves it."""
    return layers.Conv2D(filters, kernel, strides, "same", use_bias=bias)


def prelu(rank: int = 4) -> layers.PReLU:
    """PReLU with one slope for all values of a picture, of a tensor of this rank."""
    start = tf.keras.initializers.Constant(0.25)
    return layers.PReLU(alpha_initializer=start, shared_axes=list(range(1, rank)))


def batch_norm() -> layers.BatchNormalization:
    """Batch normalisation with the constants of the source."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


class Down(layers.Layer):
    """Halves: SiLU(BN(C3s2 x) + BN(1x1 MaxPool2 x)): [B,H,W,.] -> [B,H/2,W/2,width]."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.sparse, self.sparse_norm = conv(width, strides=2, bias=False), batch_norm()
        self.dense, self.dense_norm = conv(width, 1, bias=False), batch_norm()

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs the block."""
        strided = self.sparse_norm(self.sparse(x), training=training)
        pooled = self.dense(tf.nn.max_pool2d(x, 2, 2, "VALID"))
        return tf.nn.silu(strided + self.dense_norm(pooled, training=training))


class SelfCalibrated(layers.Layer):
    """T(x): self-calibrated block with pixel attention; shape stays [B,H,W,width].

        a: 1x1 to half, leaky ReLU, C3
        b: 1x1 to half, leaky ReLU, C3(C3(b) sigmoid(1x1 b))
        x + 1x1(leaky ReLU(concat(a, b)))          bias in the gate's 1x1 only

    Source: Zhao et al., arXiv 2010.01073 (PAN).
    """

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        half = width // 2
        self.to_plain, self.to_gated = (
            conv(half, 1, bias=False),
            conv(half, 1, bias=False),
        )
        self.plain = conv(half, bias=False)
        self.inner, self.gate = conv(half, bias=False), conv(half, 1)
        self.outer = conv(half, bias=False)
        self.leave = conv(width, 1, bias=False)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        plain = self.plain(active(self.to_plain(x)))
        gated = active(self.to_gated(x))
        gated = self.outer(self.inner(gated) * tf.sigmoid(self.gate(gated)))
        both = active(tf.concat([plain, gated], axis=-1))
        return x + self.leave(both)


class Merge(layers.Layer):
    """M: two paths over x, weighted by a vector, then what is added.

        p = softmax(MLP(vector) / 30)               MLP width -> width/2 -> 2, ReLU
        1x1(leaky ReLU(p_0 Att(x) + p_1 C3(x))) + added,    x = leaky ReLU(1x1 main)
        Att(x) = C3(C3(x) sigmoid(1x1 leaky ReLU(C3 x)))

    Call args:
        main: float [B,H,W,.].
        vector: float [B,width].
        added: float [B,H,W,width].
    Returns: float [B,H,W,width].
    """

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.enter, self.leave = conv(width, 1), conv(width, 1)
        self.plain = conv(width)
        self.inner, self.aside, self.gate = conv(width), conv(width), conv(width, 1)
        self.outer = conv(width)
        self.hidden = layers.Dense(width // 2, "relu", use_bias=False)
        self.choose = layers.Dense(2, use_bias=False)

    def call(self, main: tf.Tensor, vector: tf.Tensor, added: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        x = active(self.enter(main))
        gate = tf.sigmoid(self.gate(active(self.aside(x))))
        attended = self.outer(self.inner(x) * gate)
        weights = tf.nn.softmax(self.choose(self.hidden(vector)) / _TEMPERATURE)
        weights = weights[:, None, None]
        mixed = weights[..., :1] * attended + weights[..., 1:] * self.plain(x)
        return self.leave(active(mixed)) + added


class ChannelAttention(layers.Layer):
    """A(q, k, v): values mixed across channels, as queries and keys resemble.

        E = Q K', summed over positions                 [B,C,C]
        A = softmax(rowmax(E) - E), dropout .1;  out = A V

    Args:
        width: C.
        axis: over which the softmax sums to one: "query", as published, or "key", as
            attention is meant.
    Call args:
        query, key: float [B,h,w,C].
        value: float [B,H,W,C], of any size.
    Returns: float [B,H,W,C].
    Raises: ValueError for another axis.
    """

    def __init__(self, width: int, axis: str, **kwargs) -> None:
        super().__init__(**kwargs)
        if axis not in AXES:
            raise ValueError(f"`attention_axis` must be one of {AXES}; got '{axis}'.")
        self.width, self.axis = width, axis
        self.to_query, self.to_key = conv(width, 1), conv(width, 1)
        self.to_value = conv(width, 1)
        self.dropout = UniformDropout(0.1)

    def call(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Attends to channels."""
        value = self.to_value(value)
        shape = tf.shape(value)
        query, key, flat = map(
            self._flat, (self.to_query(query), self.to_key(key), value)
        )
        energy = tf.cast(tf.matmul(query, key, transpose_a=True), tf.float32)
        energy = tf.reduce_max(energy, axis=-1, keepdims=True) - energy
        shares = tf.nn.softmax(energy, axis=-2 if self.axis == "query" else -1)
        shares = self.dropout(tf.cast(shares, flat.dtype), training=training)
        return tf.reshape(tf.matmul(flat, shares, transpose_b=True), shape)

    def _flat(self, x: tf.Tensor) -> tf.Tensor:
        """[B,h,w,C] -> [B,hw,C]."""
        return tf.reshape(x, [tf.shape(x)[0], -1, self.width])


class SubpixelUp(layers.Layer):
    """Doubles: C3 to four times the channels, depth_to_space, PReLU."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.enter, self.slope = conv(4 * width), prelu()

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Runs the block."""
        return self.slope(tf.nn.depth_to_space(self.enter(x), 2))


class Residual(layers.Layer):
    """x + BN(C3(PReLU(BN(C3 x))))."""

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.first, self.first_norm, self.slope = conv(width), batch_norm(), prelu()
        self.second, self.second_norm = conv(width), batch_norm()

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs the block."""
        inner = self.slope(self.first_norm(self.first(x), training=training))
        return x + self.second_norm(self.second(inner), training=training)


def half_map(structure: tf.Tensor) -> tf.Tensor:
    """Lines at half size, as files of the source have them: [B,H,W,1] -> [B,H/2,W/2,1].

    Of a map that was enlarged from half size by nearest neighbours, that map.
    """
    return tf.nn.max_pool2d(structure, 2, 2, "VALID")


def active(x: tf.Tensor) -> tf.Tensor:
    """Leaky ReLU of slope .2."""
    return tf.nn.leaky_relu(x, _SLOPE)
