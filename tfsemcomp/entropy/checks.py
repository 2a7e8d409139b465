"""The 2-byte check that tells decoded symbols from wrong ones."""

import binascii

import numpy as np

SYMBOL_CHECK_BYTES = 2
_CRC_START = 0xFFFF


def symbol_check(*arrays: np.ndarray) -> bytes:
    """A check over integers, with which a stream confirms its decoded symbols.

    CRC-16/IBM-3740 over each array in turn: number of dimensions, dimensions, values in
    row-major order, all as little-endian int32. It finds every error that is confined
    to 16 adjacent bits, and any other with a chance of 1 - 2**-16.

    Args:
        *arrays: int32, of any shapes.
    Returns: 2 bytes, most significant first.
    Raises: ValueError if an array has another dtype.
    Source: docs/BITSTREAM.md, "Symbol check" (normative).
    """
    crc = _CRC_START
    for array in arrays:
        array = np.asarray(array)
        if array.dtype != np.int32:
            raise ValueError(f"`arrays` must be int32, received {array.dtype}")
        shape = np.array([array.ndim, *array.shape], "<i4")
        crc = binascii.crc_hqx(shape.tobytes(), crc)
        crc = binascii.crc_hqx(array.astype("<i4").tobytes(), crc)
    return crc.to_bytes(SYMBOL_CHECK_BYTES, "big")
