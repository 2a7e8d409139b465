"""Whole sets before observers: honest rows, means over the same pictures, intervals."""

import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.data import compressed, label_maps, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import observer_runs, sweep, table
from tfsemcomp.evaluation.observer_classifiers import Classifier
from tfsemcomp.evaluation.observer_labels import Labels
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.evaluation.table import Row, Table


def red_or_green(pictures):
    """Two classes, by which colour is stronger."""
    means = pictures[..., :2].mean(axis=(1, 2)) / 255
    return (means / means.sum(axis=1, keepdims=True)).astype(np.float32)


def observer(labels=None):
    known = None if labels is None else Labels(labels)
    return Classifier(Network("colour", 16, 2, red_or_green), known)


def photo(number):
    """Red for even numbers, green for odd ones."""
    pixels = smooth_image(24, 36, seed=number) // 3
    pixels[..., number % 2] += 120
    return pixels


def some_records(count):
    for number in range(count):
        yield records.Record(
            image=images.encode(photo(number), "png"),
            name=f"{('red', 'green')[number % 2]}/{number}.png",
            height=24,
            width=36,
            label=number % 2,
            class_text=("red", "green")[number % 2],
            label_map=label_maps.encode(np.full((24, 36), number, np.uint8)),
        )


class RecordsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.place = str(self.folder / "records")
        compressed.write_originals(some_records(5), self.place, 2, ["red", "green"])
        codec = base.get_codec("jpeg")
        for quality in (5, 90):
            compressed.write_split(
                self.place, codec, f"quality={quality}", {"quality": quality}
            )
        self.splits = compressed.splits(self.place)

    def test_rows_tell_the_truth(self):
        found = observer_runs.observe_records(
            self.place, [observer({"0.png": 0, "1.png": 0})], self.splits, ["psnr"]
        )
        self.assertLen(found.rows, 10)
        rows = {row.key: row for row in found.rows}
        self.assertLen(rows, 10)
        for split in self.splits:
            for original, record in compressed.pairs(self.place, split):
                row = rows[(record.name, "jpeg", "", record.setting)]
                self.assertEqual(row.size_bytes, len(record.data))
                self.assertEqual((row.width, row.height), (36, 24))
                before = images.load_bytes(original.image).pixels
                after = base.get_codec("jpeg").decompress(record.data)
                self.assertEqual(row.metrics["psnr"], metrics.psnr(before, after))
                expected = observer().observe("", before, after)
                for column, value in expected.items():
                    self.assertAlmostEqual(row.metrics[column], value, places=6)
        row = rows[("red/0.png", "jpeg", "", "quality=90")]
        self.assertEqual(row.metrics["top1@colour"], 1)
        row = rows[("green/1.png", "jpeg", "", "quality=90")]
        self.assertEqual(row.metrics["top1@colour"], 0)
        row = rows[("red/2.png", "jpeg", "", "quality=90")]
        self.assertNotIn("top1@colour", row.metrics)

    def test_tables_round_trip(self):
        found = observer_runs.observe_records(self.place, [observer()], self.splits)
        table.write(self.folder / "out", found)
        self.assertEqual(table.read(self.folder / "out"), found)

    def test_labels_and_maps_are_those_of_the_records(self):
        labels = observer_runs.labels_of(self.place)
        self.assertEqual(labels, {r.name: r.class_text for r in some_records(5)})
        maps = observer_runs.label_maps_of(self.place)
        self.assertLen(maps, 5)
        np.testing.assert_array_equal(maps["green/3.png"], np.full((24, 36), 3))

    def test_originals_are_the_reference(self):
        labels = {record.name: record.label for record in some_records(5)}
        judge = observer({**labels, "red/0.png": 1})
        originals = observer_runs.observe_originals(self.place, [judge])
        self.assertEqual(originals["red/0.png"]["top1@colour"], 0)
        found = observer_runs.observe_records(self.place, [judge], self.splits)
        points, count = observer_runs.summarise(found, judge.columns, originals)
        self.assertEqual(count, 5)
        self.assertEqual([p.codec for p in points], ["original", "jpeg", "jpeg"])
        self.assertIsNone(points[0].bpp)
        self.assertAlmostEqual(points[0].means["top1@colour"], 0.8)
        self.assertEqual(points[0].means["preserved@colour"], 1)
        self.assertAlmostEqual(points[2].means["top1@colour"], 0.8)
        self.assertAlmostEqual(points[2].relative["top1@colour"], 1)


class ResultsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        for number in range(2):
            images.write(self.folder / f"{number}.png", photo(number))
        (self.folder / "broken.png").write_bytes(b"no picture")

    def test_adds_columns_to_what_a_sweep_kept(self):
        before = sweep.run_sweep(["jpeg"], self.folder, self.out, [5, 90], ["psnr"])
        judge = observer({"0.png": 0, "1.png": 1})
        after = observer_runs.observe_results(self.out, [judge])
        self.assertEqual([r.key for r in after.rows], [r.key for r in before.rows])
        for row, old in zip(after.rows, before.rows, strict=True):
            if old.error:
                self.assertEqual(row, old)
                continue
            self.assertEqual(row.metrics["psnr"], old.metrics["psnr"])
            data = (self.out / row.file).read_bytes()
            expected = judge.observe(
                row.image,
                images.read(self.folder / row.image),
                images.load_bytes(data).pixels,
            )
            for column, value in expected.items():
                self.assertAlmostEqual(row.metrics[column], value, places=6)
        points, count = observer_runs.summarise(after, judge.columns)
        self.assertEqual(count, 2)
        self.assertLen(points, 2)

    def test_files_must_have_been_kept(self):
        sweep.run_sweep(
            ["jpeg"], self.folder / "0.png", self.out, [5], ["psnr"], keep_files=False
        )
        with self.assertRaisesRegex(SemCompError, "was not kept"):
            observer_runs.observe_results(self.out, [observer()])


def row(image, setting, hit, size=30, error=""):
    if error:
        return Row(image, "jpeg", setting=setting, error=error)
    return Row(
        image,
        "jpeg",
        setting=setting,
        width=10,
        height=10,
        size_bytes=size,
        metrics={"top1@x": hit, "confidence@x": -0.25, "psnr": 30.0},
    )


class SummaryTest(SemCompTestCase):
    def test_means_are_over_pictures_that_all_have(self):
        rows = [
            row("a", "q=1", 1.0, 10),
            row("b", "q=1", 0.0, 30),
            row("c", "q=1", 0.0, 1000),
            row("a", "q=2", 1.0, 20),
            row("b", "q=2", 1.0, 40),
            row("c", "q=2", 1.0, error="no luck"),
        ]
        points, count = observer_runs.summarise(
            Table(tuple(rows)), ["top1@x", "confidence@x"]
        )
        self.assertEqual(count, 2)
        self.assertAlmostEqual(points[0].bpp, 8 * 20 / 100)
        self.assertEqual(points[0].means, {"top1@x": 0.5, "confidence@x": -0.25})
        self.assertEqual(points[1].means["top1@x"], 1)
        self.assertEqual(list(points[0].intervals), ["top1@x"])

    def test_no_common_picture_is_an_error(self):
        for rows in ((), (row("a", "q=1", 1.0), row("b", "q=2", 1.0))):
            with self.assertRaisesRegex(SemCompError, "no picture went through all"):
                observer_runs.summarise(Table(rows), ["top1@x"])

    def test_as_markdown(self):
        rows = tuple(row(f"{n}", "quality=5", float(n < 3), 25) for n in range(4))
        points, _ = observer_runs.summarise(Table(rows), ["top1@x", "confidence@x"])
        self.assertEqual(
            observer_runs.to_markdown(points).splitlines(),
            [
                "| codec | setting | bpp | top1@x | confidence@x |",
                "| --- | --- | ---: | ---: | ---: |",
                "| jpeg | quality=5 | 2.000 | 75.0 (30.1..95.4) | −25.0 |",
            ],
        )
