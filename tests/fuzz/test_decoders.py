import pathlib

import numpy as np
from absl.testing import parameterized

from tests.fuzz import decoders
from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError

STORED = pathlib.Path(__file__).parent / "samples"
COUNT = 200


class DecodersTest(SemCompTestCase):
    """What `make fuzz-deep` searches, on its seeds and on changes of them."""

    @parameterized.parameters(*decoders.TARGETS)
    def test_seeds_and_changed_seeds(self, name):
        rng, target = np.random.default_rng(1), decoders.TARGETS[name]
        seeds = decoders.SEEDS[name]()
        self.assertNotEmpty(seeds)
        refused = 0
        for seed in seeds:
            target(seed)
        for number in range(COUNT):
            data = bytearray(seeds[number % len(seeds)])
            for _ in range(rng.integers(1, 4)):
                data[rng.integers(len(data))] = rng.integers(256)
            try:
                target(bytes(data[: rng.integers(1, len(data) + 1)]))
            except SemCompError as error:
                refused += 1
                self.assertNotIn("\n", str(error))
        self.assertGreater(refused, 0)

    def test_what_was_found_before(self):
        for path in sorted(STORED.glob("*.input")):
            with self.subTest(path.name):
                try:
                    decoders.TARGETS[path.name.partition("-")[0]](path.read_bytes())
                except SemCompError as error:
                    self.assertNotIn("\n", str(error))
