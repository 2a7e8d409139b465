import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.models import msroi_cnn
from tfsemcomp.models.msroi_cnn import MsroiCnn


def images_of(*shape):
    return tf.random.stateless_uniform(shape, seed=[3, 4], maxval=255.0)


class MsroiCnnTest(SemCompTestCase):
    def test_paper_size_has_the_published_parameters(self):
        network = MsroiCnn(257, "paper")
        network(tf.zeros([1, 32, 32, 3]))
        # 14,714,688 trunk + 147,488 + 10,240 + 9,438,208 head + 263,168 classes.
        self.assertEqual(network.count_params(), 24_573_792)

    def test_small_size_keeps_to_four_million_parameters(self):
        network = MsroiCnn(257, "small")
        network(tf.zeros([1, 32, 32, 3]))
        self.assertLess(network.count_params(), 4_000_000)

    @parameterized.parameters((16, 16), (33, 47), (64, 112))
    def test_runs_on_any_size_at_stride_16(self, height, width):
        network = MsroiCnn(3, "tiny")
        result = network(images_of(2, height, width, 3))
        grid = (-(-height // 16), -(-width // 16))
        self.assertEqual(tuple(result["features"].shape), (2, *grid, 32))
        self.assertEqual(tuple(result["logits"].shape), (2, 3))

    def test_means_of_class_maps_are_the_logits(self):
        network = MsroiCnn(5, "tiny")
        result = network(images_of(2, 48, 64, 3))
        maps = network.class_maps(result["features"])
        np.testing.assert_allclose(
            tf.reduce_mean(maps, axis=(1, 2)), result["logits"], rtol=1e-4, atol=1e-5
        )

    def test_inference_is_repeatable_and_training_drops(self):
        network = MsroiCnn(5, "tiny")
        image = images_of(1, 64, 64, 3)
        first, second = (network(image)["logits"].numpy() for _ in range(2))
        np.testing.assert_array_equal(first, second)
        drawn = network(image, training=True)["logits"]
        self.assertFalse(np.allclose(drawn, first))

    def test_config_rebuilds_the_network(self):
        network = MsroiCnn(5, "tiny")
        again = MsroiCnn.from_config(network.get_config())
        image = images_of(1, 32, 32, 3)
        expected = network(image)["logits"]
        again(image)
        again.set_weights(network.get_weights())
        np.testing.assert_allclose(again(image)["logits"], expected, rtol=1e-5)

    def test_keras_trunk_stops_at_stride_16(self):
        size = msroi_cnn.MsroiSize("keras:MobileNet", group_channels=4)
        network = MsroiCnn(3, size)
        result = network(images_of(1, 64, 96, 3))
        self.assertEqual(tuple(result["trunk"].shape), (1, 4, 6, 512))

    def test_keras_cv_trunk_stops_at_stride_16(self):
        import keras_cv

        backbone = keras_cv.models.ResNetV2Backbone(
            stackwise_filters=[8, 8, 8, 8],
            stackwise_blocks=[2, 2, 2, 2],
            stackwise_strides=[1, 2, 2, 2],
            include_rescaling=True,
        )
        trunk = msroi_cnn.keras_cv_trunk(backbone)
        self.assertEqual(tuple(trunk(images_of(1, 64, 96, 3)).shape[:3]), (1, 4, 6))

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`classes`"):
            MsroiCnn(0)
        with self.assertRaisesRegex(ValueError, "`size`"):
            MsroiCnn(3, "huge")
        with self.assertRaisesRegex(ValueError, "NoSuchNet"):
            MsroiCnn(3, msroi_cnn.MsroiSize("keras:NoSuchNet"))


class RoiMapTest(SemCompTestCase):
    def test_cam_topk_weights_are_the_originals(self):
        # Five classes with one-hot maps at five places: the blend shows the weights.
        maps = np.zeros([1, 1, 6, 5], np.float32)
        for rank in range(5):
            maps[0, 0, rank, rank] = 1
        logits = tf.constant([[5.0, 4.0, 3.0, 2.0, 1.0]])
        blend = msroi_cnn.roi_map_cam_topk(tf.constant(maps), logits).numpy()
        expected = np.array([0.5, 0.25, 0.125, 0.0625, 0.075, 0]) / 0.5
        np.testing.assert_allclose(blend[0, 0], expected, rtol=1e-5)

    def test_class_features_adds_all_likely_classes_and_no_other(self):
        features = np.zeros([1, 3, 15, 3], np.float32)
        for place in range(3):
            features[0, :, 5 * place : 5 * place + 5, place] = 4
        logits = tf.constant([[5.0, 5.0, -9.0]])
        roi = msroi_cnn.roi_map_class_features(tf.constant(features), logits).numpy()
        np.testing.assert_allclose(roi[0, 1, :9], np.ones(9), atol=1e-6)
        np.testing.assert_allclose(roi[0, 1, 11:], np.zeros(4), atol=1e-6)

    def test_class_features_leave_out_what_speaks_against(self):
        network = MsroiCnn(5, "tiny")
        features = network(images_of(1, 48, 64, 3))["features"]
        own = network.class_features(features).numpy()
        self.assertGreaterEqual(own.min(), 0)
        self.assertTrue((own >= network.class_maps(features).numpy() - 1e-6).all())

    def test_constant_maps_give_zeros_not_nan(self):
        maps = tf.ones([2, 3, 4, 5])
        logits = tf.zeros([2, 5])
        for method in (msroi_cnn.roi_map_cam_topk, msroi_cnn.roi_map_class_features):
            np.testing.assert_array_equal(method(maps, logits), np.zeros([2, 3, 4]))

    def test_a_batch_is_mapped_image_by_image(self):
        network = MsroiCnn(6, "tiny")
        batch = np.stack([smooth_image(64, 80, seed) for seed in range(3)])
        result = network(tf.cast(batch, tf.float32))
        maps = network.class_maps(result["features"])
        together = msroi_cnn.roi_map_cam_topk(maps, result["logits"])
        for index in range(3):
            one = slice(index, index + 1)
            alone = msroi_cnn.roi_map_cam_topk(maps[one], result["logits"][one])
            np.testing.assert_allclose(together[one], alone, atol=1e-6)
