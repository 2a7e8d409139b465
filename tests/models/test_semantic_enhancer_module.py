import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tests.models.semantic_enhancers import (
    BASES,
    CLASSES,
    NETWORKS,
    an_enhancer,
    shaken,
)
from tests.models.test_semantic_enhancer import inputs
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import semantic_enhancer_module
from tfsemcomp.models.semantic_enhancer_module import SemanticEnhancerModule


class SemanticEnhancerModuleTest(SemCompTestCase):
    def export(self, *models):
        """The module, and its `synthesize` as it is loaded again."""
        module = SemanticEnhancerModule(*models)
        path = semantic_enhancer_module.export_module(module, self.folder / "model")
        self.loaded = tf.saved_model.load(str(path))
        return module, self.loaded.signatures["synthesize"]

    def test_one_model_draws_as_it_was_trained(self):
        model = shaken(an_enhancer())
        module, synthesize = self.export(model)
        told = inputs(48, 2)
        for share in (0.0, 0.7):
            drawn = synthesize(**told, perception=tf.fill([2], share))["images"]
            np.testing.assert_allclose(drawn, model(told), atol=0.02)
        self.assertEqual(
            module.card(),
            {
                "classes": CLASSES,
                "ignored": 4,
                "bases": [*BASES, "other"],
                "multiple": 16,
                "boundaries": True,
                "dial": False,
            },
        )

    def test_two_models_are_mixed_picture_by_picture(self):
        models = [shaken(an_enhancer(**NETWORKS[1])) for _ in range(2)]
        shaken(models[1])
        module, synthesize = self.export(*models)
        told = inputs(32, 2)
        first, second = (model(told) for model in models)
        self.assertGreater(np.abs(first - second).max(), 1)
        for shares in ((0.0, 0.0), (1.0, 1.0), (0.25, 1.0), (-1.0, 2.0)):
            drawn = synthesize(**told, perception=tf.constant(shares))["images"]
            part = np.clip(shares, 0, 1).reshape(2, 1, 1, 1)
            np.testing.assert_allclose(
                drawn, (1 - part) * first + part * second, atol=0.02
            )
        card = module.card()
        self.assertTrue(card["dial"])
        self.assertEqual(card["multiple"], 32)

    def test_models_must_be_told_the_same(self):
        with self.assertRaisesRegex(SemCompError, "bases, boundaries.*--init"):
            SemanticEnhancerModule(
                an_enhancer(), an_enhancer(bases=("webp",), boundaries=False)
            )
