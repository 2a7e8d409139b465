"""What training knows of how well codes can be told from their context."""

import tensorflow as tf

layers = tf.keras.layers


class CodeLength(layers.Layer):
    """Code length of binary codes under a small convolutional predictor.

    codes_{i-1}, codes_{i-2}, known half of codes_i [h,w,3C]
      --3x3--> N, + table_i, leaky ReLU --1x1--> logits of P(+1)

    Each iteration is told in two passes, first the cells whose row and column add up to
    an even number, then the odd ones, which know the even ones. It stands in for the
    coder that files use (`entropy.bit_contexts`), which learns its own contexts later;
    its gradient makes codes more alike their context. Nothing of it is exported.

    Args:
        iterations: T.
        width: N.
    Call args:
        codes: float32 [T,B,h,w,C] of -1, 1, and 0 for what is not coded.
    Returns: float32 [T,B,h,w,C], bits of each code, 0 for what is not coded; for fewer
        iterations fewer.
    """

    def __init__(self, iterations: int, width: int, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.iterations, self.width = iterations, width
        self.enter = layers.Conv2D(width, 3, padding="same")

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the weights."""
        self.table = self.add_weight(
            "table", (self.iterations, self.width), initializer="zeros"
        )
        self.leave = layers.Dense(
            shape[-1], kernel_initializer="zeros", dtype="float32"
        )
        super().build(shape)

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """Measures all iterations and both passes at once."""
        iterations, _, rows, columns, channels = codes.shape
        grid = tf.range(rows)[:, None] + tf.range(columns)[None]
        even = tf.cast(grid % 2 == 0, codes.dtype)[..., None]
        one = tf.pad(codes[:-1], [[1, 0], *[[0, 0]] * 4])
        two = tf.pad(codes[:-2], [[2, 0], *[[0, 0]] * 4])[:iterations]
        logits = []
        for known in (tf.zeros_like(codes), codes * even):
            context = tf.concat([one, two, known], axis=-1)
            flat = tf.reshape(context, [-1, rows, columns, 3 * channels])
            inner = tf.cast(self.enter(flat), tf.float32)
            inner = tf.reshape(inner, [iterations, -1, rows, columns, self.width])
            inner += self.table[:iterations, None, None, None]
            logits.append(self.leave(tf.nn.leaky_relu(inner)))
        logit = even * logits[0] + (1 - even) * logits[1]
        # -log2 of a logistic probability; linear in the code, whose gradient passes.
        nats = tf.nn.softplus(logit) - (1 + codes) / 2 * logit
        return tf.abs(tf.stop_gradient(codes)) * nats / tf.math.log(2.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"iterations": self.iterations, "width": self.width}
        return {**super().get_config(), **config}
