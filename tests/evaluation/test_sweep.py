"""Sweeps: honest rows, failures as rows, files kept, resumed where stopped."""

import math
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream, images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, sweep, table

SMALL = smooth_image(40, 48)


class ToyCodec(base.Codec):
    """Rounds samples and stores them in a container; fails on demand."""

    name = "toy"
    summary = "For tests."
    suffix = ".tfsc"
    quality_range = (1, 9)
    default_quality = 5
    settings = (base.Setting("fail", bool, "Raises.", default=False),)

    def _encode(self, image, quality, *, fail):
        if fail:
            raise RuntimeError("out of\nluck")
        step = 2 ** (8 - int(quality) * 8 // 9)
        header = bitstream.Header("rnn", b"\0\0\0\0", image.shape[1], image.shape[0])
        payload = (image // step * step).tobytes()
        return bitstream.write(header, (bitstream.Chunk("signal", payload),))

    def _decode(self, data, *, layers, limits):
        stream = bitstream.read(data, limits=limits)
        shape = (stream.header.height, stream.header.width, 3)
        return np.frombuffer(stream.chunks[0].payload, np.uint8).reshape(shape)


class ShrinkingCodec(ToyCodec):
    """Loses a row."""

    name = "shrinking"

    def _decode(self, data, **settings):
        return super()._decode(data, **settings)[:-1]


def slope(pixels: np.ndarray) -> np.ndarray:
    """A map that rises from left to right."""
    height, width = pixels.shape[:2]
    return np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))


class SweepTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"
        self.photos.mkdir()
        self.out = self.folder / "out"
        for index in range(2):
            images.write(self.photos / f"{index}.png", smooth_image(40, 48, index))

    def test_rows_tell_the_truth(self):
        done = sweep.run_sweep(["jpeg"], self.photos, self.out, [20, 90])
        self.assertLen(done.rows, 4)
        self.assertEqual(table.read(self.out), done)
        for row in done.rows:
            data = (self.out / row.file).read_bytes()
            pixels = images.read(self.photos / row.image)
            self.assertEqual(row.size_bytes, len(data))
            self.assertEqual(row.payload_bytes, len(data))
            self.assertEqual((row.width, row.height), (48, 40))
            self.assertEqual(row.setting, f"quality={row.quality:g}")
            read_back = images.load_bytes(data).pixels
            self.assertEqual(row.metrics["psnr"], metrics.psnr(pixels, read_back))
            self.assertGreater(row.encode_s, 0)
            self.assertGreater(row.decode_s, 0)
        coarse, fine = done.rows[:2]
        self.assertLess(coarse.size_bytes, fine.size_bytes)
        self.assertLess(coarse.metrics["psnr"], fine.metrics["psnr"])

    def test_payload_leaves_the_container_out(self):
        row, data = sweep.measure(
            sweep.Job(ToyCodec(), "", {"quality": 9}), SMALL, "a", metrics=["psnr"]
        )
        self.assertEqual(row.payload_bytes, SMALL.size)
        self.assertEqual(row.size_bytes, len(data))
        self.assertLess(row.payload_bytes, row.size_bytes)
        self.assertEqual(row.metrics["psnr"], math.inf)

    def test_a_failing_picture_is_a_row(self):
        (self.photos / "0.png").write_bytes(b"no picture")
        done = sweep.run_sweep(["jpeg"], self.photos, self.out, [50], ["psnr"])
        failed, fine = done.rows
        self.assertRegex(failed.error, "^BitstreamError: ")
        self.assertIsNone(failed.size_bytes)
        self.assertEqual(fine.error, "")

    def test_a_failing_codec_is_a_row(self):
        done = sweep.run_sweep(
            [ToyCodec(), "jpeg", ShrinkingCodec()],
            self.photos / "0.png",
            self.out,
            [5],
            settings={"toy": {"fail": True}},
        )
        self.assertEqual(done.rows[0].error, "RuntimeError: out of luck")
        self.assertEqual(done.rows[1].error, "")
        self.assertRegex(done.rows[2].error, "48x39 pixels for 48x40")

    def test_an_interrupt_stops_at_once_and_keeps_what_is_done(self):
        def stop(row, done, total):
            if row.image == "1.png":
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            sweep.run_sweep(["jpeg"], self.photos, self.out, [50], on_row=stop)
        self.assertEqual([row.image for row in table.read(self.out).rows], ["0.png"])

    def test_resumes_where_it_stopped(self):
        first = sweep.run_sweep(
            ["jpeg"], self.photos / "0.png", self.out, [50], ["psnr"]
        )
        again = []
        done = sweep.run_sweep(
            ["jpeg"],
            self.photos,
            self.out,
            [50],
            ["psnr"],
            resume=True,
            on_row=lambda row, done, total: again.append((row.image, done, total)),
        )
        self.assertEqual(again, [("1.png", 2, 2)])
        self.assertEqual(done.rows[0], first.rows[0])
        self.assertEqual(table.read(self.out), done)

    def test_resuming_repeats_failures_and_missing_metrics(self):
        (self.photos / "0.png").write_bytes(b"no picture")
        sweep.run_sweep(["jpeg"], self.photos, self.out, [50], ["psnr"])
        images.write(self.photos / "0.png", SMALL)
        again = []
        options = {"resume": True, "on_row": lambda row, *_: again.append(row.image)}
        sweep.run_sweep(["jpeg"], self.photos, self.out, [50], ["psnr"], **options)
        self.assertEqual(again, ["0.png"])
        done = sweep.run_sweep(
            ["jpeg"], self.photos, self.out, [50], ["ssim"], **options
        )
        self.assertLen(again, 3)
        self.assertLen(done.rows, 2)

    def test_maps_reach_metrics_and_files(self):
        done = sweep.run_sweep(
            ["jpeg"], self.photos, self.out, [50], ["roi_psnr"], roi_map=slope
        )
        self.assertEqual(list(done.rows[0].metrics), ["roi_psnr"])
        kept = images.read(layout.roi_map(self.out, "0.png"))
        self.assertEqual((kept[0, 0, 0], kept[0, -1, 0]), (0, 255))
        original = images.read(layout.original(self.out, "0.png"))
        np.testing.assert_array_equal(original, images.read(self.photos / "0.png"))

    def test_maps_by_name(self):
        done = sweep.run_sweep(
            ["jpeg"], self.photos, self.out, [50], ["psnr_s"], roi_map="contrast"
        )
        self.assertTrue(math.isfinite(done.rows[0].metrics["psnr_s"]))
        self.assertEqual(done.meta["roi_map"], "contrast")

    def test_keeps_no_files_unless_asked(self):
        done = sweep.run_sweep(
            ["jpeg"], self.photos, self.out, [50], ["psnr"], keep_files=False
        )
        self.assertEqual(done.rows[0].file, "")
        self.assertCountEqual(
            [path.name for path in self.out.iterdir()],
            [table.CSV_NAME, table.JSON_NAME],
        )

    def test_times_are_medians(self):
        ticks = iter([0, 5, 10, 11, 20, 27, 30, 31, 40, 41, 50, 51])
        with mock.patch.object(sweep.time, "perf_counter", lambda: next(ticks)):
            job = sweep.Job(ToyCodec(), "", {})
            row, _ = sweep.measure(job, SMALL, "a", metrics=[], repeats=3)
        self.assertEqual((row.encode_s, row.decode_s), (5, 1))


