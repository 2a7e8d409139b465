import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import pipeline
from tfsemcomp.metrics import recognition
from tfsemcomp.models import segmenter
from tfsemcomp.models.segmenter import Segmenter, SegmenterSize


def a_model(**options):
    tf.keras.utils.set_random_seed(1)
    model = Segmenter(**{"classes": 3, "size": "tiny", **options})
    model.create_weights()
    return model


def a_batch(count=2, side=32):
    image = np.stack([smooth_image(side, side, seed) for seed in range(count)])
    planes = np.digitize(image[..., :1], (85, 170)).astype(np.uint8)
    return {"image": tf.constant(image), "planes": tf.constant(planes)}


class SegmenterTest(SemCompTestCase):
    def test_small_fits_into_eight_megabytes(self):
        model = a_model(classes=12, size="small")
        self.assertLess(4 * model.count_params(), 8e6)

    def test_segformer_gives_scores_not_probabilities(self):
        size = SegmenterSize("segformer", (8, 16, 20, 32), (1, 1, 1, 1), 16, side=64)
        scores = a_model(size=size)(tf.random.normal([1, 64, 64, 3]))
        self.assertEqual(tuple(scores.shape), (1, 16, 16, 3))
        sums = tf.reduce_sum(scores, axis=-1).numpy()
        self.assertGreater(abs(sums - 1).max(), 1e-3)

    @parameterized.parameters((32, 32), (64, 96))
    def test_scores_and_labels(self, height, width):
        images = tf.constant(smooth_image(height, width)[None], tf.float32)
        found = a_model().segment(images)
        self.assertEqual(tuple(found["scores"].shape), (1, height // 4, width // 4, 3))
        self.assertEqual(tuple(found["labels"].shape), (1, height, width))
        largest = tf.argmax(tf.image.resize(found["scores"], (height, width)), -1)
        np.testing.assert_array_equal(found["labels"], largest)

    def test_the_ignored_class_is_no_answer(self):
        images = tf.constant(smooth_image(64, 64)[None], tf.float32)
        model = a_model()
        answers = np.unique(model.segment(images)["labels"])
        other = a_model(ignored=int(answers[0]))
        np.testing.assert_allclose(other(images), model(images))
        self.assertNotIn(answers[0], other.segment(images)["labels"].numpy())

    def test_it_learns(self):
        model, batch = a_model(smoothing=0.0), a_batch()
        model.compile(tf.keras.optimizers.Adam(1e-2))
        step = tf.function(model.train_step)
        first = float(step(batch)["loss"])
        for _ in range(40):
            model.reset_metrics()
            last = step(batch)
        self.assertLess(float(last["loss"]), 0.5 * first)
        self.assertGreater(float(last["accuracy"]), 0.8)

    def test_pixels_without_a_class_do_not_count(self):
        model, batch = a_model(ignored=2), a_batch()
        model.compile(tf.keras.optimizers.Adam(1e-2))
        before = model.test_step(batch)
        for value in (2, 3, 255):
            planes = tf.where(batch["planes"] == 2, tf.cast(value, tf.uint8), [[[0]]])
            planes = tf.where(batch["planes"] == 2, planes, batch["planes"])
            model.reset_metrics()
            after = model.test_step({**batch, "planes": planes})
            self.assertEqual(float(after["loss"]), float(before["loss"]))
            self.assertEqual(float(after["miou"]), float(before["miou"]))

    def test_mean_iou_is_that_of_the_metrics(self):
        rng = np.random.default_rng(1)
        truth, found = rng.integers(0, 3, (2, 2, 8, 8), dtype=np.int32)
        counts = np.ones(truth.shape, np.float32)
        value = segmenter.mean_iou(truth, found, counts, 5)
        wanted = recognition.miou(recognition.confusion(truth, found, 5))
        self.assertAlmostEqual(float(value), wanted, places=5)

    def test_config(self):
        model = a_model(ignored=1, smoothing=0.1)
        again = Segmenter.from_config(model.get_config())
        self.assertEqual(again.get_config(), model.get_config())

    @parameterized.parameters(
        ({"classes": 1}, "`classes`"),
        ({"ignored": 3}, "`ignored`"),
        ({"smoothing": 1.0}, "`smoothing`"),
        ({"size": "huge"}, "`size`"),
    )
    def test_wrong_arguments(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            a_model(**options)

    def test_wrong_sizes(self):
        four = (4, 4, 4, 4)
        with self.assertRaisesRegex(ValueError, "`architecture`"):
            SegmenterSize("unet", four, four, 8)
        with self.assertRaisesRegex(ValueError, "`side`"):
            SegmenterSize("segformer", four, four, 8)
        with self.assertRaisesRegex(ValueError, "`widths`"):
            SegmenterSize("deeplab_v3_plus", (4, 4), four, 8)

    def test_a_trunk_of_our_own_has_no_weights_of_imagenet(self):
        with self.assertRaisesRegex(ValueError, "no trunk"):
            a_model().take_trunk()


class PlanesTest(SemCompTestCase):
    def test_classes_are_never_mixed(self):
        # Scaled as areas, 0 and 200 side by side would give what is between them.
        labels = np.zeros((40, 50, 1), np.uint8)
        labels[::2] = 200
        encoded = tf.io.encode_png(labels)
        plan = pipeline.Augmentation(16, min_area=0.9)
        key = tf.constant([1, 2], tf.int64)
        for name, mixed in (("label_map/encoded", False), ("edges/encoded", True)):
            cut = pipeline.augment_plane(name, encoded, plan, key).numpy()
            self.assertEqual(set(np.unique(cut)) != {0, 200}, mixed)
