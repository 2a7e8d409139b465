"""Observers that segment: values by hand, any size, any exported model."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import label_maps
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.evaluation import observers, sweep
from tfsemcomp.evaluation.observer_segmenters import Segmenter
from tfsemcomp.semantics import segmentation
from tfsemcomp.serving import export


def split(height, width, at):
    """A picture that is dark left of a column and light from it on."""
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[:, at:] = 220
    return picture


def dark_or_light(pictures):
    """Two classes: 0 below the middle grey, 1 above."""
    return (pictures.mean(axis=-1) > 127).astype(np.uint8)


def iou(left, other_left, width):
    """Mean IoU of two maps of a picture that is split at two columns."""
    low, high = sorted((left, other_left))
    return (low / high + (width - high) / (width - low)) / 2


class SegmenterTest(SemCompTestCase):
    @parameterized.parameters((40, 60), (32, 64), (7, 90))
    def test_values_by_hand(self, height, width):
        truth = dark_or_light(split(height, width, 30))
        observer = Segmenter("two", dark_or_light, 2, {"a.png": truth})
        original, decoded = split(height, width, 20), split(height, width, 24)
        seen = observer.observe("a.png", original, decoded)
        self.assertAlmostEqual(seen["miou@two"], iou(24, 30, width))
        self.assertAlmostEqual(seen["preserved_miou@two"], iou(20, 24, width))
        self.assertEqual(tuple(seen), observer.columns)
        same = observer.observe("a.png", original, original)
        self.assertEqual(same["preserved_miou@two"], 1)

    def test_pictures_of_several_sizes_in_one_batch(self):
        sizes = [(40, 60), (33, 47), (40, 60), (8, 9)]
        originals = [split(*size, at=5) for size in sizes]
        decoded = [split(*size, at=6) for size in sizes]
        observer = Segmenter("two", dark_or_light)
        seen = observer.observe_batch("abcd", originals, decoded)
        for (_, width), values in zip(sizes, seen, strict=True):
            self.assertAlmostEqual(values["preserved_miou@two"], iou(5, 6, width))

    def test_maps_come_from_a_folder(self):
        truth = dark_or_light(split(16, 20, 10))
        (self.folder / "sub").mkdir()
        label_maps.write(self.folder / "sub" / "a.png", truth)
        observer = Segmenter("two", dark_or_light, 2, self.folder)
        picture = split(16, 20, 10)
        seen = observer.observe("sub/a.jpg", picture, picture)
        self.assertEqual(seen["miou@two"], 1)
        self.assertNotIn("miou@two", observer.observe("b.jpg", picture, picture))

    @parameterized.parameters((2, 11), (None, 255))
    def test_classes_that_the_network_lacks_are_ignored(self, classes, unknown):
        truth = dark_or_light(split(16, 20, 10))
        truth[:, 8:10] = unknown
        observer = Segmenter("two", dark_or_light, classes, {"a": truth})
        seen = observer.observe("a", split(16, 20, 10), split(16, 20, 8))
        self.assertEqual(seen["miou@two"], 1)

    def test_a_map_without_any_class_has_no_value(self):
        observer = Segmenter(
            "two", dark_or_light, 2, {"a": np.full((16, 20), 255, np.uint8)}
        )
        picture = split(16, 20, 10)
        self.assertNotIn("miou@two", observer.observe("a", picture, picture))

    def test_maps_are_never_resized(self):
        observer = Segmenter(
            "two", dark_or_light, 2, {"a": np.zeros((8, 10), np.uint8)}
        )
        with self.assertRaisesRegex(SemCompError, "10x8 pixels, the picture 20x16"):
            observer.observe("a", split(16, 20, 10), split(16, 20, 10))

    def test_refuses_pictures_of_two_sizes(self):
        with self.assertRaisesRegex(ValueError, "size of `reference`"):
            Segmenter("two", dark_or_light).observe(
                "a", split(16, 20, 10), split(16, 21, 10)
            )


class ModelTest(SemCompTestCase):
    def export(self, outputs):
        """A model that classifies by brightness; returns its folder."""

        @tf.function(
            input_signature=[tf.TensorSpec([None, None, None, 3], name="image")]
        )
        def segment(image):
            light = tf.reduce_mean(image, axis=-1) / 255
            return outputs(tf.stack([1 - light, light], axis=-1))

        signatures = {segmentation.SIGNATURE: segment}
        return export.export(signatures, self.folder / "brightness")

    @parameterized.named_parameters(
        ("scores", lambda scores: {"scores": scores}),
        ("labels", lambda scores: {"labels": tf.argmax(scores, axis=-1)}),
        ("coarse", lambda scores: {"scores": scores[:, 2::4, 2::4]}),
        ("coarse_labels", lambda s: {"labels": tf.argmax(s[:, 2::4, 2::4], axis=-1)}),
    )
    def test_exported_models(self, outputs):
        folder = self.export(outputs)
        truth = dark_or_light(split(40, 64, 32))
        observer = observers.load(f"segmenter:{folder}", label_maps={"a": truth})
        self.assertEqual(observer.name, "brightness")
        seen = observer.observe("a", split(40, 64, 32), split(40, 64, 32))
        self.assertEqual(seen, {"miou@brightness": 1, "preserved_miou@brightness": 1})
        seen = observer.observe("a", split(40, 64, 32), split(40, 64, 48))
        self.assertAlmostEqual(seen["miou@brightness"], iou(48, 32, 64))

    def test_a_sweep_compares_with_true_maps(self):
        folder = self.export(lambda scores: {"scores": scores})
        pictures, maps = self.folder / "pictures", self.folder / "maps"
        pictures.mkdir()
        maps.mkdir()
        images.write(pictures / "a.png", split(40, 64, 32))
        label_maps.write(maps / "a.png", dark_or_light(split(40, 64, 48)))
        arguments = {"observers": [f"segmenter:{folder}"], "label_maps": maps}
        table = sweep.run_sweep(
            ["jpeg"], pictures, self.folder / "out", [90], ["psnr"], **arguments
        )
        (row,) = table.rows
        self.assertAlmostEqual(row.metrics["miou@brightness"], iou(48, 32, 64), 2)
        with self.assertRaisesRegex(ValueError, "`label_maps` are for"):
            sweep.run_sweep(["jpeg"], pictures, self.folder / "o", label_maps=maps)

    def test_a_model_without_scores_or_labels_is_refused(self):
        folder = self.export(lambda scores: {"map": scores})
        with self.assertRaisesRegex(ModelMismatchError, "`labels`, not map"):
            observers.load(f"segmenter:{folder}")

    def test_missing_models_and_folders(self):
        with self.assertRaisesRegex(SemCompError, "no model `nope`"):
            observers.load("segmenter:nope")
        with self.assertRaisesRegex(SemCompError, "no such folder of label maps"):
            observers.load("segmenter:nope", label_maps=str(self.folder / "none"))


class KerasCvTest(SemCompTestCase):
    def save_preset(self, model):
        from keras.src.engine.functional import Functional
        from keras_cv.src.utils.preset_utils import save_to_preset

        # Files as keras-cv publishes them were written by Keras 3.
        with mock.patch.object(Functional, "_layer_checkpoint_dependencies", {}):
            save_to_preset(model, str(self.folder / "mine"))
        return self.folder / "mine"

    def tiny_deeplab(self, side):
        import keras_cv

        tf.keras.utils.set_random_seed(4)
        backbone = keras_cv.models.ResNetV2Backbone(
            stackwise_filters=[8, 8, 8, 8],
            stackwise_blocks=[2, 2, 2, 2],
            stackwise_strides=[1, 2, 2, 2],
            include_rescaling=True,
            input_shape=(side, side, 3),
        )
        return keras_cv.models.DeepLabV3Plus(
            backbone=backbone, num_classes=3, projection_filters=8
        )

    def test_gives_what_keras_cv_gives(self):
        model = self.tiny_deeplab(64)
        observer = observers.load(f"segmenter:keras_cv:{self.save_preset(model)}")
        picture = smooth_image(64, 64)
        expected = model(picture[None].astype(np.float32)).numpy()[0].argmax(axis=-1)
        np.testing.assert_array_equal(observer.segment([picture])[0], expected)
        seen = observer.observe("a", picture, picture)
        self.assertEqual(seen, {"preserved_miou@mine": 1})
        other = observer.segment([smooth_image(40, 90)])[0]
        self.assertEqual(other.shape, (40, 90))
        with self.assertRaisesRegex(ValueError, "no classifier"):
            observers.load(f"keras_cv:{self.folder / 'mine'}")

    def test_presets_without_a_trained_head_are_refused(self):
        for preset in ("segformer_b0_imagenet", "deeplab_v3_plus_resnet50_pascalvoc"):
            with self.assertRaisesRegex(ValueError, "folder of a preset's files"):
                observers.load(f"segmenter:keras_cv:{preset}")
