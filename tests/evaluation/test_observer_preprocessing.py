"""What networks see: colours in their own order and scale, pictures at their size."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.evaluation import observer_networks
from tfsemcomp.evaluation import observer_preprocessing as preprocessing

# One colour, and by hand what each convention makes of it.
COLOUR = (10, 100, 200)
SEEN = {
    "tf": (10 / 127.5 - 1, 100 / 127.5 - 1, 200 / 127.5 - 1),
    "caffe": (200 - 103.939, 100 - 116.779, 10 - 123.68),
    "torch": (
        (10 / 255 - 0.485) / 0.229,
        (100 / 255 - 0.456) / 0.224,
        (200 / 255 - 0.406) / 0.225,
    ),
    "inside": COLOUR,
}
SHARE = tuple(value / 255 for value in COLOUR)
# Behind the first layers of the families that scale inside. EfficientNet's further
# statistics come with its weights.
SEEN_INSIDE = {
    "MobileNetV3Small": SEEN["tf"],
    "MobileNetV3Large": SEEN["tf"],
    "EfficientNetB0": SHARE,
    "EfficientNetV2B0": SEEN["torch"],
    "EfficientNetV2S": tuple(value / 128 - 1 for value in COLOUR),
    "ConvNeXtTiny": SEEN["torch"],
    "RegNetX002": SHARE,
    "ResNetRS50": SEEN["torch"],
}
FAMILIES = [(family.module, family) for family in preprocessing.FAMILIES]


class StopBuildingError(Exception):
    """Ends the building of a network."""


def plain(colour, height=40, width=40):
    return np.full((height, width, 3), colour, np.uint8)


def show_input(network, side):
    """The network as observers build it, giving back what it is given."""
    inputs = tf.keras.Input((side, side, 3))
    same = tf.keras.Model(inputs, tf.keras.layers.Activation("linear")(inputs))
    with mock.patch.object(
        tf.keras.applications, network, return_value=same
    ) as builder:
        found = observer_networks.keras_application(network.lower())
    options = {"weights": "imagenet", "include_top": True}
    builder.assert_called_once_with(input_shape=(side, side, 3), **options)
    return found.run


class ScalingTest(SemCompTestCase):
    @parameterized.named_parameters(FAMILIES)
    def test_networks_are_given_their_own_colours(self, family):
        network, side = next(iter(family.networks.items()))
        seen = show_input(network, side)(plain(COLOUR, side, side)[None])
        expected = np.broadcast_to(SEEN[family.convention], seen.shape)
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)

    @parameterized.named_parameters(FAMILIES)
    def test_agrees_with_keras_on_a_picture(self, family):
        network, side = next(iter(family.networks.items()))
        picture = smooth_image(side, side)
        module = getattr(tf.keras.applications, family.module)
        expected = module.preprocess_input(picture.astype(np.float32))
        seen = show_input(network, side)(picture[None])
        np.testing.assert_allclose(seen[0], expected, rtol=1e-5, atol=1e-4)

    @parameterized.parameters(*SEEN_INSIDE.items())
    def test_networks_that_scale_inside_do(self, network, expected):
        def stop(layer, inputs, *_, **__):
            raise StopBuildingError(inputs)

        builder = getattr(tf.keras.applications, network)
        with (
            mock.patch.object(tf.keras.layers.Conv2D, "__call__", stop),
            mock.patch.object(tf.keras.Sequential, "__call__", stop),
            self.assertRaises(StopBuildingError) as stopped,
        ):
            builder(weights=None, include_top=False, input_shape=(32, 32, 3))
        before_first_convolution = stopped.exception.args[0]
        source = tf.keras.utils.get_source_inputs(before_first_convolution)
        model = tf.keras.Model(source, before_first_convolution)
        seen = model(plain(COLOUR, 32, 32)[None].astype(np.float32))
        middle = seen.shape[1] // 2
        np.testing.assert_allclose(seen[0, middle, middle], expected, atol=1e-4)

    def test_every_inside_family_is_held_to_its_numbers(self):
        for family in preprocessing.FAMILIES:
            if family.convention == "inside":
                self.assertNotEmpty(set(family.networks) & set(SEEN_INSIDE))


class NetworksTest(SemCompTestCase):
    def test_every_network_of_keras_is_here(self):
        known = {name for name in dir(tf.keras.applications) if name[0].isupper()}
        here = {name for _, name in preprocessing.NETWORKS.values()}
        self.assertEqual(here, known)

    def test_sides_are_those_of_keras(self):
        def stop(input_shape, default_size, **_):
            raise StopBuildingError(default_size)

        where = "keras.src.applications.imagenet_utils.obtain_input_shape"
        for family, network in preprocessing.NETWORKS.values():
            if family.module == "mobilenet_v3":
                continue  # takes any size; Keras states the accuracy at 224
            builder = getattr(tf.keras.applications, network)
            with (
                mock.patch(where, stop),
                self.assertRaises(StopBuildingError) as stopped,
            ):
                builder(weights=None)
            side = family.networks[network]
            self.assertEqual(stopped.exception.args[0], side, network)

    @parameterized.parameters(
        ("mobilenet", "mobilenet"),
        ("Inception_V3", "inceptionv3"),
        ("EfficientNet-B0", "efficientnetb0"),
        ("nope", None),
        ("", None),
    )
    def test_names(self, name, key):
        self.assertEqual(preprocessing.find_network(name), key)


class PrepareTest(SemCompTestCase):
    def test_centre_of_a_picture_of_the_right_size_is_untouched(self):
        picture = smooth_image(256, 256)
        found = preprocessing.prepare(picture, 224)
        np.testing.assert_array_equal(found, picture[16:240, 16:240])

    def test_short_side_then_centre(self):
        self.assertEqual(preprocessing.resized_side(224), 256)
        self.assertEqual(preprocessing.resized_side(299), 342)
        picture = plain((0, 0, 0), 256, 600)
        picture[:, 172:428] = 200  # the middle square
        found = preprocessing.prepare(picture, 224)
        self.assertEqual((found.min(), found.max()), (200, 200))
        upright = preprocessing.prepare(picture.transpose(1, 0, 2), 224)
        self.assertEqual(upright.min(), 200)

    def test_squash_keeps_everything(self):
        picture = plain((0, 0, 0), 100, 300)
        picture[:, :150, 0] = 250
        found = preprocessing.prepare(picture, 224, "squash")
        self.assertEqual(found.shape, (224, 224, 3))
        np.testing.assert_array_equal(found[:, :110, 0], 250)
        np.testing.assert_array_equal(found[:, 114:], 0)

    @parameterized.parameters(((300, 400),), ((90, 61),))
    def test_bilinear_and_antialiased_as_pillow(self, size):
        picture = smooth_image(*size)
        whole = Image.fromarray(picture)
        resized = whole.resize((224, 224), Image.Resampling.BILINEAR)
        found = preprocessing.prepare(picture, 224, "squash")
        difference = found.astype(int) - np.asarray(resized).astype(int)
        self.assertLessEqual(np.abs(difference).max(), 1)

    def test_stripes_finer_than_a_pixel_turn_grey(self):
        picture = np.zeros((1024, 1024, 3), np.uint8)
        picture[::2] = 255
        found = preprocessing.prepare(picture, 224).astype(int)
        self.assertLess(np.abs(found - 127.5).max(), 3)

    def test_any_size_comes_out_as_8_bit_rgb(self):
        for size in ((1, 1), (1, 500), (31, 7)):
            found = preprocessing.prepare(smooth_image(*size), 64)
            self.assertEqual((found.shape, found.dtype), ((64, 64, 3), np.uint8))

    def test_refuses_what_is_no_picture(self):
        with self.assertRaisesRegex(ValueError, "uint8"):
            preprocessing.prepare(np.zeros((8, 8, 3), np.float32), 224)
        with self.assertRaisesRegex(ValueError, "`crop` must be one of centre, squash"):
            preprocessing.prepare(plain(COLOUR), 224, "middle")
