"""What the tests share: tiny images and the checks that every part must pass."""

import os
import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tests import scripts
from tfsemcomp import bitstream
from tfsemcomp.codecs import base
from tfsemcomp.errors import BitstreamError, LimitError, SemCompError
from tfsemcomp.metrics import fidelity
from tfsemcomp.serving import manifest

# Operations of a graph that a TPU cannot run, or that draw what no seed fixes there.
_OUTSIDE_XLA = re.compile(
    "PyFunc|RandomShuffle|Multinomial|ParameterizedTruncatedNormal|RandomGamma"
    "|RandomPoisson|TruncatedNormal"
)
# Custom calls and talk with the host, shapes known at run time, double precision.
_FOREIGN_HLO = re.compile(r" (custom-call|infeed|outfeed|send|recv)\(|\[<=|\bf64\[")


def smooth_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture-like image: gradients, a bright disc, stripes and some noise.

    Returns: uint8 [height, width, 3].
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    base = np.stack([160 * x, 120 * y + 60, 200 - 150 * x * y], axis=-1)
    centre = rng.uniform(0.3, 0.7, size=2)
    disc = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) < 0.06
    base[disc] = base[disc] * 0.3 + np.array([150, 20, 60])
    stripes = 25 * np.sin(40 * (x + 0.5 * y)) * (y > 0.6)
    noisy = base + stripes[..., None] + rng.normal(0, 3, size=base.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Independent uniform samples, the worst case of every codec.

    Returns: uint8 [height, width, 3].
    """
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)


class SemCompTestCase(parameterized.TestCase):
    """A test case with a folder of its own and the package's shared checks."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # What the user of this machine has fetched is not there for tests.
        cache = {manifest.CACHE_VARIABLE: str(self.folder / "cache")}
        patch = mock.patch.dict(os.environ, cache)
        patch.start()
        self.addCleanup(patch.stop)

    def run_layer_test(
        self, build, inputs, expected_shape: tuple, training_varies: bool = False
    ) -> None:
        """A layer keeps its promises: shape, gradient, precision, config, saving.

        Args:
            build: function without arguments that makes the layer.
            inputs: float32 tensor to call it on.
            expected_shape: of the result.
            training_varies: whether training=True may give another result.
        """
        import tensorflow as tf

        layer = build()
        outputs = layer(inputs)
        self.assertEqual(tuple(outputs.shape), expected_shape)
        graph = tf.function(layer)(inputs)
        np.testing.assert_allclose(graph, outputs, rtol=1e-5, atol=1e-5)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=True) ** 2)
        gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
        for gradient in gradients:
            self.assertTrue(np.isfinite(gradient).all())
        if training_varies:
            drawn = layer(inputs, training=True)
            self.assertFalse(np.allclose(drawn, outputs))
        again = type(layer).from_config(layer.get_config())
        again(inputs)
        again.set_weights(layer.get_weights())
        np.testing.assert_allclose(again(inputs), outputs, rtol=1e-5, atol=1e-5)

    def assert_xla_clean(self, function, *arguments) -> None:
        """`function` compiles for XLA to what any device of its can run.

        Its HLO calls nothing foreign, speaks to no host, has fixed shapes and nothing
        in double precision, which a TPU lacks; its graph runs no Python and draws
        numbers by tf.random.uniform and .normal only.

        Args:
            function: as a model's `train_step`; its variables exist.
            *arguments: of fixed shape.
        """
        import tensorflow as tf

        compiled = tf.function(function, jit_compile=True)
        graph = compiled.get_concrete_function(*arguments).graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        self.assertEqual({n.op for n in nodes if _OUTSIDE_XLA.search(n.op)}, set())
        hlo = compiled.experimental_get_compiler_ir(*arguments)(stage="hlo")
        lines = [line.strip() for line in hlo.splitlines()]
        self.assertEqual([line for line in lines if _FOREIGN_HLO.search(line)], [])

    def run_recipe_test(self, script: str, *flags: str) -> str:
        """Runs a script of the project in a process of its own; returns its output."""
        done = scripts.run(script, flags, self.folder)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout

    def run_codec_test(
        self,
        codec,
        image: np.ndarray | None = None,
        max_bpp: float | None = None,
        min_psnr: float | None = None,
        sizes: tuple[tuple[int, int], ...] = ((1, 1), (1, 9), (7, 3), (17, 33)),
        **settings,
    ) -> None:
        """A codec keeps its promises on files, sizes, rates and wrong arguments.

        Args:
            codec: a codec, or the name of one.
            image: uint8 [H,W,3]; default: a smooth one.
            max_bpp: of the file at the default quality, where given.
            min_psnr: of the picture at the default quality in dB, where given.
            sizes: heights and widths that must come back exactly.
            **settings: of the codec's `compress`, used throughout.
        """
        if isinstance(codec, str):
            codec = base.get_codec(codec)
        image = smooth_image(96, 80) if image is None else image
        before = image.copy()
        data = codec.compress(image, **settings)
        decoded = self._assert_picture(codec.decompress(data), image.shape)
        np.testing.assert_array_equal(image, before)
        if max_bpp is not None:
            pixels = image.shape[0] * image.shape[1]
            self.assertLessEqual(8 * len(data) / pixels, max_bpp)
        if min_psnr is not None:
            self.assertGreaterEqual(fidelity.psnr(image, decoded), min_psnr)
        with self.subTest("deterministic"):
            self.assertEqual(codec.compress(image, **settings), data)
            np.testing.assert_array_equal(codec.decompress(data), decoded)
        with self.subTest("views"):
            # A view with other strides is the same picture.
            view = np.asfortranarray(image)
            self.assertEqual(codec.compress(view, **settings), data)
        self._check_sizes(codec, sizes, settings)
        self._check_qualities(codec, image, settings)
        self._check_targets(codec, image, settings)
        self._check_arguments(codec, image, data, settings)
        self._check_truncation(codec, data)

    def _assert_picture(self, picture: np.ndarray, shape: tuple) -> np.ndarray:
        self.assertEqual(picture.dtype, np.uint8)
        self.assertEqual(picture.shape, shape)
        return picture

    def _check_sizes(self, codec, sizes, settings) -> None:
        for height, width in sizes:
            with self.subTest("size", height=height, width=width):
                small = smooth_image(height, width)
                data = codec.compress(small, **settings)
                self._assert_picture(codec.decompress(data), small.shape)

    def _check_qualities(self, codec, image, settings) -> None:
        with self.subTest("higher quality is bigger and better"):
            low, high = codec.quality_range
            step = codec.quality_step
            points = [low + step * round((high - low) * i / 4 / step) for i in range(5)]
            files = [codec.compress(image, quality=q, **settings) for q in points]
            sizes = [len(file) for file in files]
            self.assertEqual(sizes, sorted(sizes))
            errors = [
                fidelity.psnr(image, codec.decompress(file))
                for file in (files[0], files[2], files[4])
            ]
            self.assertEqual(errors, sorted(errors))

    def _check_targets(self, codec, image, settings) -> None:
        pixels = image.shape[0] * image.shape[1]
        low, high = codec.quality_range
        smallest = len(codec.compress(image, quality=low, **settings))
        largest = len(codec.compress(image, quality=high, **settings))
        size = (2 * smallest + largest) // 3
        with self.subTest("target_bytes"):
            encoded = codec.encode(image, target_bytes=size, **settings)
            self.assertLessEqual(len(encoded.data), size)
            self.assertGreaterEqual(len(encoded.data), smallest)
            self._assert_picture(codec.decompress(encoded.data), image.shape)
            # A codec may reach a size by finer means than its quality.
            if encoded.quality is not None:
                self._check_best(codec, image, encoded, size, settings)
        with self.subTest("target_bpp"):
            data = codec.compress(image, target_bpp=8 * size / pixels, **settings)
            self.assertLessEqual(len(data), size)
        with self.subTest("generous target"):
            data = codec.compress(image, target_bytes=10 * largest, **settings)
            self.assertBetween(len(data), largest, 10 * largest)
        with self.subTest("unreachable target"):
            with self.assertRaisesRegex(SemCompError, "as small as 1 bytes") as caught:
                codec.compress(image, target_bytes=1, **settings)
            named = int(re.search(r"smallest .* (\d+) bytes", str(caught.exception))[1])
            self.assertLessEqual(named, smallest)
            self.assertLen(codec.compress(image, target_bytes=named, **settings), named)

    def _check_best(self, codec, image, encoded, size, settings) -> None:
        """The quality found gives that file, and the next one is too large."""
        self.assertLessEqual(encoded.encodes, 9)
        again = codec.compress(image, quality=encoded.quality, **settings)
        self.assertEqual(again, encoded.data)
        better = encoded.quality + codec.quality_step
        if better <= codec.quality_range[1]:
            data = codec.compress(image, quality=better, **settings)
            self.assertGreater(len(data), size)

    def _check_arguments(self, codec, image, data, settings) -> None:
        low, high = codec.quality_range
        wrong = [
            {"quality": high + 1},
            {"quality": low - 1},
            {"quality": float("nan")},
            {"quality": "50"},
            {"target_bpp": 0},
            {"target_bytes": 0},
            {"target_bytes": 100.5},
            {"quality": low, "target_bpp": 1.0},
            {"target_bpp": 1.0, "target_bytes": 100},
            {"no_such_setting": 1},
        ]
        for arguments in wrong:
            with self.subTest("arguments", **arguments), self.assertRaises(ValueError):
                codec.compress(image, **{**settings, **arguments})
        for pixels in (
            image.astype(np.float32),
            image[..., 0],
            image[:0],
            np.dstack([image, image[..., :1]]),
            image.tolist(),
        ):
            with self.subTest("pixels"), self.assertRaises(ValueError):
                codec.compress(pixels, **settings)
        for arguments in ({"layers": 0}, {"layers": 1.5}):
            with self.subTest("layers", **arguments), self.assertRaises(ValueError):
                codec.decompress(data, **arguments)
        with self.subTest("data"), self.assertRaises(ValueError):
            codec.decompress("text")
        limits = bitstream.Limits(side=8)
        with self.subTest("limits of input"), self.assertRaises(LimitError):
            codec.compress(image, limits=limits, **settings)
        with self.subTest("limits of file"), self.assertRaises(LimitError):
            codec.decompress(data, limits=limits)

    def _check_truncation(self, codec, data) -> None:
        cuts = {*range(40), *range(len(data) - 20, len(data))}
        cuts |= set(range(0, len(data), max(1, len(data) // 40)))
        if bitstream.is_container(data):
            # Streams may be cut between layers.
            layers = range(1, bitstream.read(data).layers + 1)
            cuts -= {len(bitstream.truncate(data, layer)) for layer in layers}
        for cut in sorted(cuts & set(range(len(data)))):
            with self.subTest("cut", at=cut), self.assertRaises(BitstreamError):
                codec.decompress(data[:cut])
