import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.conceptual_networks import planes
from tfsemcomp.models import conceptual_networks as networks


def count_of(network) -> float:
    """Trained parameters, in millions."""
    return sum(math.prod(w.shape) for w in network.trainable_weights) / 1e6


def lines(count, height, width):
    found = tf.cast(planes(count, max(height, width))[:, :height, :width, :1], float)
    return found / 255


class ParametersTest(SemCompTestCase):
    @parameterized.parameters((8, 54.8), (64, 57.5))
    def test_unet(self, latents, millions):
        network = networks.UnetGenerator(64, 7)
        network(tf.zeros([1, 128, 128, 1]), tf.zeros([1, 1, 1, latents]))
        self.assertEqual(round(count_of(network), 1), millions)

    def test_fusion(self):
        network = networks.FusionGenerator(64, 7)
        network(tf.zeros([1, 128, 128, 1]), tf.zeros([1, 1, 1, 64]))
        self.assertEqual(round(count_of(network), 1), 72.4)

    def test_encoder_and_discriminators(self):
        encoder = networks.TextureEncoder(64, 64, spread=True)
        encoder(tf.zeros([1, 128, 128, 3]))
        self.assertEqual(round(count_of(encoder), 1), 2.6)
        judges = networks.PatchDiscriminators(64)
        patches = judges(tf.zeros([1, 256, 256, 3]), tf.zeros([1, 256, 256, 1]))
        self.assertEqual(round(count_of(judges), 2), 3.46)
        shapes = [tuple(scale.shape) for scale in patches]
        self.assertEqual(shapes, [(1, 30, 30, 1), (1, 14, 14, 1)])


class EdgePyramidTest(SemCompTestCase):
    def test_a_line_is_there_at_every_scale(self):
        structure = np.zeros([1, 16, 16, 1], np.float32)
        structure[0, 5, 11] = 1
        for level, found in enumerate(networks.edge_pyramid(structure, 4)):
            expected = -np.ones([1, 16 >> level, 16 >> level, 1])
            expected[0, 5 >> level, 11 >> level] = 1
            np.testing.assert_array_equal(found, expected)


class EncoderTest(SemCompTestCase):
    def test_any_size_gives_one_latent(self):
        encoder = networks.TextureEncoder(4, 5, spread=True)
        for height, width in ((32, 32), (64, 96)):
            mean, spread = encoder(tf.ones([2, height, width, 3]))
            self.assertEqual(tuple(mean.shape), (2, 1, 1, 5))
            self.assertEqual(tuple(spread.shape), (2, 1, 1, 5))

    def test_a_grid_has_one_a_cell(self):
        encoder = networks.TextureEncoder(4, 5, grid=True)
        mean, spread = encoder(tf.ones([2, 256, 384, 3]))
        self.assertEqual(tuple(mean.shape), (2, 2, 3, 5))
        self.assertIsNone(spread)


class GeneratorTest(SemCompTestCase):
    @parameterized.parameters((16, 7), (4, 6))
    def test_first_pictures_are_not_saturated(self, width, stages):
        tf.keras.utils.set_random_seed(1)
        network = networks.FusionGenerator(width, stages)
        pictures = network(lines(2, 128, 128), tf.random.normal([2, 1, 1, 8]))
        for picture in pictures:
            self.assertLess(float(tf.reduce_max(tf.abs(picture))), 0.9)

    @parameterized.parameters((32, 32), (64, 96))
    def test_fusion_draws_coarse_to_fine(self, height, width):
        network = networks.FusionGenerator(2, 5)
        stages = network(lines(2, height, width), tf.ones([2, 1, 1, 3]))
        shapes = [tuple(stage.shape) for stage in stages]
        expected = [
            (2, height >> level, width >> level, 3) for level in (4, 3, 2, 1, 0)
        ]
        self.assertEqual(shapes, expected)
        self.assertLessEqual(np.max(np.abs(stages[-1])), 1)

    @parameterized.parameters((32, 32), (64, 96))
    def test_unet_draws_any_multiple(self, height, width):
        network = networks.UnetGenerator(2, 5)
        (image,) = network(lines(2, height, width), tf.ones([2, 1, 1, 3]))
        self.assertEqual(tuple(image.shape), (2, height, width, 3))
        self.assertLessEqual(np.max(np.abs(image)), 1)

    def test_unet_drops_while_training_only(self):
        network = networks.UnetGenerator(2, 5)
        given = lines(1, 64, 64), tf.ones([1, 1, 1, 3])
        (one,), (two,) = (network(*given, training=False) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        (dropped,) = network(*given, training=True)
        self.assertFalse(np.allclose(dropped, one))

    @parameterized.parameters("FusionGenerator", "UnetGenerator")
    def test_structure_and_texture_both_count(self, kind):
        network = getattr(networks, kind)(2, 5)
        structure, z = lines(1, 64, 64), tf.ones([1, 1, 1, 3])
        image = network(structure, z)[-1]
        for other in ((1 - structure, z), (structure, -z)):
            self.assertGreater(np.max(np.abs(network(*other)[-1] - image)), 1e-4)

    @parameterized.parameters("FusionGenerator", "UnetGenerator")
    def test_a_grid_of_equal_latents_is_one_latent(self, kind):
        network = getattr(networks, kind)(1, 7, grid=True)
        structure, z = lines(1, 128, 256), tf.ones([1, 1, 1, 3])
        grid = network(structure, tf.tile(z, [1, 1, 2, 1]))[-1]
        other = tf.concat([z, -z], axis=2)
        self.assertFalse(np.allclose(network(structure, other)[-1], grid))
        one = getattr(networks, kind)(1, 7)
        one(structure, z)
        one.set_weights(network.get_weights())
        np.testing.assert_allclose(one(structure, z)[-1], grid, atol=1e-4)


class DiscriminatorsTest(SemCompTestCase):
    def test_only_conditional_ones_see_edges(self):
        x, structure = tf.ones([1, 64, 64, 3]), lines(1, 64, 64)
        for conditional in (True, False):
            judges = networks.PatchDiscriminators(4, conditional)
            one, other = judges(x, structure), judges(x, 1 - structure)
            same = all(np.allclose(a, b) for a, b in zip(one, other, strict=True))
            self.assertEqual(same, not conditional)
