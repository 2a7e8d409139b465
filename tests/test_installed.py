import os
import pathlib
import site
import sysconfig
from unittest import mock

from tests.harness import SemCompTestCase
from tests.serving import test_manifest
from tfsemcomp import installed
from tfsemcomp.serving import manifest


class PlacesTest(SemCompTestCase):
    def test_the_clone_comes_first(self):
        root = pathlib.Path(installed.__file__).resolve().parents[1]
        self.assertEqual(installed.places("a")[0], root / "a")
        self.assertEqual(installed.places("a", "b/c")[0], root / "b" / "c")

    def test_wherever_pip_puts_it(self):
        below = pathlib.Path("share", "tfsemcomp", "a")
        places = installed.places("a")
        for base in (sysconfig.get_path("data"), site.getuserbase()):
            self.assertIn(base / below, places)
        self.assertLen(places, len(set(places)))

    def test_models_of_an_installation_with_target(self):
        # pip install --target=FOLDER puts the package and share/ beside each other.
        folder = self.folder / "share" / "tfsemcomp" / "saved_models"
        folder.mkdir(parents=True)
        test_manifest.write_model(folder, "one")
        nowhere = str(self.folder / "nowhere")
        with (
            mock.patch.dict(os.environ, {manifest.ENVIRONMENT_VARIABLE: ""}),
            mock.patch.object(installed, "_ROOT", self.folder),
            mock.patch.object(sysconfig, "get_path", return_value=nowhere),
            mock.patch.object(site, "getuserbase", return_value=nowhere),
        ):
            self.assertEqual(manifest.models_folder(), folder)
            self.assertEqual([m.name for m in manifest.list_models()], ["one"])
