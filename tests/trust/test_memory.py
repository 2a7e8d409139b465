"""Memory does not grow with the number of calls; `make soak` makes 2,000 of each."""

import ctypes
import gc
import os
import pathlib
import unittest

from absl.testing import parameterized

from tests.codecs.learned_codecs import LearnedCodecTestCase
from tests.fuzz import samples
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError

COUNT = int(os.environ.get("TFSEMCOMP_SOAK", "60"))
MOST_GROWTH = 2**24
_STATUS = pathlib.Path("/proc/self/statm")


def resident_bytes() -> int:
    """Memory of this process that is not swapped out, less what was freed."""
    gc.collect()
    # Else the C library keeps freed pages as it likes, some 40 MiB of them.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@unittest.skipUnless(_STATUS.exists(), "the system does not tell the memory")
class MemoryTest(LearnedCodecTestCase):
    def setUp(self):
        SemCompTestCase.setUp(self)

    @parameterized.parameters(*samples.SAMPLES)
    def test_calls_leave_nothing_behind(self, name):
        if base.codec_class(name).unavailable_reason() is not None:
            self.skipTest(f"{name} cannot run here")
        sample = samples.SAMPLES[name]
        if sample.models is not None:
            self.use_models(sample.models())
        codec, settings = base.get_codec(name), sample.settings[0]
        limits = bitstream.Limits(pixels=64)

        def call(number):
            # Of another size each time, as photos are, and a failure with each.
            image = smooth_image(96 + number % 5, 128, seed=number % 7)
            data = codec.compress(image, **settings)
            codec.decompress(data)
            with self.assertRaises(SemCompError):
                codec.decompress(data[:-1], limits=limits)

        # Until every size was seen, and caches are full.
        for number in range(35):
            call(number)
        before = resident_bytes()
        for number in range(COUNT):
            call(number)
        growth = resident_bytes() - before
        print(f"{name}: {growth / 2**20:.1f} MiB more after {COUNT} calls")
        self.assertLess(growth, MOST_GROWTH)
