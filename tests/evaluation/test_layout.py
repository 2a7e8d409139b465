"""Where a result folder keeps layers: found again by name, never mistaken."""

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import layout
from tfsemcomp.evaluation.table import Row

NAMES = ("a.png", "a", "a.png.map", "folder/a [1]*.png")


def touch(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


class LayersTest(SemCompTestCase):
    def test_pictures_find_their_own_layers_only(self):
        for name in NAMES:
            touch(layout.original(self.folder, name))
        for name in NAMES[:2]:
            touch(layout.roi_map(self.folder, name))
            touch(layout.picture_layer(self.folder, name, "caption", ".txt"))
        for name in NAMES[:2]:
            found = layout.picture_layers(self.folder, name)
            self.assertEqual(list(found), ["caption", "map"])
            self.assertEqual(found["map"], layout.roi_map(self.folder, name))
        for name in NAMES[2:]:
            self.assertEqual(layout.picture_layers(self.folder, name), {})

    def test_files_find_their_own_layers_only(self):
        rows = [
            Row(name, "png", setting=setting)
            for name in NAMES
            for setting in ("quality=0", "quality=0.5")
        ]
        for row in rows:
            touch(self.folder / layout.compressed_file(row, ".png"))
            self.assertEqual(layout.row_layers(self.folder, row), {})
        for index, row in enumerate(rows):
            touch(layout.row_layer(self.folder, row, f"layer_{index}"))
        for index, row in enumerate(rows):
            found = layout.row_layers(self.folder, row)
            self.assertEqual(list(found), [f"layer_{index}"])

    @parameterized.parameters(
        ("original", ".png"),
        ("Edges", ".png"),
        ("a.b", ".png"),
        ("", ".png"),
        ("../x", ".png"),
        ("edges", ".jpg"),
    )
    def test_refuses_names_that_could_be_mistaken(self, name, suffix):
        with self.assertRaises(ValueError):
            layout.picture_layer(self.folder, "a.png", name, suffix)
        with self.assertRaises(ValueError):
            layout.row_layer(self.folder, Row("a.png", "jpeg"), name, suffix)