class PlanTest(SemCompTestCase):
    def test_default_qualities_span_the_range(self):
        for codec in (base.get_codec("jpeg"), ToyCodec()):
            found = sweep.default_qualities(codec)
            self.assertLen(found, 5)
            self.assertEqual(list(found), sorted(found))
            for quality in found:
                codec.check_quality(quality)

    def test_qualities_by_codec(self):
        jobs = sweep.plan(["jpeg", ToyCodec()], {"jpeg": [7]})
        self.assertEqual(jobs[0].key, ("jpeg", "", "quality=7"))
        self.assertLen(jobs, 6)

    @parameterized.parameters(
        (["jpeg"], [101], "`quality` of jpeg"),
        (["nope"], None, "`codec` must be one of"),
        (["jpeg", "jpeg"], [50], "jpeg  quality=50 twice"),
    )
    def test_refuses_wrong_arguments(self, codecs, qualities, message):
        with self.assertRaisesRegex(ValueError, message):
            sweep.plan(codecs, qualities)

    def test_refuses_before_any_work(self):
        for options in ({"metrics": ["nope"]}, {"repeats": 0}, {"metrics": ["psnr_s"]}):
            with self.assertRaises(ValueError):
                sweep.run_sweep(["jpeg"], self.folder, self.folder / "out", **options)
        self.assertFalse((self.folder / "out").exists())


class NamesTest(SemCompTestCase):
    def test_same_names_get_their_folders(self):
        for name in ("a", "b"):
            (self.folder / name).mkdir()
            images.write(self.folder / name / "x.png", SMALL)
        found = sweep.name_pictures([self.folder / "a", self.folder / "b"])
        self.assertEqual(list(found), ["a/x.png", "b/x.png"])

    def test_a_file_named_twice_is_one_picture(self):
        images.write(self.folder / "x.png", SMALL)
        found = sweep.name_pictures([self.folder, self.folder / "x.png"])
        self.assertEqual(list(found), ["x.png"])

    def test_refuses_what_is_not_there(self):
        with self.assertRaisesRegex(SemCompError, "is not there"):
            sweep.name_pictures(self.folder / "nope")
        with self.assertRaisesRegex(SemCompError, "no pictures found"):
            sweep.name_pictures(self.folder)

    def test_hostile_names_stay_in_the_folder(self):
        row = table.Row("../../etc/x y|<b>.png", "jpeg", setting="a/../b")
        name = layout.compressed_file(row, ".jpg")
        self.assertEqual(name.count("/"), 2)
        self.assertEqual(
            layout.original(self.folder, row.image).parent.name, "pictures"
        )
