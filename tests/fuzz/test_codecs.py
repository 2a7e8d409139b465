"""Every codec refuses damaged files in one way; `make fuzz` tries ten times as many."""

import base64
import functools
import os
import pathlib
import warnings

import numpy as np
from absl.testing import parameterized

from tests.codecs.learned_codecs import LearnedCodecTestCase
from tests.fuzz import mutations, samples, watching
from tests.fuzz.mutations import Mutant
from tests.harness import SemCompTestCase
from tfsemcomp import bitstream
from tfsemcomp.codecs import base
from tfsemcomp.errors import (
    BitstreamError,
    LimitError,
    ModelMismatchError,
    SemCompError,
)

COUNT = int(os.environ.get("TFSEMCOMP_FUZZ", "200"))
SEED = int(os.environ.get("TFSEMCOMP_FUZZ_SEED", "0"))
# What a server that takes files from strangers would allow.
LIMITS = bitstream.Limits(pixels=2**16, side=1024)
MOST_SECONDS = 2.0
MOST_BYTES = 2**30
# The classes that a caller knows.
_TYPES = (BitstreamError, ModelMismatchError, LimitError, SemCompError)
STORED = pathlib.Path(__file__).parent / "samples"


class FuzzTestCase(LearnedCodecTestCase):
    """Has the models of a codec, its files and what they and their prefixes show."""

    def setUp(self) -> None:
        SemCompTestCase.setUp(self)
        self.enter_context(warnings.catch_warnings())
        # Pillow warns of some damage and goes on.
        warnings.simplefilter("ignore")

    def begin(self, name: str) -> None:
        """Chooses the codec."""
        if base.codec_class(name).unavailable_reason() is not None:
            self.skipTest(f"{name} cannot run here")
        if samples.SAMPLES[name].models is not None:
            self.use_models(samples.SAMPLES[name].models())
        self.codec = base.get_codec(name)
        self.files = _files(name)
        self.shown = {data: self.codec.decompress(data) for data in self.files}
        for data in self.files:
            if bitstream.is_container(data):
                self.shown |= self._prefixes(data)
        # The second time everything is loaded.
        self.clean = max(
            watching.watch(lambda d=data: self.codec.decompress(d))[2].peak_bytes
            for data in self.files
        )

    def _prefixes(self, data: bytes) -> dict[bytes, np.ndarray]:
        """A stream may end after any whole chunk."""
        stream = bitstream.read(data)
        starts = [
            bitstream.write(stream.header, stream.chunks[: count + 1])
            for count in range(len(stream.chunks))
        ]
        return {start: self.codec.decompress(start) for start in starts}

    def judge(self, mutant: Mutant, **settings) -> str:
        """Decodes a mutant; fails unless that ends as promised.

        Returns: what came of it: the error's name, or "picture".
        """
        picture, error, cost = watching.watch(
            lambda: self.codec.decompress(mutant.data, limits=LIMITS, **settings)
        )
        told = f"{mutant.kind}, {base64.b64encode(mutant.data[:3000]).decode()}"
        self.assertLess(cost.seconds, MOST_SECONDS, told)
        self.assertLess(cost.peak_bytes, self.clean + MOST_BYTES, told)
        if error is not None:
            if not isinstance(error, SemCompError):
                raise AssertionError(f"untyped error: {told}") from error
            self.assertNotIn("\n", str(error), told)
            self.assertGreater(len(str(error)), 10, told)
            return next(t.__name__ for t in _TYPES if isinstance(error, t))
        self.assertEqual(picture.dtype, np.uint8, told)
        self.check_picture(mutant, picture, told, **settings)
        return "picture"

    def check_picture(self, mutant, picture, told, allow_torn=False) -> None:
        """A mutant that decodes is sound, or somebody mended its checks."""
        if not bitstream.is_container(mutant.data):
            # Standard files have no checks of their own: a picture within limits.
            self.assertEqual(picture.shape[2:], (3,), told)
            LIMITS.check_size(*picture.shape[1::-1])
            return
        stream = bitstream.read(mutant.data, allow_torn=allow_torn)
        header = stream.header
        self.assertEqual(picture.shape, (header.height, header.width, 3), told)
        if not mutant.sealed:
            sound = bitstream.truncate(mutant.data, allow_torn=allow_torn)
            same = [
                np.array_equal(picture, shown)
                for data, shown in self.shown.items()
                if sound.startswith(data)
            ]
            self.assertTrue(any(same), f"a wrong picture: {told}")


@functools.cache
def _files(name: str) -> list[bytes]:
    return samples.files(name)


class CodecsTest(FuzzTestCase):
    @parameterized.parameters(*samples.SAMPLES)
    def test_mutants_are_refused_or_sound(self, name):
        self.begin(name)
        seen = [
            self.judge(mutant)
            for mutant in mutations.mutants(_files(name), COUNT, SEED)
        ]
        # Most damage must be found, or the mutants don't reach what they should.
        self.assertGreater(seen.count("BitstreamError"), COUNT // 4)

    @parameterized.parameters(*samples.SAMPLES)
    def test_a_file_cut_at_any_byte_is_refused(self, name):
        self.begin(name)
        for data in self.files[:1]:
            for mutant in mutations.cuts(data):
                came = self.judge(mutant)
                if mutant.data not in self.shown:
                    self.assertEqual(came, BitstreamError.__name__, mutant.kind)

    @parameterized.parameters("hyperprior", "rnn", "conceptual", "layered")
    def test_each_flipped_bit_is_found(self, name):
        self.begin(name)
        data = self.files[0]
        step = max(1, 8 * len(data) // COUNT)
        for bit in range(0, 8 * len(data), step):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            came = self.judge(Mutant(f"bit {bit}", bytes(damaged)))
            self.assertNotEqual(came, "picture", bit)

    @parameterized.parameters(
        "hyperprior", "rnn", "conceptual", "layered", "semantic_enhanced"
    )
    def test_whole_layers_survive_on_request(self, name):
        self.begin(name)
        for mutant in mutations.mutants(_files(name), COUNT, SEED + 1):
            if not mutant.sealed:
                self.judge(mutant, allow_torn=True)

    @parameterized.parameters(
        "hyperprior", "rnn", "conceptual", "layered", "semantic_enhanced"
    )
    def test_another_models_stream_is_refused(self, name):
        self.begin(name)
        stream = bitstream.read(self.files[0])
        for last in range(4):
            print_ = bytearray(stream.header.fingerprint)
            print_[last] ^= 1
            header = bitstream.Header(
                name, bytes(print_), stream.header.width, stream.header.height
            )
            with self.assertRaises(ModelMismatchError):
                self.codec.decompress(bitstream.write(header, stream.chunks))


class StoredTest(FuzzTestCase):
    """Every finding is kept as samples/CODEC.NAME.bin and tried for ever."""

    def test_findings_stay_mended(self):
        for path in sorted(STORED.glob("*.bin")):
            with self.subTest(path.name):
                self.begin(path.name.partition(".")[0])
                self.judge(Mutant(path.name, path.read_bytes(), True))
