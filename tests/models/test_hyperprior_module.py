import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.models.hyperprior_networks import a_model, lively, pictures
from tfsemcomp.entropy import tables
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import hyperprior_module
from tfsemcomp.serving import allowed_ops, manifest, runner

# One of each variant, of either transform, of one rate and of two.
MODELS = {
    "mean_scale": ("tiny", "mean_scale", (0.013,)),
    "scale": ("tiny-dct", "scale", (0.013, 0.05)),
    "factorized": ("tiny", "factorized", (0.013,)),
}
BATCHES = ((1, 1, 1), (1, 2, 3), (3, 2, 1))

# Runs what argv[1] names on what argv[2] holds, knowing nothing but TensorFlow.
CHILD = """
import json, sys
import numpy as np, tensorflow as tf
from tensorflow.python.framework import op_def_registry
for path, inputs, outputs, ops in json.loads(sys.argv[1]):
    unknown = [op for op in ops if op_def_registry.get(op) is None]
    assert not unknown, unknown
    signatures = tf.saved_model.load(path).signatures
    arrays, results = dict(np.load(inputs)), {}
    for call in sorted({name.split("/")[0] for name in arrays}):
        given = {n.split("/")[1]: v for n, v in arrays.items() if n.startswith(call)}
        signature = signatures[call.split("-")[0]]
        found = signature(**{n: tf.constant(v) for n, v in given.items()})
        results.update({f"{call}/{n}": v.numpy() for n, v in found.items()})
    np.savez(outputs, **results)
assert not any("tensorflow_compression" in name for name in sys.modules)
"""


