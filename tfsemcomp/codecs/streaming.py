"""Streams of layers, decoded while their bytes arrive.

bytes --container--> whole chunks --the stream's codec--> a picture a layer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfsemcomp import bitstream
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np


class StreamDecoder:
    """Gives a picture for each layer of a stream as soon as its bytes are there.

        decoder = StreamDecoder()
        for data in connection:
            for picture in decoder.feed(data):
                show(picture)
        decoder.finish()

    Each picture is that of `decompress` with so many layers. It is made from the start
    again, so that k layers cost as much as k files.

    Args:
        model: name or path of the stream's model; None finds it by the stream.
        limits: of the image's size; None stands for `Limits()`.
    """

    def __init__(
        self, *, model: str | None = None, limits: bitstream.Limits | None = None
    ) -> None:
        self._model = model
        self._limits = limits or bitstream.Limits()
        self._reader = bitstream.Reader(self._limits)
        self._codec: base.Codec | None = None
        self._chunks: list[bitstream.Chunk] = []

    def feed(self, data: bytes) -> list[np.ndarray]:
        """Takes the next bytes, in pieces of any size.

        Args:
            data: that follow those before.
        Returns: uint8 [H,W,3] for each layer that they complete.
        Raises:
            ValueError: if `data` is not bytes.
            BitstreamError: as soon as the bytes are no stream, or a damaged one; at
                the next call where they complete layers first.
            LimitError: if it declares more than the limits allow.
            ModelMismatchError: if its model is not here, or not the one named.
            UnavailableError: if its codec or what that needs is missing.
        """
        pictures = []
        for chunk in self._reader.feed(data):
            self._chunks.append(chunk)
            codec = self._find_codec()
            if codec.ends_layer(chunk):
                whole = bitstream.write(self._reader.header, self._chunks)
                pictures.append(codec.decompress(whole, limits=self._limits))
        return pictures

    def finish(self) -> None:
        """Raises BitstreamError unless the stream ended after a whole chunk."""
        self._reader.finish()

    def _find_codec(self) -> base.Codec:
        if self._codec is None:
            name = self._reader.header.codec
            base.check_known(name)
            options = {} if self._model is None else {"model": self._model}
            self._codec = base.get_codec(name, **options)
        return self._codec
