import os
from unittest import mock

import tfsemcomp
from tests.codecs import layered_models
from tests.harness import SemCompTestCase
from tfsemcomp import errors
from tfsemcomp.codecs import base
from tfsemcomp.demo import catalogue
from tfsemcomp.serving import manifest


class CatalogueTest(SemCompTestCase):
    def test_every_codec_is_there_and_what_cannot_run_says_why(self):
        entries = catalogue.entries()
        self.assertCountEqual([e.name for e in entries], base.codec_names())
        can = [entry.available for entry in entries]
        self.assertEqual(can, sorted(can, reverse=True))
        for info in tfsemcomp.list_codecs():
            entry = next(e for e in entries if e.name == info.name)
            if info.reason:
                self.assertEqual(entry.reason, info.reason)
        for entry in entries:
            if base.codec_class(entry.name).uses_model and entry.available:
                default = manifest.default_model(entry.name).name
                self.assertEqual(entry.models[0], default)

    def test_a_codec_without_model_is_shown_with_the_reason(self):
        folder = {manifest.ENVIRONMENT_VARIABLE: str(layered_models.folder())}
        with mock.patch.dict(os.environ, folder):
            entries = {entry.name: entry for entry in catalogue.entries()}
            self.assertTrue(entries["layered"].available)
            self.assertIn("docs/rnn.md", entries["rnn"].reason)
            with self.assertRaisesRegex(errors.UnavailableError, "no trained model"):
                catalogue.make("rnn", None)
        nowhere = {manifest.ENVIRONMENT_VARIABLE: str(self.folder)}
        with mock.patch.dict(os.environ, nowhere):
            entries = {entry.name: entry for entry in catalogue.entries()}
        self.assertFalse(entries["layered"].available)
        self.assertTrue(entries["jpeg"].available)

    def test_a_model_has_its_own_scale(self):
        for entry in catalogue.entries():
            for model in entry.models if entry.available else ():
                codec = tfsemcomp.load(model)
                scale = catalogue.scale(entry.name, model)
                self.assertEqual((scale.low, scale.high), codec.quality_range)
                self.assertEqual(scale.default, codec.default_quality)

    def test_paths_and_models_of_others_are_refused(self):
        shipped = manifest.default_model("rnn")
        for model in (str(shipped.path), "hyperprior-small", "../rnn-small-human"):
            with self.assertRaisesRegex(ValueError, "`model` of rnn must be one of"):
                catalogue.make("rnn", model)
        with self.assertRaisesRegex(ValueError, "`codec` must be one of"):
            catalogue.make("nope", None)
        with self.assertRaisesRegex(ValueError, "must be one of none"):
            catalogue.make("jpeg", "rnn-small-human")
