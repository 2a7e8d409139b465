"""What the tests share: tiny images and the checks that every part must pass."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import parameterized


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
        """`function` compiles for XLA and its HLO calls nothing foreign."""
        import tensorflow as tf

        compiled = tf.function(function, jit_compile=True)
        hlo = compiled.experimental_get_compiler_ir(*arguments)(stage="hlo")
        calls = [line.strip() for line in hlo.splitlines() if "custom-call" in line]
        self.assertEqual(calls, [])

    def run_recipe_test(self, script: str, *flags: str) -> str:
        """Runs a script of the project in a process of its own; returns its output."""
        root = pathlib.Path(__file__).resolve().parents[1]
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        done = subprocess.run(
            [sys.executable, str(root / script), *flags],
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.folder,
            timeout=600,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout
