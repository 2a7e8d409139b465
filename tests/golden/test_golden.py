"""Files of every released format and shipped model are decoded for ever."""

import pathlib

import numpy as np
from absl.testing import parameterized
from PIL import Image

import tfsemcomp
from tests.golden import make_golden
from tests.harness import SemCompTestCase
from tfsemcomp import bitstream
from tfsemcomp.codecs import base

FILES = sorted(
    path.name
    for path in make_golden.FOLDER.glob("*.v*.*")
    if path.suffix in (".tfsc", ".jpg")
)
# Symbols are exact, or decoding raises; networks in float32 may differ a little.
TOLERANCE = 3


class GoldenTest(SemCompTestCase):
    @parameterized.parameters(*FILES)
    def test_a_golden_file_decodes_to_its_picture(self, name):
        path = make_golden.FOLDER / name
        picture = tfsemcomp.decompress(path)
        with Image.open(path.with_suffix(".png")) as stored:
            expected = np.asarray(stored.convert("RGB"))
        difference = np.abs(picture.astype(int) - expected)
        self.assertLessEqual(difference.max(), TOLERANCE)

    @parameterized.parameters(*FILES)
    def test_a_golden_file_names_its_model(self, name):
        facts = tfsemcomp.info(make_golden.FOLDER / name)
        if bitstream.is_container((make_golden.FOLDER / name).read_bytes()):
            self.assertEqual(facts["model"], name.partition(".v")[0])

    def test_every_shipped_model_has_one(self):
        stems = {pathlib.Path(name).stem.partition(".v")[0] for name in FILES}
        shipped = {
            model.name
            for model in tfsemcomp.list_models()
            if model.system in base.codec_names()
        }
        self.assertEqual(shipped - stems, set())
