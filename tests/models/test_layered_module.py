import functools
import json
import tempfile

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tests.models import text_to_image_models
from tests.models.layered_networks import a_generator
from tfsemcomp.entropy import context_mixing, tables, text
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import layered_module
from tfsemcomp.models.captioner import Captioner
from tfsemcomp.models.damsm import TextSize
from tfsemcomp.models.hyperprior import Hyperprior
from tfsemcomp.models.text_to_image import TextToImage
from tfsemcomp.semantics import captions, vocabulary
from tfsemcomp.serving import allowed_ops, manifest, runner

T = 7
CAPTIONS = ["a dog runs over green grass", "a black cat sits on a red chair"] * 2
VOCABULARY = vocabulary.build(CAPTIONS)


def a_signal(**options):
    tf.keras.utils.set_random_seed(1)
    given = {"size": "tiny-dct", "lmbdas": (0.01, 0.1), "condition": "v2", **options}
    model = Hyperprior(**given)
    model.create_weights()
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(0, 0.02, weight.shape))
    return model


@functools.cache
def networks():
    """Tiny ones, and the module of them."""
    tf.keras.utils.set_random_seed(1)
    captioner = Captioner("tiny", len(VOCABULARY))
    captioner.create_weights()
    text_size = TextSize(len(VOCABULARY), 6, 6, 8)
    painter = TextToImage(text_to_image_models.SIZE, text_size)
    painter.create_weights()
    parts = {
        "captioner": captioner,
        "text_to_image": painter,
        "structure": a_generator(vocabulary=len(VOCABULARY)),
        "signal": a_signal(),
    }
    return parts, layered_module.LayeredModule(**parts, words=T)


