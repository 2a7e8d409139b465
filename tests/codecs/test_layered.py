import contextlib
import hashlib
import json
import math
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import layered_models
from tests.codecs.learned_codecs import LearnedCodecTestCase, payloads_of
from tests.harness import SemCompTestCase, smooth_image
from tests.models import test_layered_module
from tfsemcomp import bitstream
from tfsemcomp.codecs import (
    conceptual_structure,
    latents,
    layered_colour,
    layered_model,
    layered_painting,
    learned,
)
from tfsemcomp.codecs.layered_painting import Text
from tfsemcomp.entropy import text
from tfsemcomp.errors import (
    BitstreamError,
    ModelMismatchError,
    SemCompError,
    UnavailableError,
)
from tfsemcomp.metrics import fidelity
from tfsemcomp.models import layered_module
from tfsemcomp.semantics import edges
from tfsemcomp.serving import manifest, runner

IMAGE = smooth_image(90, 70)
OTHER = (255 - smooth_image(90, 70, 1)).astype(np.uint8)
CAPTION = "A black dog runs."


def rewritten(data: bytes, *chunks: tuple[str, int, bytes], **header) -> bytes:
    """A stream of these chunks with right checks."""
    before = bitstream.read(data).header
    fields = {
        "codec": before.codec,
        "fingerprint": before.fingerprint,
        "width": before.width,
        "height": before.height,
        **header,
    }
    made = [bitstream.Chunk(kind, payload, layer) for kind, layer, payload in chunks]
    return bitstream.write(bitstream.Header(**fields), made)


class LayeredTestCase(LearnedCodecTestCase):
    models = layered_models.folder

    def setUp(self):
        super().setUp()
        self.codec = tfsemcomp.load("layered")


