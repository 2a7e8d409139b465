"""Convolutional recurrent cells: GRU, and LSTM with its forget gate."""

import tensorflow as tf

layers = tf.keras.layers


class ConvGru(layers.Layer):
    """One step of a convolutional GRU.

    x [B,H,W,C] --Wr,Wz,Wc, stride s--> xr, xz, xc [B,H/s,W/s,N]
    r = sigmoid(xr + Ur*h)    z = sigmoid(xz + Uz*h)    c = tanh(xc + Uc*(r h))
    h' = z c + (1 - z) h

    No biases. z = 1 takes the new value, unlike Keras' own GRU.

    Args:
        filters: N.
        kernel: side of the kernels W on the input.
        recurrent_kernel: side of the kernels U on the state.
        strides: s.
    Call args:
        x: float [B,H,W,C].
        state: float [B,H/s,W/s,N], of `zero_state` at first.
    Returns: output [B,H/s,W/s,N] and the next state, here the same tensor.
    Source: arXiv 1511.06432, as used in arXiv 1608.05148, section 3.1.
    """

    def __init__(
        self,
        filters: int,
        kernel: int = 3,
        recurrent_kernel: int = 1,
        strides: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel, self.strides = filters, kernel, strides
        self.recurrent_kernel = recurrent_kernel
        self.inputs_to_all = _convolution(3 * filters, kernel, strides)
        self.state_to_gates = _convolution(2 * filters, recurrent_kernel)
        self.state_to_value = _convolution(filters, recurrent_kernel)

    def zero_state(self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor):
        """The state before the first step, [B,rows,columns,N]."""
        shape = [batch, rows, columns, self.filters]
        return tf.zeros(shape, self.compute_dtype)

    def call(self, x: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes one step."""
        n = self.filters
        to_gates, to_value = tf.split(self.inputs_to_all(x), [2 * n, n], axis=-1)
        gates = tf.sigmoid(to_gates + self.state_to_gates(state))
        reset, update = tf.split(gates, 2, axis=-1)
        value = tf.tanh(to_value + self.state_to_value(reset * state))
        state = state + update * (value - state)
        return state, state

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), **_config(self)}


class ConvLstm(layers.Layer):
    """One step of a convolutional LSTM.

    i, o = sigmoid(W*x + b + U*h + b')    f = sigmoid(W*x + b + U*h + b' + 1)
    g = tanh(W*x + b + U*h + b')    c' = f c + i g    h' = o tanh(c')

    The published code for arXiv 1910.03472 replaces f by a constant; here it is a gate.

    Args, Call args, Returns: as of `ConvGru`; the state is the pair (c, h).
    Source: arXiv 1506.04214, without peepholes.
    """

    def __init__(
        self,
        filters: int,
        kernel: int = 3,
        recurrent_kernel: int = 1,
        strides: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel, self.strides = filters, kernel, strides
        self.recurrent_kernel = recurrent_kernel
        self.inputs_to_all = _convolution(4 * filters, kernel, strides, use_bias=True)
        self.state_to_all = _convolution(4 * filters, recurrent_kernel, use_bias=True)

    def zero_state(self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor):
        """The state before the first step, twice [B,rows,columns,N]."""
        shape = [batch, rows, columns, self.filters]
        return tf.zeros(shape, self.compute_dtype), tf.zeros(shape, self.compute_dtype)

    def call(
        self, x: tf.Tensor, state: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Takes one step."""
        cell, hidden = state
        both = self.inputs_to_all(x) + self.state_to_all(hidden)
        enter, value, forget, leave = tf.split(both, 4, axis=-1)
        cell = tf.sigmoid(forget + 1) * cell + tf.sigmoid(enter) * tf.tanh(value)
        hidden = tf.sigmoid(leave) * tf.tanh(cell)
        return hidden, (cell, hidden)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), **_config(self)}


CELLS = {"gru": ConvGru, "lstm": ConvLstm}


def _convolution(
    filters: int, kernel: int, strides: int = 1, use_bias: bool = False
) -> layers.Conv2D:
    # The biases of an LSTM come in pairs that add up.
    return layers.Conv2D(
        filters,
        kernel,
        strides,
        "same",
        use_bias=use_bias,
        bias_initializer=tf.keras.initializers.Constant(0.1),
    )


def _config(cell: layers.Layer) -> dict:
    return {
        "filters": cell.filters,
        "kernel": cell.kernel,
        "recurrent_kernel": cell.recurrent_kernel,
        "strides": cell.strides,
    }
