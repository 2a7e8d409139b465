"""The interface of codecs: settings, registry and the search for a target."""

import math

import numpy as np
from absl.testing import parameterized

from tests import harness
from tfsemcomp import errors
from tfsemcomp.codecs import base

IMAGE = harness.smooth_image(8, 8)


class ToyCodec(base.Codec):
    """Files of 10 bytes and 10 a quality; keeps what it was asked."""

    name = "toy"
    summary = "For tests."
    suffix = ".toy"
    quality_range = (0, 100)
    default_quality = 40
    settings = (
        base.Setting("mode", int, "Mode.", default=1, choices=(1, 2)),
        base.Setting("strength", float, "Strength.", default=0.5, low=0, high=1),
        base.Setting("fast", bool, "Fast.", default=False),
        base.Setting("label", str, "Label."),
        base.Setting("map", object, "Map."),
        base.Setting("ratio", float, "Ratio.", low=0.1, target=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def _encode(self, image, quality, **settings):
        self.asked.append((quality, settings))
        return bytes(10 + 10 * int(quality))

    def _encode_to(self, image, target, **settings):
        return base.Encoded(f"{target}={settings[target]}".encode(), None, 3)

    def _decode(self, data, *, layers, limits):
        return IMAGE


class CompressTest(harness.SemCompTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.codec = ToyCodec()

    def test_quality_and_defaults_reach_the_codec(self):
        self.codec.compress(IMAGE)
        self.codec.compress(IMAGE, quality=7, mode=2, fast=True, strength=None)
        defaults = {
            "mode": 1,
            "strength": 0.5,
            "fast": False,
            "label": None,
            "map": None,
            "ratio": None,
        }
        self.assertEqual(
            self.codec.asked,
            [(40, defaults), (7, {**defaults, "mode": 2, "fast": True})],
        )

    def test_numpy_numbers_are_numbers(self):
        settings = {"mode": np.int64(2), "strength": np.float32(0.25)}
        self.codec.compress(IMAGE, quality=np.int32(7), **settings)
        self.assertEqual(self.codec.asked[0][1]["mode"], 2)

    @parameterized.parameters(
        {"mode": 3},
        {"mode": True},
        {"mode": 1.0},
        {"strength": 1.1},
        {"strength": -0.1},
        {"strength": "a"},
        {"strength": math.inf},
        {"fast": 1},
        {"label": 5},
        {"ratio": 0.01},
        {"unknown": 1},
        {"quality": 1.5},
        {"quality": True},
        {"target_bytes": True},
        {"target_bpp": math.nan},
        {"quality": 1, "ratio": 0.5},
        {"target_bytes": 100, "ratio": 0.5},
    )
    def test_wrong_settings_are_named_before_any_work(self, **settings):
        with self.assertRaisesRegex(ValueError, "`" + list(settings)[-1] + "`"):
            self.codec.compress(IMAGE, **settings)
        self.assertEmpty(self.codec.asked)

    def test_targets_of_the_codec_itself(self):
        encoded = self.codec.encode(IMAGE, ratio=0.5)
        self.assertEqual(encoded.data, b"ratio=0.5")
        self.assertIsNone(encoded.quality)

    def test_bits_per_pixel_count_the_whole_file(self):
        # 64 pixels at 100 bits each are 800 bytes: quality 79.
        encoded = self.codec.encode(IMAGE, target_bpp=100)
        self.assertEqual(encoded.quality, 79)
        self.assertLen(encoded.data, 800)

    def test_a_side_beyond_the_format_is_a_limit_error(self):
        self.codec.max_side = 7
        with self.assertRaisesRegex(errors.LimitError, "7 pixels a side"):
            self.codec.compress(IMAGE)

    def test_an_unavailable_codec_says_what_to_install(self):
        class MissingCodec(ToyCodec):
            @classmethod
            def unavailable_reason(cls):
                return "it needs the package x; pip install x"

        codec = MissingCodec()
        for use in (lambda: codec.compress(IMAGE), lambda: codec.decompress(b"x")):
            with self.assertRaisesRegex(errors.UnavailableError, "pip install x"):
                use()

    def test_a_codec_without_model_refuses_one(self):
        for option in ("model", "server"):
            with self.assertRaisesRegex(ValueError, f"`{option}`"):
                base.get_codec("jpeg", **{option: "x"})


class SearchTest(parameterized.TestCase):
    @parameterized.parameters(10, 11, 19, 20, 500, 1009, 1010, 5000)
    def test_finds_the_best_quality_within(self, size):
        asked = []

        def encode(quality):
            asked.append(quality)
            return bytes(10 + 10 * int(quality))

        found = base.search(encode, range(101), size)
        expected = min(100, (size - 10) // 10)
        self.assertEqual(found.quality, expected)
        self.assertLen(found.data, 10 + 10 * expected)
        self.assertEqual(found.encodes, len(asked))
        self.assertLessEqual(len(asked), 7)
        self.assertLen(set(asked), len(asked))

    def test_two_hundred_qualities_take_eight_encodes(self):
        for size in range(10, 1020, 37):
            found = base.search(
                lambda quality: bytes(10 + int(10 * quality)),
                [quality / 2 for quality in range(200)],
                size,
            )
            self.assertLessEqual(found.encodes, 8)
            self.assertLessEqual(len(found.data), size)

    def test_names_the_smallest_size_if_none_fits(self):
        with self.assertRaisesRegex(errors.SemCompError, "toy.* 9 bytes.* 10 bytes"):
            ToyCodec().compress(IMAGE, target_bytes=9)

    def test_sizes_that_do_not_quite_rise_still_give_a_file_within(self):
        rng = np.random.default_rng(0)
        sizes = 100 + 10 * np.arange(101) + rng.integers(-40, 40, size=101)
        for size in range(200, 1100, 50):
            found = base.search(lambda q: bytes(int(sizes[q])), range(101), size)
            self.assertLessEqual(len(found.data), size)
            self.assertGreaterEqual(len(found.data), size - 120)


class RegistryTest(parameterized.TestCase):
    def test_unknown_names_list_the_known(self):
        with self.assertRaisesRegex(ValueError, "`codec`.*jpeg.*'nope'"):
            base.get_codec("nope")

    def test_a_name_belongs_to_one_class(self):
        with self.assertRaisesRegex(ValueError, "'jpeg' is taken"):
            base.register("jpeg")(ToyCodec)

    def test_every_codec_states_its_facts(self):
        for name in base.codec_names():
            with self.subTest(name):
                codec = base.get_codec(name)
                self.assertEqual(codec.name, name)
                low, high = codec.quality_range
                self.assertLess(low, high)
                self.assertIn(codec.default_quality, codec.qualities())
                self.assertEqual(codec.qualities()[0], low)
                self.assertEqual(codec.qualities()[-1], high)
                self.assertStartsWith(codec.suffix, ".")
                self.assertRegex(codec.summary, r"^[A-Z].*\.$")
                self.assertNotEmpty(codec.source)

    def test_settings_of_one_name_have_one_type_and_good_defaults(self):
        kinds = {}
        for name in base.codec_names():
            found = base.codec_class(name)
            for setting in (*found.settings, *found.decode_settings):
                with self.subTest(name, setting=setting.name):
                    self.assertEqual(setting.check(None), setting.default)
                    if setting.default is not None:
                        setting.check(setting.default)
                    self.assertRegex(setting.help, r"^[A-Z].*\.$")
                    known = kinds.setdefault(setting.name, setting)
                    self.assertEqual(setting.type, known.type)
                    self.assertEqual(setting.target, known.target)

    def test_list_codecs_tells_what_is_missing(self):
        for info in base.list_codecs():
            self.assertEqual(info.available, not info.reason)
