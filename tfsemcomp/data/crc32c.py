"""CRC32C, the checksum of TFRecord files.

Numba is imported with this module, so import it inside functions only.
"""

import numpy as np

from tfsemcomp import jit

# Castagnoli's polynomial, least significant bit first (RFC 3720, appendix B.4).
_POLYNOMIAL = np.uint32(0x82F63B78)


def _make_tables() -> np.ndarray:
    """Row k: what a byte adds when k more bytes follow it; uint32 [8,256]."""
    tables = np.zeros((8, 256), np.uint32)
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        value = np.where(value & 1, (value >> 1) ^ _POLYNOMIAL, value >> 1)
    tables[0] = value
    for row in range(1, 8):
        before = tables[row - 1]
        tables[row] = (before >> 8) ^ tables[0][before & 255]
    return tables


_TABLES = _make_tables()


def checksum(data: bytes) -> int:
    """CRC32C of `data`, 0..2^32-1."""
    return int(_checksum(np.frombuffer(data, np.uint8), _TABLES))


def masked(data: bytes) -> int:
    """The checksum as TFRecord stores it: rotated and shifted.

    So that data which holds its own checksum gives no constant. Source: TensorFlow,
    core/lib/hash/crc32c.h.
    """
    crc = checksum(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@jit.jit()
def _checksum(data, tables):
    # Eight bytes a step: the bytes are looked up side by side, not one after another.
    crc = np.uint32(0xFFFFFFFF)
    whole = data.size - data.size % 8
    for i in range(0, whole, 8):
        low = np.uint32(
            data[i] | data[i + 1] << 8 | data[i + 2] << 16 | data[i + 3] << 24
        )
        low ^= crc
        crc = (
            tables[7, low & 255]
            ^ tables[6, low >> 8 & 255]
            ^ tables[5, low >> 16 & 255]
            ^ tables[4, low >> 24]
            ^ tables[3, data[i + 4]]
            ^ tables[2, data[i + 5]]
            ^ tables[1, data[i + 6]]
            ^ tables[0, data[i + 7]]
        )
    for i in range(whole, data.size):
        crc = np.uint32(crc >> 8) ^ tables[0, (crc ^ data[i]) & 255]
    return crc ^ np.uint32(0xFFFFFFFF)
