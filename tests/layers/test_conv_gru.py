import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers import conv_gru

RNG = np.random.default_rng(1)


def draw(*shape):
    return tf.constant(RNG.normal(0, 0.5, shape), tf.float32)


def a_cell(name, filters=4, **options):
    """A cell with its weights made, its input and a state that is not empty."""
    tf.keras.utils.set_random_seed(1)
    cell = conv_gru.CELLS[name](filters, **options)
    strides = options.get("strides", 1)
    x = draw(2, 4 * strides, 6 * strides, 3)
    state = tf.nest.map_structure(
        lambda zero: zero + draw(*zero.shape), cell.zero_state(2, 4, 6)
    )
    cell(x, state)
    return cell, x, state


class ConvGruTest(SemCompTestCase):
    @parameterized.product(name=list(conv_gru.CELLS), strides=(1, 2), kernel=(2, 3))
    def test_shapes(self, name, strides, kernel):
        cell, x, state = a_cell(name, strides=strides, kernel=kernel)
        output, after = cell(x, state)
        self.assertEqual(tuple(output.shape), (2, 4, 6, 4))
        tf.nest.map_structure(
            lambda new, old: self.assertEqual(new.shape, old.shape), after, state
        )

    def test_a_pixel_is_keras_gru(self):
        cell, _, _ = a_cell("gru", kernel=1)
        for weight in cell.weights:
            weight.assign(draw(*weight.shape))
        oracle = tf.keras.layers.GRUCell(4, use_bias=False, reset_after=False)
        x, state = draw(5, 3), draw(5, 4)
        oracle(x, [state])
        from_x = cell.inputs_to_all.kernel[0, 0]
        gates, value = cell.state_to_gates.kernel[0, 0], cell.state_to_value.kernel
        # Keras has update, reset, value; its update keeps the old state.
        reset, update, new = tf.split(from_x, 3, axis=-1)
        state_reset, state_update = tf.split(gates, 2, axis=-1)
        oracle.set_weights(
            [
                tf.concat([-update, reset, new], -1).numpy(),
                tf.concat([-state_update, state_reset, value[0, 0]], -1).numpy(),
            ]
        )
        expected, _ = oracle(x, [state])
        got, _ = cell(x[:, None, None], state[:, None, None])
        np.testing.assert_allclose(got[:, 0, 0], expected, atol=1e-6)

    @parameterized.parameters(1, 2)
    def test_lstm_is_keras_conv_lstm(self, strides):
        cell, x, (memory, hidden) = a_cell(
            "lstm", strides=strides, kernel=3, recurrent_kernel=3
        )
        oracle = tf.keras.layers.ConvLSTM2D(
            4, 3, strides, "same", recurrent_activation="sigmoid"
        )
        oracle(x[:, None])

        def reordered(weight):
            """Ours are input, value, forget, output; Keras has value third."""
            enter, value, forget, leave = np.split(weight, 4, axis=-1)
            return np.concatenate([enter, forget, value, leave], axis=-1)

        kernel, bias = cell.inputs_to_all.get_weights()
        state_kernel, state_bias = cell.state_to_all.get_weights()
        forget = np.repeat([0.0, 0.0, 1.0, 0.0], 4)
        oracle.set_weights(
            [
                reordered(kernel),
                reordered(state_kernel),
                reordered(bias + state_bias + forget),
            ]
        )
        expected = oracle(x[:, None], initial_state=[hidden, memory])
        got, _ = cell(x, (memory, hidden))
        np.testing.assert_allclose(got, expected, atol=1e-5)

    def test_the_forget_gate_looks_at_its_input(self):
        cell, x, state = a_cell("lstm")
        # An input that shuts the gate leaves nothing of the state.
        kernel, bias = cell.inputs_to_all.get_weights()
        bias[8:12] = -50
        cell.inputs_to_all.set_weights([kernel, bias])
        forgetful = cell(x, state)[1][0]
        other = cell(x, (state[0] + 1, state[1]))[1][0]
        np.testing.assert_allclose(forgetful, other, atol=1e-6)

    @parameterized.parameters(*conv_gru.CELLS)
    def test_config_rebuilds_the_cell(self, name):
        cell, x, state = a_cell(name, strides=2, recurrent_kernel=3)
        again = type(cell).from_config(cell.get_config())
        again(x, state)
        again.set_weights(cell.get_weights())
        np.testing.assert_array_equal(again(x, state)[0], cell(x, state)[0])

    @parameterized.parameters(*conv_gru.CELLS)
    def test_xla_clean(self, name):
        cell, x, state = a_cell(name)
        self.assert_xla_clean(lambda x: cell(x, state)[0], x)
