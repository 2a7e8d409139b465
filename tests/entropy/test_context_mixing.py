import hashlib
import io
import os
import pathlib
import subprocess
import sys
import zipfile
import zlib

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.entropy import context_mixing, context_mixing_tables
from tfsemcomp.errors import BitstreamError, ModelMismatchError

ROOT = pathlib.Path(__file__).resolve().parents[2]
MASK = 2**64 - 1
ONE = 2**22
# Planes of each kind: symbols, height, width.
KINDS = (
    (2, 24, 31),
    (3, 17, 20),
    (12, 33, 26),
    (35, 12, 16),
    (64, 12, 16),
    (151, 12, 16),
    (256, 9, 9),
)
# What `encode` made of them when the format was fixed: with `side`, primed, both.
GOLDEN = {
    (2, 24, 31): "c42638f14927ee26",
    (3, 17, 20): "bf28b28e5a779b87",
    (12, 33, 26): "f054a0704179d6c4",
    (35, 12, 16): "b6b51b5a06c43e95",
    (64, 12, 16): "78194dc83d2c8201",
    (151, 12, 16): "fe75bd5c2b2b8c81",
    (256, 9, 9): "d404183e640b5cc5",
}


def label_map(height: int, width: int, symbols: int, seed: int = 0) -> np.ndarray:
    """Regions with straight and round borders, and a few stray pixels."""
    picture = smooth_image(height, width, seed).astype(np.int64)
    plane = picture[..., 0] // 40 * 5 + picture[..., 1] // 30
    rng = np.random.default_rng(seed)
    stray = rng.random((height, width)) < 0.01
    plane[stray] = rng.integers(0, 256, stray.sum())
    return (plane % symbols).astype(np.uint8)


