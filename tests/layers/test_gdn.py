import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.layers.gdn import Gdn

CHANNELS = 5
FORMS = [
    {"inverse": inverse, "simple": simple}
    for inverse in (False, True)
    for simple in (False, True)
]


def random_inputs():
    return tf.random.stateless_normal([2, 4, 3, CHANNELS], [1, 2], stddev=3.0)


def tfc_gdn(inverse, simple, **parameters):
    return tfc.GDN(
        inverse=inverse,
        alpha_parameter=1 if simple else 2,
        epsilon_parameter=1 if simple else 0.5,
        **parameters,
    )


class GdnTest(SemCompTestCase):
    @parameterized.parameters(*FORMS)
    def test_layer(self, **form):
        self.run_layer_test(lambda: Gdn(**form), random_inputs(), (2, 4, 3, CHANNELS))

    @parameterized.parameters(*FORMS)
    def test_starts_as_that_of_tensorflow_compression(self, **form):
        inputs = random_inputs()
        expected = tfc_gdn(**form)(inputs)
        np.testing.assert_allclose(Gdn(**form)(inputs), expected, rtol=1e-5)

    @parameterized.parameters(*FORMS)
    def test_equals_that_of_tensorflow_compression(self, **form):
        rng = np.random.default_rng(3)
        beta = rng.uniform(0.1, 2, CHANNELS).astype(np.float32)
        gamma = rng.uniform(0, 0.5, (CHANNELS, CHANNELS)).astype(np.float32)
        inputs = random_inputs()
        ours = Gdn(**form)
        ours.build(inputs.shape)
        ours.set_weights([np.sqrt(beta), np.sqrt(gamma)])
        theirs = tfc_gdn(**form, beta_parameter=beta, gamma_parameter=gamma)
        np.testing.assert_allclose(ours(inputs), theirs(inputs), rtol=1e-5)

    @parameterized.parameters(*FORMS)
    def test_one_channel_by_hand(self, inverse, simple):
        x = np.float32([-3.0, 0.0, 0.5, 20.0]).reshape(1, 2, 2, 1)
        norm = 1 + 0.1 * abs(x) if simple else np.sqrt(1 + 0.1 * x**2)
        expected = x * norm if inverse else x / norm
        np.testing.assert_allclose(Gdn(inverse, simple)(x), expected, rtol=1e-5)

    def test_other_ranks_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`inputs` must be"):
            Gdn()(tf.zeros([3, 4]))

    def test_weights_at_their_bounds_give_finite_numbers_and_gradients(self):
        inputs = tf.concat([random_inputs(), tf.zeros([1, 4, 3, CHANNELS])], axis=0)
        for form in FORMS:
            layer = Gdn(**form)
            layer.build(inputs.shape)
            layer.set_weights([0 * weight for weight in layer.get_weights()])
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs)
            for gradient in tape.gradient(outputs, [inputs, *layer.weights]):
                self.assertTrue(np.isfinite(gradient).all())
            self.assertTrue(np.isfinite(outputs).all())

    def test_what_starts_at_zero_can_grow(self):
        layer = Gdn()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(random_inputs()) ** 2)
        gradient = tape.gradient(loss, layer.gamma_root).numpy()
        self.assertTrue((gradient != 0).all())

    @parameterized.parameters(*FORMS)
    def test_xla_clean(self, **form):
        layer = Gdn(**form)
        layer(random_inputs())
        self.assert_xla_clean(layer, random_inputs())
