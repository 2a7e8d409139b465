import io

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import pipeline, reading, records, stored_png
from tfsemcomp.errors import BitstreamError


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_photos(folder, count, label=0):
    stream = (
        records.Record(png(smooth_image(40, 50, seed)), f"{seed}.png", 40, 50, label)
        for seed in range(count)
    )
    records.write_shards(stream, str(folder), "train", 2, ["a", "b"])
    return str(folder), "train"


class PipelineTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = write_photos(self.folder / "a", 7)
        self.plan = pipeline.Augmentation(crop=24)

    def batches(self, count, seed=5, start_step=0, **kwargs):
        stream = pipeline.training_batches(
            [self.source], 3, self.plan, seed, start_step=start_step, **kwargs
        )
        return [batch["image"].numpy() for batch in stream.take(count)]

    def test_shape_and_dtype(self):
        (batch,) = self.batches(1)
        self.assertEqual(batch.shape, (3, 24, 24, 3))
        self.assertEqual(batch.dtype, np.uint8)

    def test_the_seed_fixes_everything(self):
        for one, two in zip(self.batches(5), self.batches(5), strict=True):
            np.testing.assert_array_equal(one, two)
        self.assertFalse(np.array_equal(self.batches(1)[0], self.batches(1, 6)[0]))

    def test_starting_later_continues_the_same_stream(self):
        unbroken = self.batches(8)
        resumed = self.batches(3, start_step=5)
        for one, two in zip(unbroken[5:], resumed, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_workers_see_together_what_one_would_see(self):
        for workers, replicas in ((2, 2), (2, 4), (3, 3)):
            batch_size = 12
            whole = pipeline.training_batches(
                [self.source], batch_size, self.plan, 5, start_step=1
            )
            shares = []
            for worker in range(workers):
                context = tf.distribute.InputContext(workers, worker, replicas)
                stream = pipeline.training_batches(
                    [self.source],
                    batch_size,
                    self.plan,
                    5,
                    start_step=1,
                    input_context=context,
                )
                # A worker takes a batch for each of its replicas.
                stream = stream.unbatch().batch(batch_size // workers)
                shares.append([batch["image"].numpy() for batch in stream.take(3)])
            for step, batch in enumerate(whole.take(3)):
                together = np.empty_like(batch["image"])
                for worker, share in enumerate(shares):
                    together[worker::workers] = share[step]
                np.testing.assert_array_equal(together, batch["image"])
        context = tf.distribute.InputContext(3, 0, 3)
        with self.assertRaisesRegex(ValueError, "multiple of the 3 replicas.*got 4"):
            pipeline.training_batches(
                [self.source], 4, self.plan, 1, input_context=context
            )

    def test_a_part_is_what_the_whole_would_give(self):
        image = smooth_image(70, 90)
        for encoded, tolerance in (
            (images.encode(image, "jpeg", quality=95), 0),
            (images.encode(image, "jpeg", quality=60), 2),
            (images.encode(image, "png"), 0),
            (stored_png.encode(image), 0),
        ):
            decoded = pipeline.decode(encoded)
            for plan in (
                self.plan,
                pipeline.Augmentation(24, colour=0.0),
                pipeline.Augmentation(24, resized=0.0, colour=0.0, flip=False),
            ):
                for number in range(8):
                    key = tf.constant([3, number], tf.int64)
                    part = pipeline._decode_augmented(tf.constant(encoded), plan, key)
                    whole = pipeline.augment(decoded, plan, key)
                    difference = np.abs(part.numpy().astype(int) - whole.numpy())
                    self.assertLessEqual(difference.mean(), tolerance)

    def test_parts_that_are_not_resized_keep_every_pixel(self):
        image = smooth_image(40, 50)
        plan = pipeline.Augmentation(24, resized=0.0, colour=0.0, flip=False)
        cuts = {
            image[top : top + 24, left : left + 24].tobytes()
            for top in range(17)
            for left in range(27)
        }
        for number in range(8):
            key = tf.constant([1, number], tf.int64)
            part = pipeline.augment(tf.constant(image), plan, key)
            self.assertIn(part.numpy().tobytes(), cuts)

    def test_damaged_records_are_left_out_when_asked(self):
        (shard, _) = sorted((self.folder / "a").glob("*.tfrecord"))
        data = bytearray(shard.read_bytes())
        data[50] ^= 1
        shard.write_bytes(data)
        with (
            self.assertRaisesRegex(BitstreamError, f"{shard.name}, offset 0"),
            reading.naming_damage([self.source]),
        ):
            self.batches(1)
        self.assertLen(self.batches(4, skip_corrupt=True), 4)
        batches = pipeline.evaluation_batches(self.source, 9, 24, skip_corrupt=True)
        (batch,) = batches
        self.assertEqual(batch["image"].shape[0], 6)

    def test_weights_set_the_share_of_each_source(self):
        other = write_photos(self.folder / "b", 4, label=1)
        stream = pipeline.training_batches(
            [self.source, other], 20, self.plan, 1, weights=[3, 1]
        )
        labels = np.concatenate([b["label"].numpy() for b in stream.take(20)])
        self.assertAlmostEqual(float(labels.mean()), 0.25, delta=0.08)

    def test_evaluation_keeps_order_and_the_centre(self):
        stream = pipeline.evaluation_batches(self.source, 4, 40)
        # Static sides: losses divide by them.
        self.assertEqual(stream.element_spec["image"].shape[1:], (40, 40, 3))
        squares = np.concatenate([b["image"].numpy() for b in stream])
        self.assertEqual(squares.shape, (7, 40, 40, 3))
        np.testing.assert_array_equal(squares[0], smooth_image(40, 50, 0)[:, 5:45])

    def test_crops_of_pictures_of_a_drawn_short_side(self):
        plan = pipeline.Augmentation(24, colour=0.0, flip=False, short_sides=(32, 48))
        # A ramp: neighbouring columns tell how far the picture was scaled.
        ramp = np.tile(np.arange(240, dtype=np.uint8)[:, None], (120, 1, 3))
        sides = []
        for number in range(40):
            key = tf.constant([1, number], tf.int64)
            found = pipeline.augment(tf.constant(ramp), plan, key).numpy()
            self.assertEqual(found.shape, (24, 24, 3))
            span = float(found[0, -1, 0]) - float(found[0, 0, 0])
            sides.append(120 * 23 / span)
        self.assertBetween(min(sides), 30, 36)
        self.assertBetween(max(sides), 44, 51)
        with self.assertRaisesRegex(ValueError, "`short_sides` must rise"):
            pipeline.Augmentation(24, short_sides=(20, 48))

    def test_brightness_and_saturation_alone(self):
        grey = tf.fill([30, 30, 3], tf.constant(100, tf.uint8))
        red = tf.constant(np.tile(np.uint8([160, 70, 70]), (30, 30, 1)))
        shifts, spreads = [], []
        for number in range(40):
            key = tf.constant([2, number], tf.int64)
            plan = pipeline.Augmentation(24, colour=0.0, brightness=0.1)
            found = pipeline.augment(grey, plan, key).numpy()
            self.assertEqual(found.min(), found.max())
            shifts.append(int(found[0, 0, 0]) - 100)
            plan = pipeline.Augmentation(24, colour=0.0, saturation=0.5)
            np.testing.assert_array_equal(pipeline.augment(grey, plan, key), 100)
            found = pipeline.augment(red, plan, key).numpy()[0, 0].astype(int)
            self.assertAlmostEqual(found.mean(), 100, delta=1)
            spreads.append((found[0] - found[1]) / 90)
        self.assertBetween(min(shifts), -26, -15)
        self.assertBetween(max(shifts), 15, 26)
        self.assertBetween(min(spreads), 0.48, 0.7)
        self.assertBetween(max(spreads), 1.3, 1.52)

    def test_augmentation_handles_extreme_shapes(self):
        for shape in ((1, 1), (1, 90), (200, 3)):
            image = tf.constant(smooth_image(*shape))
            out = pipeline.augment(image, self.plan, tf.constant([1, 2], tf.int64))
            self.assertEqual(tuple(out.shape), (24, 24, 3))

    def test_images_that_are_not_resized_keep_their_pixels(self):
        image = smooth_image(40, 50)
        windows = np.lib.stride_tricks.sliding_window_view(image, (24, 24), (0, 1))
        windows = np.moveaxis(windows, 2, -1)

        def is_a_piece(resized, number):
            plan = pipeline.Augmentation(
                crop=24, flip=False, colour=0.0, resized=resized
            )
            key = tf.constant([5, number], tf.int64)
            out = pipeline.augment(tf.constant(image), plan, key).numpy()
            return (windows == out).all(axis=(2, 3, 4)).any()

        for share, low, high in ((0.0, 20, 20), (0.5, 4, 16), (1.0, 0, 0)):
            kept = sum(is_a_piece(share, number) for number in range(20))
            self.assertBetween(kept, low, high, share)

    def test_images_below_the_crop_are_resized_whatever_is_asked(self):
        plan = pipeline.Augmentation(crop=24, resized=0.0)
        for shape in ((1, 1), (10, 90), (23, 24)):
            image = tf.constant(smooth_image(*shape))
            out = pipeline.augment(image, plan, tf.constant([1, 2], tf.int64))
            self.assertEqual(tuple(out.shape), (24, 24, 3))

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`sources`"):
            pipeline.training_batches([], 1, self.plan, 1)
        with self.assertRaisesRegex(ValueError, "`weights`"):
            pipeline.training_batches([self.source], 1, self.plan, 1, weights=[1, 2])


class PlanesTest(SemCompTestCase):
    """Maps are cut as their images are: here each is a channel of its image."""

    KEYS = ("edges/encoded", "roi/encoded")

    def setUp(self):
        super().setUp()
        pictures = [smooth_image(40, 50, seed) for seed in range(4)]
        stream = (
            records.Record(
                png(picture),
                f"{number}.png",
                40,
                50,
                edges=png(picture[..., 0]),
                roi=png(picture[..., 1]),
            )
            for number, picture in enumerate(pictures)
        )
        records.write_shards(stream, str(self.folder), "train", 1, [])
        self.source = (str(self.folder), "train")

    def batch(self, plan, keys=KEYS):
        stream = pipeline.training_batches([self.source], 8, plan, 3, planes=keys)
        return next(stream.as_numpy_iterator())

    def test_cut_and_flipped_as_the_image(self):
        plan = pipeline.Augmentation(24, colour=0.0, resized=0.0)
        found = self.batch(plan)
        self.assertEqual(found["planes"].shape, (8, 24, 24, 2))
        np.testing.assert_array_equal(found["planes"], found["image"][..., :2])
        (alone,) = np.split(self.batch(plan, self.KEYS[1:])["planes"], 1)
        np.testing.assert_array_equal(alone, found["planes"][..., 1:])

    def test_resized_as_the_image(self):
        found = self.batch(pipeline.Augmentation(24, colour=0.0))
        difference = found["planes"] - found["image"][..., :2].astype(float)
        self.assertLess(np.abs(difference).mean(), 4)

    def test_a_line_that_is_scaled_down_stays(self):
        lines = np.zeros([48, 48], np.uint8)
        lines[:, 10] = 255
        square = pipeline.centre_square(lines[..., None], 24, "area")
        np.testing.assert_array_equal(square[:, 5, 0], 128)

    def test_evaluation_gives_the_middle(self):
        stream = pipeline.evaluation_batches(self.source, 4, 40, planes=self.KEYS)
        found = next(stream.as_numpy_iterator())
        np.testing.assert_array_equal(found["planes"], found["image"][..., :2])

    def test_records_without_the_map_are_named(self):
        stream = pipeline.evaluation_batches(
            self.source, 4, 40, planes=["layer/fine/map"]
        )
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "layer/fine/map"):
            next(stream.as_numpy_iterator())
