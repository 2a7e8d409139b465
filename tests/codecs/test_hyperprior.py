import concurrent.futures
import json
import shutil
import time
import tracemalloc
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import hyperprior_models
from tests.codecs.learned_codecs import (
    LearnedCodecTestCase,
    payloads_of,
    with_payloads,
)
from tests.harness import noise_image, smooth_image
from tests.models.hyperprior_networks import a_model, lively
from tfsemcomp import bitstream
from tfsemcomp.codecs import hyperprior
from tfsemcomp.entropy import checks, range_coder, tables
from tfsemcomp.errors import (
    BitstreamError,
    LimitError,
    ModelMismatchError,
    SemCompError,
)
from tfsemcomp.layers import block_dct
from tfsemcomp.losses import rate
from tfsemcomp.metrics import fidelity
from tfsemcomp.serving import manifest

IMAGE = smooth_image(70, 90)


def gaussian_image(height: int, width: int) -> np.ndarray:
    """DCT coefficients as a fresh model of the transform `dct` takes them to be.

    A model that were wrong of the picture would estimate up to 29.9 bits for a symbol
    that an escape codes in fewer.
    """
    rng = np.random.default_rng(3)
    coefficients = rng.normal(0, 1, (1, height // 8, width // 8, 192))
    pixels = block_dct.BlockDct(inverse=True)(coefficients.astype(np.float32))
    return np.clip(np.rint(pixels[0]), 0, 255).astype(np.uint8)


def payload_of(data: bytes) -> bytes:
    return payloads_of(data)[0]


def with_payload(data: bytes, payload: bytes, **header) -> bytes:
    return with_payloads(data, [payload], **header)


class HyperpriorCodecTestCase(LearnedCodecTestCase):
    models = hyperprior_models.folder


class HyperpriorCodecTest(HyperpriorCodecTestCase):
    def test_keeps_a_codecs_promises(self):
        self.run_codec_test("hyperprior", max_bpp=3.5, min_psnr=30)

    @parameterized.parameters(*hyperprior_models.MODELS)
    def test_sizes_of_all_variants_come_back(self, name):
        codec = tfsemcomp.load(name)
        for size in ((1, 1), (1, 9), (7, 3), (65, 64), (64, 129)):
            image = smooth_image(*size)
            data = codec.compress(image)
            self.assertEqual(codec.decompress(data).shape, image.shape)
            self.assertEqual(tfsemcomp.decompress(data).shape, image.shape)

    @parameterized.parameters(*hyperprior_models.MODELS)
    def test_symbols_come_back(self, name):
        codec = tfsemcomp.load(name)
        image = smooth_image(120, 150)
        seen = []
        real = checks.symbol_check

        def spy(*arrays):
            seen.append([array.copy() for array in arrays])
            return real(*arrays)

        with mock.patch.object(checks, "symbol_check", spy):
            codec.decompress(codec.compress(image))
        coded, decoded = seen
        for one, two in zip(coded, decoded, strict=True):
            np.testing.assert_array_equal(one, two)
        self.assertGreater(np.std(coded[2]), 0.5)

    def test_names_and_paths_find_models(self):
        data = tfsemcomp.load("hyperprior").compress(IMAGE)
        info = tfsemcomp.info(data)
        self.assertEqual(info["codec"], "hyperprior")
        self.assertEqual([chunk["type"] for chunk in info["chunks"]], ["signal"])
        for name in ("dct", str(self.root / "dct" / "1")):
            codec = tfsemcomp.load(name)
            self.assertEqual(codec.quality_range, (1, 8))
            np.testing.assert_array_equal(
                codec.decompress(data), tfsemcomp.decompress(data)
            )
        self.assertEqual(tfsemcomp.load("mean").quality_range, (1, 1))
        self.assertEqual(tfsemcomp.load("scale").quality_range, (1, 2))

    def test_threads_share_a_codec(self):
        codec = tfsemcomp.load("mean")
        images = [smooth_image(64, 64, seed) for seed in range(6)]
        alone = [codec.compress(image) for image in images]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            together = list(pool.map(codec.compress, images))
            decoded = list(pool.map(codec.decompress, together))
        self.assertEqual(together, alone)
        for data, image in zip(alone, decoded, strict=True):
            np.testing.assert_array_equal(codec.decompress(data), image)


class QualityTest(HyperpriorCodecTestCase):
    def test_eighths_are_the_grid(self):
        codec = tfsemcomp.load("dct")
        self.assertLen(codec.qualities(), 57)
        for quality in (1.1, 2 + 1 / 16, 7.9999):
            with self.assertRaisesRegex(ValueError, "multiple of 0.125"):
                codec.compress(IMAGE, quality=quality)

    def test_every_eighth_is_bigger_and_better(self):
        codec = tfsemcomp.load("dct")
        image = smooth_image(128, 128)
        files = [codec.compress(image, quality=2 + eighth / 8) for eighth in range(9)]
        sizes = [len(file) for file in files]
        self.assertEqual(sizes, sorted(set(sizes)))
        errors = [fidelity.psnr(image, codec.decompress(file)) for file in files[::2]]
        self.assertEqual(errors, sorted(set(errors)))

    def test_the_payload_names_the_quality(self):
        codec = tfsemcomp.load("dct")
        for quality, byte in ((1, 0), (1.125, 1), (4, 24), (8, 56)):
            self.assertEqual(
                payload_of(codec.compress(IMAGE, quality=quality))[0], byte
            )

    def test_a_model_of_one_rate_has_one_quality(self):
        codec = tfsemcomp.load("mean")
        self.assertEqual(codec.compress(IMAGE, quality=1), codec.compress(IMAGE))
        with self.assertRaisesRegex(ValueError, "`quality`"):
            codec.compress(IMAGE, quality=1.125)

    def test_a_default_model_of_fewer_rates(self):
        path = self.copy_models() / "MANIFEST.json"
        models = json.loads(path.read_text())
        models["models"]["dct"]["default"] = False
        models["models"]["scale"]["default"] = True
        path.write_text(json.dumps(models))
        self.use_models(path.parent)
        codec = tfsemcomp.load("hyperprior")
        codec.decompress(codec.compress(IMAGE, quality=2))
        for call in (
            codec.compress,
            lambda x, quality: codec.compress_batch([x], quality=quality),
        ):
            with self.assertRaisesRegex(ValueError, "`quality`.*from 1 to 2"):
                call(IMAGE, quality=3)


class BatchTest(HyperpriorCodecTestCase):
    @parameterized.parameters("dct", "mean", "factorized")
    def test_batches_are_what_single_calls_give(self, name):
        codec = tfsemcomp.load(name)
        images = [smooth_image(70, 90, seed) for seed in range(3)]
        files = codec.compress_batch(images)
        pictures = codec.decompress_batch(files)
        for image, file, picture in zip(images, files, pictures, strict=True):
            # Sums in another order may round a latent or a pixel the other way.
            self.assertAlmostEqual(len(file), len(codec.compress(image)), delta=8)
            alone = codec.decompress(file).astype(int)
            self.assertLessEqual(abs(alone - picture).max(), 1)
            self.assertLess(np.mean(alone != picture), 1e-3)
        self.assertLen(set(files), 3)

    def test_quality_counts(self):
        codec = tfsemcomp.load("dct")
        low, high = (
            codec.compress_batch([IMAGE, IMAGE], quality=quality) for quality in (1, 6)
        )
        self.assertLess(len(low[0]), len(high[0]))
        self.assertEqual(high[0], high[1])

    def test_wrong_batches(self):
        codec = tfsemcomp.load("dct")
        for images in ([], [IMAGE, IMAGE[1:]], [IMAGE.astype(float)], [IMAGE[..., 0]]):
            with self.assertRaises(ValueError):
                codec.compress_batch(images)
        for settings in ({"quality": 9}, {"quality": 1.1}, {"verify": 1}):
            with self.assertRaises(ValueError):
                codec.compress_batch([IMAGE], **settings)
        files = [codec.compress(IMAGE), codec.compress(IMAGE, quality=2)]
        small = codec.compress(IMAGE[1:])
        for data in ([], files, [files[0], small]):
            with self.assertRaisesRegex(ValueError, "`data`"):
                codec.decompress_batch(data)
        with self.assertRaises(BitstreamError):
            codec.decompress_batch([files[0], files[0][:-1]])


class RateTest(HyperpriorCodecTestCase):
    @parameterized.parameters(("dct", 2), ("dct", 5.5), ("factorized", 1))
    def test_real_bits_are_those_estimated(self, name, quality):
        codec = tfsemcomp.load(name)
        model = a_model(*hyperprior_models.MODELS[name])
        if name != hyperprior_models.DEFAULT:
            model = lively(model)
        image = gaussian_image(256, 256)
        found = model(image[None].astype(np.float32), np.float32([quality]))
        estimated = float(found["bits_y"][0] + found["bits_z"][0])
        told = []
        real = range_coder.encode

        def spy(tables, symbols, indexes):
            told.append(range_coder.estimate_bits(tables, symbols, indexes))
            return real(tables, symbols, indexes)

        with mock.patch.object(range_coder, "encode", spy):
            bits = 8 * len(codec.compress(image, quality=quality))
        # Header, chunk, check, and the ends of two streams.
        overhead = 8 * 32
        self.assertGreater(bits, 50 * overhead)
        self.assertAlmostEqual(bits, sum(map(float, told)), delta=0.01 * bits)
        self.assertAlmostEqual(bits - overhead, estimated, delta=0.01 * bits)

    @parameterized.parameters("mean", "scale")
    def test_latents_of_all_scales_take_the_bits_estimated(self, name):
        model = lively(a_model(*hyperprior_models.MODELS[name]))
        rng = np.random.default_rng(2)
        z = np.rint(rng.normal(0, 3, (1, 6, 8, 16))).astype(np.float32)
        mu, index = model.predict_y(z, np.float32([1]))
        index = np.clip(index, 0, 63)
        self.assertGreater(np.ptp(index), 40)
        scale = 0.11 * np.exp(index / 63 * np.log(256 / 0.11))
        symbols = np.rint(rng.normal(0, scale)).astype(np.int32)
        estimated = rate.gaussian_bits(symbols.astype(np.float32), np.float32(scale))
        path = manifest.find(name).path / tables.FILE_NAME
        (data,) = range_coder.encode(
            tables.load(path)["y"], symbols, np.rint(index).astype(np.int32)
        )
        expected = float(np.sum(estimated))
        self.assertGreater(expected, 30000)
        self.assertAlmostEqual(8 * len(data), expected, delta=0.01 * expected)


class VerifyTest(HyperpriorCodecTestCase):
    @parameterized.parameters("mean", "dct-factorized")
    def test_a_broken_coder_is_caught(self, name):
        codec = tfsemcomp.load(name)
        real = range_coder.encode

        def broken(tables, symbols, indexes):
            return [bytes([b[0] ^ 1]) + b[1:] for b in real(tables, symbols, indexes)]

        with mock.patch.object(range_coder, "encode", broken):
            with self.assertRaises(SemCompError):
                codec.compress(IMAGE)
            with self.assertRaises(SemCompError):
                codec.compress_batch([IMAGE, IMAGE])
            data = codec.compress(IMAGE, verify=False)
        with self.assertRaises(BitstreamError):
            codec.decompress(data)

    def test_verify_changes_no_byte(self):
        codec = tfsemcomp.load("mean")
        self.assertEqual(codec.compress(IMAGE, verify=False), codec.compress(IMAGE))


class WrongModelTest(HyperpriorCodecTestCase):
    def test_streams_find_their_model(self):
        data = tfsemcomp.load("mean").compress(IMAGE)
        with self.assertRaisesRegex(ModelMismatchError, "`dct` has"):
            tfsemcomp.load("dct").decompress(data)
        self.assertEqual(
            tfsemcomp.load("hyperprior").decompress(data).shape, IMAGE.shape
        )

    def test_unknown_fingerprints(self):
        data = tfsemcomp.load("mean").compress(IMAGE)
        other = with_payload(data, payload_of(data), fingerprint=b"\1\2\3\4")
        for name in ("hyperprior", "mean"):
            with self.assertRaisesRegex(ModelMismatchError, "01020304"):
                tfsemcomp.load(name).decompress(other)

    @parameterized.parameters("saved_model.pb", "tables.npz")
    def test_one_changed_file_is_found_by_name(self, file):
        data = tfsemcomp.load("mean").compress(IMAGE)
        self.use_models(self.change_copy("mean", file).parents[1])
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load("mean").decompress(data)

    @parameterized.parameters("saved_model.pb", "tables.npz")
    def test_one_changed_file_is_found_by_path(self, file):
        # No manifest is read then: the file makes another model, or none.
        data = tfsemcomp.load("mean").compress(IMAGE)
        path = self.change_copy("mean", file)
        with self.assertRaises(ModelMismatchError):
            tfsemcomp.load(str(path)).decompress(data)

    def test_cards_that_lack_the_latents(self):
        for card in ("{}", '{"latents": {"stride": "x"}}', '{"latents": []}'):
            folder = self.folder / str(len(card))
            shutil.copytree(self.root / "mean", folder)
            (folder / "card.json").write_text(card)
            with self.assertRaisesRegex(ModelMismatchError, "card.json"):
                hyperprior.HyperpriorCodec(model=str(folder / "1"))


class DamageTest(HyperpriorCodecTestCase):
    """Whatever the payload holds, with its CRC in order: an error, no wrong picture."""

    @parameterized.parameters("dct", "mean", "dct-factorized")
    def test_flipped_bits(self, name):
        codec = tfsemcomp.load(name)
        data = codec.compress(smooth_image(64, 64))
        payload = payload_of(data)
        rng = np.random.default_rng(0)
        places = {*range(32), *rng.integers(0, 8 * len(payload), 80)}
        for place in sorted(places):
            damaged = bytearray(payload)
            damaged[place // 8] ^= 1 << place % 8
            with self.subTest(bit=place), self.assertRaises(BitstreamError):
                codec.decompress(with_payload(data, bytes(damaged)))

    @parameterized.parameters("dct", "mean", "dct-factorized")
    def test_foreign_payloads(self, name):
        codec = tfsemcomp.load(name)
        data = codec.compress(IMAGE)
        payload = payload_of(data)
        rng = np.random.default_rng(1)
        other = payload_of(codec.compress(noise_image(70, 90)))
        foreign = {
            "empty": b"",
            "one byte": b"\0",
            "zeros": bytes(len(payload)),
            "ones": b"\xff" * len(payload),
            "cut": payload[:-1],
            "longer": payload + b"\1",
            "turned": payload[::-1],
            "spliced": payload[: len(payload) // 2] + other[len(other) // 2 :],
            "large z": payload[:1] + b"\xff\xff\xff\xff\x0f" + payload[2:],
            **{f"random {i}": rng.bytes(int(rng.integers(1, 3000))) for i in range(20)},
        }
        for what, wrong in foreign.items():
            with self.subTest(what), self.assertRaises(BitstreamError):
                codec.decompress(with_payload(data, wrong))

    def test_another_picture_size(self):
        codec = tfsemcomp.load("dct")
        data = codec.compress(IMAGE)
        for size in ((90, 700), (30, 30), (900, 70)):
            wrong = with_payload(data, payload_of(data), width=size[0], height=size[1])
            with self.subTest(size=size), self.assertRaises(BitstreamError):
                codec.decompress(wrong)

    def test_quality_beyond_the_model(self):
        codec = tfsemcomp.load("dct")
        data = codec.compress(IMAGE)
        wrong = with_payload(data, bytes([57]) + payload_of(data)[1:])
        with self.assertRaisesRegex(BitstreamError, "quality 8.125"):
            codec.decompress(wrong)

    def test_other_chunks(self):
        codec = tfsemcomp.load("dct")
        stream = bitstream.read(codec.compress(IMAGE))
        payload = stream.chunks[0].payload
        signal = bitstream.Chunk("signal", payload)
        for chunks in (
            [signal, signal],
            [bitstream.Chunk("text", payload)],
            [bitstream.Chunk("signal", payload, layer=1)],
            [signal, bitstream.Chunk("text", b"", layer=1)],
        ):
            with self.assertRaisesRegex(BitstreamError, "one chunk `signal`"):
                codec.decompress(bitstream.write(stream.header, chunks))
        with self.assertRaisesRegex(BitstreamError, "of codec rnn"):
            codec.decompress(with_payload(codec.compress(IMAGE), payload, codec="rnn"))


class DeclaredSizeTest(HyperpriorCodecTestCase):
    @parameterized.parameters("dct", "factorized")
    def test_few_bytes_claim_no_large_picture(self, name):
        codec = tfsemcomp.load(name)
        data = codec.compress(smooth_image(64, 64))
        codec.decompress(data)
        payload = payload_of(data)[:30]
        bomb = with_payload(data, payload, width=30000, height=8000)
        self.assertLess(len(bomb), 64)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        start = time.monotonic()
        with self.assertRaisesRegex(
            BitstreamError, "30000x8000.* at least 14649 bytes"
        ):
            codec.decompress(bomb, limits=bitstream.Limits(pixels_per_byte=None))
        with self.assertRaises(LimitError):
            codec.decompress(bomb)
        self.assertLess(time.monotonic() - start, 2)
        self.assertLess(tracemalloc.get_traced_memory()[1], 1 << 20)

    def test_larger_ones_meet_the_limits(self):
        codec = tfsemcomp.load("dct")
        data = codec.compress(IMAGE)
        for width, height in ((2**31, 2**31), (2**15, 2**14), (40000, 1)):
            bomb = with_payload(data, payload_of(data), width=width, height=height)
            with self.assertRaises(LimitError):
                codec.decompress(bomb)

    @parameterized.parameters("dct", "factorized")
    def test_flat_pictures_are_filled_up(self, name):
        codec = tfsemcomp.load(name)
        for side in (1, 128, 129, 600):
            image = np.full((side, side, 3), 200, np.uint8)
            data = codec.compress(image)
            payload = payload_of(data)
            least = -(-side * side // 2**14)
            self.assertGreaterEqual(len(payload), least)
            decoded = codec.decompress(data)
            self.assertEqual(decoded.shape, image.shape)
            if len(payload) == least:
                short = payload[:-3] + payload[-2:]
                with self.assertRaisesRegex(BitstreamError, f"at least {least} bytes"):
                    codec.decompress(with_payload(data, short))