class LayeredCodecTest(LayeredTestCase):
    def test_keeps_a_codecs_promises(self):
        self.run_codec_test("layered", caption=CAPTION, min_psnr=24)

    @parameterized.parameters(*layered_models.MODELS)
    def test_every_size_comes_back(self, name):
        codec = tfsemcomp.load(name)
        for size in ((1, 1), (1, 70), (64, 64), (33, 5), (65, 130)):
            image = smooth_image(*size)
            data = codec.compress(image, caption=CAPTION, colour=size[0] > 32)
            picture = codec.decompress(data)
            self.assertEqual(picture.shape, image.shape)
            np.testing.assert_array_equal(tfsemcomp.decompress(data), picture)
            for layers in (1, 2):
                first = codec.decompress(data, layers=layers)
                self.assertEqual(first.shape, image.shape)

    @parameterized.parameters(*layered_models.MODELS)
    def test_layers_are_what_their_signatures_paint(self, name):
        codec = tfsemcomp.load(name)
        data = codec.compress(IMAGE, caption=CAPTION, quality=1)
        kinds = [(c.type, c.layer) for c in bitstream.read(data).chunks]
        self.assertEqual(kinds, [("text", 0), ("structure", 1), ("signal", 2)])
        self.assertEqual(codec.caption(data), CAPTION)
        seed = 0 if name == layered_models.DEFAULT else None
        noise = Text(CAPTION, seed).noise(layered_models.NOISE)
        words = layered_models.VOCABULARY.ids(CAPTION, layered_models.WORDS)
        level = 60 + 9 * words.sum() + 12 * noise[0] + noise[-1]
        slope = np.arange(32.0)
        square = np.clip(level + slope[:, None] - slope, 0, 255)
        one = codec.decompress(data, layers=1)
        # Stretched to the picture, corner to corner.
        np.testing.assert_allclose(one[0, 0], square[0, 0], atol=1)
        np.testing.assert_allclose(one[-1, 0], square[-1, 0], atol=1)
        np.testing.assert_allclose(one[45, 35], square[16, 16], atol=2)
        lines = codec.structure(data)
        expected = edges.remove_short(edges.extract(IMAGE, sigma=1.5), 16)
        plane = edges.downscale(expected, 2)
        np.testing.assert_array_equal(lines, edges.upscale(plane, 2, 90, 70))
        self.assertGreater(lines.mean(), 0.01)
        two = one.astype(int) - layered_models.DARK * lines[..., None].astype(int)
        two = np.clip(two + layered_models.BRIGHT, 0, 255)
        np.testing.assert_array_equal(codec.decompress(data, layers=2), two)
        three = codec.decompress(data)
        self.assertGreater(abs(three.astype(int) - two).max(), 2)

    def test_each_layer_is_nearer_to_the_picture(self):
        # Dark, as its text.
        image = (IMAGE // 4).astype(np.uint8)
        data = self.codec.compress(image, caption=CAPTION, quality=4, colour=True)
        scores = [
            fidelity.psnr(image, self.codec.decompress(data, layers=layers))
            for layers in (1, 2, 3)
        ]
        self.assertEqual(scores, sorted(scores))
        self.assertGreater(scores[2], scores[1] + 6)

    def test_overhead_is_small(self):
        image = smooth_image(256, 256)
        data = self.codec.compress(image, caption=CAPTION)
        found = payloads_of(data)
        # The seed is no overhead, nor is what tells how the lines are coded.
        self.assertLessEqual(len(data) - sum(map(len, found)) + 2, 42)
        info = tfsemcomp.info(data)
        self.assertEqual((info["codec"], info["model"]), ("layered", "seeds"))
        self.assertEqual(
            info["layer_bytes"], [chunk["bytes"] for chunk in info["chunks"]]
        )
        one = bitstream.truncate(data, 1)
        self.assertLessEqual(len(one) - len(found[0]), 24)

    def test_batches_are_files_of_their_own(self):
        for settings in (
            {"caption": CAPTION},
            {"send": "signal"},
            {"colour": True, "caption": CAPTION},
        ):
            files = self.codec.compress_batch([IMAGE, OTHER], **settings)
            for image, data, decoded in zip(
                (IMAGE, OTHER), files, self.codec.decompress_batch(files), strict=True
            ):
                self.assertEqual(self.codec.compress(image, **settings), data)
                np.testing.assert_array_equal(self.codec.decompress(data), decoded)
        mixed = [files[0], bitstream.truncate(files[1], 2)]
        with self.assertRaisesRegex(ValueError, "`data`"):
            self.codec.decompress_batch(mixed)


class TextTest(LayeredTestCase):
    @parameterized.parameters(
        CAPTION, "cat", "zebras; naïve\n\t 'x' 日本語 \U0001f600", "WORD " * 400
    )
    def test_any_caption_comes_back(self, caption):
        for name in layered_models.MODELS:
            codec = tfsemcomp.load(name)
            data = codec.compress(IMAGE, caption=caption, send="text")
            self.assertEqual(codec.caption(data), caption)
            self.assertEqual(codec.decompress(data).shape, IMAGE.shape)

    def test_the_payload_is_that_of_the_text_coder(self):
        model = layered_models.text_model()
        coded = text.encode(CAPTION, model)
        seeds, plain = (
            payloads_of(tfsemcomp.load(name).compress(IMAGE, caption=CAPTION))[0]
            for name in layered_models.MODELS
        )
        self.assertEqual((seeds, plain), (b"\0" + coded, coded))

    def test_noise_is_as_documented(self):
        """Philox4x64-10 by its own definition, and Box and Muller's rule."""

        def philox(counter: int, key: tuple[int, int]) -> list[int]:
            words, (k0, k1), full = [counter, 0, 0, 0], key, 2**64
            for _ in range(10):
                a = words[0] * 0xD2E7470EE14C6C93
                b = words[2] * 0xCA5A826395121157
                words = [
                    b // full ^ words[1] ^ k0,
                    b % full,
                    a // full ^ words[3] ^ k1,
                    a % full,
                ]
                k0 = (k0 + 0x9E3779B97F4A7C15) % full
                k1 = (k1 + 0xBB67AE8584CAA73B) % full
            return words

        for seed in (None, 7):
            tail = b"" if seed is None else bytes([seed])
            digest = hashlib.sha256("né".encode() + tail).digest()
            key = tuple(int.from_bytes(digest[i : i + 8], "little") for i in (0, 8))
            raw = [n for counter in (1, 2) for n in philox(counter, key)][:6]
            uniform = [((n >> 11) + 0.5) / 2**53 for n in raw]
            expected = [
                math.sqrt(-2 * math.log(uniform[i]))
                * turn(2 * math.pi * uniform[i + 3])
                for turn in (math.cos, math.sin)
                for i in range(3)
            ]
            np.testing.assert_allclose(
                Text("né", seed).noise(5), expected[:5], rtol=1e-6
            )
        many = Text("a", None).noise(20001)
        self.assertAlmostEqual(many.mean(), 0, delta=0.03)
        self.assertAlmostEqual(many.std(), 1, delta=0.03)

    def test_the_seed_sent_is_the_one_that_looks_most_alike(self):
        data = self.codec.compress(IMAGE, caption=CAPTION, send="text", seeds=40)
        sent = payloads_of(data)[0][0]
        distances = []
        for seed in range(40):
            level = 60 + 9 * layered_models.VOCABULARY.ids(CAPTION, 6).sum()
            noise = Text(CAPTION, seed).noise(layered_models.NOISE)
            slope = np.arange(32.0)
            painted = level + 12 * noise[0] + noise[-1] + slope[:, None] - slope
            mean = painted.mean() - IMAGE.mean()
            distances.append(mean**2 + (painted.std() - IMAGE.std()) ** 2)
        self.assertEqual(sent, np.argmin(distances))
        self.assertGreater(sent, 0)
        with self.assertRaisesRegex(ValueError, "`seeds`"):
            tfsemcomp.load("plain").compress(IMAGE, caption=CAPTION, seeds=2)

    def test_the_captioner_is_asked(self):
        for image, colour in ((IMAGE // 8, "black"), (255 - IMAGE // 8, "white")):
            data = self.codec.compress(image.astype(np.uint8), send="text")
            caption = self.codec.caption(data)
            self.assertEqual(caption, f"{colour.capitalize()} dog runs.")


class ColourTest(LayeredTestCase):
    def test_colours_are_right_within_half_a_level(self):
        thumbnail = layered_colour.decode(layered_colour.encode(IMAGE))
        means = layered_colour._shrink(IMAGE)
        self.assertLess(abs(thumbnail - means).max(), 8.5 + 8 * 1.772)
        grey = np.full((20, 30, 3), 119, np.uint8)
        found = layered_colour.decode(layered_colour.encode(grey))
        np.testing.assert_allclose(found, 119, atol=1e-6)

    @parameterized.parameters((1, 1), (3, 17), (64, 64))
    def test_corrections_move_means_and_keep_details(self, height, width):
        rng = np.random.default_rng(0)
        picture = rng.uniform(100, 150, (height, width, 3)).astype(np.float32)
        thumbnail = layered_colour._shrink(picture)
        same = layered_colour.correct(picture, thumbnail)
        np.testing.assert_allclose(same, picture, atol=1e-3)
        moved = layered_colour.correct(picture, thumbnail + [9, -3, 0])
        np.testing.assert_allclose(
            moved - picture, np.broadcast_to([9, -3, 0], moved.shape), atol=1e-3
        )

    def test_colours_lead_both_pictures(self):
        image = np.zeros((96, 96, 3), np.uint8)
        image[:48, :, 0] = 200
        image[48:, :, 2] = 180
        plain = self.codec.compress(image, caption=CAPTION, quality=1)
        data = self.codec.compress(image, caption=CAPTION, quality=1, colour=True)
        kinds = [(c.type, c.layer) for c in bitstream.read(data).chunks]
        self.assertEqual(kinds[1], ("colour", 1))
        self.assertLess(len(payloads_of(data)[1]), 80)
        # Layer 1 alone has none; it comes with the lines.
        for layers, better in ((1, 0), (2, 5)):
            scores = [
                fidelity.psnr(image, self.codec.decompress(file, layers=layers))
                for file in (plain, data)
            ]
            self.assertGreaterEqual(scores[1] - scores[0], better)

    def test_every_prefix_decodes(self):
        data = self.codec.compress(IMAGE, caption=CAPTION, colour=True)
        chunks = [(c.type, c.layer, c.payload) for c in bitstream.read(data).chunks]
        pictures = []
        for count in range(1, 5):
            cut = rewritten(data, *chunks[:count])
            pictures.append(self.codec.decompress(cut))
            self.assertEqual(cut, data[: len(cut)])
        self.assertLess(
            abs(pictures[1].astype(int) - IMAGE).mean(),
            abs(pictures[0].astype(int) - IMAGE).mean(),
        )

    def test_wrong_colours(self):
        payload = layered_colour.encode(IMAGE)
        for wrong in (b"", b"\xc0" + payload[1:], payload + b"\1\2\3\4\5\6"):
            with self.assertRaises(BitstreamError):
                layered_colour.decode(wrong)
        rng = np.random.default_rng(0)
        for _ in range(60):
            damaged = bytearray(payload)
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            with contextlib.suppress(BitstreamError):
                found = layered_colour.decode(bytes(damaged))
                self.assertEqual(found.shape, (8, 8, 3))


class PartsTest(LayeredTestCase):
    """Layers that are left out: the ablations."""

    @parameterized.parameters(
        "text",
        "structure",
        "signal",
        "text,structure",
        "text,signal",
        "structure,signal",
    )
    def test_any_layers_make_a_file(self, send):
        parts = send.split(",")
        caption = {"caption": CAPTION} if "text" in parts else {}
        data = self.codec.compress(IMAGE, send=send, **caption)
        self.assertEqual([c.type for c in bitstream.read(data).chunks], parts)
        picture = self.codec.decompress(data)
        self.assertEqual(picture.shape, IMAGE.shape)
        self.assertEqual(self.codec.caption(data), caption.get("caption"))
        self.assertEqual(self.codec.structure(data) is None, "structure" not in parts)
        if send == "structure":
            lines = self.codec.structure(data)[..., None]
            np.testing.assert_array_equal(
                picture, np.repeat(128 - layered_models.DARK * lines, 3, axis=-1)
            )
        if "text" not in parts:
            with self.assertRaisesRegex(SemCompError, "`layers` must be at least"):
                self.codec.decompress(data, layers=1)

    @parameterized.parameters(
        ({"send": ""},),
        ({"send": "text,text"},),
        ({"send": "text,lines"},),
        ({"caption": CAPTION, "send": "structure"},),
        ({"caption": " "},),
        ({"caption": "a" * 4097},),
        ({"caption": "\ud800"},),
        ({"seeds": 0},),
        ({"seeds": 257},),
        ({"seeds": 2, "send": "signal"},),
        ({"quality": 1, "send": "text"},),
        ({"lmbda": 1, "send": "text"},),
        ({"lmbda": 2},),
        ({"lmbda": 1, "quality": 1},),
        ({"structure_scale": 2, "send": "text"},),
        ({"structure_codec": "png"},),
        ({"structure_model": "name"},),
    )
    def test_wrong_settings(self, settings):
        names = "|".join(f"`{name}`" for name in settings)
        with self.assertRaisesRegex(ValueError, names):
            self.codec.compress(IMAGE, **settings)

    def test_lines_can_be_given(self):
        lines = np.zeros((90, 70), bool)
        lines[20, 10:60] = lines[20:80, 30] = True
        data = self.codec.compress(
            IMAGE, caption=CAPTION, structure=lines, structure_scale=1
        )
        np.testing.assert_array_equal(self.codec.structure(data), lines)

    @parameterized.parameters("jxl", "webp", "heic")
    def test_coders_of_lines(self, coder):
        try:
            conceptual_structure.check_coder(coder)
        except UnavailableError as error:
            self.skipTest(str(error))
        mixing = self.codec.compress(IMAGE, caption=CAPTION, quality=1)
        data = self.codec.compress(
            IMAGE, caption=CAPTION, quality=1, structure_codec=coder
        )
        self.assertGreater(len(payloads_of(data)[1]), len(payloads_of(mixing)[1]))
        found = self.codec.structure(data)
        if coder == "heic":
            self.assertGreater(found.mean(), 0.01)
        else:
            np.testing.assert_array_equal(found, self.codec.structure(mixing))
            np.testing.assert_array_equal(
                self.codec.decompress(data), self.codec.decompress(mixing)
            )

    def test_the_encoder_sees_what_a_coder_that_loses_something_keeps(self):
        """The signal corrects the picture of the lines as they arrive."""
        real = conceptual_structure._decode_picture

        def lossy(*arguments):
            found = real(*arguments)
            found[::2] = 0
            return found

        with (
            mock.patch.object(conceptual_structure, "_LOSSY_CODERS", ("webp",)),
            mock.patch.object(conceptual_structure, "_decode_picture", lossy),
        ):
            data = self.codec.compress(
                IMAGE, caption=CAPTION, quality=4, structure_codec="webp"
            )
            picture = self.codec.decompress(data)
        exact = self.codec.compress(IMAGE, caption=CAPTION, quality=4)
        self.assertAlmostEqual(
            fidelity.psnr(IMAGE, picture),
            fidelity.psnr(IMAGE, self.codec.decompress(exact)),
            delta=1.5,
        )


class RateTest(LayeredTestCase):
    def test_presets_are_the_papers(self):
        for preset, quality in ((1, 1), (3, 2), (6, 3), (9, 4)):
            encoded = self.codec.encode(IMAGE, caption=CAPTION, lmbda=preset)
            self.assertEqual(encoded.quality, quality)
            expected = self.codec.compress(IMAGE, caption=CAPTION, quality=quality)
            self.assertEqual(encoded.data, expected)
        found = [layered_model.PRESETS[preset] for preset in (1, 3, 6, 9)]
        np.testing.assert_allclose(found, [6.2e-4, 2.5e-3, 0.0197, 0.157], rtol=0.02)
        with self.assertRaisesRegex(SemCompError, "near lambda 9"):
            tfsemcomp.load("plain").compress(IMAGE, caption=CAPTION, lmbda=9)

    def test_small_targets_leave_layers_off(self):
        data = self.codec.compress(IMAGE, caption=CAPTION, quality=1)
        ends = [len(bitstream.truncate(data, layers)) for layers in (1, 2, 3)]
        for size, layers in (
            (ends[0], 1),
            (ends[1] - 1, 1),
            (ends[1], 2),
            (ends[2] - 1, 2),
        ):
            encoded = self.codec.encode(IMAGE, caption=CAPTION, target_bytes=size)
            self.assertEqual(encoded.data, data[: ends[layers - 1]])
            self.assertIsNone(encoded.quality)
        encoded = self.codec.encode(IMAGE, caption=CAPTION, target_bytes=ends[2])
        self.assertEqual((encoded.data, encoded.quality), (data, 1))
        with self.assertRaisesRegex(SemCompError, f"file has {ends[0]} bytes"):
            self.codec.compress(IMAGE, caption=CAPTION, target_bytes=ends[0] - 1)

    def test_the_payload_names_the_quality(self):
        for quality in (1, 3):
            data = self.codec.compress(IMAGE, caption=CAPTION, quality=quality)
            self.assertEqual(payloads_of(data)[2][0], quality - 1)


class StreamTest(LayeredTestCase):
    @parameterized.parameters(
        [[("text", 0, b"x"), ("text", 0, b"x")]],
        [[("text", 1, b"x")]],
        [[("structure", 0, b"\1\0\0")]],
        [[("signal", 2, b"\0"), ("colour", 2, b"\0")]],
        [[("structure", 1, b"\1\0\0"), ("colour", 1, b"\0")]],
        [[("codes", 0, b"")]],
        [[("meta", 0, b"\0")]],
        [[("meta", 0, b"\1"), ("text", 0, b"\0x")]],
        [[("meta", 0, b"\0"), ("colour", 1, b"\0")]],
        [[("meta", 1, b"\0"), ("structure", 1, b"\1\0\0")]],
        [[("text", 0, b"")]],
        [[("colour", 1, b"")]],
        [[("structure", 1, b"")]],
        [[("signal", 2, b"")]],
        [[("signal", 2, b"\4\0\0\0\0")]],
        [[("signal", 2, b"\0\x50\0\0\0")]],
    )
    def test_wrong_chunks(self, chunks):
        data = self.codec.compress(IMAGE, send="structure")
        with self.assertRaises(BitstreamError):
            self.codec.decompress(rewritten(data, *chunks))

    def test_few_bytes_claim_no_large_picture(self):
        image = np.full((1100, 1300, 3), 90, np.uint8)
        for settings in ({"caption": "dog", "send": "text"}, {"send": "structure"}):
            data = self.codec.compress(image, **settings)
            needed = -(-1100 * 1300 // learned.PIXELS_PER_BYTE)
            self.assertBetween(len(data), needed, needed + 24)
            self.assertEqual(self.codec.decompress(data).shape, image.shape)
        data = self.codec.compress(image, caption="dog", colour=True, send="text")
        kinds = [chunk.type for chunk in bitstream.read(data).chunks]
        self.assertEqual(kinds, ["meta", "text", "colour"])
        self.codec.decompress(bitstream.truncate(data, 1))
        text_only = [("text", 0, payloads_of(data)[1])]
        with self.assertRaisesRegex(BitstreamError, "at least 88 bytes"):
            self.codec.decompress(rewritten(data, *text_only))
        with self.assertRaisesRegex(BitstreamError, "at least 88 bytes"):
            self.codec.decompress(rewritten(data, ("colour", 1, payloads_of(data)[2])))

    def test_wrong_base_pictures_never_break_a_stream(self):
        """All that networks paint may differ: symbols come back and pixels move."""
        for name in layered_models.MODELS:
            codec = tfsemcomp.load(name)
            data = codec.compress(IMAGE, caption=CAPTION, quality=1, colour=True)
            expected = codec.decompress(data)
            real = runner.LocalRunner.call
            seen = []

            def drifted(self, signature, real=real, **inputs):
                found = real(self, signature, **inputs)
                if signature in ("synthesize_text", "synthesize_structure"):
                    rng = np.random.default_rng(0)
                    noise = rng.normal(0, 60, found["images"].shape)
                    return {"images": found["images"] + noise.astype(np.float32)}
                return found

            decode = latents.decode

            def spy(*arguments, decode=decode, seen=seen):
                seen.append(decode(*arguments))
                return seen[-1]

            with mock.patch.object(latents, "decode", spy):
                codec.decompress(data)
                with mock.patch.object(runner.LocalRunner, "call", drifted):
                    found = codec.decompress(data)
            np.testing.assert_array_equal(seen[0], seen[1])
            self.assertGreater(abs(found.astype(int) - expected).mean(), 5)

    def test_hostile_payloads(self):
        data = self.codec.compress(IMAGE, caption=CAPTION, quality=2, colour=True)
        chunks = [(c.type, c.layer, c.payload) for c in bitstream.read(data).chunks]
        rng = np.random.default_rng(0)
        for round_ in range(40):
            damaged = list(chunks)
            kind, layer, payload = damaged[round_ % 4]
            changed = bytearray(payload)
            changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
            damaged[round_ % 4] = kind, layer, bytes(changed)
            with contextlib.suppress(BitstreamError, UnavailableError):
                picture = self.codec.decompress(rewritten(data, *damaged))
                self.assertEqual(picture.shape, IMAGE.shape)

    def test_other_models(self):
        data = tfsemcomp.load("plain").compress(IMAGE, caption=CAPTION)
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load("seeds").decompress(data)
        path = self.copy_models() / "plain"
        card = json.loads((path / "card.json").read_text())
        for change in (
            {"lmbdas": [0.2, 0.1]},
            {"lmbdas": []},
            {"structure": {"method": "nope"}},
            {"structure": {"method": "canny", "scale": 3}},
            {"latents": {"stride": 16}},
            {"words": None},
        ):
            wrong = {**card, "layered": {**card["layered"], **change}}
            (path / "card.json").write_text(json.dumps(wrong))
            with self.assertRaisesRegex(ModelMismatchError, "export the model again"):
                tfsemcomp.load(str(path / "1")).compress(IMAGE, caption=CAPTION)

    def test_what_is_coded_is_decoded_again(self):
        with (
            mock.patch.object(text, "decode", lambda data, model: "another"),
            self.assertRaisesRegex(SemCompError, "did not decode"),
        ):
            self.codec.compress(IMAGE, caption=CAPTION, send="text")


class NetworksTest(SemCompTestCase):
    """The real networks, untrained, as recipes export them."""

    def test_files_of_exported_networks(self):
        parts, module = test_layered_module.networks()
        captions, words = test_layered_module.CAPTIONS, test_layered_module.VOCABULARY
        layered_module.export_module(
            module, self.folder / "new", 1, words, text.build(captions, words)
        )
        facts = layered_module.card(module, {"method": "canny"}, text_seed=True)
        card = {"name": "new", "version": 1, "system": "layered", "layered": facts}
        manifest.add(self.folder, card, default=True)
        codec = tfsemcomp.load(str(self.folder / "new" / "1"))
        self.assertEqual(codec.quality_range, (1, len(parts["signal"].lmbdas)))
        image = smooth_image(70, 50)
        data = codec.compress(image, seeds=3, colour=True)
        self.assertLessEqual(payloads_of(data)[0][0], 2)
        one = bitstream.truncate(data, 1)
        self.assertEqual(codec.caption(data), codec.caption(one))
        for layers in (1, 2, 3):
            picture = codec.decompress(data, layers=layers)
            self.assertEqual(picture.shape, image.shape)
        self.assertNotEqual(data, codec.compress(image, caption=captions[0]))


class PaintingTest(SemCompTestCase):
    @parameterized.parameters((32, 32), (64, 128), (7, 100))
    def test_flat_pictures_stay_flat_at_any_size(self, height, width):
        flat = np.full((32, 32, 3), 77.25, np.float32)
        found = layered_painting._resize(flat, height, width)
        self.assertEqual((found.shape, found.dtype), ((height, width, 3), np.float32))
        np.testing.assert_allclose(found, 77.25)
