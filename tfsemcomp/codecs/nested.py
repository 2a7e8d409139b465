"""Files of one codec inside a chunk of another: codec number 1 | file."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

_NAMES = {number: name for name, number in bitstream.CODEC_NUMBERS.items()}


def pack(codec: str, data: bytes) -> bytes:
    """The payload for a file of a codec."""
    return bytes([bitstream.CODEC_NUMBERS[codec]]) + data


def unpack(payload: bytes, codecs: Collection[str], what: str) -> tuple[str, bytes]:
    """The codec of a payload, and its file.

    Args:
        payload: of a chunk.
        codecs: names of those that may be in there.
        what: the chunk holds, for messages.
    Raises: BitstreamError if it is of none of them.
    """
    name = _NAMES.get(payload[0]) if payload else None
    if name not in codecs:
        raise errors.BitstreamError(
            f"the {what} begins with no codec number of {', '.join(codecs)}: "
            f"{payload[:1].hex() or 'nothing'}; a newer tfsemcomp may be needed"
        )
    return name, payload[1:]


def decode(
    payload: bytes,
    codecs: Collection[str],
    what: str,
    height: int,
    width: int,
    server: str | None = None,
) -> np.ndarray:
    """The picture of a payload.

    Args:
        payload, codecs, what: as of `unpack`.
        height, width: that it must have.
        server: that runs the networks of its codec; None runs them here.
    Returns: uint8 [H,W,3].
    Raises:
        BitstreamError: if the payload is damaged or of another size.
        UnavailableError: if its codec cannot run here.
        ModelMismatchError: if its codec needs a model that is not here.
    """
    name, data = unpack(payload, codecs, what)
    # Nothing larger is decoded, whatever the file declares.
    limits = bitstream.Limits(pixels=height * width, side=max(height, width))
    try:
        picture = base.get_codec_on(name, server).decompress(data, limits=limits)
    except errors.LimitError as error:
        raise errors.BitstreamError(
            f"the {what} is larger than its picture: {error}"
        ) from error
    if picture.shape != (height, width, 3):
        raise errors.BitstreamError(
            f"the {what} has {picture.shape[1]}x{picture.shape[0]} pixels, its picture "
            f"{width}x{height}"
        )
    return picture
