"""Decoders as TensorFlow Lite models."""

import json
import os
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.codecs import hyperprior_models, rnn_models
from tests.codecs.learned_codecs import LearnedCodecTestCase, made_once
from tests.test_cli import CliTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import export, lite, manifest, runner, signatures


def _write(root: pathlib.Path) -> None:
    hyperprior_models.write(root, ("mean", "factorized"))
    _write_odd(root / "odd")


def _write_odd(folder: pathlib.Path) -> None:
    """A model whose painter needs what TFLite lacks."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float64, name="x")])
    def synthesize(x):
        return {"y": tf.linalg.cholesky(tf.matmul(x, x, transpose_a=True))}

    export.export({"synthesize": synthesize}, folder)


FOLDER = made_once(_write)


def _run(data: bytes, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What an interpreter makes of inputs, resized to theirs."""
    interpreter = tf.lite.Interpreter(model_content=data)
    details = interpreter.get_signature_list()
    (key,) = details
    call = interpreter.get_signature_runner(key)
    return call(**inputs)


class ConvertTest(LearnedCodecTestCase):
    models = FOLDER

    @parameterized.parameters((1, 2, 3), (2, 1, 1))
    def test_painters_of_hyperprior_paint_alike_at_any_size(self, batch, high, wide):
        for name in ("mean", "factorized"):
            model = manifest.find(name)
            local = runner.LocalRunner(model)
            stride = model.card["latents"]["stride"]
            x = np.random.default_rng(1).uniform(
                0, 255, [batch, 4 * stride * high, 4 * stride * wide, 3]
            )
            y = local.call("analyze", images=x.astype(np.float32))["y"]
            given = {"y_hat": np.rint(y)}
            expected = local.call("synthesize", **given)["images"]
            found = _run(lite.convert(model, "synthesize"), **given)["images"]
            np.testing.assert_allclose(found, expected, atol=0.05)

    def test_what_tflite_lacks_is_said_in_one_line(self):
        model = manifest.find(FOLDER() / "odd" / "1")
        with self.assertRaisesRegex(SemCompError, "TFLite does not have") as caught:
            lite.convert(model, "synthesize")
        self.assertNotIn("\n", str(caught.exception))

    def test_unknown_signatures(self):
        with self.assertRaisesRegex(ValueError, "`signature` must be one of analyze"):
            lite.convert(manifest.find("mean"), "paint")

    def test_changed_files(self):
        path = self.change_copy("mean", "saved_model.pb")
        self.use_models(path.parents[1])
        with self.assertRaises(ModelMismatchError):
            lite.export_decoders(manifest.find("mean"), self.folder / "out")


class RnnTest(LearnedCodecTestCase):
    models = rnn_models.folder

    def test_the_painter_of_rnn_paints_alike(self):
        model = manifest.default_model("rnn")
        local = runner.LocalRunner(model)
        rng = np.random.default_rng(1)
        bits = signatures.read(model.path)["synthesize"].inputs["codes"].shape[-1]
        codes = rng.choice([-1, 1], [1, 2, 3, 2, bits]).astype(np.int32)
        expected = local.call("synthesize", codes=codes)["images"]
        found = _run(lite.convert(model, "synthesize"), codes=codes)["images"]
        np.testing.assert_allclose(found, expected, atol=0.05)


class CommandTest(CliTestCase, LearnedCodecTestCase):
    models = FOLDER

    def test_export(self):
        out = self.folder / "lite"
        facts = self.succeed("export", "mean", "--tflite", f"--out={out}")
        path = out / "mean" / "1" / "synthesize.tflite"
        self.assertEqual(facts["models"][0]["written"], {"synthesize": str(path)})
        self.assertEqual(facts["models"][0]["left_out"], {})
        self.assertEqual(path.read_bytes()[4:8], b"TFL3")
        self.refuse(1, "exists", "export", "mean", "--tflite", f"--out={out}")
        argv = ("export", "mean", "--tflite", "--overwrite", f"--out={out}")
        self.succeed(*argv)

    def test_what_cannot_be_converted_is_told(self):
        out = self.folder / "lite"
        odd = os.fspath(FOLDER() / "odd" / "1")
        facts = self.succeed("export", odd, "--tflite", f"--out={out}")
        self.assertIn("TFLite", json.dumps(facts["models"][0]["left_out"]))
        self.assertFalse(out.exists())