class LayeredModuleTest(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.parts, module = networks()
        lines = [np.eye(16, dtype=np.uint8)]
        cls.path = layered_module.export_module(
            module,
            folder.name,
            1,
            VOCABULARY,
            text.build(CAPTIONS, VOCABULARY),
            context_mixing.prime(lines, 2),
        )
        cls.runner = runner.LocalRunner(manifest.find(cls.path))

    def test_files(self):
        names = {path.name for path in self.path.iterdir()}
        expected = {"tables.npz", "text.npz", "vocabulary.json", "primed.npz"}
        self.assertLessEqual(expected, names)
        self.assertEqual(vocabulary.load(self.path / "vocabulary.json"), VOCABULARY)
        self.assertEqual(set(tables.load(self.path / "tables.npz")), {"y", "z"})
        model = text.load(self.path / "text.npz")
        coded = text.encode(CAPTIONS[0], model)
        self.assertEqual(text.decode(coded, model), CAPTIONS[0])
        self.assertNotIn("VariableV2", allowed_ops.all_of(self.path))

    def test_layer_1(self):
        image = text_to_image_models.a_batch()["image"][0].numpy()
        found = captions.describe(image, self.runner, VOCABULARY, beam=2)
        self.assertNotEmpty(found)
        painter = self.parts["text_to_image"]
        words = np.stack([VOCABULARY.ids(caption, T) for caption in CAPTIONS[:2]])
        noise = np.random.default_rng(1).normal(size=[2, 5]).astype(np.float32)
        painted = self.runner.call("synthesize_text", words=words, noise=noise)
        told = words[:, : painter.words]
        expected = painter.generate(tf.constant(told), tf.constant(noise))
        np.testing.assert_allclose(painted["images"], expected, atol=0.1)

    def test_layer_2(self):
        rng = np.random.default_rng(1)
        structure = (rng.random([2, 64, 128, 1]) < 0.1).astype(np.float32)
        base = rng.uniform(0, 255, [2, 64, 128, 3]).astype(np.float32)
        words = np.stack([VOCABULARY.ids(caption, T) for caption in CAPTIONS[:2]])
        given = {"structure": structure, "base": base, "words": words}
        drawn = self.runner.call("synthesize_structure", **given)["images"]
        expected = self.parts["structure"](structure, base, words)
        np.testing.assert_allclose(drawn, np.clip(expected, 0, 255), atol=0.1)

    def test_layer_3(self):
        rng = np.random.default_rng(1)
        x, base = rng.uniform(0, 255, [2, 2, 64, 64, 3]).astype(np.float32)
        lines = (rng.random([2, 64, 64, 1]) < 0.1).astype(np.float32)
        quality = np.int32([0, 1])
        seen = {"base": base, "structure": lines, "quality": quality}
        found = self.runner.call("analyze", images=x, **seen)
        signal, levels = self.parts["signal"], tf.constant([1.0, 2.0])
        y = signal.analyze(x, levels, (base, lines))
        np.testing.assert_allclose(found["y"], y, rtol=1e-3, atol=1e-3)
        self.assertEqual(found["z"].dtype, np.int32)
        told = self.runner.call("hyper_synthesis", z=found["z"], quality=quality)
        mu, _ = signal.predict_y(tf.cast(found["z"], tf.float32), levels)
        np.testing.assert_allclose(told["mu"], mu, rtol=1e-3, atol=1e-3)
        self.assertBetween(told["index"].min(), 0, 63)
        shown = self.runner.call("synthesize", y_hat=found["y"], **seen)["images"]
        expected = signal.synthesize(y, levels, (base, lines))
        np.testing.assert_allclose(shown, expected, rtol=1e-3, atol=0.1)

    def test_what_selects_tables_sees_no_lower_layer(self):
        signature = tf.saved_model.load(str(self.path)).signatures["hyper_synthesis"]
        taken = signature.structured_input_signature[1]
        self.assertEqual(set(taken), {"z", "quality"})
        definition = signature.graph.as_graph_def()
        functions = [function.node_def for function in definition.library.function]
        nodes = [n for group in (definition.node, *functions) for n in group]
        sums = [n for n in nodes if "Conv2D" in n.op]
        self.assertNotEmpty(sums)
        for node in sums:
            self.assertEqual(node.attr["T"].type, tf.float64.as_datatype_enum)

    def test_half_the_bytes_select_the_same_tables(self):
        _, module = networks()
        told = text.build(CAPTIONS, VOCABULARY)
        names = set(module.signatures()) - {"hyper_synthesis"}
        bits = {name: 8 if name == "synthesize_text" else 16 for name in names}
        path = layered_module.export_module(
            module, self.folder, 1, VOCABULARY, told, bits=bits
        )
        sizes = [(p / "saved_model.pb").stat().st_size for p in (self.path, path)]
        self.assertLess(sizes[1], 0.8 * sizes[0])
        channels = module.model.size.hyper_channels
        z = np.random.default_rng(3).integers(-4, 5, [1, 2, 2, channels])
        given = {"z": z.astype(np.int32), "quality": np.int32([0])}
        halved = runner.LocalRunner(manifest.find(path))
        for name, values in self.runner.call("hyper_synthesis", **given).items():
            found = halved.call("hyper_synthesis", **given)[name]
            np.testing.assert_array_equal(found, values)

    def test_card(self):
        _, module = networks()
        facts = layered_module.card(module, {"method": "canny"}, True)
        latents = facts.pop("latents")
        self.assertEqual(
            json.loads(json.dumps(facts)),
            {
                "resolution": 32,
                "noise": 5,
                "words": T,
                "lmbdas": [0.01, 0.1],
                "multiple": 64,
                "structure": {"method": "canny"},
                "version": "v2",
                "text_seed": True,
            },
        )
        self.assertEqual((latents["stride"], latents["channels"]), (8, 192))


class WrongPartsTest(SemCompTestCase):
    def test_a_signal_must_be_a_layer_with_a_hyperprior(self):
        parts, _ = networks()
        for condition, variant in (("none", "scale"), ("v2", "factorized")):
            signal = Hyperprior("tiny-dct", variant, condition=condition)
            given = {**parts, "signal": signal}
            with self.assertRaisesRegex(SemCompError, "condition and a hyperprior"):
                layered_module.LayeredModule(**given, words=T)

    def test_all_must_know_the_same_words(self):
        parts, _ = networks()
        given = {**parts, "structure": a_generator(vocabulary=9)}
        module = layered_module.LayeredModule(**given, words=T)
        tables = text.build(CAPTIONS, VOCABULARY)
        with self.assertRaisesRegex(SemCompError, "the structure was trained for 9"):
            layered_module.export_module(module, self.folder, 1, VOCABULARY, tables)

    def test_words_are_cut_or_padded(self):
        words = tf.constant([[4, 5, 6]])
        for length, expected in ((2, [[4, 5]]), (5, [[4, 5, 6, 0, 0]])):
            found = layered_module.fit_words(words, length)
            np.testing.assert_array_equal(found, expected)
