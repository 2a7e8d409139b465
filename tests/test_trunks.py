from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image
from tests.metrics.networks import weights_file, without
from tfsemcomp import trunks
from tfsemcomp.errors import BitstreamError, SemCompError, UnavailableError

LAYERS = ("conv_pw_1_relu", "conv_pw_12_relu")


class TrunksTest(SemCompTestCase):
    def test_is_the_network_of_keras(self):
        path = weights_file("MobileNet")
        trunk = trunks.build("mobilenet", path, LAYERS)
        whole = tf.keras.applications.MobileNet(include_top=False, weights=None)
        with np.load(path) as arrays:
            for layer in whole.layers:
                for weight in layer.weights:
                    weight.assign(arrays[weight.name[:-2]])
        whole = tf.keras.Model(whole.input, [whole.get_layer(n).output for n in LAYERS])
        picture = noise_image(64, 96)[None]
        scaled = tf.keras.applications.mobilenet.preprocess_input(
            picture.astype(np.float32)
        )
        expected = whole(scaled, training=False)
        found = trunk(trunks.preprocess("mobilenet", picture), training=False)
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
        self.assertEmpty(trunk.trainable_variables)

    def test_vgg16_takes_blue_first_less_its_means(self):
        red = np.zeros((1, 1, 1, 3), np.uint8)
        red[..., 0] = 255
        found = trunks.preprocess("vgg16", red).numpy().ravel()
        np.testing.assert_allclose(found, [-103.939, -116.779, 255 - 123.68], rtol=1e-5)

    def test_layers_beyond_need_no_weights(self):
        drop = ("conv_pw_12_bn", "conv_pw_13", "conv_pw_13_bn", "conv_dw_13")
        path = without(weights_file("MobileNet"), drop, self.folder / "part.npz")
        trunks.build("mobilenet", path, LAYERS[:1])
        with self.assertRaisesRegex(BitstreamError, "`conv_pw_12_bn/gamma` of shape"):
            trunks.build("mobilenet", path, LAYERS)

    def test_layers_that_a_file_lacks_may_keep_their_weights(self):
        whole = weights_file("MobileNet")
        drop = ("conv_pw_13", "conv_pw_13_bn")
        path = without(whole, drop, self.folder / "part.npz")
        network = tf.keras.applications.MobileNet(include_top=False, weights=None)
        before = network.get_layer("conv_pw_13").kernel.numpy()
        lacking = trunks.load_npz(network, path, may_lack_layers=True)
        self.assertEqual(tuple(lacking), drop)
        found = network.get_layer("conv_pw_13").kernel
        np.testing.assert_array_equal(found, before)
        self.assertEqual(trunks.load_npz(network, whole), [])
        with np.load(whole) as arrays:
            np.testing.assert_array_equal(found, arrays["conv_pw_13/kernel"])
        with self.assertRaisesRegex(BitstreamError, "`conv_pw_13/kernel` of shape"):
            trunks.load_npz(network, path)
        np.savez(self.folder / "half.npz", **{"conv1_bn/gamma": np.zeros(32)})
        with self.assertRaisesRegex(BitstreamError, "`conv1_bn/beta` of shape"):
            trunks.load_npz(network, str(self.folder / "half.npz"), True)

    def test_detects_the_network(self):
        for network, key in trunks.FIRST_WEIGHTS.items():
            path = self.folder / f"{network}.npz"
            np.savez(path, **{key: np.zeros(1)})
            self.assertEqual(trunks.detect(path), network)

    def test_refuses_other_files(self):
        np.savez(self.folder / "other.npz", a=np.zeros(3))
        with self.assertRaisesRegex(BitstreamError, "none of the arrays conv1/kernel"):
            trunks.detect(self.folder / "other.npz")
        np.save(self.folder / "single.npz.npy", np.zeros(3))
        with self.assertRaisesRegex(BitstreamError, "a single array"):
            trunks.detect(self.folder / "single.npz.npy")
        with self.assertRaisesRegex(SemCompError, "no such file"):
            trunks.build("mobilenet", str(self.folder / "none.npz"), LAYERS)

    @parameterized.parameters(b"", b"PK\x03\x04", b"text")
    def test_refuses_damaged_files(self, content):
        path = self.folder / "damaged.npz"
        path.write_bytes(content)
        with self.assertRaisesRegex(BitstreamError, "no whole npz"):
            trunks.detect(path)

    def test_refuses_torn_files(self):
        path = self.folder / "torn.npz"
        np.savez(path, **{"conv1/kernel": np.zeros((3, 3, 3, 32), np.float32)})
        content = bytearray(path.read_bytes())
        content[200] ^= 1
        path.write_bytes(content)
        with self.assertRaisesRegex(BitstreamError, "torn.npz: "):
            trunks.build("mobilenet", str(path), LAYERS)

    def test_says_so_when_weights_cannot_be_downloaded(self):
        failing = mock.Mock(side_effect=Exception("no network"))
        with (
            mock.patch.object(tf.keras.applications, "MobileNet", failing),
            self.assertRaisesRegex(UnavailableError, "mobilenet: no network.*npz"),
        ):
            trunks.build("mobilenet", "imagenet", LAYERS)
