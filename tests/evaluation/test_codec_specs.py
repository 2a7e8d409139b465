"""Codecs in one word."""

import os
from unittest import mock

from absl.testing import parameterized

from tests.codecs import hyperprior_models
from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import codec_specs, sweep


class CodecSpecsTest(SemCompTestCase):
    @parameterized.parameters(
        ("jpeg:5:10.0", [("jpeg", "", "quality=5"), ("jpeg", "", "quality=10")]),
        ("webp:7@effort=6", [("webp", "", "quality=7, effort=6")]),
        ("webp:7@effort=4", [("webp", "", "quality=7")]),
        (
            "jpeg:9@progressive=true@subsampling=4:4:4",
            [("jpeg", "", "quality=9, subsampling=4:4:4, progressive=True")],
        ),
        ("msroi_jpeg:9@map=contrast", [("msroi_jpeg", "", "quality=9, map=contrast")]),
    )
    def test_qualities_and_settings(self, text, keys):
        self.assertCountEqual([job.key for job in codec_specs.parse(text)], keys)

    def test_models(self):
        folder = str(hyperprior_models.folder())
        with mock.patch.dict(os.environ, TFSEMCOMP_MODELS=folder):
            for text in ("hyperprior:scale:2", "scale:2"):
                (job,) = codec_specs.parse(text)
                self.assertEqual(job.key, ("hyperprior", "scale", "quality=2"))
            # Two rates, both of them.
            keys = [job.key[2] for job in codec_specs.parse("hyperprior:scale")]
            self.assertEqual(keys, ["quality=1", "quality=2"])

    def test_qualities_that_nobody_named(self):
        self.assertEqual(
            [job.arguments["quality"] for job in codec_specs.parse("jpeg")],
            list(sweep.default_qualities(codec_specs.parse("jpeg")[0].codec)),
        )

    def test_several(self):
        jobs = codec_specs.parse_all(["jpeg:5", "webp:5", "jpeg:6@subsampling=4:4:4"])
        self.assertLen(jobs, 3)
        with self.assertRaisesRegex(ValueError, "jpeg  quality=5 twice"):
            codec_specs.parse_all(["jpeg:5", "jpeg:5:6"])

    @parameterized.parameters(
        ("nope:5", "`nope` is neither"),
        ("jpeg:5:high", "'high' is no number"),
        ("jpeg:0", "`quality` of jpeg must be from 1"),
        ("jpeg:model:5", "runs no model"),
        ("webp:5@effort", "SETTING=VALUE; got '@effort'"),
        ("webp:5@effort=high", "`effort` must be int"),
        ("jpeg:5@progressive=perhaps", "`progressive` must be bool"),
        ("jpeg:5@effort=3", "`effort` is no setting of jpeg"),
    )
    def test_wrong_words(self, text, pattern):
        with self.assertRaisesRegex(ValueError, pattern):
            codec_specs.parse(text)
