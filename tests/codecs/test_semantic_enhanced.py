import contextlib
import itertools
import pathlib
import shutil

import numpy as np
from absl.testing import parameterized
from PIL import Image

import tfsemcomp
from tests.codecs import semantic_models
from tests.codecs.learned_codecs import LearnedCodecTestCase, payloads_of
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream
from tfsemcomp.codecs import base, semantic_enhanced, semantic_labels
from tfsemcomp.data import label_maps
from tfsemcomp.entropy import context_mixing
from tfsemcomp.errors import (
    BitstreamError,
    LimitError,
    ModelMismatchError,
    SemCompError,
    UnavailableError,
)
from tfsemcomp.serving import manifest

IMAGE = smooth_image(90, 70)
LABELS = semantic_models.labels_of(IMAGE)
KINDS = ("base", "labels", "boundaries")


def some_instances() -> np.ndarray:
    """Each label cut in two."""
    instances = LABELS.astype(np.uint16)
    instances[:, 35:] += 300
    return instances


def rewritten(data: bytes, *payloads: bytes, kinds=KINDS, **header) -> bytes:
    """A stream of these payloads with right checks."""
    before = bitstream.read(data).header
    fields = {
        "codec": before.codec,
        "fingerprint": before.fingerprint,
        "width": before.width,
        "height": before.height,
        **header,
    }
    chunks = [
        bitstream.Chunk(kind, payload, layer)
        for layer, (kind, payload) in enumerate(zip(kinds, payloads, strict=False))
    ]
    return bitstream.write(bitstream.Header(**fields), chunks)


class SemanticTestCase(LearnedCodecTestCase):
    models = semantic_models.folder

    def setUp(self):
        super().setUp()
        self.codec = tfsemcomp.load("semantic_enhanced")

    def check_picture(self, data: bytes, labels, boundaries, perception=0.0) -> None:
        """What the file decodes to is what the test's model makes of all this."""
        payload = payloads_of(data)[0]
        number = {16: 0, 17: 1}.get(payload[0], 2)
        picture = self.codec.decompress(data, layers=1).astype(float)
        rate = 8 * (len(payload) - 1) / labels.size
        seen = np.where(labels == 255, semantic_models.CLASSES, labels)
        plane = semantic_models.added(seen, boundaries, number, rate, perception)
        expected = np.clip(picture + plane[..., None], 0, 255).astype(np.uint8)
        found = self.codec.decompress(data, perception=perception)
        np.testing.assert_array_equal(found, expected)


