"""Signatures that take files of pictures give what those of pixels give."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.codecs import hyperprior_models, rnn_models
from tests.codecs.learned_codecs import made_once
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.codecs import learned
from tfsemcomp.errors import SemCompError
from tfsemcomp.serving import export, manifest, runner


def write(root):
    hyperprior_models.write(root, ("dct", "mean", "factorized"))
    rnn_models.write(root, ("dial", "conv"))


folder = made_once(write)
SPEC = tf.TensorSpec([None, None, None, 3], tf.float32, name="pictures")


def shape_of(multiple: int):
    """Gives back what it takes, times another input."""

    @tf.function(input_signature=[tf.TensorSpec([], name="factor"), SPEC])
    def call(factor, pictures):
        return {"same": factor * pictures}

    return export.from_bytes(call, "pictures", multiple)


class FromBytesTest(SemCompTestCase):
    @parameterized.product(
        kind=("PNG", "JPEG"),
        size=((1, 1), (1, 9), (3, 40), (16, 32), (37, 21)),
        multiple=(1, 16),
    )
    def test_pixels_are_those_of_codecs(self, kind, size, multiple):
        files = [images.encode(smooth_image(*size, seed), kind) for seed in (1, 2)]
        found = shape_of(multiple)(tf.constant(2.0), tf.constant(files))
        pixels = np.stack([images.load_bytes(data).pixels for data in files])
        expected = 2 * learned.pad(pixels, multiple).astype(np.float32)
        np.testing.assert_array_equal(found["same"], expected)
        self.assertEqual(found["size"].numpy().tolist(), [list(size)] * 2)

    def test_what_cannot_be_decoded_together(self):
        call = shape_of(1)
        good, wide = (images.encode(smooth_image(8, n), "PNG") for n in (8, 9))
        for files in ([b"text"], [good[:40]], [good, wide]):
            with self.assertRaises(tf.errors.InvalidArgumentError):
                call(tf.constant(1.0), tf.constant(files))

    def test_the_input_must_be_there(self):
        call = tf.function(lambda pictures: {"y": pictures}, input_signature=[SPEC])
        with self.assertRaisesRegex(ValueError, "`images`.*pictures"):
            export.from_bytes(call)

    def test_an_exported_one_runs(self):
        path = export.export({"bytes": shape_of(16)}, self.folder / "m")
        files = np.array([images.encode(smooth_image(5, 7), "PNG")], object)
        called = runner.LocalRunner(manifest.find(path))
        found = called.call("bytes", factor=np.float32(1), encoded=files)
        self.assertEqual(found["same"].shape, (1, 16, 16, 3))
        with self.assertRaisesRegex(SemCompError, "exists"):
            export.export({"bytes": shape_of(16)}, self.folder / "m")


class CodecsTest(SemCompTestCase):
    """Of exported models, on pictures whose sides are no multiples."""

    def setUp(self):
        super().setUp()
        self.pixels = np.stack([smooth_image(45, 70, seed) for seed in (3, 4)])
        files = [images.encode(picture, "PNG") for picture in self.pixels]
        self.files = np.array(files, object)

    def _assert_same(self, found, expected):
        self.assertEqual(found.pop("size").tolist(), [[45, 70]] * 2)
        self.assertEqual(set(found), set(expected))
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)

    @parameterized.parameters("dct", "mean", "factorized")
    def test_hyperprior(self, name):
        model = manifest.find(folder() / name / "1")
        told = model.card["latents"]
        padded = learned.pad(
            self.pixels, told["stride"] * max(told["hyper_stride"], 1)
        ).astype(np.float32)
        extra = {"quality": np.float32([1, 3.5])} if told["rates"] > 1 else {}
        called = runner.LocalRunner(model)
        found = called.call("analyze_bytes", encoded=self.files, **extra)
        self._assert_same(found, called.call("analyze", images=padded, **extra))

    @parameterized.parameters("conv", "dial")
    def test_rnn(self, name):
        model = manifest.find(folder() / name / "1")
        padded = learned.pad(self.pixels, 16).astype(np.float32)
        stops = np.int32([3, 2])
        grid = np.broadcast_to(stops[:, None, None], (2, 3, 5))
        dial = {"machine_weight": np.float32([0, 1])} if name == "dial" else {}
        called = runner.LocalRunner(model)
        found = called.call(
            "analyze_bytes", encoded=self.files, iterations=stops, **dial
        )
        expected = called.call("analyze", images=padded, stops=grid, **dial)
        self._assert_same(found, expected)
