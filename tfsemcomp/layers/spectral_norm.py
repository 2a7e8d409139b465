"""Convolutions whose kernels have a largest singular value of 1."""

import tensorflow as tf

layers = tf.keras.layers


class SpectralConv2D(layers.Layer):
    """Convolution by kernel / sigma, sigma the kernel's largest singular value.

    x [B,H,W,C] --conv kernel / sigma, + bias--> y [B,h,w,filters]
    sigma = |W u|, W the kernel as [k k C, filters]; u a unit vector near the largest

    `update`, called once in each training step, makes one step of power iteration:
    u <- W' W u / |W' W u|. Gradients take u as a constant, as published.

    Args:
        filters: of the result.
        kernel: side of the kernel, pixels.
        strides: of the convolution.
        padding: "SAME" or "VALID".
        use_bias: add one.
        spectral: False makes it a plain convolution, see `copy_folded`.
    Call args:
        inputs: float [B,H,W,C].
    Returns: float [B,h,w,filters] of the layer's compute dtype.
    Source: Miyato et al., arXiv 1802.05957, section 2.1.
    """

    def __init__(
        self,
        filters: int,
        kernel: int,
        strides: int = 1,
        padding: str = "SAME",
        use_bias: bool = True,
        spectral: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.side, self.strides = filters, kernel, strides
        self.padding, self.use_bias, self.spectral = padding, use_bias, spectral

    def build(self, input_shape: tf.TensorShape) -> None:
        """Makes the kernel, the bias and u."""
        shape = (self.side, self.side, input_shape[-1], self.filters)
        # Not the truncated one, whose generator XLA lacks.
        spread = tf.keras.initializers.VarianceScaling(
            1.0, "fan_avg", "untruncated_normal"
        )
        # Singular values are told in float32 under any policy.
        full = {"dtype": "float32", "experimental_autocast": False}
        self.kernel = self.add_weight("kernel", shape, initializer=spread, **full)
        if self.use_bias:
            self.bias = self.add_weight("bias", shape[-1:], initializer="zeros")
        if self.spectral:
            self.u = self.add_weight(
                "u",
                shape[-1:],
                initializer=_unit_vector,
                trainable=False,
                # All replicas compute the same of the same kernel.
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                **full,
            )
        super().build(input_shape)

    def normalised_kernel(self) -> tf.Tensor:
        """kernel / sigma, float32 [k,k,C,filters]."""
        kernel = tf.convert_to_tensor(self.kernel)
        if not self.spectral:
            return kernel
        rows = tf.reshape(kernel, [-1, self.filters])
        # A kernel of zeros has no singular vector; it stays zeros.
        square = tf.reduce_sum(tf.square(tf.linalg.matvec(rows, self.u)))
        return kernel * tf.math.rsqrt(square + 1e-24)

    def update(self) -> None:
        """Turns u nearer to the largest singular vector."""
        if not self.spectral:
            return
        rows = tf.reshape(self.kernel, [-1, self.filters])
        image = tf.linalg.matvec(rows, self.u)
        back = tf.linalg.matvec(rows, image, transpose_a=True)
        self.u.assign(back * tf.math.rsqrt(tf.reduce_sum(back * back) + 1e-24))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves `inputs`."""
        kernel = tf.cast(self.normalised_kernel(), inputs.dtype)
        found = tf.nn.conv2d(inputs, kernel, self.strides, self.padding)
        return tf.nn.bias_add(found, self.bias) if self.use_bias else found

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel": self.side,
            "strides": self.strides,
            "padding": self.padding,
            "use_bias": self.use_bias,
            "spectral": self.spectral,
        }


def convolutions(network: tf.keras.layers.Layer) -> list[SpectralConv2D]:
    """All such convolutions within a network, in the order of its layers."""
    found = network.submodules
    return [layer for layer in found if isinstance(layer, SpectralConv2D)]


def update(network: tf.keras.layers.Layer) -> None:
    """One step of power iteration in each convolution of a network."""
    for layer in convolutions(network):
        layer.update()


def copy_folded(source: tf.keras.layers.Layer, target: tf.keras.layers.Layer) -> None:
    """Copies weights into a network whose convolutions no longer divide by sigma.

    Args:
        source: built.
        target: built, the same network with `spectral=False` throughout.
    """
    for mine, theirs in zip(
        target.trainable_weights, source.trainable_weights, strict=True
    ):
        mine.assign(theirs)
    for mine, theirs in zip(convolutions(target), convolutions(source), strict=True):
        mine.kernel.assign(theirs.normalised_kernel())


def _unit_vector(shape: tf.TensorShape, dtype: tf.DType, **_) -> tf.Tensor:
    return tf.math.l2_normalize(tf.random.normal(shape, dtype=dtype))
