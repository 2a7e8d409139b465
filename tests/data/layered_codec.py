"""A codec of two layers for tests: its mean colour, and behind it the picture."""

import contextlib
from collections.abc import Iterator

import numpy as np

from tfsemcomp import bitstream
from tfsemcomp.codecs import base

FINGERPRINT = bytes.fromhex("0badcafe")


class TwoLayersCodec(base.Codec):
    """Layer 0 is the mean colour, layer 1 all pixels."""

    name = "two_layers"
    summary = "For tests."
    suffix = ".tfsc"
    quality_range = (1, 1)
    default_quality = 1

    def _encode(self, image, quality):
        height, width = image.shape[:2]
        mean = np.rint(image.mean((0, 1))).astype(np.uint8)
        header = bitstream.Header("layered", FINGERPRINT, width, height)
        chunks = [
            bitstream.Chunk("structure", mean.tobytes(), 0),
            bitstream.Chunk("signal", image.tobytes(), 1),
        ]
        return bitstream.write(header, chunks)

    def _decode(self, data, *, layers, limits):
        stream = bitstream.read(data, limits=limits)
        shape = (stream.header.height, stream.header.width, 3)
        last = stream.chunks[: layers or len(stream.chunks)][-1]
        pixels = np.frombuffer(last.payload, np.uint8).reshape(-1, 3)
        return np.resize(pixels, shape)


@contextlib.contextmanager
def known() -> Iterator[None]:
    """Makes the codec known by its name, for a while: other tests list all codecs."""
    base.register(TwoLayersCodec.name)(TwoLayersCodec)
    try:
        yield
    finally:
        del base._REGISTRY[TwoLayersCodec.name]