class HyperpriorModuleTest(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.models, cls.paths = {}, {}
        for name, network in MODELS.items():
            model = lively(a_model(*network))
            path = pathlib.Path(folder.name) / name
            cls.models[name] = model
            cls.paths[name] = hyperprior_module.export_model(model, path)

    def test_runs_where_tensorflow_compression_was_never_imported(self):
        jobs = []
        for name, path in self.paths.items():
            files = [str(self.folder / f"{name}-{way}.npz") for way in ("in", "out")]
            np.savez(files[0], **self.inputs(self.models[name]))
            jobs.append([str(path), *files, sorted(allowed_ops.all_of(path))])
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(jobs)],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        for name, (_, inputs, outputs, _) in zip(self.paths, jobs, strict=True):
            with self.subTest(name):
                given, found = dict(np.load(inputs)), dict(np.load(outputs))
                self.check_outputs(self.models[name], given, found)

    def inputs(self, model):
        """Inputs of all signatures for several batches: signature-number/name."""
        arrays = {}
        rates, size = len(model.lmbdas), model.size
        for number, (count, rows, columns) in enumerate(BATCHES):
            rng = np.random.default_rng(number)
            side = size.multiple * max(rows, columns)
            x = pictures(count, side)[:, : rows * size.multiple]
            x = x[:, :, : columns * size.multiple].astype(np.float32)
            z = np.rint(rng.normal(0, 3, (count, rows, columns, size.hyper_channels)))
            y_hat = rng.normal(0, 2, (count, 4 * rows, 4 * columns, size.channels))
            calls = {
                "analyze": {"images": x},
                "hyper_synthesis": {"z": z.astype(np.int32)},
                "synthesize": {"y_hat": y_hat.astype(np.float32)},
            }
            if model.variant == "factorized":
                del calls["hyper_synthesis"]
            for call, values in calls.items():
                if rates > 1:
                    values["quality"] = np.linspace(1, rates, count, dtype=np.float32)
                for name, value in values.items():
                    arrays[f"{call}-{number}/{name}"] = value
        return arrays

    def check_outputs(self, model, given, found):
        for number in range(len(BATCHES)):

            def value(path, number=number):
                call, name = path.split("/")
                return (given | found)[f"{call}-{number}/{name}"]

            count = len(value("analyze/images"))
            quality = given.get(f"analyze-{number}/quality", np.ones(count, np.float32))
            quality = tf.constant(quality)
            y = model.analyze(value("analyze/images"), quality)
            np.testing.assert_allclose(value("analyze/y"), y, rtol=1e-3, atol=1e-3)
            x_hat = model.synthesize(value("synthesize/y_hat"), quality)
            np.testing.assert_allclose(
                value("synthesize/images"), x_hat, rtol=1e-3, atol=0.1
            )
            if model.variant == "factorized":
                continue
            z, index = value("analyze/z"), value("hyper_synthesis/index")
            self.assertEqual(z.dtype, np.int32)
            self.assertEqual(index.dtype, np.int32)
            self.assertBetween(index.min(), 0, 63)
            self.assertBetween(index.max(), 0, 63)
            expected = tf.round(model.hyper_analyze(y))
            self.assertLess(np.mean(z != expected), 0.02)
            z_hat = tf.cast(value("hyper_synthesis/z"), tf.float32)
            mu, expected = model.predict_y(z_hat, quality)
            np.testing.assert_allclose(
                value("hyper_synthesis/mu"), mu, rtol=1e-3, atol=1e-3
            )
            # float32 may round otherwise where a scale lies between two.
            expected = np.clip(np.rint(expected), 0, 63)
            self.assertLess(np.mean(index != expected), 0.01)
            self.assertGreater(np.ptp(index), 20)

    def test_what_selects_tables_is_computed_in_float64(self):
        for name in ("mean_scale", "scale"):
            loaded = tf.saved_model.load(str(self.paths[name]))
            nodes = all_nodes(loaded.signatures["hyper_synthesis"].graph)
            sums = [n for n in nodes if "Conv2D" in n.op or "MatMul" in n.op]
            self.assertGreaterEqual(len(sums), 3)
            for node in sums:
                self.assertEqual(node.attr["T"].type, tf.float64.as_datatype_enum)
            for node in nodes:
                self.assertNotIn("Xla", node.op)
                self.assertFalse(node.attr["_XlaMustCompile"].b)
            rounded = [node for node in nodes if node.op == "Round"]
            self.assertLen(rounded, 1)
            self.assertEqual(rounded[0].attr["T"].type, tf.float64.as_datatype_enum)
            self.assertIn("CPU", rounded[0].device)

    def test_hyper_synthesis_by_hand(self):
        z = np.random.default_rng(1).integers(-4, 5, (3, 2, 16), np.int32)
        weights = [
            w.numpy().astype(np.float64) for w in self.models["mean_scale"].h_s.weights
        ]
        x = z.astype(np.float64)
        for kernel, bias in (weights[:2], weights[2:4]):
            x = doubled(x, kernel) + bias
            # The op keeps its slope in float32, whatever it works on.
            x = np.maximum(x, np.float64(np.float32(0.2)) * x)
        mu, log_scale = np.split(filtered(x, weights[4]) + weights[5], 2, axis=-1)
        index = 63 * (log_scale - np.log(0.11)) / np.log(256 / 0.11)
        called = runner.LocalRunner(manifest.find(self.paths["mean_scale"]))
        told = called.call("hyper_synthesis", z=z[None])
        self.assertGreater(np.ptp(told["index"]), 10)
        np.testing.assert_array_equal(told["index"][0], np.clip(np.rint(index), 0, 63))
        np.testing.assert_allclose(told["mu"][0], mu, rtol=1e-6)

    def test_tables_lie_beside(self):
        for name, model in self.models.items():
            with self.subTest(name):
                found = tables.load(self.paths[name] / tables.FILE_NAME)
                size = model.size
                if model.variant == "factorized":
                    self.assertSequenceEqual(list(found), ["y"])
                    self.assertLen(found["y"], size.channels)
                    continue
                self.assertSequenceEqual(list(found), ["y", "z"])
                self.assertLen(found["y"], 64)
                self.assertLen(found["z"], size.hyper_channels)
                for item in found.values():
                    self.assertTrue(item.escapes.all())

    def test_latents_tell_the_shapes(self):
        for model in self.models.values():
            told = hyperprior_module.latents(model)
            x = tf.zeros([1, 128, 128, 3])
            y = model.analyze(x, tf.ones([1]))
            self.assertEqual(told["stride"], 128 // y.shape[1])
            self.assertEqual(told["channels"], y.shape[-1])
            self.assertEqual(told["rates"], len(model.lmbdas))
            if model.variant == "factorized":
                self.assertEqual(told["hyper_stride"], 0)
                continue
            z = model.hyper_analyze(y)
            self.assertEqual(told["hyper_stride"], y.shape[1] // z.shape[1])
            self.assertEqual(told["hyper_channels"], z.shape[-1])

    def test_the_same_weights_make_the_same_tables(self):
        path = hyperprior_module.export_model(self.models["scale"], self.folder / "m")
        again = (path / "tables.npz").read_bytes()
        self.assertEqual(again, (self.paths["scale"] / "tables.npz").read_bytes())

    def test_an_existing_version_is_kept(self):
        root = self.paths["scale"].parent
        with self.assertRaisesRegex(SemCompError, "exists"):
            hyperprior_module.export_model(self.models["scale"], root)

    @parameterized.parameters(*MODELS)
    def test_signatures(self, name):
        signatures = tf.saved_model.load(str(self.paths[name])).signatures
        expected = {"analyze", "analyze_bytes", "hyper_synthesis", "synthesize"}
        if name == "factorized":
            expected.remove("hyper_synthesis")
        self.assertEqual(set(signatures), expected)
        for signature in signatures.values():
            named = set(signature.structured_input_signature[1])
            self.assertEqual("quality" in named, len(MODELS[name][2]) > 1)


def all_nodes(graph):
    definition = graph.as_graph_def()
    functions = [function.node_def for function in definition.library.function]
    return [node for nodes in [definition.node, *functions] for node in nodes]


def doubled(x, kernel):
    """Transposed convolution of stride 2, "same": [h,w,c] -> [2h,2w,filters]."""
    height, width = x.shape[:2]
    out = np.zeros((2 * height + 3, 2 * width + 3, kernel.shape[2]))
    for row in range(height):
        for column in range(width):
            spread = np.einsum("abfc,c->abf", kernel, x[row, column])
            out[2 * row : 2 * row + 5, 2 * column : 2 * column + 5] += spread
    return out[1:-2, 1:-2]


def filtered(x, kernel):
    """3x3 convolution, "same": [h,w,c] -> [h,w,filters]."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    return np.einsum("hwcab,abcf->hwf", windows, kernel)
