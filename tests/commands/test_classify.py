"""`tfsemcomp classify`: the right classes, of the picture that comes back."""

from unittest import mock

import numpy as np

from tests.evaluation.grey_classifiers import GREYS, save_greys
from tests.harness import smooth_image
from tests.test_cli import CliTestCase
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.errors import UnavailableError
from tfsemcomp.evaluation import observer_networks, observers
from tfsemcomp.evaluation.observer_networks import Network


class ClassifyTest(CliTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.spec = f"folder:{save_greys(self.folder / 'greys')}"
        self.pixels = smooth_image(37, 51)
        self.image = self.folder / "steel" / "a.png"
        self.image.parent.mkdir()
        images.write(self.image, self.pixels)

    def classify(self, *flags) -> dict:
        return self.succeed("classify", self.image, f"--observer={self.spec}", *flags)

    def test_classes_of_the_original_and_of_the_decoded_file(self):
        facts = self.classify("--codec=jpeg", "--quality=3", "--topk=2")
        codec = base.get_codec("jpeg")
        data = codec.compress(self.pixels, quality=3)
        decoded = codec.decompress(data)
        self.assertEqual((facts["codec"], facts["quality"]), ("jpeg", 3))
        self.assertEqual(facts["bytes"], len(data))
        self.assertEqual(facts["bpp"], 8 * len(data) / (37 * 51))
        self.assertEqual((facts["width"], facts["height"]), (51, 37))
        shares = observers.load_classifier(self.spec).classify([self.pixels, decoded])
        for name, expected in zip(("original", "compressed"), shares, strict=True):
            best = np.argsort(expected)[::-1][:2]
            self.assertEqual([b["index"] for b in facts[name]], list(best))
            self.assertEqual(
                [b["class"] for b in facts[name]], [GREYS[i] for i in best]
            )
            np.testing.assert_allclose(
                [b["share"] for b in facts[name]], expected[best], rtol=1e-6
            )
        self.assertTrue(facts["preserved"])
        self.assertNotIn("truth", facts)

    def test_a_class_that_is_lost(self):
        dark = np.zeros_like(self.pixels)
        with mock.patch.object(
            base.codec_class("jpeg"), "decompress", return_value=dark
        ):
            facts = self.classify("--codec=jpeg")
            _, text, _ = self.run_cli(
                "classify", self.image, f"--observer={self.spec}", "--codec=jpeg"
            )
        self.assertFalse(facts["preserved"])
        self.assertEqual(facts["compressed"][0]["class"], "black")
        self.assertLen(facts["original"], 5)
        self.assertRegex(text, "top-1 lost\n$")

    def test_targets_and_settings_are_those_of_compress(self):
        flags = ("--codec=jpeg", "--target_bytes=900", "--subsampling=4:4:4")
        facts = self.classify(*flags)
        wishes = {"target_bytes": 900, "subsampling": "4:4:4"}
        data = base.get_codec("jpeg").compress(self.pixels, **wishes)
        self.assertEqual(facts["bytes"], len(data))
        self.assertLessEqual(facts["bytes"], 900)

    def test_the_true_class(self):
        path = self.folder / "list.txt"
        path.write_text("steel/a.png\nwhite/b.png\n")
        facts = self.classify("--codec=webp", f"--labels={path}")
        truth = facts["truth"]
        self.assertEqual((truth["class"], truth["index"]), ("steel", 2))
        self.assertEqual(truth["original"], facts["original"][0]["class"] == "steel")
        _, text, _ = self.run_cli(
            "classify",
            self.image,
            f"--observer={self.spec}",
            "--codec=webp",
            f"--labels={path}",
        )
        self.assertRegex(text, "top-1 kept; it is steel: original (right|wrong)")
        for content, pattern in (
            ("white/b.png\n", "gives no class for"),
            ("a.png\tpink\n", "no class of .*list.txt is one of greys's"),
        ):
            path.write_text(content)
            argv = (self.image, f"--observer={self.spec}", f"--labels={path}")
            self.refuse(2, pattern, "classify", *argv)

    def test_names_of_classes(self):
        path = self.folder / "names.txt"
        path.write_text("\n".join("ABCDEF"))
        facts = self.classify("--codec=jpeg", f"--class_names={path}")
        for best in facts["original"]:
            self.assertEqual(best["class"], "ABCDEF"[best["index"]])
        path.write_text("A\nB\n")
        argv = ("classify", self.image, f"--observer={self.spec}")
        self.refuse(2, "6 classes, .*names.txt has 2", *argv, f"--class_names={path}")

    def test_imagenet_names_or_indexes(self):
        network = Network(
            "net", 8, 1000, lambda x: np.tile(np.eye(1000)[7], (len(x), 1))
        )
        names = tuple((f"n{i:08d}", f"thing {i}") for i in range(1000))
        argv = ("classify", self.image, "--observer=mobilenet", "--codec=jpeg")
        with mock.patch.object(
            observer_networks, "keras_application", return_value=network
        ):
            with mock.patch.object(
                observer_networks, "imagenet_classes", return_value=names
            ):
                facts = self.succeed(*argv)
            self.assertEqual(facts["original"][0]["class"], "thing 7")
            missing = UnavailableError("cannot get it")
            with mock.patch.object(
                observer_networks, "imagenet_classes", side_effect=missing
            ):
                status, out, err = self.run_cli(*argv)
        self.assertEqual(status, 0)
        self.assertRegex(out, "1.000 class 7  *1.000 class 7")
        self.assertRegex(err, "^note: .*--class_names: cannot get it\n$")

    def test_wrong_use(self):
        observer = f"--observer={self.spec}"
        for status, pattern, argv in (
            (2, "--observer", (self.image,)),
            (2, "`observers` names 'nope'", (self.image, "--observer=nope")),
            (2, "segments", (self.image, "--observer=segmenter:x")),
            (1, "no such head", (self.image, "--observer=folder:none.npz")),
            (1, "missing.png", (self.folder / "missing.png", observer)),
            (1, "cannot read", (self.folder, observer)),
            (2, "`topk`", (self.image, observer, "--topk=0")),
            (2, "exclude", (self.image, observer, "--quality=5", "--target_bpp=1")),
            (2, "no setting", (self.image, observer, "--codec=jpeg", "--effort=3")),
            (1, "limit", (self.image, observer, "--max_side=20")),
            (1, "cannot read", (self.image, observer, "--labels=none.txt")),
        ):
            with self.subTest(argv=argv):
                self.refuse(status, pattern, "classify", *argv)
