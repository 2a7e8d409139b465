import json

import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2

from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.serving import export, signatures
from tfsemcomp.serving.signatures import Tensor


class Module(tf.Module):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32, name="x"),
            tf.TensorSpec(None, tf.string, name="text"),
        ]
    )
    def first(self, x, text):
        return {"long": tf.cast(x, tf.float64), "size": tf.size(text)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="n")])
    def second(self, n):
        return {"flags": tf.fill([n], True)}


class SignaturesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        module = Module()
        calls = {"first": module.first, "second": module.second}
        self.path = export.export(calls, self.folder / "m")

    def test_types_and_shapes_without_running_anything(self):
        found = signatures.read(self.path)
        self.assertEqual(set(found), {"first", "second"})
        self.assertEqual(
            str(found["first"]),
            "text string of any rank, x float32 [?, 3] -> "
            "long float64 [?, 3], size int32 []",
        )
        self.assertEqual(str(found["second"]), "n int64 [] -> flags bool [?]")
        tensor = found["first"].inputs["x"]
        self.assertEqual(tensor, Tensor("float32", (None, 3), tensor.node))
        self.assertIn("first_x", tensor.node)

    def test_the_same_of_json(self):
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((self.path / "saved_model.pb").read_bytes())
        plain = {
            name: json.loads(
                json_format.MessageToJson(
                    definition,
                    preserving_proto_field_name=True,
                    including_default_value_fields=True,
                )
            )
            for name, definition in saved.meta_graphs[0].signature_def.items()
        }
        self.assertEqual(signatures.from_json(plain), signatures.read(self.path))

    def test_what_is_no_saved_model(self):
        for content in (None, b"text", b""):
            path = self.folder / str(content)
            path.mkdir()
            if content is not None:
                (path / "saved_model.pb").write_bytes(content)
            with self.assertRaisesRegex(ModelMismatchError, "saved_model.pb"):
                signatures.read(path)
