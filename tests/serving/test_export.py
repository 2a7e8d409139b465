import subprocess
import sys

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import export, manifest
from tfsemcomp.serving.runner import LocalRunner


class Doubler(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def double(self, x):
        return {"y": self.factor * x}


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

    def test_nothing_of_the_variables_is_left(self):
        module = Doubler()
        path = export.export({"double": module.double}, self.folder / "m")
        stateful = {"VarHandleOp", "ReadVariableOp"} & export.op_names(path)
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
