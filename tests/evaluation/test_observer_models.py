"""Classifiers in folders: they give what was saved, and say what is wrong."""

import json

import numpy as np

from tests.evaluation.grey_classifiers import GREYS, SIDE, save_greys
from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.evaluation import observer_models, observers


def grey(value):
    return np.full((11, 13, 3), value, np.uint8)


class ObserverModelsTest(SemCompTestCase):
    def test_round_trip(self):
        path = save_greys(self.folder / "greys", crop="squash")
        self.assertEqual(path, self.folder / "greys" / "1")
        for place in (self.folder / "greys", path):
            network, card = observer_models.load(place)
            self.assertEqual((card.name, card.classes), ("greys", GREYS))
            self.assertEqual((card.side, card.crop), (SIDE, "squash"))
            self.assertEqual((network.name, network.width), ("greys", len(GREYS)))
        values = np.uint8([0, 51, 250])
        pictures = np.ones((3, SIDE, SIDE, 3), np.uint8) * values[:, None, None, None]
        shares = network.run(pictures)
        self.assertEqual(shares.dtype, np.float32)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(shares.argmax(axis=1), [0, 1, 5])

    def test_an_observer_of_that_folder(self):
        save_greys(self.folder / "greys")
        observer = observers.load(
            f"folder:{self.folder / 'greys'}", {"a.png": "iron", "b.png": "white"}
        )
        self.assertEqual(observer.name, "greys")
        seen = observer.observe("a.png", grey(51), grey(90))
        self.assertEqual((seen["top1@greys"], seen["top5@greys"]), (0, 1))
        self.assertEqual(seen["preserved@greys"], 0)
        with self.assertRaisesRegex(ValueError, "pink"):
            observers.load(
                f"folder:{self.folder / 'greys'}", {"a": "iron", "b": "pink"}
            )

    def test_the_newest_version_counts(self):
        save_greys(self.folder / "greys")
        (self.folder / "greys" / "1").rename(self.folder / "greys" / "10")
        save_greys(self.folder / "greys")
        network, _ = observer_models.load(self.folder / "greys")
        path = observer_models.load(self.folder / "greys" / "1")[0]
        np.testing.assert_array_equal(
            *(n.run(np.zeros((1, SIDE, SIDE, 3), np.uint8)) for n in (network, path))
        )

    def test_never_overwrites(self):
        save_greys(self.folder / "greys")
        with self.assertRaisesRegex(SemCompError, "exists"):
            save_greys(self.folder / "greys")

    def test_folders_that_are_none(self):
        (self.folder / "empty").mkdir()
        with self.assertRaisesRegex(SemCompError, "empty: no classifier"):
            observers.load(f"folder:{self.folder / 'empty'}")
        save_greys(self.folder / "greys")
        path = self.folder / "greys" / "card.json"
        card = json.loads(path.read_text())
        for changes in (
            {"classes": None},
            {"classes": []},
            {"classes": [1]},
            {"side": "8"},
            {"side": 0},
            {"crop": "middle"},
            {"name": None},
        ):
            path.write_text(json.dumps({**card, **changes}))
            with (
                self.subTest(**changes),
                self.assertRaisesRegex(ModelMismatchError, "card.json must have"),
            ):
                observers.load(f"folder:{self.folder / 'greys'}")
        path.write_text(json.dumps({**card, "classes": ["one"]}))
        with self.assertRaisesRegex(ModelMismatchError, "6 shares for the 1 classes"):
            observers.load(f"folder:{self.folder / 'greys'}")

    def test_only_classifiers_where_they_are_needed(self):
        save_greys(self.folder / "greys")
        spec = f"folder:{self.folder / 'greys'}"
        self.assertEqual(observers.load_classifier(spec).classes, GREYS)
        with self.assertRaisesRegex(ValueError, "'segmenter:any' segments"):
            observers.load_classifier("segmenter:any")
