import concurrent.futures
import time
from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import learned_codecs
from tests.fuzz import samples
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream, deadline, image_pixels, images
from tfsemcomp.codecs import base
from tfsemcomp.errors import LimitError
from tfsemcomp.serving import runner


class DeadlineTest(SemCompTestCase):
    def test_nothing_ends_without_one(self):
        with deadline.within(None):
            deadline.check()
        self.assertIsNone(deadline.left())

    def test_what_takes_longer_is_told_so_and_the_next_begins_anew(self):
        refused = self.assertRaisesRegex(LimitError, "limit of 0.01 s")
        with refused, deadline.within(0.01):
            deadline.check()
            time.sleep(0.02)
            deadline.check()
        deadline.check()
        with self.assertRaises(LimitError), deadline.within(0.01):
            time.sleep(0.02)
        with deadline.within(10.0):
            deadline.check()
            self.assertBetween(deadline.left(), 9, 10)

    def test_the_earlier_end_counts(self):
        with deadline.within(5.0), deadline.within(100.0):
            self.assertLess(deadline.left(), 5.0)
            with deadline.within(1.0):
                self.assertLess(deadline.left(), 1.0)
            self.assertGreater(deadline.left(), 1.0)

    def test_threads_have_their_own(self):
        with deadline.within(5.0), concurrent.futures.ThreadPoolExecutor(1) as pool:
            self.assertIsNone(pool.submit(deadline.left).result())

    def test_a_clock_that_is_set_back_changes_nothing(self):
        back = mock.patch.object(time, "time", return_value=0.0)
        with back, self.assertRaises(LimitError), deadline.within(0.01):
            time.sleep(0.02)


class EntryPointsTest(learned_codecs.LearnedCodecTestCase):
    def setUp(self):
        SemCompTestCase.setUp(self)

    @parameterized.parameters(
        "hyperprior", "rnn", "conceptual", "layered", "semantic_enhanced"
    )
    def test_networks_are_not_called_when_time_is_over(self, name):
        self.use_models(samples.SAMPLES[name].models())
        codec, data = base.get_codec(name), samples.files(name)[0]
        expected = codec.decompress(data, limits=bitstream.Limits(seconds=600))
        call, calls = runner.LocalRunner.call, []

        def slow(self, signature, **inputs):
            result = call(self, signature, **inputs)
            calls.append(signature)
            time.sleep(0.02)
            return result

        refused = self.assertRaisesRegex(LimitError, "limit of 0.01 s")
        with mock.patch.object(runner.LocalRunner, "call", slow), refused:
            codec.decompress(data, limits=bitstream.Limits(seconds=0.01))
        self.assertLessEqual(len(calls), 1)
        np.testing.assert_array_equal(codec.decompress(data), expected)

    def test_standard_files(self):
        data = tfsemcomp.compress(smooth_image(16, 16), codec="jpeg")
        decode = image_pixels.decode

        def slow(*args):
            time.sleep(0.02)
            return decode(*args)

        limits = bitstream.Limits(seconds=0.01)
        with mock.patch.object(image_pixels, "decode", slow):
            for read in (tfsemcomp.decompress, images.load_bytes):
                with self.assertRaisesRegex(LimitError, "limit of 0.01 s"):
                    read(data, limits=limits)
        tfsemcomp.decompress(data, limits=bitstream.Limits(seconds=600))