class SemanticEnhancedCodecTest(SemanticTestCase):
    def test_keeps_a_codecs_promises(self):
        self.run_codec_test("semantic_enhanced", min_psnr=20, mode="segment")

    @parameterized.parameters(*semantic_models.MODELS)
    def test_every_size_and_model(self, name):
        codec = tfsemcomp.load(name)
        for size in ((1, 1), (1, 70), (64, 64), (33, 5)):
            image = smooth_image(*size)
            for mode in ("segment", "derived", "corrected", "none"):
                data = codec.compress(image, mode=mode, base="webp")
                picture = tfsemcomp.decompress(data)
                self.assertEqual(picture.shape, image.shape)

    @parameterized.parameters(
        *(n for n in semantic_enhanced.BASES if not base.codec_class(n).uses_model)
    )
    def test_bases(self, name):
        try:
            codec = base.get_codec(name)
            codec.check_available()
        except UnavailableError as error:
            with self.assertRaisesRegex(UnavailableError, name):
                self.codec.compress(IMAGE, base=name)
            self.skipTest(str(error))
        quality = codec.qualities()[len(codec.qualities()) // 3]
        own = codec.compress(IMAGE, quality=quality)
        data = self.codec.compress(IMAGE, base=name, base_quality=quality)
        payload = payloads_of(data)[0]
        self.assertEqual(payload, bytes([bitstream.CODEC_NUMBERS[name]]) + own)
        picture = self.codec.decompress(data, layers=1)
        np.testing.assert_array_equal(picture, codec.decompress(own))
        self.check_picture(data, LABELS, semantic_labels.borders(LABELS))

    def test_a_base_with_a_model_of_its_own(self):
        shipped = pathlib.Path(semantic_models.__file__).parents[2] / "saved_models"
        info = next(
            manifest._from_entry(shipped, name, entry)
            for name, entry in manifest.read(shipped).items()
            if entry["system"] == "hyperprior" and entry["default"]
        )
        root = self.copy_models()
        shutil.copytree(info.path.parent, root / info.name)
        manifest.add(root, info.card, default=True)
        self.use_models(root)
        data = self.codec.compress(IMAGE, base="hyperprior", quality=1)
        own = tfsemcomp.compress(IMAGE, "hyperprior", quality=1)
        self.assertEqual(payloads_of(data)[0][1:], own)
        self.check_picture(data, LABELS, semantic_labels.borders(LABELS))

    def test_the_base_picture_needs_no_model(self):
        data = self.codec.compress(IMAGE)
        first = self.codec.decompress(data, layers=1)
        other = rewritten(data, *payloads_of(data), fingerprint=b"none")
        np.testing.assert_array_equal(self.codec.decompress(other, layers=1), first)
        with self.assertRaises(ModelMismatchError):
            self.codec.decompress(other)
        cut = bitstream.truncate(data, 1)
        np.testing.assert_array_equal(tfsemcomp.decompress(cut), first)

    def test_qualities_are_those_of_the_base(self):
        for name, quality, expected in (
            ("jpeg", 37, 37),
            ("webp", 37, 37),
            ("jxl", 1, 1),
            ("jxl", 100, 99),
        ):
            self.assertEqual(self.codec.base_quality(name, quality), expected)
        one = self.codec.compress(IMAGE, quality=37)
        self.assertEqual(one, self.codec.compress(IMAGE, base_quality=37.0))

    def test_batches_are_files_of_their_own(self):
        other = (255 - IMAGE).astype(np.uint8)
        for mode in ("segment", "derived", "corrected"):
            files = self.codec.compress_batch([IMAGE, other], quality=9, mode=mode)
            for image, data, decoded in zip(
                (IMAGE, other), files, self.codec.decompress_batch(files), strict=True
            ):
                one = self.codec.compress(image, quality=9, mode=mode)
                self.assertEqual(one, data)
                np.testing.assert_array_equal(self.codec.decompress(data), decoded)

    def test_a_picture_as_each_layer_completes(self):
        data = self.codec.compress(IMAGE, instances=some_instances())
        found = tfsemcomp.StreamDecoder().feed(data)
        self.assertLen(found, 3)
        for layers, picture in enumerate(found, 1):
            expected = self.codec.decompress(data, layers=layers)
            np.testing.assert_array_equal(picture, expected)

    def test_what_a_file_holds(self):
        data = self.codec.compress(IMAGE, instances=some_instances())
        facts = tfsemcomp.info(data)
        self.assertEqual([chunk["type"] for chunk in facts["chunks"]], [*KINDS])
        self.assertEqual(facts["base"], "jpeg")
        self.assertEqual(sum(facts["layer_bytes"]) + facts["header_bytes"], len(data))


class LabelsTest(SemanticTestCase):
    def test_segmented_labels_are_sent(self):
        data = self.codec.compress(IMAGE)
        np.testing.assert_array_equal(self.codec.labels(data), LABELS)
        self.check_picture(data, LABELS, semantic_labels.borders(LABELS))

    def test_given_labels(self):
        labels = LABELS.copy()
        labels[:9, :30] = 255
        path = self.folder / "labels.png"
        label_maps.write(path, labels)
        data = self.codec.compress(IMAGE, labels=path)
        self.assertEqual(data, self.codec.compress(IMAGE, labels=labels.astype(int)))
        np.testing.assert_array_equal(self.codec.labels(data), labels)
        self.check_picture(data, labels, semantic_labels.borders(labels))
        plain = tfsemcomp.load("plain").compress(IMAGE, labels=labels)
        np.testing.assert_array_equal(self.codec.labels(data), labels)
        self.assertNotEqual(payloads_of(plain)[1], b"")

    def test_derived_labels_cost_nothing(self):
        data = self.codec.compress(IMAGE, mode="derived", quality=5)
        self.assertLen(payloads_of(data)[1], 5)
        labels = semantic_models.labels_of(self.codec.decompress(data, layers=1))
        self.assertTrue((labels != LABELS).any())
        np.testing.assert_array_equal(self.codec.labels(data), labels)
        self.check_picture(data, labels, semantic_labels.borders(labels))
        named = self.codec.decompress(data, segmenter=semantic_models.SEGMENTER)
        np.testing.assert_array_equal(named, self.codec.decompress(data))
        with self.assertRaisesRegex(ModelMismatchError, "plain"):
            self.codec.decompress(data, segmenter="plain")
        other = rewritten(data, payloads_of(data)[0], b"\2none")
        with self.assertRaisesRegex(ModelMismatchError, "6e6f6e65"):
            self.codec.decompress(other)

    def test_no_labels(self):
        data = self.codec.compress(IMAGE, mode="none")
        self.assertIsNone(self.codec.labels(data))
        self.assertIsNone(self.codec.labels(bitstream.truncate(data, 1)))
        nothing = np.full(LABELS.shape, 255, np.uint8)
        self.check_picture(data, nothing, np.zeros_like(nothing))
        self.assertLen(data, len(bitstream.truncate(data, 1)) + 7)

    def test_half_size_and_smoothing(self):
        whole = self.codec.compress(IMAGE)
        half = self.codec.compress(IMAGE, label_scale=2)
        expected = LABELS[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)[:90, :70]
        np.testing.assert_array_equal(self.codec.labels(half), expected)
        self.assertLess(len(payloads_of(half)[1]), len(payloads_of(whole)[1]))
        smoothed = self.codec.compress(IMAGE, label_smoothing=5)
        np.testing.assert_array_equal(
            self.codec.labels(smoothed), semantic_labels.smooth(LABELS, 5)
        )
        self.assertLess(len(payloads_of(smoothed)[1]), len(payloads_of(whole)[1]))

    def test_instances(self):
        instances = some_instances()
        path = self.folder / "instances.png"
        Image.fromarray(instances).save(path)
        data = self.codec.compress(IMAGE, instances=str(path))
        self.assertEqual(data, self.codec.compress(IMAGE, instances=instances))
        drawn = semantic_labels.borders(instances)
        self.assertTrue((drawn[:, 34:36] == 1).all())
        self.check_picture(data, LABELS, drawn)
        without = bitstream.truncate(data, 2)
        self.check_picture(without, LABELS, semantic_labels.borders(LABELS))
        # The borders of labels are known already.
        alone = context_mixing.encode(drawn, 2)
        self.assertLess(len(payloads_of(data)[2]), len(alone) / 2)
        with self.assertRaisesRegex(ValueError, "`instances`"):
            tfsemcomp.load("plain").compress(IMAGE, instances=instances)

    def test_statistics_of_the_model_are_used_where_they_help(self):
        primed, cold = (
            payloads_of(tfsemcomp.load(name).compress(IMAGE))[1]
            for name in semantic_models.MODELS
        )
        self.assertLess(len(primed), len(cold))
        # A model without them cannot read what needs them.
        other = tfsemcomp.load("plain").compress(IMAGE)
        with self.assertRaisesRegex(BitstreamError, "statistics"):
            tfsemcomp.decompress(rewritten(other, payloads_of(other)[0], primed))

    def test_importance_moves_the_bytes_of_the_base(self):
        image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        labels = np.zeros((64, 64), np.uint8)
        labels[:, 32:] = 1
        errors = []
        for importance in ("0:1", "1:1", "0:1,1:1"):
            data = self.codec.compress(
                image,
                base="msroi_jpeg",
                quality=20,
                labels=labels,
                importance=importance,
            )
            picture = self.codec.decompress(data, layers=1).astype(float)
            halves = (picture - image).reshape(64, 2, 32, 3)
            errors.append((halves**2).mean(axis=(0, 2, 3)))
        self.assertLess(errors[0][0], errors[0][1])
        self.assertGreater(errors[1][0], errors[1][1])
        self.assertLess(errors[0][0], errors[2][0])


class CorrectedLabelsTest(SemanticTestCase):
    def compress(self, **settings):
        return self.codec.compress(IMAGE, mode="corrected", quality=5, **settings)

    def derived(self, data: bytes) -> np.ndarray:
        return semantic_models.labels_of(self.codec.decompress(data, layers=1))

    def test_all_errors_are_corrected(self):
        for settings in ({}, {"labels": LABELS}, {"base": "webp"}):
            data = self.compress(corrected_area=0, **settings)
            self.assertTrue((self.derived(data) != LABELS).any())
            np.testing.assert_array_equal(self.codec.labels(data), LABELS)
            self.check_picture(data, LABELS, semantic_labels.borders(LABELS))

    def test_small_errors_stay(self):
        sizes = []
        for area in (0, 20, 200):
            data = self.compress(corrected_area=area)
            sizes.append(len(payloads_of(data)[1]))
            expected = semantic_labels.corrected(LABELS, self.derived(data), area)
            np.testing.assert_array_equal(self.codec.labels(data), expected)
            self.check_picture(data, expected, semantic_labels.borders(expected))
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertLess(sizes[-1], sizes[0] / 2)
        self.assertEqual(data, self.compress())

    def test_what_is_right_already_costs_next_to_nothing(self):
        payload = payloads_of(self.compress(labels=self.derived(self.compress())))[1]
        self.assertLess(len(payload), 8 + 12)

    def test_with_what_other_sent_labels_take(self):
        data = self.compress(
            label_scale=2,
            label_smoothing=3,
            instances=some_instances(),
            corrected_area=0,
        )
        smooth = semantic_labels.smooth(LABELS, 3)
        expected = smooth[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)[:90, :70]
        np.testing.assert_array_equal(self.codec.labels(data), expected)
        drawn = semantic_labels.borders(some_instances())
        self.check_picture(data, expected, drawn)

    def test_another_prediction_is_noticed(self):
        data, other = self.compress(), self.compress(base="webp")
        swapped = rewritten(data, payloads_of(data)[0], payloads_of(other)[1])
        with self.assertRaisesRegex(ModelMismatchError, "correct others"):
            self.codec.decompress(swapped)
        layer = self.codec.decompress(swapped, layers=1)
        np.testing.assert_array_equal(layer, self.codec.decompress(data, layers=1))

    def test_the_segmenter_counts(self):
        data = self.compress(segmenter=semantic_models.SEGMENTER)
        self.assertEqual(data, self.compress())
        named = self.codec.decompress(data, segmenter=semantic_models.SEGMENTER)
        np.testing.assert_array_equal(named, self.codec.decompress(data))
        with self.assertRaisesRegex(ModelMismatchError, "plain"):
            self.codec.decompress(data, segmenter="plain")
        root = self.copy_models()
        card = manifest.find(semantic_models.SEGMENTER).card
        manifest.add(root, {**card, "exact": False}, default=True)
        self.use_models(root)
        with self.assertRaisesRegex(ValueError, "thresholds.*--exact"):
            tfsemcomp.load("semantic_enhanced").compress(IMAGE, mode="corrected")


class DialTest(SemanticTestCase):
    def test_perception(self):
        data = self.codec.compress(IMAGE, quality=5)
        for perception in (0.0, 0.5, 1.0):
            borders = semantic_labels.borders(LABELS)
            self.check_picture(data, LABELS, borders, perception)
        np.testing.assert_array_equal(
            tfsemcomp.decompress(data, perception=1.0),
            self.codec.decompress(data, perception=1.0),
        )

    def test_models_without_a_dial(self):
        codec = tfsemcomp.load("plain")
        data = codec.compress(IMAGE)
        codec.decompress(data, perception=0.0)
        with self.assertRaisesRegex(ValueError, "`perception`"):
            codec.decompress(data, perception=0.5)

    def test_wrong_settings_of_decoding(self):
        data = self.codec.compress(IMAGE)
        for wrong in ({"perception": 1.5}, {"perception": "1"}, {"quality": 1}):
            with self.assertRaises(ValueError):
                self.codec.decompress(data, **wrong)
        for other in (base.get_codec("jpeg").compress(IMAGE), b"\x89PNG"):
            with self.assertRaises((ValueError, SemCompError)):
                tfsemcomp.decompress(other, perception=0.5)


class ArgumentsTest(SemanticTestCase):
    @parameterized.parameters(
        ({"mode": "guessed"}, "given, segment, derived, corrected, none"),
        ({"mode": "corrected", "corrected_area": -1}, "`corrected_area`"),
        ({"corrected_area": 3}, "`corrected_area` is of `mode` corrected"),
        ({"mode": "corrected", "base": "jxl"}, "`mode` corrected needs a base"),
        ({"mode": "corrected", "base": "rnn"}, "jpeg, webp, msroi_jpeg"),
        ({"mode": "given"}, "`labels`"),
        ({"mode": "derived", "labels": LABELS}, "`labels`"),
        ({"mode": "none", "segmenter": "thresholds"}, "`segmenter`"),
        ({"labels": LABELS, "segmenter": "thresholds"}, "`segmenter`"),
        ({"mode": "none", "label_smoothing": 3}, "`label_smoothing`"),
        ({"mode": "derived", "label_scale": 2}, "`label_scale`"),
        ({"mode": "derived", "instances": LABELS}, "`instances`"),
        ({"label_smoothing": 4}, "`label_smoothing`"),
        ({"label_scale": 4}, "`label_scale`"),
        ({"labels": LABELS[1:]}, "`labels` must have the picture's size"),
        ({"labels": LABELS + np.uint8(3)}, "`labels` must be below 3"),
        ({"labels": LABELS.astype(int) - 1}, "`labels` must be below 3"),
        ({"labels": LABELS.astype(np.float32)}, "`labels` must be a map"),
        ({"instances": LABELS[:, 1:]}, "`instances`"),
        ({"base": "png"}, "`base`"),
        ({"base_quality": 0.0}, "`quality` of jpeg"),
        ({"base_quality": 50.0, "quality": 5}, "exclude each other"),
        ({"importance": "1:1"}, "`importance` needs the base"),
        ({"importance": "1:2", "base": "msroi_jpeg"}, "`importance` must be"),
        ({"importance": "1", "base": "msroi_jpeg"}, "`importance` must be"),
        ({"importance": "7:1", "base": "msroi_jpeg"}, "`importance` names"),
        (
            {"importance": "1:1", "base": "msroi_jpeg", "mode": "none"},
            "`importance` needs labels",
        ),
    )
    def test_wrong_arguments(self, settings, pattern):
        with self.assertRaisesRegex(ValueError, pattern):
            self.codec.compress(IMAGE, **settings)

    def test_files_that_are_none(self):
        path = self.folder / "labels.png"
        path.write_bytes(b"hello")
        with self.assertRaises(BitstreamError):
            self.codec.compress(IMAGE, labels=path)
        with self.assertRaises(SemCompError):
            self.codec.compress(IMAGE, labels=self.folder / "none.png")


class HostileBytesTest(SemanticTestCase):
    @parameterized.parameters(
        ((), ("labels",)),
        ((), ("base", "boundaries")),
        ((), ("base", "labels", "labels")),
        ((None, b""), KINDS),
        ((None, b"\3"), KINDS),
        ((None, b"\0\0"), KINDS),
        ((None, b"\4"), KINDS),
        ((None, b"\x12\0\0\0\0"), KINDS),
        ((None, b"\2\0\0\0"), KINDS),
        ((None, b"\1"), KINDS),
        ((None, b"\1\0\0\0\0"), KINDS),
        ((None, b"\1\4\0\0\0"), KINDS),
        ((None, b"\1\2"), KINDS),
        ((None, b"\x13\2\0\0\0\0\0\0\0\0"), KINDS),
        ((None, b"\3\0\0\0\0\0\0\0\0"), KINDS),
        ((None, b"\3\2\0\0\0\0\0"), KINDS),
        ((None, b"\0", b""), KINDS),
        ((None, None, b""), KINDS),
        ((b"",), KINDS),
        ((b"\5abc",), KINDS),
        ((b"\x10abc",), KINDS),
        ((b"\x63",), KINDS),
    )
    def test_wrong_chunks(self, payloads, kinds):
        data = self.codec.compress(IMAGE, instances=some_instances())
        own = payloads_of(data)
        if payloads:
            own = [a if b is None else b for a, b in zip(own, payloads, strict=False)]
        with self.assertRaises(BitstreamError):
            self.codec.decompress(rewritten(data, *own, kinds=kinds))

    def test_bases_of_other_sizes(self):
        data = self.codec.compress(IMAGE)
        for image in (IMAGE[1:], smooth_image(300, 300)):
            wrong = b"\x10" + base.get_codec("jpeg").compress(image)
            with self.assertRaises(BitstreamError):
                self.codec.decompress(rewritten(data, wrong))
        bomb = rewritten(data, *payloads_of(data), width=30000, height=8000)
        with self.assertRaises(BitstreamError):
            self.codec.decompress(bomb)
        with self.assertRaises(LimitError):
            self.codec.decompress(data, limits=bitstream.Limits(side=64))

    def test_damage_is_an_error_or_another_picture(self):
        data = self.codec.compress(IMAGE, instances=some_instances(), quality=5)
        own = payloads_of(data)
        rng = np.random.default_rng(0)
        for layer, _ in itertools.product((1, 2), range(25)):
            damaged = [bytearray(payload) for payload in own]
            place = rng.integers(len(damaged[layer]))
            damaged[layer][place] ^= 1 << rng.integers(8)
            with contextlib.suppress(BitstreamError, ModelMismatchError):
                stream = rewritten(data, *map(bytes, damaged))
                self.assertEqual(self.codec.decompress(stream).shape, IMAGE.shape)

    def test_other_models(self):
        data = self.codec.compress(IMAGE)
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load("plain").decompress(data)
        path = self.copy_models()
        card = path / semantic_models.DEFAULT / "card.json"
        card.write_text(card.read_text().replace('"classes": 3', '"classes": 0'))
        self.use_models(path)
        with self.assertRaisesRegex(ModelMismatchError, "enhancer"):
            tfsemcomp.load(semantic_models.DEFAULT)


class CorrectedTest(SemCompTestCase):
    def test_pieces_of_wrong_labels(self):
        predicted = np.zeros((9, 9), np.uint8)
        labels = predicted.copy()
        labels[1, 1:4] = 1
        # Pieces may meet at corners, and have several labels.
        labels[2, 4] = 2
        labels[6:8, 6:8] = 255
        for area, count in ((0, 8), (4, 8), (5, 0), (9, 0)):
            found = semantic_labels.corrected(labels, predicted, area)
            self.assertEqual((area, (found == labels).all()), (area, count == 8))
            self.assertEqual((found != predicted).sum(), count)
        labels[6, 5] = 3
        found = semantic_labels.corrected(labels, predicted, 5)
        self.assertEqual((found != predicted).sum(), 5)


class SmoothTest(SemCompTestCase):
    @parameterized.parameters(3, 5, 9)
    def test_against_counting(self, side):
        labels = np.random.default_rng(side).integers(0, 4, (13, 17)).astype(np.uint8)
        expected = labels.copy()
        radius = side // 2
        for y, x in np.ndindex(labels.shape):
            rows = slice(max(y - radius, 0), y + radius + 1)
            square = labels[rows, max(x - radius, 0) : x + radius + 1]
            counts = np.bincount(square.ravel(), minlength=4) * 2
            counts[labels[y, x]] += 1
            expected[y, x] = counts.argmax()
        np.testing.assert_array_equal(semantic_labels.smooth(labels, side), expected)

    def test_nothing_to_do(self):
        labels = np.full((1, 5), 255, np.uint8)
        for side in semantic_labels.SMOOTHINGS:
            found = semantic_labels.smooth(labels, side)
            np.testing.assert_array_equal(found, labels)


class BordersTest(SemCompTestCase):
    def test_any_of_four_neighbours(self):
        labels = np.random.default_rng(0).integers(0, 3, (12, 9))
        padded = np.pad(labels, 1, mode="edge")
        expected = np.zeros(labels.shape, bool)
        for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
            expected |= padded[dy : dy + 12, dx : dx + 9] != labels
        np.testing.assert_array_equal(semantic_labels.borders(labels), expected)


class LabelPayloadTest(SemCompTestCase):
    @parameterized.parameters((1, False), (2, True), (12, True), (255, True))
    def test_round_trip(self, classes, unlabelled):
        rng = np.random.default_rng(classes)
        labels = rng.integers(0, classes, (20, 11)).astype(np.uint8)
        if unlabelled:
            labels[3:7, 2:5] = 255
        for scale in semantic_labels.SCALES:
            payload, seen = semantic_labels.encode(labels, scale, classes, None, True)
            parsed = semantic_labels.parse(payload)
            self.assertEqual(parsed.symbols, max(2, classes + unlabelled))
            found = parsed.decode(20, 11, classes, None)
            np.testing.assert_array_equal(found, seen)
            np.testing.assert_array_equal(
                found[::scale, ::scale], labels[::scale, ::scale]
            )

    def test_bytes_stay_what_they_are(self):
        y, x = np.mgrid[:20, :30]
        labels = ((y // 5 + x // 7) % 3).astype(np.uint8)
        labels[2:4, 3:9] = 255
        for scale, expected in (
            (1, "0103dc52473088acaedffee10b1ffbe4ac976e54"),
            (2, "0503dcdb841f4a12840fceded7599d7a"),
        ):
            payload, seen = semantic_labels.encode(labels, scale, 3, None, True)
            self.assertEqual(payload.hex(), expected)
            found = semantic_labels.parse(payload).decode(20, 30, 3, None)
            np.testing.assert_array_equal(found, seen)
        drawn = semantic_labels.borders(labels.astype(int) + 300 * (x > 12))
        known = semantic_labels.borders(labels)
        payload = semantic_labels.encode_boundaries(drawn, known, True)
        expected = "f64b23c8c9cb1e0109af3e80f2a48756ff5e2b1617"
        self.assertEqual(payload.hex(), expected)
        found = semantic_labels.decode_boundaries(payload, known)
        np.testing.assert_array_equal(found, drawn)
