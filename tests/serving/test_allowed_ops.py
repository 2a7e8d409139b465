import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import allowed_ops, export, manifest, runner

# Raise, call functions that the list goes through as well, or answer as they like.
STATEFUL = {
    "Assert",
    "If",
    "Placeholder",
    "StatefulPartitionedCall",
    "While",
}


def reads_a_file(x):
    return {"y": x + tf.strings.length(tf.io.read_file("/etc/hostname"))}


def writes_a_file(x):
    with tf.control_dependencies([tf.io.write_file("/tmp/never", "text")]):
        return {"y": tf.identity(x)}


def calls_python(x):
    return {"y": tf.numpy_function(np.copy, [x], tf.int32)}


def reads_deep_inside(x):
    def read():
        return tf.strings.length(tf.io.read_file("/etc/hostname"))

    return {"y": tf.cond(x > 0, read, lambda: x)}


FORBIDDEN = {
    "ReadFile": reads_a_file,
    "WriteFile": writes_a_file,
    "PyFunc": calls_python,
}


class AllowedOpsTest(SemCompTestCase):
    def saved(self, call):
        """The folder of a SavedModel of any function."""
        spec = tf.TensorSpec([], tf.int32, name="x")
        function = tf.function(call, input_signature=[spec])
        folder = self.folder / "any" / "1"
        tf.saved_model.save(tf.Module(), str(folder), signatures={"run": function})
        return folder

    def test_all_exist_and_touch_nothing(self):
        for op in sorted(allowed_ops.ALLOWED):
            found = op_def_registry.get(op)
            self.assertIsNotNone(found, op)
            if found.is_stateful:
                self.assertIn(op, STATEFUL)

    @parameterized.parameters(*FORBIDDEN)
    def test_what_does_more_is_not_loaded_and_not_exported(self, op):
        folder = self.saved(FORBIDDEN[op])
        self.assertTrue(any(op in name for name in allowed_ops.forbidden(folder)))
        local = runner.LocalRunner(manifest.find(folder))
        with self.assertRaisesRegex(ModelMismatchError, op):
            local.call("run", x=np.int32(1))
        function = tf.function(
            FORBIDDEN[op], input_signature=[tf.TensorSpec([], tf.int32, name="x")]
        )
        with self.assertRaisesRegex(SemCompError, op):
            export.export({"run": function}, self.folder / "own")
        self.assertFalse((self.folder / "own" / "1").exists())

    def test_functions_within_functions_are_searched(self):
        self.assertEqual(
            allowed_ops.forbidden(self.saved(reads_deep_inside)),
            ["ReadFile", "StringLength"],
        )

    def test_what_saves_is_for_saving_only(self):
        folder = self.saved(lambda x: {"y": x + 1})
        self.assertEqual(allowed_ops.forbidden(folder), [])
        path = pathlib.Path(folder, "saved_model.pb")
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        graph = saved.meta_graphs[0].graph_def
        names = [one.signature.name for one in graph.library.function]
        saver = next(name for name in names if "traced_save" in name)
        own = next(one for one in graph.library.function if "saver" not in str(one))
        node = own.node_def.add(name="more", op="StatefulPartitionedCall")
        node.attr["f"].func.name = saver
        path.write_bytes(saved.SerializeToString())
        self.assertEqual(allowed_ops.forbidden(folder), [saver])

    def test_old_files_run_what_is_outside_of_functions(self):
        folder = self.saved(lambda x: {"y": x + 1})
        path = pathlib.Path(folder, "saved_model.pb")
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        saved.meta_graphs[0].ClearField("object_graph_def")
        path.write_bytes(saved.SerializeToString())
        self.assertIn("traced_save", str(allowed_ops.forbidden(folder)))

    def test_shipped_models_may_be_loaded(self):
        for model in manifest.list_models():
            self.assertEqual(allowed_ops.forbidden(model.path), [], model.name)

    def test_what_is_no_model(self):
        (self.folder / "saved_model.pb").write_bytes(b"\xff" * 30)
        with self.assertRaisesRegex(ModelMismatchError, "not a SavedModel"):
            allowed_ops.forbidden(self.folder)
