from unittest import mock

import numpy as np
from absl.testing import parameterized

import tfsemcomp
from tests.codecs import conceptual_models, layered_models
from tests.codecs.learned_codecs import LearnedCodecTestCase
from tests.harness import smooth_image
from tfsemcomp import bitstream
from tfsemcomp.codecs import base
from tfsemcomp.errors import (
    BitstreamError,
    LimitError,
    ModelMismatchError,
    UnavailableError,
)

IMAGE = smooth_image(40, 50)


class LayeredStreamDecoderTest(LearnedCodecTestCase):
    models = layered_models.folder

    def setUp(self):
        super().setUp()
        codec = tfsemcomp.load("layered")
        self.data = codec.compress(IMAGE, caption="A white dog.", colour=True)
        self.ends = [len(bitstream.truncate(self.data, k)) for k in (1, 2, 3)]
        self.pictures = [codec.decompress(self.data, layers=k) for k in (1, 2, 3)]

    @parameterized.parameters(1, 30, 10**6)
    def test_a_picture_as_each_layer_completes(self, size):
        decoder, found = tfsemcomp.StreamDecoder(), []
        for start in range(0, len(self.data), size):
            found += decoder.feed(self.data[start : start + size])
            arrived = start + size
            self.assertLen(found, sum(end <= arrived for end in self.ends))
        decoder.finish()
        for picture, expected in zip(found, self.pictures, strict=True):
            np.testing.assert_array_equal(picture, expected)

    def test_streams_that_end_early_or_are_damaged(self):
        decoder = tfsemcomp.StreamDecoder()
        self.assertLen(decoder.feed(self.data[: self.ends[0] + 9]), 1)
        with self.assertRaisesRegex(BitstreamError, "ends within"):
            decoder.finish()
        damaged = bytearray(self.data)
        damaged[self.ends[0] + 8] ^= 1
        decoder = tfsemcomp.StreamDecoder()
        self.assertLen(decoder.feed(bytes(damaged[: self.ends[0]])), 1)
        with self.assertRaises(BitstreamError):
            decoder.feed(bytes(damaged[self.ends[0] :]))
        decoder = tfsemcomp.StreamDecoder()
        self.assertLen(decoder.feed(bytes(damaged)), 1)
        with self.assertRaises(BitstreamError):
            decoder.finish()
        with self.assertRaises(BitstreamError):
            tfsemcomp.StreamDecoder().feed(b"\xff\xd8\xff\xe0")
        with self.assertRaisesRegex(ValueError, "`data`"):
            tfsemcomp.StreamDecoder().feed("text")

    def test_models_and_limits(self):
        decoder = tfsemcomp.StreamDecoder(model="plain")
        with self.assertRaises(ModelMismatchError):
            decoder.feed(self.data)
        decoder = tfsemcomp.StreamDecoder(limits=bitstream.Limits(side=49))
        with self.assertRaises(LimitError):
            decoder.feed(self.data[:14])
        header = bitstream.Header("semantic_enhanced", bytes(4), 8, 8)
        data = bitstream.write(header, [bitstream.Chunk("labels", b"")])
        with (
            mock.patch.object(base, "codec_names", return_value=["jpeg"]),
            self.assertRaisesRegex(UnavailableError, "semantic_enhanced"),
        ):
            tfsemcomp.StreamDecoder().feed(data)


class OtherStreamDecoderTest(LearnedCodecTestCase):
    models = conceptual_models.folder

    def test_other_codecs_have_a_picture_a_chunk(self):
        codec = tfsemcomp.load("conceptual")
        data = codec.compress(IMAGE, residual="jpeg")
        found = tfsemcomp.StreamDecoder().feed(data)
        for layers, picture in enumerate(found, 1):
            expected = codec.decompress(data, layers=layers)
            np.testing.assert_array_equal(picture, expected)
        self.assertLen(found, 3)
