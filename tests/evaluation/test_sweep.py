"""Sweeps: honest rows, failures as rows, files kept, resumed where stopped."""

import dataclasses
import hashlib
import math
import multiprocessing
import os
import random
import signal
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream, images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, observers, provenance, sweep, table
from tfsemcomp.evaluation.observer_base import Observer

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

    @parameterized.parameters(1, 2)
    def test_an_interrupt_stops_at_once_and_keeps_what_is_done(self, workers):
        seen = []

        def stop(row, done, total):
            seen.append(row)
            if done == 3:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            sweep.run_sweep(
                *(["jpeg"], self.photos, self.out, [20, 50, 90], ["psnr"]),
                workers=workers,
                on_row=stop,
            )
        self.assertLen(seen, 3)
        self.assertCountEqual(table.read(self.out).rows, seen)
        self.assertEqual(multiprocessing.active_children(), [])

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

    def test_resuming_repeats_what_is_not_the_same_any_more(self):
        arguments = (["jpeg"], self.photos, self.out, [50], ["psnr"])
        again = []
        options = {"resume": True, "on_row": lambda row, *_: again.append(row.image)}
        first = sweep.run_sweep(*arguments)
        images.write(self.photos / "1.png", smooth_image(40, 48, 7))
        done = sweep.run_sweep(*arguments, **options)
        self.assertEqual(again, ["1.png"])
        self.assertEqual(done.rows[0], first.rows[0])
        self.assertNotEqual(done.rows[1].metrics, first.rows[1].metrics)
        (self.out / done.rows[0].file).unlink()
        sweep.run_sweep(*arguments, **options)
        self.assertEqual(again, ["1.png", "0.png"])
        again.clear()
        self.assertEqual(sweep.run_sweep(*arguments, **options).rows[1], done.rows[1])
        self.assertEqual(again, [])

    @parameterized.parameters(
        ({"seed": 4}, "`seed` was 0 and is 4"),
        ({"repeats": 2}, "`repeats` was 1 and is 2"),
        ({"roi_map": "centre"}, "`roi_map` was False and is centre"),
    )
    def test_resuming_repeats_all_under_other_options(self, changed, message):
        arguments = (["jpeg"], self.photos / "0.png", self.out, [50], ["psnr"])
        sweep.run_sweep(*arguments)
        again = []
        with self.assertLogs(level="WARNING") as logged:
            sweep.run_sweep(
                *arguments,
                resume=True,
                on_row=lambda row, *_: again.append(row.image),
                **changed,
            )
        self.assertEqual(again, ["0.png"])
        self.assertIn(message, logged.output[0])

    def test_resuming_repeats_all_under_other_versions(self):
        arguments = (["jpeg"], self.photos / "0.png", self.out, [50], ["psnr"])
        sweep.run_sweep(*arguments)
        now = provenance.versions()
        changed = mock.patch.object(
            provenance, "versions", lambda: {**now, "pillow": "99", "new": "1"}
        )
        with changed, self.assertLogs(level="WARNING") as logged:
            done = sweep.run_sweep(*arguments, resume=True)
        self.assertRegex(logged.output[0], "again: pillow was [0-9.]+ and is 99$")
        self.assertEqual(done.meta["versions"]["new"], "1")

    def test_resuming_keeps_rows_beyond_the_plan(self):
        first = sweep.run_sweep(["jpeg"], self.photos / "0.png", self.out, [50])
        done = sweep.run_sweep(
            ["webp"], self.photos / "1.png", self.out, [50], resume=True
        )
        self.assertEqual([row.codec for row in done.rows], ["webp", "jpeg"])
        self.assertEqual(done.rows[1], first.rows[0])
        self.assertCountEqual(done.meta["images"], ["0.png", "1.png"])
        again = sweep.run_sweep(
            ["jpeg"], self.photos / "0.png", self.out, [50], resume=True
        )
        self.assertEqual(again.rows, done.rows[::-1])

    def test_the_description_tells_what_made_the_rows(self):
        done = sweep.run_sweep(
            ["jpeg"], self.photos, self.out, [50], ["psnr"], seed=5, repeats=2
        )
        meta = table.read(self.out).meta
        self.assertEqual(meta, done.meta)
        self.assertEqual((meta["seed"], meta["repeats"]), (5, 2))
        self.assertEqual(meta["versions"], provenance.versions())
        self.assertEqual(meta["commit"], provenance.commit())
        digest = hashlib.sha256((self.photos / "0.png").read_bytes()).hexdigest()
        self.assertEqual(meta["images"]["0.png"], digest)

    def test_the_first_run_of_a_codec_and_size_does_not_count(self):
        images.write(self.photos / "2.png", smooth_image(16, 24))
        calls = []

        class CountingCodec(ToyCodec):
            def _encode(self, image, quality, **settings):
                calls.append((image.shape, quality))
                return super()._encode(image, quality, **settings)

        sweep.run_sweep([CountingCodec()], self.photos, self.out, [3, 4], ["psnr"])
        large, small = (40, 48, 3), (16, 24, 3)
        self.assertEqual(
            calls,
            [(large, 3), (large, 3), (large, 4), (large, 3), (large, 4)]
            + [(small, 3), (small, 3), (small, 4)],
        )

    def test_random_numbers_depend_on_the_seed_alone(self):
        class RandomCodec(ToyCodec):
            def _encode(self, image, quality, **settings):
                noise = np.random.randint(0, 30, image.shape, np.uint8)
                noise += np.uint8(random.randint(0, 9))
                return super()._encode(image // 2 + noise, quality, **settings)

        def values(qualities, seed):
            done = sweep.run_sweep(
                *([RandomCodec()], self.photos, self.out, qualities, ["psnr"]),
                seed=seed,
            )
            return {row.key: row.metrics["psnr"] for row in done.rows}

        both = values([3, 4], 0)
        self.assertEqual(both | values([4], 0), both)
        self.assertNotEqual(values([3, 4], 1), both)

    def test_networks_are_not_compiled_anew_for_each_row(self):
        # Which is what setting TensorFlow's seed makes the next call do.
        with mock.patch.object(tf.random, "set_seed") as reset:
            sweep.run_sweep([ToyCodec()], self.photos, self.out, [3, 4], ["psnr"])
        reset.assert_not_called()

    def test_observers_add_their_columns(self):
        loaded = []

        class First(Observer):
            def _values(self, image, before, after):
                return {"top1@eye": float(image == "0.png")}

        def load(spec, labels=None, label_maps=None):
            loaded.append((spec, labels))
            return First("eye", ("top1", "preserved"), lambda pictures: pictures)

        with mock.patch.object(observers, "load", load):
            done = sweep.run_sweep(
                *(["jpeg"], self.photos, self.out, [50], ["psnr"]),
                observers=["eye"],
                labels={"0.png": 1},
            )
            again = sweep.run_sweep(
                *(["jpeg"], self.photos, self.out, [50], ["psnr"]),
                observers=["eye"],
                labels={"0.png": 1},
                resume=True,
            )
        self.assertEqual(loaded, [("eye", {"0.png": 1})])
        self.assertEqual(done.metric_names(), ("psnr", "top1@eye"))
        self.assertEqual([row.metrics["top1@eye"] for row in done.rows], [1.0, 0.0])
        self.assertEqual(again, done)

    def test_observers_see_all_settings_of_a_picture_at_once(self):
        seen = []

        class Difference(Observer):
            def _values(self, image, before, after):
                if image == "1.png":
                    raise SemCompError("blind")
                return {"sum@eye": float(after.sum())}

        def look(pictures):
            seen.append(len(pictures))
            return pictures

        eye = Difference("eye", ("sum",), look)
        with mock.patch.object(observers, "load", return_value=eye):
            done = sweep.run_sweep(
                ["jpeg", ShrinkingCodec(), ToyCodec()],
                *(self.photos, self.out, {"jpeg": [5, 90], "shrinking": [3]}, ["psnr"]),
                observers=["eye"],
            )
        # The original, two of jpeg and five of toy, of which the best is the original.
        self.assertEqual(seen, [8, 8])
        first, second = done.rows[:8], done.rows[8:]
        self.assertEqual(
            [bool(row.error) for row in first], [False] * 2 + [True] + [False] * 5
        )
        self.assertRegex(first[2].error, "48x39")
        self.assertEqual({row.image for row in second}, {"1.png"})
        errors = {row.error for row in second if row.codec != "shrinking"}
        self.assertEqual(errors, {"SemCompError: blind"})
        for row in first[:2]:
            data = (self.out / row.file).read_bytes()
            expected = images.load_bytes(data).pixels.sum()
            self.assertEqual(row.metrics["sum@eye"], expected)
            self.assertGreater(row.metrics["psnr"], 15)

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


def build_mortal(*arguments):
    """A handler whose process dies once it has measured quality 60 of "1.png"."""
    handler = _BUILD(*arguments)

    def rows(task):
        for row in handler(task):
            if (row.image, row.quality) == ("1.png", 60):
                os.kill(os.getpid(), signal.SIGKILL)
            yield row

    return rows


_BUILD = sweep._build


class WorkersTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"
        self.photos.mkdir()
        for index in range(3):
            images.write(self.photos / f"{index}.png", smooth_image(40, 48, index))

    def run_sweep(self, name, workers, **options):
        codecs = [base.get_codec("jpeg"), "webp"]
        arguments = (codecs, self.photos, self.folder / name, [20, 60], ["psnr"])
        return sweep.run_sweep(*arguments, workers=workers, **options)

    def test_rows_are_those_of_one_process(self):
        seen = []
        many = self.run_sweep(
            "many", 3, on_row=lambda row, *counts: seen.append((row, *counts))
        )
        one = self.run_sweep("one", 1)
        times = {"encode_s": 0, "decode_s": 0}
        self.assertEqual(
            [dataclasses.replace(row, **times) for row in many.rows],
            [dataclasses.replace(row, **times) for row in one.rows],
        )
        self.assertEqual(table.read(self.folder / "many"), many)
        self.assertEqual([done for _, done, _ in seen], list(range(1, 13)))
        self.assertCountEqual([row for row, _, _ in seen], many.rows)
        for row in many.rows:
            self.assertTrue((self.folder / "many" / row.file).is_file())

    def test_what_a_process_dies_of_is_a_row(self):
        with mock.patch.object(sweep, "_build", build_mortal):
            done = self.run_sweep("out", 2, keep_files=False)
        self.assertLen(done.rows, 12)
        failed = [row for row in done.rows if row.error]
        self.assertEqual(
            [(row.image, row.codec, row.setting) for row in failed],
            [("1.png", codec, "quality=60") for codec in ("jpeg", "webp")],
        )
        for row in failed:
            self.assertRegex(row.error, "its process was killed by SIGKILL")
        again = []
        self.run_sweep(
            *("out", 2),
            resume=True,
            keep_files=False,
            on_row=lambda row, *_: again.append(row.key),
        )
        self.assertCountEqual(again, [row.key for row in failed])

    def test_refuses_what_other_processes_cannot_make(self):
        with self.assertRaisesRegex(ValueError, "`workers` must be 1 for toy"):
            sweep.run_sweep([ToyCodec()], self.photos, self.folder / "out", workers=2)
        with self.assertRaisesRegex(ValueError, "`roi_map` must be a name"):
            self.run_sweep("out", 2, roi_map=slope)
        with self.assertRaisesRegex(ValueError, "`observers` names 'nobody'"):
            self.run_sweep("out", 2, observers=["nobody"])
        self.assertFalse((self.folder / "out").exists())


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

    def test_jobs_stay_as_they_are(self):
        jobs = sweep.plan(["jpeg"], [7], {"jpeg": {"subsampling": "4:4:4"}})
        self.assertEqual(sweep.plan([*jobs, "webp"], [8])[0], jobs[0])
        with self.assertRaisesRegex(ValueError, "twice"):
            sweep.plan([*jobs, *jobs])

    def test_settings_that_are_no_defaults_name_the_curve(self):
        settings = {
            "jpeg": {"subsampling": "4:4:4", "progressive": True, "exif": b"Exif"},
            "webp": {"effort": 4},
            "msroi_jpeg": {"map": np.zeros((2, 2), np.float32), "strength": 2},
        }
        digests = [
            hashlib.sha256(data).hexdigest()[:8]
            for data in (b"Exif", b"float32(2, 2)" + bytes(16))
        ]
        jobs = sweep.plan(["jpeg", "webp", "msroi_jpeg"], [30], settings)
        self.assertEqual(
            [job.setting for job in jobs],
            [
                "quality=30, subsampling=4:4:4, progressive=True, "
                f"exif=sha256:{digests[0]}",
                # The default, said or not, is one curve.
                "quality=30",
                f"quality=30, map=sha256:{digests[1]}, strength=2",
            ],
        )
        self.assertEqual(jobs[0].arguments["subsampling"], "4:4:4")

    @parameterized.parameters(
        (["jpeg"], [101], "`quality` of jpeg"),
        (["nope"], None, "`codec` must be one of"),
        (["jpeg", "jpeg"], [50], "jpeg  quality=50 twice"),
    )
    def test_refuses_wrong_arguments(self, codecs, qualities, message):
        with self.assertRaisesRegex(ValueError, message):
            sweep.plan(codecs, qualities)

    def test_refuses_before_any_work(self):
        for options in (
            {"metrics": ["nope"]},
            {"metrics": ["psnr_s"]},
            {"repeats": 0},
            {"workers": 0},
            {"seed": -1},
            {"labels": {"a": 1}},
        ):
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

    def test_long_names_stay_short_and_apart(self):
        rows = [
            table.Row(300 * "ä" + end, "jpeg", setting="quality=5, map=" + 300 * "x")
            for end in ("1.png", "2.png")
        ]
        names = [layout.compressed_file(row, ".jpg") for row in rows]
        self.assertLen(set(names), 2)
        for name in names:
            self.assertLess(len(name.rpartition("/")[2].encode()), 255)
