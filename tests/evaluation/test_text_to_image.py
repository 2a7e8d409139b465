import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tests.models.text_to_image_models import SIZE, a_batch, a_damsm, a_model
from tfsemcomp.evaluation import text_to_image
from tfsemcomp.metrics import retrieval


class MeasureTest(SemCompTestCase):
    def test_is_r_precision_of_what_was_drawn(self):
        model, damsm, batch = a_model(), a_damsm(), a_batch(4)
        whole = text_to_image.measure(model, damsm, [batch], seed=3)
        self.assertEqual((whole["candidates"], whole["pictures"]), (4, 4))
        rng = np.random.Generator(np.random.Philox(3))
        noise = rng.standard_normal((4, SIZE.noise), np.float32)
        drawn = model.generate(batch["words"], tf.constant(noise))
        pictures = {"drawn": drawn, "photos": tf.cast(batch["image"], tf.float32)}
        sentences = damsm.text(batch["words"])[1].numpy()
        for name, x in pictures.items():
            vectors = damsm.pictures(x)[1].numpy()
            expected = retrieval.r_precision(vectors, sentences, 4, 3)
            self.assertEqual(whole[name], expected)
        # However they are cut into batches.
        halves = [{k: v[s] for k, v in batch.items()} for s in (slice(2), slice(2, 4))]
        again = text_to_image.measure(model, damsm, halves, seed=3)
        self.assertEqual(again, whole)

    def test_refuses_a_single_picture(self):
        with self.assertRaisesRegex(ValueError, "`batches`.*two"):
            text_to_image.measure(a_model(), a_damsm(), [a_batch(1)])
        with self.assertRaisesRegex(ValueError, "got 0"):
            text_to_image.measure(a_model(), a_damsm(), [])
