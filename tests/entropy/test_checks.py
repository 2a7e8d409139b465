import numpy as np

from tests.harness import SemCompTestCase
from tfsemcomp.entropy.checks import symbol_check


def crc16(data: bytes) -> bytes:
    """CRC-16/IBM-3740 bit by bit, as BITSTREAM.md defines it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x11021 if crc & 0x8000 else 0)
    return crc.to_bytes(2, "big")


class SymbolCheckTest(SemCompTestCase):
    def test_the_reference_has_the_catalogued_value(self):
        self.assertEqual(crc16(b"123456789"), b"\x29\xb1")

    def test_definition(self):
        z = np.int32([[1, -2, 3], [-(2**31), 2**31 - 1, 0]])
        y = np.int32([7])
        data = np.array([2, 2, 3, *z.ravel(), 1, 1, 7], "<i4").tobytes()
        self.assertEqual(symbol_check(z, y), crc16(data))
        self.assertEqual(symbol_check(), b"\xff\xff")
        # The example of BITSTREAM.md.
        self.assertEqual(symbol_check(np.int32([[0, -1, 2]])).hex(), "8e34")

    def test_layout_in_memory_does_not_matter(self):
        array = np.arange(12, dtype=np.int32).reshape(3, 4)
        expected = symbol_check(array)
        self.assertEqual(symbol_check(np.asfortranarray(array)), expected)
        self.assertEqual(symbol_check(np.repeat(array, 2, axis=0)[::2]), expected)

    def test_shape_order_and_number_matter(self):
        a, b = np.arange(6, dtype=np.int32), np.zeros(0, np.int32)
        checks = {
            symbol_check(*arrays)
            for arrays in (
                [a],
                [a.reshape(2, 3)],
                [a.reshape(3, 2)],
                [a.reshape(1, 6)],
                [a, b],
                [b, a],
                [a[:3], a[3:]],
                [a[::-1]],
            )
        }
        self.assertLen(checks, 8)

    def test_every_small_change_is_found(self):
        array = np.random.default_rng(0).integers(-9, 9, 100).astype(np.int32)
        expected = symbol_check(array)
        for place in range(100):
            for mask in (1, 2, 3, 0xFF, 0x8001, 0xFFFF):
                changed = array.copy()
                changed[place] ^= mask
                self.assertNotEqual(symbol_check(changed), expected)

    def test_random_changes_pass_as_seldom_as_16_bits_promise(self):
        rng = np.random.default_rng(1)
        checks = [
            symbol_check(rng.integers(-99, 99, 20).astype(np.int32))
            for _ in range(20000)
        ]
        # Distinct values among n draws of 2**16: 2**16 (1 - (1 - 2**-16)**n).
        expected = 2**16 * (1 - np.exp(-20000 / 2**16))
        self.assertAlmostEqual(len(set(checks)), expected, delta=150)

    def test_other_dtypes_are_refused(self):
        for array in (np.zeros(3), np.zeros(3, np.int64), [1, 2]):
            with self.assertRaisesRegex(ValueError, "`arrays`"):
                symbol_check(array)