def lines(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Thin lines: where a label map changes."""
    plane = label_map(height, width, 5, seed)
    below, right = np.roll(plane, -1, 0), np.roll(plane, -1, 1)
    return ((plane != below) | (plane != right)).astype(np.uint8)


def plane_of(symbols: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    if symbols == 2:
        return lines(height, width, seed)
    return label_map(height, width, symbols, seed)


class ReferenceDecoder:
    """The decoder as BITSTREAM.md words it, in plain Python on unlimited integers.

    Counters are kept by cell in dictionaries; `primed` is not offered.
    """

    def __init__(self, data: bytes, height: int, width: int, symbols: int, side=None):
        self.data, self.position, self.value = data, 0, 0
        self.low, self.high = 0, 2**32 - 1
        for _ in range(4):
            self.shift()
        self.height, self.width, self.symbols, self.side = height, width, symbols, side
        self.tables = context_mixing_tables.load()
        self.counters, self.weights, self.corrections = {}, {}, {}
        self.plane = {}

    def shift(self) -> None:
        byte = self.data[self.position] if self.position < len(self.data) else 0
        self.value = (self.value << 8 | byte) % 2**32
        self.position += 1

    def bit(self, probability: int) -> int:
        width = self.high - self.low
        middle = self.low + (width >> 16) * probability
        middle += ((width & 65535) * probability) >> 16
        bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.shift()
            self.low = self.low * 256 % 2**32
            self.high = self.high * 256 % 2**32 + 255
        return bit

    @staticmethod
    def hash(first: int, second: int) -> int:
        h = first * 0x9E3779B97F4A7C15 + second * 0xC2B2AE3D27D4EB4F
        h = (h + 0x165667B19E3779F9) & MASK
        h ^= h >> 29
        h = h * 0xBF58476D1CE4E5B9 & MASK
        return h ^ h >> 32

    def cell(self, first: int, second: int, bits: int = 18) -> int:
        return self.hash(first, second) % 2**bits

    def learn(self, key: tuple, bit: int, tenths: int, visits: int) -> None:
        p, n = self.counters.get(key, (ONE // 2, 0))
        rate = int(655360 / (10 * n + tenths) + 0.5)
        p = p + ((ONE - p) * rate >> 16) if bit else p - (p * rate >> 16)
        self.counters[key] = min(max(p, 419), ONE - 419), min(n + 1, visits)

    def stretched(self, key: tuple) -> int:
        p, _ = self.counters.get(key, (ONE // 2, 0))
        return int(self.tables.stretch[p >> 10])

    def dot(self, weights: list[int], inputs: list[int]) -> int:
        total = sum(w * s for w, s in zip(weights, inputs, strict=True)) + 2**15
        return min(max(total >> 16, -3072), 3071)

    def trained(self, weights, inputs, error: int, rate: int) -> list[int]:
        return [
            min(max(w + (error * s * rate + 2**23 >> 24), -(2**23)), 2**23)
            for w, s in zip(weights, inputs, strict=True)
        ]

    def number(self, y: int, x: int) -> int:
        around = ((y, x - 1), (y - 1, x), (y, x + 1), (y + 1, x))
        there = [0 <= i < self.height and 0 <= j < self.width for i, j in around]
        if self.side is None:
            return sum(2**k for k, found in enumerate(there) if found)
        u = self.side
        found = 16 * (int(u[y, x]) + 1)
        for k, place in enumerate(around):
            found += 2**k * bool(there[k] and u[place] == u[y, x])
        return found

    def decode(self) -> np.ndarray:
        pixel = self.line_pixel if self.symbols == 2 else self.label_pixel
        for y in range(self.height):
            for x in range(self.width):
                self.plane[y, x] = pixel(y, x)
        if self.position != len(self.data) + 3:
            raise ValueError("length")
        shape = (self.height, self.width)
        return np.array([self.plane[i] for i in np.ndindex(shape)]).reshape(shape)

    def decision(self, cells: list[int], chosen: int) -> int:
        keys = list(enumerate(cells))
        inputs = [self.stretched(key) for key in keys]
        fresh = [19661] * 7 + [19661 * (32 <= chosen < 64)] * 3
        known = self.weights.get(chosen, fresh)
        weights, rest = known[: len(cells)], known[len(cells) :]
        probability = int(self.tables.squash[self.dot(weights, inputs) + 3072])
        bit = self.bit(probability)
        error = bit * 65536 - probability
        self.weights[chosen] = self.trained(weights, inputs, error, 1311) + rest
        for key in keys:
            self.learn(key, bit, 16, 250)
        return bit

    def beside(self, y: int, x: int) -> tuple[int, int, int, int]:
        """u, u', u'' and q of the side plane."""
        u = int(self.side[y, x])
        right = int(self.side[y, x + 1]) if x + 1 < self.width else u
        below = int(self.side[y + 1, x]) if y + 1 < self.height else u
        places = (y, x - 1), (y - 1, x), (y - 1, x - 1), (y - 1, x + 1)
        q = sum(
            2**bit
            for bit, place in enumerate(places)
            if place in self.plane and self.plane[place] != self.side[place]
        )
        return u, right, below, q

    def label_at(self, y: int, x: int, dx: int, dy: int) -> int:
        """A neighbour, with what stands for those outside."""
        if dy == 0 and x + dx < 0:
            if dx == -1:
                return self.label_at(y, x, 0, -1)
            return self.label_at(y, x, dx + 1, 0)
        if y + dy < 0:
            return (64 if self.symbols <= 63 else 256) - 1
        return self.plane[y + dy, min(max(x + dx, 0), self.width - 1)]

    def runs(self, y: int, x: int) -> int:
        def run(dy: int, dx: int, y: int, x: int, most: int) -> int:
            count, first = 0, self.plane.get((y, x))
            while first is not None and count < most:
                if self.plane.get((y + count * dy, x + count * dx)) != first:
                    break
                count += 1
            return count

        left = run(0, -1, y, x - 1, 12)
        right = run(0, 1, y - 1, x, 12)
        return (left * 13 + right) * 9 + run(-1, 0, y - 1, x, 8)

    def label_pixel(self, y: int, x: int) -> int:
        places = "-1,0 0,-1 1,-1 -1,-1 -2,0 0,-2 1,-2 -1,-2 2,-1 -2,-1 2,-2 -2,-2 -3,0"
        places = [tuple(map(int, p.split(","))) for p in places.split()]
        places += [(0, -3), (3, -1), (1, -3)]
        n = [self.label_at(y, x, dx, dy) for dx, dy in places]
        c = list(dict.fromkeys(n))[:4]
        r = [c.index(value) if value in c else 4 for value in n]
        p6, p10, p16 = (int("".join(map(str, r[:k])), 5) for k in (6, 10, 16))
        b = 64 if self.symbols <= 63 else 256
        near = ((n[0] * b + n[1]) * b + n[2]) * b + n[3]
        refused = []
        for k in range(min(len(c), 3)):
            if c[k] >= self.symbols:
                continue
            if len(refused) == self.symbols - 1:
                break
            cells = [
                self.cell(p6, k),
                self.cell(p10, k + 1000000),
                self.cell(p16, k + 2000000),
                self.cell(near, k + 3000000),
                self.cell(near * b + n[5], self.hash(k, 5 * r[4] + r[7])),
                self.cell(c[k] * b + n[1], self.hash(k + 4096 * (y // 16), len(c))),
                self.cell(self.runs(y, x), self.hash(k, p6)),
            ]
            chosen = 8 * k + len(c)
            if self.side is not None:
                u, right, below, q = self.beside(y, x)
                kind = k + 4 * (c[k] == u) + 32 * q
                ahead = kind + 8 * (c[k] == right) + 16 * (c[k] == below)
                cells += [
                    self.cell(ahead, 4000000 + len(c)),
                    self.cell(kind, 5000000 + p6),
                    self.cell(kind, 6000000 + 256 * u + c[k]),
                ]
                chosen += 32 * (q == 0)
            if self.decision(cells, chosen):
                return c[k]
            refused.append(c[k])
        if len(refused) == self.symbols - 1:
            return (set(range(self.symbols)) - set(refused)).pop()
        node, bits = 1, (self.symbols - 1).bit_length()
        for left in range(bits - 1, -1, -1):
            cells = [
                self.cell(node, 9000000),
                self.cell(node, 9100000 + n[1]),
                self.cell(node, 9200000 + n[0] * b + n[1]),
                self.cell(node, 9300000 + y // 32),
                self.cell(node, 9500000),
            ]
            if self.side is not None:
                g = 2**bits + int(self.side[y, x])
                expected = 2 * (g >> left + 1 == node) + (g >> left) % 2
                cells.append(self.cell(expected, 9600000))
            node = 2 * node + self.decision(cells, 70)
        return node - 2**bits

    def span(self, y: int, x: int, up: int, left: int, right: int) -> list[int]:
        return [self.plane.get((y - up, x + dx), 0) for dx in range(-left, right + 1)]

    def gap(self, y: int, x: int, dy: int, dx: int) -> int:
        """Pixels without a line before the next one in a direction, up to 31."""
        if not 0 <= x < self.width:
            return 31
        count = 0
        while count < 31 and self.plane.get((y + count * dy, x + count * dx), 0) == 0:
            count += 1
        return count

    def line_pixel(self, y: int, x: int) -> int:
        def pattern(here: int, *spans: tuple[int, int, int]) -> int:
            bits = self.span(y, x, 0, here, -1)
            for up, left, right in spans:
                bits += self.span(y, x, up, left, right)
            return int("".join(map(str, bits)), 2)

        n6 = pattern(2, (1, 1, 1), (2, 0, 0))
        n16 = pattern(4, (1, 3, 3), (2, 2, 2))
        above = self.gap(y - 1, x, -1, 0)
        before = self.gap(y, x - 1, 0, -1) if x else 31
        distances = above * 32 + self.gap(y, x - 1, -1, 0)
        distances = (distances * 32 + self.gap(y - 1, x + 1, -1, 0)) * 32 + before
        contexts = [
            n6,
            pattern(3, (1, 2, 2), (2, 1, 1)),
            n16,
            pattern(5, (1, 3, 3), (2, 3, 3), (3, 1, 1)),
            pattern(6, (1, 4, 4), (2, 4, 4), (3, 2, 2), (4, 1, 1)),
            pattern(8, (1, 5, 5), (2, 4, 4), (3, 3, 3), (4, 2, 2), (5, 1, 1)),
            distances,
            n6 + 64 * (y // 16),
            pattern(2, (1, 1, 1), (2, 3, 3), (3, 3, 3)),
            pattern(1, (1, 1, 7), (2, -1, 7)),
        ]
        kind = 16 * self.number(y, x)
        keys = [(i, self.cell(c, kind + i, 20)) for i, c in enumerate(contexts)]
        new = [("new", i, cell % 2**18) for i, cell in keys]
        inputs = [self.stretched(key) for key in (*keys, *new)] + [256]
        trust = 0
        for key in keys[3:6]:
            visits = self.counters.get(key, (0, 0))[1]
            trust = 4 * trust + sum(visits >= least for least in (1, 3, 12))
        ones = sum(self.span(y, x, 0, 8, -1))
        ones += sum(sum(self.span(y, x, up, 7, 7)) for up in (1, 2, 3, 4))
        quarter = min(above, 15) // 4
        sets = [n6, 64 + trust, 128 + min(ones, 63), 192 + before // 2 + 16 * quarter]
        weights = [self.weights.get(i, [5243] * 20 + [0]) for i in sets]
        dots = [self.dot(row, inputs) for row in weights]
        average = ((sum(dots) + 2) >> 2) + 3072
        squash = [int(value) for value in self.tables.squash]
        fresh = [squash[min(192 * i, 6143)] for i in range(33)]
        corrections = self.corrections.setdefault(n16, fresh)
        node, rest = divmod(average, 192)
        mixed = corrections[node] * (192 - rest) + corrections[node + 1] * rest
        probability = (squash[average] + mixed // 192) >> 1
        bit = self.bit(min(max(probability, 16), 65520))
        node += 2 * rest > 192
        corrections[node] += (65535 * bit - corrections[node]) >> 6
        for i, row, dot in zip(sets, weights, dots, strict=True):
            error = bit * 65536 - squash[dot + 3072]
            self.weights[i] = self.trained(row, inputs, error, 225)
        for key in (*keys, *new):
            self.learn(key, bit, 20, 1000)
        return bit


class ContextMixingTest(SemCompTestCase):
    @parameterized.parameters(*KINDS)
    def test_round_trip(self, symbols, height, width):
        plane = plane_of(symbols, height, width)
        side = label_map(height, width, 256, seed=3)
        primed = context_mixing.prime([plane_of(symbols, 20, 24, seed=1)], symbols)
        for extra in ({}, {"side": side}, {"primed": primed}):
            data = context_mixing.encode(plane, symbols, **extra)
            found = context_mixing.decode(data, height, width, symbols, **extra)
            np.testing.assert_array_equal(found, plane)
            self.assertEqual(found.dtype, np.uint8)

    @parameterized.product(
        symbols=(2, 3, 200), shape=((1, 1), (1, 40), (40, 1), (2, 3), (5, 4))
    )
    def test_every_shape_and_every_plane(self, symbols, shape):
        rng = np.random.default_rng(symbols)
        planes = [
            np.zeros(shape, np.uint8),
            np.full(shape, symbols - 1, np.uint8),
            rng.integers(0, symbols, shape, dtype=np.uint8),
        ]
        for plane in planes:
            for given in (plane, np.asfortranarray(plane)):
                data = context_mixing.encode(given, symbols, side=plane)
                found = context_mixing.decode(data, *shape, symbols, side=plane)
                np.testing.assert_array_equal(found, plane)

    @parameterized.parameters(*KINDS)
    def test_a_decoder_made_from_the_specification_agrees(self, symbols, height, width):
        plane = plane_of(symbols, height, width)
        side = label_map(height, width, 4, seed=3)
        for given in (None, side):
            data = context_mixing.encode(plane, symbols, side=given)
            reference = ReferenceDecoder(data, height, width, symbols, given)
            np.testing.assert_array_equal(reference.decode(), plane)

    @parameterized.parameters(*KINDS)
    def test_bytes_stay_as_they_were(self, symbols, height, width):
        plane = plane_of(symbols, height, width)
        side = label_map(height, width, 256, seed=3)
        primed = context_mixing.prime([plane_of(symbols, 20, 24, seed=1)], symbols)
        data = context_mixing.encode(plane, symbols)
        both = context_mixing.encode(plane, symbols, side=side, primed=primed)
        found = hashlib.sha256(data + both).hexdigest()[:16]
        self.assertEqual(found, GOLDEN[symbols, height, width])

    def run_script(self, script: str, **environment: str) -> str:
        """Runs Python code in a process of its own; returns its output."""
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_same_functions_uncompiled_give_the_same_bytes(self):
        script = (
            "import warnings, numpy as np\n"
            "from tfsemcomp.entropy import context_mixing\n"
            "warnings.simplefilter('ignore', RuntimeWarning)  # 64-bit sums wrap\n"
            "plane = np.load('plane.npy')\n"
            "for symbols in (2, 7):\n"
            "    data = context_mixing.encode(plane % symbols, symbols)\n"
            "    print(data.hex())\n"
        )
        plane = label_map(10, 12, 256)
        np.save(self.folder / "plane.npy", plane)
        found = self.run_script(script, NUMBA_DISABLE_JIT="1")
        expected = [context_mixing.encode(plane % s, s).hex() for s in (2, 7)]
        self.assertEqual(found.split(), expected)

    def test_numba_is_imported_late_and_its_lack_said(self):
        script = (
            "import sys, numpy as np\n"
            "from tfsemcomp import errors\n"
            "from tfsemcomp.entropy import context_mixing\n"
            "print('numba' in sys.modules)\n"
            "sys.modules['numba'] = None\n"
            "try:\n"
            "    context_mixing.encode(np.zeros((2, 2), np.uint8), 2)\n"
            "except errors.UnavailableError as error:\n"
            "    print(error)\n"
        )
        self.assertRegex(self.run_script(script), r"False\n.*pip install numba\.\n")

    def test_inputs_are_left_alone(self):
        plane = lines(20, 20)
        plane.setflags(write=False)
        primed = context_mixing.prime([plane], 2)
        before = {name: array.copy() for name, array in primed.state.items()}
        data = context_mixing.encode(plane, 2, side=plane, primed=primed)
        context_mixing.decode(data, 20, 20, 2, side=plane, primed=primed)
        for name, array in before.items():
            np.testing.assert_array_equal(primed.state[name], array)
        self.assertEqual(data, context_mixing.encode(plane, 2, plane, primed))

    def test_takes_less_than_a_picture_file(self):
        for symbols in (2, 12):
            plane = plane_of(symbols, 96, 128)
            size = len(context_mixing.encode(plane, symbols))
            packed = np.packbits(plane) if symbols == 2 else plane
            self.assertLess(size, 0.8 * len(zlib.compress(packed.tobytes(), 9)))

    def test_noise_costs_little_more_than_its_entropy(self):
        rng = np.random.default_rng(0)
        for symbols in (2, 256):
            plane = rng.integers(0, symbols, (64, 64), dtype=np.uint8)
            size = len(context_mixing.encode(plane, symbols))
            self.assertLess(size, 1.25 * plane.size * np.log2(symbols) / 8)

    def test_what_the_decoder_knows_pays(self):
        plane, other = label_map(48, 64, 12), label_map(48, 64, 12, seed=1)
        cold = len(context_mixing.encode(plane, 12))
        self.assertLess(len(context_mixing.encode(plane, 12, side=plane)), 0.7 * cold)
        primed = context_mixing.prime([other], 12)
        self.assertLess(len(context_mixing.encode(plane, 12, primed=primed)), cold)
        borders = lines(48, 64)
        alone = len(context_mixing.encode(borders, 2))
        given = label_map(48, 64, 5)
        self.assertLess(len(context_mixing.encode(borders, 2, side=given)), 0.8 * alone)

    def test_priming_with_sides(self):
        planes = [lines(24, 24, seed) for seed in range(2)]
        sides = [label_map(24, 24, 5, seed) for seed in range(2)]
        primed = context_mixing.prime(iter(planes), 2, iter(sides))
        plane, side = lines(24, 24, 2), label_map(24, 24, 5, 2)
        cold = context_mixing.encode(plane, 2, side)
        warm = context_mixing.encode(plane, 2, side, primed)
        self.assertLess(len(warm), len(cold))
        with self.assertRaisesRegex(ValueError, "as many as `planes`"):
            context_mixing.prime(planes, 2, sides[:1])

    @parameterized.parameters(2, 12)
    def test_damaged_bytes_are_an_error_or_another_plane(self, symbols):
        plane = plane_of(symbols, 24, 30)
        data = context_mixing.encode(plane, symbols)
        rng = np.random.default_rng(0)
        damaged = [data[:cut] for cut in range(0, len(data), 3)]
        damaged += [data + b"\0", data + bytes(1000), b"\xff" * 50, bytes(50)]
        for place in rng.integers(0, len(data), 40):
            wrong = data[place] ^ rng.integers(1, 256)
            damaged.append(data[:place] + bytes([wrong]) + data[place + 1 :])
        refused = 0
        for bad in damaged:
            try:
                found = context_mixing.decode(bad, 24, 30, symbols)
            except BitstreamError:
                refused += 1
                continue
            self.assertEqual(found.shape, (24, 30))
            self.assertLess(found.max(), symbols)
        self.assertGreater(refused, len(damaged) / 4)

    def test_wrong_sizes_end_soon(self):
        data = context_mixing.encode(label_map(24, 30, 12), 12)
        for shape in ((24, 29), (12, 30), (500, 500)):
            with self.assertRaises(BitstreamError):
                context_mixing.decode(data, *shape, 12)

    def test_labels_beyond_the_symbols_are_refused(self):
        # An escape of two bits may stand for 3, which is no label of three symbols.
        errors = 0
        for first in range(256):
            try:
                context_mixing.decode(bytes([first]), 1, 1, 3)
            except BitstreamError as error:
                errors += "none of its 3" in str(error)
        self.assertGreater(errors, 0)

    @parameterized.parameters(
        (np.zeros((4, 4), np.int32), 2, None, "`plane` must be uint8"),
        (np.zeros((4, 4, 1), np.uint8), 2, None, "`plane` must be uint8"),
        (np.zeros((0, 4), np.uint8), 2, None, "at least a pixel"),
        (np.full((4, 4), 2, np.uint8), 2, None, "labels below `symbols` = 2"),
        (np.zeros((4, 4), np.uint8), 1, None, "`symbols` must be an integer"),
        (np.zeros((4, 4), np.uint8), 257, None, "`symbols` must be an integer"),
        (np.zeros((4, 4), np.uint8), 2, np.zeros((4, 3), np.uint8), "`side` must have"),
        (np.zeros((4, 4), np.uint8), 2, np.zeros((4, 4), bool), "`side` must be uint8"),
    )
    def test_wrong_arguments(self, plane, symbols, side, message):
        with self.assertRaisesRegex(ValueError, message):
            context_mixing.encode(plane, symbols, side)

    def test_wrong_arguments_of_the_decoder(self):
        for name, arguments in (
            ("height", (b"\1", 0, 4, 2)),
            ("width", (b"\1", 4, 2.5, 2)),
            ("data", ("text", 4, 4, 2)),
            ("symbols", (b"\1", 4, 4, 0)),
        ):
            with self.assertRaisesRegex(ValueError, f"`{name}` must be"):
                context_mixing.decode(*arguments)
        primed = context_mixing.prime([lines(8, 8)], 2)
        with self.assertRaisesRegex(ValueError, "planes of 3 symbols"):
            context_mixing.decode(b"\1", 4, 4, 3, primed=primed)
        with self.assertRaisesRegex(ValueError, "`primed` must come from"):
            context_mixing.decode(b"\1", 4, 4, 3, primed=3)
        with self.assertRaisesRegex(ValueError, "at least one plane"):
            context_mixing.prime([], 3)


class PrimedFileTest(SemCompTestCase):
    @parameterized.parameters(2, 12)
    def test_round_trip(self, symbols):
        primed = context_mixing.prime([plane_of(symbols, 24, 24)], symbols)
        path = self.folder / context_mixing.FILE_NAME
        context_mixing.save(path, primed)
        content = path.read_bytes()
        found = context_mixing.load(path)
        self.assertEqual(found.symbols, symbols)
        for name, array in primed.state.items():
            np.testing.assert_array_equal(found.state[name], array)
        context_mixing.save(path, found)
        self.assertEqual(path.read_bytes(), content)
        self.assertLess(len(content), 60_000)

    def written(self) -> dict[str, np.ndarray]:
        self.path = self.folder / "primed.npz"
        context_mixing.save(self.path, context_mixing.prime([lines(9, 9)], 2))
        with np.load(self.path) as archive:
            return {name: archive[name] for name in archive.files}

    @parameterized.parameters(
        ("counters.values", np.uint32(0), "probabilities from"),
        ("counters.values", np.uint32(2**31 + 1001), "less than 1001 visits"),
        ("weights.values", np.int32(2**23 + 1), "weights from"),
        ("corrections.values", np.uint16(7), "checksum"),
        ("counters.gaps", np.uint32(2**32 - 1), "a place"),
        ("symbols", np.uint16(12), "no file of a primed coder"),
        ("symbols", np.uint16(0), "`symbols` must be"),
        ("sha256", np.uint8(1), "checksum"),
    )
    def test_wrong_content_is_refused(self, name, value, message):
        arrays = self.written()
        arrays[name][0] = value
        np.savez(self.path, **arrays)
        with self.assertRaisesRegex(ModelMismatchError, message):
            context_mixing.load(self.path)

    def test_wrong_files_are_refused(self):
        arrays = self.written()
        content = self.path.read_bytes()
        arrays.pop("weights.gaps")
        lacking = io.BytesIO()
        np.savez(lacking, **arrays)
        pickled = io.BytesIO()
        np.savez(pickled, **arrays, other=np.array([{}], object))
        large = io.BytesIO()
        with zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("symbols.npy", bytes(2**27 + 1))
        wrong = (b"", content[:-30], lacking.getvalue(), pickled.getvalue())
        for data in (*wrong, large.getvalue()):
            self.path.write_bytes(data)
            with self.assertRaisesRegex(ModelMismatchError, "primed.npz"):
                context_mixing.load(self.path)
        with self.assertRaisesRegex(ModelMismatchError, "missing.npz"):
            context_mixing.load(self.folder / "missing.npz")

    def test_only_primed_coders_are_saved(self):
        with self.assertRaisesRegex(ValueError, "`primed` must come from"):
            context_mixing.save(self.folder / "primed.npz", {})


class TablesTest(SemCompTestCase):
    def test_values_are_those_of_the_formulas(self):
        tables = context_mixing_tables.load()
        q = (np.arange(4096) + 0.5) / 4096
        expected = np.rint(256 * np.log(q / (1 - q)))
        np.testing.assert_array_equal(tables.stretch, expected)
        d = np.arange(-3072, 3072)
        expected = np.clip(np.rint(65536 / (1 + np.exp(-d / 256))), 2, 65534)
        np.testing.assert_array_equal(tables.squash, expected)

    def test_checksums_are_those_of_the_specification(self):
        tables = context_mixing_tables.load()
        stretch = zlib.crc32(tables.stretch.astype("<i2").tobytes())
        squash = zlib.crc32(tables.squash.astype("<u2").tobytes())
        self.assertEqual((stretch, squash), (0x2BBE45F4, 0x980CE5B2))

    def test_rates(self):
        rates = context_mixing_tables.visit_rates(16, 250)
        expected = np.rint(65536 / (np.arange(251) + 1.6))
        np.testing.assert_array_equal(rates, expected)
