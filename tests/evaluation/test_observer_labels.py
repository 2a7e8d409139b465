from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import observer_labels
from tfsemcomp.evaluation.observer_labels import Labels

CLASSES = ("cat", "dog")


class LabelsTest(SemCompTestCase):
    def write(self, text):
        path = self.folder / "list.txt"
        path.write_text(text, encoding="utf-8")
        return path

    def test_lists(self):
        path = self.write(
            "images/cat/1.jpg\n\nimages/7/2.jpg\na b.png\tdog\nc.png\t12\n"
        )
        expected = {
            "images/cat/1.jpg": "cat",
            "images/7/2.jpg": "7",
            "a b.png": "dog",
            "c.png": 12,
        }
        self.assertEqual(observer_labels.read_list(path), expected)

    @parameterized.parameters(
        ("x.jpg\n", "line 1 gives no class"),
        ("x.jpg\t\n", "line 1 gives no class"),
        ("a/x.jpg\na/x.jpg\n", "line 2 names a/x.jpg again"),
        ("\n", "empty list"),
    )
    def test_wrong_lists(self, text, message):
        with self.assertRaisesRegex(SemCompError, message):
            observer_labels.read_list(self.write(text))

    def test_a_missing_list(self):
        with self.assertRaisesRegex(SemCompError, "cannot read the list"):
            observer_labels.read_list(self.folder / "none.txt")

    @parameterized.parameters(
        ("images/cat/1.jpg", "cat"),  # as it is
        ("cat/1.jpg", "cat"),  # less
        ("data/images/dog/1.jpg", "dog"),  # more
        ("at/1.jpg", None),  # whole folders only
        ("cat/2.jpg", None),
    )
    def test_pictures_are_found_by_the_end_of_their_names(self, image, label):
        labels = Labels({"images/cat/1.jpg": "cat", "images/dog/1.jpg": "dog"})
        self.assertEqual(labels.find(image), label)

    def test_never_guesses(self):
        labels = Labels({"cat/1.jpg": "cat", "dog/1.jpg": "dog", "a/2": 1, "b/2": 1})
        with self.assertRaisesRegex(SemCompError, "cat, dog"):
            labels.find("1.jpg")
        self.assertEqual(labels.find("2"), 1)

    def test_names_become_indexes(self):
        labels = Labels({"1": "dog", "2": 0}).of_classes(CLASSES, 2)
        self.assertEqual((labels.find("1"), labels.find("2")), (1, 0))

    def test_labels_of_other_classes_are_none(self):
        with self.assertLogs(level="WARNING") as logged:
            self.assertIsNone(Labels({"1": "bird"}).of_classes(CLASSES, 2))
        self.assertIn("accuracies are left out", logged.output[0])

    @parameterized.parameters(
        ({"1": "dog", "2": "bird"}, "2 the class 'bird'"),
        ({"1": 2}, "1 the class 2"),
        ({"1": -1}, "1 the class -1"),
    )
    def test_a_single_unknown_class_is_an_error(self, classes, message):
        with self.assertRaisesRegex(ValueError, message):
            Labels(classes).of_classes(CLASSES, 2)
