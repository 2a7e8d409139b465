import json
import os
import pathlib
from unittest import mock

from tests.codecs import hyperprior_models
from tests.harness import SemCompTestCase
from tfsemcomp.serving import manifest

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "recipes" / "demo_photos"


class BenchmarkDeterminismTest(SemCompTestCase):
    def test_two_machines_decode_each_others_streams(self):
        models = {manifest.ENVIRONMENT_VARIABLE: str(hyperprior_models.folder())}
        with mock.patch.dict(os.environ, models):
            output = self.run_recipe_test(
                "recipes/benchmark_determinism.py",
                f"--images={PHOTOS}",
                "--codecs=mean@verify=false",
                "--out=out",
                "--smoke",
            )
        found = json.loads((self.folder / "out" / "determinism.json").read_text())
        one = found["codecs"]["mean@verify=false"]
        # Two machines decode what two encoded in two ways.
        self.assertEqual(one["decodings"], 8)
        self.assertEqual(one["not decoded"], 0)
        self.assertLessEqual(one["largest difference of a pixel"], 3)
        table = (self.folder / "out" / "determinism.md").read_text()
        self.assertIn("| mean@verify=false | 8 | 0 |", table)
        self.assertIn(table.strip(), output)
