"""Observers that classify: right values, right weights, one line where they fail."""

import contextlib
import io
import os
import urllib.error
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tests.metrics import networks
from tfsemcomp.errors import (
    BitstreamError,
    ModelMismatchError,
    SemCompError,
    UnavailableError,
)
from tfsemcomp.evaluation import (
    observer_heads,
    observer_networks,
    observer_preprocessing,
    observers,
)
from tfsemcomp.evaluation.observer_classifiers import Classifier
from tfsemcomp.evaluation.observer_labels import Labels
from tfsemcomp.evaluation.observer_memory import Memory
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.metrics import backbones

SIDE = 8


def grey(value):
    return np.full((9, 12, 3), value, np.uint8)


def eight_greys(pictures):
    """Eight classes, from black to white; the nearer the mean, the larger the share."""
    means = pictures.mean(axis=(1, 2, 3))[:, None] / 255
    shares = np.exp(-50 * (means - np.linspace(0, 1, 8)) ** 2)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


class Counting:
    """Eight greys, counting the pictures that it sees."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pictures):
        self.seen += len(pictures)
        return eight_greys(pictures)


class ClassifierTest(SemCompTestCase):
    def classifier(self, labels=None, run=eight_greys):
        labels = None if labels is None else Labels(labels)
        return Classifier(Network("greys", SIDE, 8, run), labels)

    def test_values_by_hand(self):
        observer = self.classifier({"a/dark.png": 0, "a/light.png": 7})
        seen = observer.observe("dark.png", grey(0), grey(40))
        self.assertEqual(seen["top1@greys"], 0)
        self.assertEqual(seen["top5@greys"], 1)
        self.assertEqual(seen["preserved@greys"], 0)
        before, after = eight_greys(np.stack([grey(0), grey(40)]))
        self.assertAlmostEqual(
            seen["confidence@greys"], float(after[0]) - float(before[0])
        )
        seen = observer.observe("light.png", grey(10), grey(5))
        self.assertEqual(seen["top1@greys"], 0)
        self.assertEqual(seen["top5@greys"], 0)
        self.assertEqual(seen["preserved@greys"], 1)
        seen = observer.observe("light.png", grey(10), grey(255))
        self.assertEqual(seen["top1@greys"], 1)
        self.assertEqual(seen["preserved@greys"], 0)

    def test_columns_are_those_of_the_values(self):
        labelled = self.classifier({"x": 1})
        seen = labelled.observe("x", grey(0), grey(0))
        self.assertEqual(tuple(seen), labelled.columns)
        self.assertEqual(seen["preserved@greys"], 1)
        self.assertEqual(seen["confidence@greys"], 0)
        unlabelled = self.classifier()
        self.assertEqual(unlabelled.columns, ("preserved@greys", "confidence@greys"))
        seen = labelled.observe("y", grey(0), grey(0))
        self.assertEqual(tuple(seen), unlabelled.columns)

    def test_few_classes_have_no_top5(self):
        network = Network("few", SIDE, 5, lambda x: eight_greys(x)[:, :5])
        columns = Classifier(network, Labels({"x": 0})).columns
        self.assertNotIn("top5@few", columns)
        self.assertIn("top1@few", columns)

    def test_a_batch_gives_what_single_pictures_do(self):
        originals = [smooth_image(20, 30, seed) for seed in range(40)]
        decoded = [picture // 2 for picture in originals]
        names = [f"{number}" for number in range(40)]
        batch = self.classifier({"7": 3}).observe_batch(names, originals, decoded)
        single = self.classifier({"7": 3})
        for number, values in enumerate(batch):
            expected = single.observe(names[number], originals[number], decoded[number])
            self.assertEqual(values.keys(), expected.keys())
            for column, value in values.items():
                self.assertAlmostEqual(value, expected[column], places=6)

    def test_originals_are_judged_once(self):
        run = Counting()
        observer = self.classifier(run=run)
        for value in range(1, 4):
            observer.observe("a", grey(0), grey(value))
        self.assertEqual(run.seen, 4)
        observer.observe("a", grey(99), grey(1))  # another picture of that name
        self.assertEqual(run.seen, 6)
        observer.observe_batch(["a", "b"], [grey(5)] * 2, [grey(6), grey(5)])
        self.assertEqual(run.seen, 8)

    def test_refuses_what_is_no_picture(self):
        with self.assertRaisesRegex(ValueError, "uint8"):
            self.classifier().observe("a", grey(0), grey(0) / 255)


class MemoryTest(SemCompTestCase):
    def test_forgets_beyond_its_limit_and_stays_right(self):
        run = Counting()
        memory = Memory(lambda pictures: run(np.stack(pictures)), limit=2 * 8 * 4)
        for _ in range(2):
            for value in (10, 20, 30):
                before, after = memory.compare([grey(value)], [grey(200)])
                expected = eight_greys(np.stack([grey(value), grey(200)]))
                np.testing.assert_array_equal([*before, *after], expected)
        self.assertEqual(run.seen, 12)
        memory.compare([grey(30)], [])
        self.assertEqual(run.seen, 12)


class KerasCacheCase(SemCompTestCase):
    """With a Keras cache of its own, and no network."""

    def setUp(self):
        super().setUp()
        self.enter_context(mock.patch.dict(os.environ, HOME=str(self.folder)))
        blocked = urllib.error.URLError("blocked")
        where = "keras.src.utils.data_utils.urlretrieve"
        self.enter_context(mock.patch(where, side_effect=blocked))
        self.cache = self.folder / ".keras" / "models"
        self.cache.mkdir(parents=True)


class ImageNetTest(KerasCacheCase):
    def cache_mobilenet(self):
        tf.keras.utils.set_random_seed(1)
        network = tf.keras.applications.MobileNet(weights=None)
        # Or random weights take every picture for the same.
        weights = [4 * w if w.ndim == 4 else w for w in network.get_weights()]
        network.set_weights(weights)
        network.save_weights(str(self.cache / "mobilenet_1_0_224_tf.h5"))
        return network

    def test_gives_what_keras_gives(self):
        network = self.cache_mobilenet()
        picture = smooth_image(256, 256)
        square = picture[16:240, 16:240].astype(np.float32)
        shares = network.predict(
            tf.keras.applications.mobilenet.preprocess_input(square[None]), verbose=0
        )[0]
        labels = {"x/good.png": int(shares.argmax()), "x/bad.png": int(shares.argmin())}
        observer = observers.load("mobilenet", labels)
        self.assertEqual(observer.name, "mobilenet")
        seen = observer.observe("good.png", picture, picture)
        self.assertEqual(seen["top1@mobilenet"], 1)
        self.assertEqual(seen["preserved@mobilenet"], 1)
        seen = observer.observe("bad.png", picture, picture)
        self.assertEqual((seen["top1@mobilenet"], seen["top5@mobilenet"]), (0, 0))
        np.testing.assert_allclose(
            observer.classify([picture])[0], shares, rtol=1e-3, atol=1e-6
        )

    @parameterized.parameters("mobilenet", "vgg16", "regnetx002")
    def test_weights_that_cannot_be_had_are_one_line(self, name):
        output = io.StringIO()
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(io.StringIO()),
            self.assertRaisesRegex(UnavailableError, f"cannot get {name}.*fetch") as e,
        ):
            observers.load(name)
        self.assertNotIn("\n", str(e.exception))
        self.assertEqual(output.getvalue(), "")

    def test_wordnet_ids_are_labels(self):
        index = {str(i): [f"n{i:08d}", f"class {i}"] for i in range(1000)}
        where = "keras.src.applications.imagenet_utils.CLASS_INDEX"
        self.addCleanup(observer_networks.imagenet_classes.cache_clear)
        observer_networks.imagenet_classes.cache_clear()
        with mock.patch(where, index):
            classes = observer_networks.imagenet_classes()
        self.assertEqual(
            classes[:2], (("n00000000", "class 0"), ("n00000001", "class 1"))
        )
        self.assertLen(classes, 1000)
        network = Network("net", SIDE, 1000, eight_greys)
        with mock.patch.object(
            observer_networks, "keras_application", return_value=network
        ):
            known = observers.load("mobilenet", {"x": "n00000007"})
            squashed = observers.load("MobileNet+squash", {"x": "Faces"})
            with self.assertRaisesRegex(ValueError, "n99999999"):
                observers.load("mobilenet", {"x": "n00000007", "y": "n99999999"})
        self.assertIn("top1@net", known.columns)
        # Names of other classes leave accuracies out.
        self.assertEqual(squashed.columns[0], "preserved@net+squash")

    @parameterized.parameters(
        "nope", "", "mobilenet+middle", "folder:", "keras_cv:", "segmenter:", "a:b"
    )
    def test_unknown_observers(self, spec):
        with self.assertRaisesRegex(ValueError, "`observers` names"):
            observers.load(spec)


def random_head(path, **changes):
    """A head of ten classes on MobileNet with random weights."""
    trunk = networks.weights_file("MobileNet")
    rng = np.random.default_rng(3)
    fields = {
        "kernel": rng.normal(size=(1024, 10)).astype(np.float32),
        "bias": np.zeros(10, np.float32),
        "classes": tuple(f"class {number}" for number in range(10)),
        "trunk": trunk,
        "trunk_name": backbones.resolve_name(trunk),
        "crop": "squash",
    }
    head = observer_heads.Head(**{**fields, **changes})
    observer_heads.save(path, head)
    return head


class HeadTest(KerasCacheCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "mine.npz"

    def test_files_round_trip(self):
        head = random_head(self.path)
        found = observer_heads.read(self.path)
        np.testing.assert_array_equal(found.kernel, head.kernel)
        self.assertEqual(found.classes, head.classes)
        self.assertEqual(
            (found.trunk, found.trunk_name, found.crop),
            (head.trunk, head.trunk_name, head.crop),
        )

    def test_holds_no_weights_of_the_trunk(self):
        random_head(self.path)
        self.assertLess(self.path.stat().st_size, 10**5)

    def test_observes_by_trunk_and_head(self):
        head = random_head(self.path)
        picture = smooth_image(40, 60)
        features = backbones.load(head.trunk).embed(
            observer_preprocessing.prepare(picture, 224, "squash")[None]
        )
        scores = features[0] @ head.kernel
        best = head.classes[scores.argmax()]
        observer = observers.load(f"folder:{self.path}", {"a.png": best})
        self.assertEqual(observer.name, f"mine-{head.trunk_name}")
        shares = np.exp(scores - scores.max())
        np.testing.assert_allclose(
            observer.classify([picture])[0], shares / shares.sum(), rtol=1e-3, atol=1e-6
        )
        seen = observer.observe("a.png", picture, picture)
        self.assertEqual(seen[f"top1@{observer.name}"], 1)

    def test_a_trunk_that_has_moved(self):
        head = random_head(self.path, trunk=str(self.folder / "gone.npz"))
        with self.assertRaisesRegex(SemCompError, "trunk .*gone.npz is not there"):
            observers.load(f"folder:{self.path}")
        moved = networks.weights_file("MobileNet")
        observer = observers.load(f"folder:{self.path}:{moved}")
        self.assertEqual(observer.name, f"mine-{head.trunk_name}")

    def test_refuses_another_trunk(self):
        random_head(self.path, trunk_name="mobilenet-00000000")
        with self.assertRaisesRegex(ModelMismatchError, "fitted on mobilenet-00000000"):
            observers.load(f"folder:{self.path}")

    def test_an_imagenet_trunk_is_downloaded_or_one_line(self):
        random_head(self.path, trunk="resnet50", trunk_name="resnet50-imagenet")
        with self.assertRaisesRegex(UnavailableError, "cannot get resnet50"):
            observers.load(f"folder:{self.path}")

    def test_a_keras_trunk_gives_its_last_layers_means(self):
        tf.keras.utils.set_random_seed(2)
        whole = tf.keras.applications.MobileNet(
            include_top=False, weights=None, input_shape=(224, 224, 3)
        )
        whole.save_weights(str(self.cache / "mobilenet_1_0_224_tf_no_top.h5"))
        trunk = observer_heads.load_trunk("MobileNet")
        self.assertEqual((trunk.name, trunk.width), ("mobilenet-imagenet", 1024))
        picture = smooth_image(224, 224)
        expected = (
            whole(picture[None] / np.float32(127.5) - 1).numpy().mean(axis=(1, 2))
        )
        np.testing.assert_allclose(
            trunk.run(picture[None]), expected, rtol=1e-3, atol=1e-6
        )

    def test_mirrored_features_are_those_of_the_mirrored_picture(self):
        trunk = Network("corner", 4, 3, lambda x: x[:, 0, 0].astype(np.float32))
        picture = smooth_image(4, 4)
        mirrored = observer_heads.embed(trunk, [picture], "squash", mirrored=True)
        np.testing.assert_array_equal(mirrored[0], picture[0, -1])

    def test_damaged_heads(self):
        random_head(self.path)
        whole = self.path.read_bytes()
        self.path.write_bytes(whole[: len(whole) // 2])
        with self.assertRaisesRegex(BitstreamError, "no whole head"):
            observer_heads.read(self.path)
        np.savez(self.path, kernel=np.zeros(3))
        with self.assertRaisesRegex(BitstreamError, "no whole head"):
            observer_heads.read(self.path)
        random_head(self.path, bias=np.zeros(9, np.float32))
        with self.assertRaisesRegex(BitstreamError, "bias.*10 classes"):
            observer_heads.read(self.path)
        with self.assertRaisesRegex(SemCompError, "fit_observer"):
            observer_heads.read(self.folder / "none.npz")


class KerasCvTest(SemCompTestCase):
    def save_preset(self, activation="softmax", **options):
        """A preset of a tiny network, its files as those that keras-cv downloads."""
        import keras_cv
        from keras.src.engine.functional import Functional
        from keras_cv.src.utils.preset_utils import save_to_preset

        tf.keras.utils.set_random_seed(4)
        backbone = keras_cv.models.ResNetV2Backbone(
            stackwise_filters=[8, 8],
            stackwise_blocks=[2, 2],
            stackwise_strides=[1, 2],
            input_shape=(None, None, 3),
            **options,
        )
        model = keras_cv.models.ImageClassifier(
            backbone=backbone, num_classes=7, activation=activation
        )
        folder = self.folder / "mine"
        # Those were written by Keras 3, which names weights by other paths.
        with mock.patch.object(Functional, "_layer_checkpoint_dependencies", {}):
            save_to_preset(model, str(folder))
        return model, folder

    @parameterized.parameters((True, 1.0, "softmax"), (False, 255.0, None))
    def test_gives_what_keras_cv_gives(self, include_rescaling, divisor, activation):
        model, folder = self.save_preset(
            activation, include_rescaling=include_rescaling
        )
        observer = observers.load(f"keras_cv:{folder}", {"a": 3})
        self.assertEqual(observer.name, "mine")
        self.assertIn("top5@mine", observer.columns)
        picture = smooth_image(256, 256)
        given = picture[None, 16:240, 16:240].astype(np.float32) / divisor
        expected = model(given, training=False)
        if activation is None:
            expected = tf.nn.softmax(expected)
        np.testing.assert_allclose(observer.classify([picture]), expected, atol=1e-5)

    def test_presets_without_a_trained_classifier_are_refused(self):
        for preset in ("resnet50_v2_imagenet", "nope"):
            with self.assertRaisesRegex(ValueError, "no trained ImageClassifier"):
                observers.load(f"keras_cv:{preset}")

    def test_without_keras_cv_says_what_to_install(self):
        with (
            mock.patch.dict("sys.modules", keras_cv=None),
            self.assertRaisesRegex(UnavailableError, r"tfsemcomp\[train\]"),
        ):
            observers.load("keras_cv:resnet50_v2_imagenet_classifier")

    def test_a_preset_that_cannot_be_had_is_one_line(self):
        where = "keras_cv.src.utils.preset_utils.kagglehub.model_download"
        with (
            mock.patch(where, side_effect=OSError("blocked\nhere")),
            self.assertRaisesRegex(UnavailableError, "OSError: blocked here"),
        ):
            observers.load("keras_cv:resnet50_v2_imagenet_classifier")
