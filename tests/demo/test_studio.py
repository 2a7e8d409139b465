import dataclasses
import os
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import layered_models, semantic_models
from tests.demo import pictures
from tests.demo.pictures import BOUNDS
from tests.harness import SemCompTestCase
from tfsemcomp import bitstream, errors, metrics
from tfsemcomp.demo import catalogue, maps, studio
from tfsemcomp.demo.bounds import Bounds
from tfsemcomp.demo.studio import Wish
from tfsemcomp.serving import manifest

PHOTO = pictures.photo()
SHIPPED = [entry.name for entry in catalogue.entries() if entry.available]


class OpenPhotoTest(SemCompTestCase):
    def test_pixels_and_name(self):
        photo = studio.open_photo(pictures.png(), "../../etc/a<b>.png", BOUNDS)
        np.testing.assert_array_equal(photo.pixels, pictures.photo().pixels)
        self.assertEqual(photo.name, "a_b_")
        self.assertEqual(photo.file_bytes, len(pictures.png()))
        self.assertEqual(photo.notes, ())

    def test_large_photos_are_scaled_and_say_so(self):
        bounds = Bounds(work_pixels=1000)
        photo = studio.open_photo(pictures.png(60, 90), "a.png", bounds)
        height, width = photo.pixels.shape[:2]
        self.assertLessEqual(height * width, 1000)
        self.assertAlmostEqual(width / height, 1.5, delta=0.1)
        self.assertIn("scaled from 90x60", photo.notes[0])

    def test_limits_are_checked_before_decoding(self):
        with self.assertRaisesRegex(errors.LimitError, "30000x30000"):
            studio.open_photo(pictures.bomb(), "a.png", BOUNDS)
        bounds = Bounds(limits=bitstream.Limits(side=64))
        with self.assertRaisesRegex(errors.LimitError, "64 pixels a side"):
            studio.open_photo(pictures.png(), "a.png", bounds)

    @parameterized.parameters(b"", b"GIF89", b"#!/bin/sh\nexit\n", b"\xf7TSC\x01")
    def test_other_files_are_refused(self, data):
        with self.assertRaises(errors.SemCompError):
            studio.open_photo(data, "a.png", BOUNDS)

    def test_bounds_are_checked(self):
        for wrong in ({"workers": 0}, {"work_pixels": 0}, {"seconds": -1.0}):
            with self.assertRaises(ValueError):
                Bounds(**wrong)


class CompressTest(SemCompTestCase):
    @parameterized.parameters(*SHIPPED)
    def test_every_codec_that_can_run(self, name):
        result = studio.compress(PHOTO, Wish(name), BOUNDS)
        self.assertEqual(result.whole, result.data)
        np.testing.assert_array_equal(result.pixels, tfsemcomp.decompress(result.data))
        self.assertEqual(result.facts, tfsemcomp.info(result.data))
        self.assertEqual(result.shown, result.layers)
        expected = metrics.measure(PHOTO.pixels, result.pixels, studio.METRICS)
        self.assertEqual(result.scores, expected)

    def test_sizes(self):
        by_bytes = studio.compress(PHOTO, Wish("jpeg", None, "bytes", 1500.0), BOUNDS)
        self.assertLessEqual(by_bytes.facts["bytes"], 1500)
        by_bpp = studio.compress(PHOTO, Wish("jpeg", None, "bpp", 2.0), BOUNDS)
        self.assertLessEqual(by_bpp.facts["bpp"], 2)
        self.assertGreater(by_bpp.quality, 1)
        codec = tfsemcomp.load("jpeg")
        by_quality = studio.compress(PHOTO, Wish("jpeg", amount=31.0), BOUNDS)
        self.assertEqual(by_quality.data, codec.compress(PHOTO.pixels, quality=31))

    def test_wrong_wishes(self):
        for wish, pattern in (
            (Wish("jpeg", None, "quality", 101), "`quality` of jpeg"),
            (Wish("jpeg", None, "bytes"), "how many bytes"),
            (Wish("jpeg", None, "pages", 3), "`rate` must be one of"),
            (Wish("nope"), "`codec` must be one of"),
            (Wish("msroi_jpeg", map="/etc/passwd"), "`map`"),
        ):
            with self.assertRaisesRegex(ValueError, pattern):
                studio.compress(PHOTO, wish, BOUNDS)
        with self.assertRaisesRegex(errors.SemCompError, "smallest"):
            studio.compress(PHOTO, Wish("jpeg", None, "bytes", 10), BOUNDS)


