import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp.models import segmenter
from tfsemcomp.serving import allowed_ops, exact, export, manifest, runner

CHANNELS = 96
HEAVY = np.full([9, 9, 3, 1], 30, np.float32)


def pictures(count=2, side=64):
    found = [noise_image(side, side, seed) for seed in range(count)]
    found[0] = smooth_image(side, side)
    return np.stack(found).astype(np.float32)


def a_segmenter():
    """One of random weights whose statistics of batches are those of pictures."""
    tf.keras.utils.set_random_seed(1)
    model = segmenter.Segmenter(5, 4, "tiny")
    model.create_weights()
    for weight in model.trainable_variables:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.1))
    for _ in range(30):
        model(pictures(), training=True)
    return model


def a_sum(order):
    """Two convolutions; what lies between has its channels in this order."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, 3, 3, CHANNELS)).astype(np.float32) / 200
    second = rng.normal(size=(3, 3, CHANNELS, 8)).astype(np.float32) / 10

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], name="x")])
    def call(x):
        hidden = tf.nn.conv2d(x, tf.constant(first[..., order]), 1, "SAME")
        hidden = tf.nn.relu(hidden)
        return {"y": tf.nn.conv2d(hidden, tf.constant(second[:, :, order]), 1, "VALID")}

    return call


class ExactTest(SemCompTestCase):
    def test_no_order_of_summation_matters(self):
        x = pictures()
        orders = [np.random.default_rng(n).permutation(CHANNELS) for n in range(3)]
        results = [
            [make(a_sum(order))(x)["y"].numpy() for order in orders]
            for make in (exact.exactly, lambda call: call)
        ]
        for other in results[0][1:]:
            np.testing.assert_array_equal(other, results[0][0])
        # Those of float32 differ, so that the test can fail.
        self.assertTrue((results[1][1] != results[1][0]).any())
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=0.01, atol=0.02)

    def test_batches_and_compilers_give_the_same(self):
        call = exact.exactly(segmenter.signatures(a_segmenter())["segment"])
        x = pictures(4)
        together = call(x)
        compiled = tf.function(call, jit_compile=True)(x[:2])
        for name, found in together.items():
            for number in range(2):
                alone = call(x[number : number + 1])[name]
                np.testing.assert_array_equal(alone[0], found[number])
            np.testing.assert_array_equal(compiled[name], found[:2])

    def test_a_segmenter_keeps_its_answers(self):
        function = segmenter.signatures(a_segmenter())["segment"]
        x = pictures(4)
        before, after = function(x), exact.exactly(function)(x)
        self.assertGreater(len(np.unique(before["labels"])), 1)
        self.assertEqual(after["scores"].dtype, tf.float32)
        np.testing.assert_allclose(
            after["scores"][..., :4], before["scores"][..., :4], atol=0.02
        )
        same = np.mean(after["labels"].numpy() == before["labels"].numpy())
        self.assertGreater(same, 0.99)
        self.assertNotIn(4, after["labels"].numpy())

    def test_exported_it_gives_the_same(self):
        call = exact.exactly(segmenter.signatures(a_segmenter())["segment"])
        path = export.export({"segment": call}, self.folder / "m")
        self.assertEqual(allowed_ops.forbidden(path), [])
        x = pictures()
        found = runner.LocalRunner(manifest.find(path)).call("segment", image=x)
        for name, expected in call(x).items():
            np.testing.assert_array_equal(found[name], expected)

    def test_results_are_whole_steps(self):
        y = exact.exactly(a_sum(np.arange(CHANNELS)))(pictures())["y"].numpy()
        np.testing.assert_array_equal(y * 2**16, np.rint(y * 2.0**16))
        self.assertGreater(len(np.unique(y)), 1000)

    @parameterized.parameters(
        (lambda x: tf.exp(x), "Exp"),
        (lambda x: tf.nn.conv2d(x, HEAVY, 1, "SAME"), "add up"),
        (lambda x: tf.nn.conv2d(x, x[:, :1, :1] * 0.1, 1, "SAME"), "no constant"),
        (lambda x: 200 * x, "factors in"),
    )
    def test_what_has_no_exact_form(self, compute, pattern):
        spec = tf.TensorSpec([1, 8, 8, 3], name="x")
        function = tf.function(lambda x: {"y": compute(x)}, input_signature=[spec])
        with self.assertRaisesRegex(ValueError, pattern):
            call = exact.exactly(function)
            call(tf.zeros([1, 8, 8, 3]))

    def test_means_pooling_and_interpolation(self):
        spec = tf.TensorSpec([None, 8, 8, 3], name="x")

        @tf.function(input_signature=[spec])
        def function(x):
            x = tf.nn.max_pool2d(x * (1 / 255), 2, 2, "SAME")
            mean = tf.reduce_mean(x, [1, 2], keepdims=True)
            return {"y": tf.image.resize(x - mean, [32, 32]), "mean": mean[:, 0, 0]}

        x = pictures(3, 8)
        found, expected = exact.exactly(function)(x), function(x)
        np.testing.assert_allclose(found["y"], expected["y"], atol=2**-8)
        np.testing.assert_allclose(found["mean"], expected["mean"], atol=2**-14)
