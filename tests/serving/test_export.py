import concurrent.futures
import subprocess
import sys

import numpy as np
import tensorflow as tf

from tests.codecs import hyperprior_models, rnn_models
from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import allowed_ops, export, manifest
from tfsemcomp.serving.runner import LocalRunner, shared


class Doubler(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def double(self, x):
        return {"y": self.factor * x}


class Divider(tf.Module):
    """Two inputs, and two results whose names are out of order."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], name="y"), tf.TensorSpec([], name="x")]
    )
    def divide(self, y, x):
        return {"quotient": y // x, "left": y % x}


class PythonCaller(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def call_python(self, x):
        return {"y": tf.py_function(lambda v: v, [x], tf.float32)}


class ExportTest(SemCompTestCase):
    def test_runs_through_the_runner(self):
        module = Doubler()
        path = export.export({"double": module.double}, self.folder / "m")
        runner = LocalRunner(manifest.find(path))
        result = runner.call("double", x=np.float32([1, 2.5]))
        np.testing.assert_array_equal(result["y"], [2, 5])
        with self.assertRaisesRegex(ModelMismatchError, "no signature `halve`"):
            runner.call("halve", x=np.float32([1]))

    def test_names_of_many_inputs_and_results_are_kept(self):
        path = export.export({"divide": Divider().divide}, self.folder / "m")
        runner = LocalRunner(manifest.find(path))
        result = runner.call("divide", x=np.float32(4), y=np.float32([9, 3]))
        np.testing.assert_array_equal(result["quotient"], [2, 0])
        np.testing.assert_array_equal(result["left"], [1, 3])

    def test_weights_in_fewer_bytes(self):
        drawn = np.random.default_rng(1).normal(size=(64, 64))
        kernel = tf.Variable(drawn.astype(np.float32))
        exact = tf.Variable(tf.linspace(tf.constant(1.0, tf.float64), 2.0, 64))

        @tf.function(input_signature=[tf.TensorSpec([None, 64], name="x")])
        def multiply(x):
            return {"y": x @ kernel, "z": tf.cast(x, tf.float64) * exact}

        x = np.float32(np.random.default_rng(2).normal(size=(3, 64)))
        sizes, results = [], []
        for version, bits in enumerate((32, 16, 8), start=1):
            path = export.export(
                {"multiply": multiply},
                self.folder / "m",
                version,
                bits={"multiply": bits},
            )
            sizes.append((path / "saved_model.pb").stat().st_size)
            runner = LocalRunner(manifest.find(path))
            results.append(runner.call("multiply", x=x))
        self.assertLess(sizes[1], sizes[0] - 1.9 * kernel.shape.num_elements())
        np.testing.assert_allclose(results[0]["y"], x @ kernel.numpy(), rtol=1e-4)
        rounded = x @ kernel.numpy().astype(np.float16).astype(np.float32)
        np.testing.assert_allclose(results[1]["y"], rounded, rtol=1e-4, atol=1e-5)
        self.assertLess(sizes[2], sizes[0] - 2.8 * kernel.shape.num_elements())
        step = np.abs(kernel.numpy()).max(axis=0) / 127
        levels = np.rint(kernel.numpy() / step)
        np.testing.assert_allclose(results[2]["y"], x @ (levels * step), atol=1e-4)
        for result in results[1:]:
            np.testing.assert_array_equal(result["z"], results[0]["z"])

    def test_bits_are_of_signatures_and_known(self):
        for bits in ({"divide": 4}, {"multiply": 16}):
            with self.assertRaisesRegex(ValueError, "`bits` must give 32, 16 or 8"):
                export.export({"divide": Divider().divide}, self.folder, bits=bits)

    def test_extras_lie_beside_and_make_another_fingerprint(self):
        prints = set()
        for number, text in enumerate((None, "one", "two")):
            extras = None
            if text:
                extras = {"notes.txt": lambda path, text=text: path.write_text(text)}
            path = export.export(
                {"divide": Divider().divide}, self.folder / "m", number + 1, extras
            )
            if text:
                self.assertEqual((path / "notes.txt").read_text(), text)
            prints.add(manifest.find(path).fingerprint)
        self.assertLen(prints, 3)

    def test_an_extra_that_fails_leaves_nothing(self):
        def fail(path):
            path.write_text("half")
            raise OSError("no space")

        with self.assertRaisesRegex(OSError, "no space"):
            export.export(
                {"divide": Divider().divide}, self.folder / "m", extras={"x": fail}
            )
        self.assertEmpty(list((self.folder / "m").iterdir()))

    def test_nothing_of_the_variables_is_left(self):
        module = Doubler()
        path = export.export({"double": module.double}, self.folder / "m")
        stateful = {"VarHandleOp", "ReadVariableOp"} & allowed_ops.all_of(path)
        self.assertEmpty(stateful)

    def test_python_calls_are_refused_and_nothing_is_left(self):
        module = PythonCaller()
        with self.assertRaisesRegex(SemCompError, "EagerPyFunc"):
            export.export({"p": module.call_python}, self.folder / "m")
        self.assertEmpty(list((self.folder / "m").iterdir()))

    def test_an_existing_version_is_kept(self):
        module = Doubler()
        export.export({"double": module.double}, self.folder / "m")
        with self.assertRaisesRegex(SemCompError, "exists"):
            export.export({"double": module.double}, self.folder / "m")

    def test_changed_files_do_not_run(self):
        module = Doubler()
        path = export.export({"double": module.double}, self.folder / "m")
        files = {"1/saved_model.pb": "0" * 64}
        model = manifest.ModelInfo("m", 1, "", path, {}, files)
        with self.assertRaisesRegex(ModelMismatchError, "saved_model.pb"):
            LocalRunner(model).call("double", x=np.float32([1]))


class SharedRunnerTest(SemCompTestCase):
    def test_all_share_one_runner_a_model(self):
        module = Doubler()
        for version in (1, 2):
            export.export({"d": module.double}, self.folder / "m", version)
        one, same, other = (
            manifest.find(self.folder / "m" / version) for version in "112"
        )
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(shared, [one, same] * 8))
        self.assertLen(set(map(id, found)), 1)
        self.assertIsNot(shared(other), found[0])
        result = found[0].call("d", x=np.float32([3]))
        np.testing.assert_array_equal(result["y"], [6])


class ShippedModelsLoadTest(SemCompTestCase):
    def test_models_load_where_only_stock_tensorflow_is(self):
        # A process of its own: here other tests may have registered custom ops.
        paths = [str(model.path) for model in manifest.list_models()]
        code = (
            "import sys, tensorflow as tf\n"
            "for path in sys.argv[1:]:\n"
            "    print(sorted(tf.saved_model.load(path).signatures))\n"
            "sys.exit(any('tensorflow_compression' in name for name in sys.modules))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *paths], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertLen(done.stdout.splitlines(), len(paths))


class StockOpsTest(SemCompTestCase):
    def test_all_ops_of_all_models_are_those_of_tensorflow(self):
        # Shipped ones, and new exports of the networks that encode files of pictures.
        root = self.folder / "models"
        hyperprior_models.write(root, ("mean", "factorized"))
        rnn_models.write(root, ("dial",))
        paths = [model.path for model in manifest.list_models()]
        paths += [root / name / "1" for name in ("mean", "factorized", "dial")]
        used = {op: path for path in paths for op in allowed_ops.all_of(path)}
        self.assertIn("DecodeJpeg", used)
        code = (
            "import sys, tensorflow as tf\n"
            "from tensorflow.python.framework import op_def_registry\n"
            "print(*[op for op in sys.argv[1:] if not op_def_registry.get(op)])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *used, "RangeEncode"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertEqual(done.stdout.split(), ["RangeEncode"])