class MapTest(SemCompTestCase):
    def test_a_painted_map_steers_the_bits(self):
        def error_of_left(left: float) -> float:
            painted = np.full(PHOTO.pixels.shape[:2], 1 - left, np.float32)
            painted[:, :48] = left
            wish = Wish("msroi_jpeg", amount=30, map=maps.to_text(painted))
            pixels = studio.compress(PHOTO, wish, BOUNDS).pixels[:, :48]
            return float(np.square(pixels - PHOTO.pixels[:, :48].astype(float)).mean())

        self.assertLess(error_of_left(1), error_of_left(0))

    def test_methods_are_those_of_the_codec(self):
        wish = Wish("msroi_jpeg", map="centre")
        expected = tfsemcomp.load("msroi_jpeg").compress(PHOTO.pixels, map="centre")
        self.assertEqual(studio.compress(PHOTO, wish, BOUNDS).data, expected)
        drawn = maps.from_text(studio.draw_map(PHOTO, "centre"), PHOTO.pixels)
        self.assertGreater(drawn[32, 48], drawn[0, 0])
        with self.assertRaisesRegex(ValueError, "`method`"):
            studio.draw_map(PHOTO, "/etc/passwd")

    def test_preview(self):
        pixels = pictures.pixels_of(studio.preview(PHOTO, 48))
        self.assertEqual(pixels.shape, (32, 48, 3))
        pixels = pictures.pixels_of(studio.preview(PHOTO, 480))
        self.assertEqual(pixels.shape, (64, 96, 3))


class LayersTest(SemCompTestCase):
    def test_layers_of_a_progressive_stream(self):
        whole = studio.compress(PHOTO, Wish("rnn", amount=3), BOUNDS)
        self.assertEqual(whole.layers, 3)
        first = studio.show(PHOTO, whole, 1, BOUNDS)
        self.assertEqual(first.data, bitstream.truncate(whole.whole, 1))
        np.testing.assert_array_equal(first.pixels, tfsemcomp.decompress(first.data))
        self.assertLess(first.scores["psnr"], whole.scores["psnr"])
        self.assertLess(first.facts["bytes"], whole.facts["bytes"])
        again = studio.show(PHOTO, first, 3, BOUNDS)
        self.assertEqual(again.data, whole.data)
        self.assertEqual(again.scores, whole.scores)
        self.assertIs(studio.show(PHOTO, whole, 3, BOUNDS), whole)
        for wrong in (0, 4, -1):
            with self.assertRaisesRegex(ValueError, "`layers`"):
                studio.show(PHOTO, whole, wrong, BOUNDS)

    def test_captions_and_layers_of_layered(self):
        folder = {manifest.ENVIRONMENT_VARIABLE: str(layered_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, folder))
        said = studio.compress(PHOTO, Wish("layered"), BOUNDS)
        self.assertEqual(said.layers, 3)
        self.assertTrue(said.caption)
        pictures_of = []
        for caption in ("A.", "A white dog runs."):
            wish = dataclasses.replace(said.wish, caption=caption)
            changed = studio.compress(PHOTO, wish, BOUNDS)
            self.assertEqual(changed.caption, caption)
            pictures_of.append(studio.show(PHOTO, changed, 1, BOUNDS).pixels)
        self.assertFalse(np.array_equal(*pictures_of))
        with self.assertRaisesRegex(ValueError, "`caption`"):
            studio.compress(PHOTO, Wish("layered", caption=" "), BOUNDS)

    def test_layers_of_semantic_enhanced(self):
        folder = {manifest.ENVIRONMENT_VARIABLE: str(semantic_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, folder))
        whole = studio.compress(PHOTO, Wish("semantic_enhanced"), BOUNDS)
        base = studio.show(PHOTO, whole, 1, BOUNDS)
        self.assertEqual([c["type"] for c in base.facts["chunks"]], ["base"])
        self.assertFalse(np.array_equal(base.pixels, whole.pixels))


class TextureTest(SemCompTestCase):
    def test_swap(self):
        other = studio.open_photo(pictures.png(48, 40, 5), "b.png", BOUNDS)
        mine = studio.compress(PHOTO, Wish("conceptual", amount=2), BOUNDS)
        swapped = studio.swap_texture(PHOTO, mine, other, BOUNDS)
        codec = tfsemcomp.load("conceptual")
        expected = codec.swap_texture(mine.whole, codec.compress(other.pixels))
        self.assertEqual(swapped.whole, expected)
        np.testing.assert_array_equal(
            codec.structure(swapped.whole), codec.structure(mine.whole)
        )
        plain = studio.compress(PHOTO, Wish("jpeg"), BOUNDS)
        with self.assertRaisesRegex(ValueError, "conceptual"):
            studio.swap_texture(PHOTO, plain, other, BOUNDS)
