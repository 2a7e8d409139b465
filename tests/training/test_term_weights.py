import dataclasses

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.training import term_weights


@dataclasses.dataclass(frozen=True)
class SomeWeights:
    l1: float = 10.0
    gan: float = 1.0
    ramp: tuple[int, int] = (0, 5)


class ReplaceTest(SemCompTestCase):
    def test_replaces_what_is_named(self):
        found = term_weights.replace(SomeWeights(ramp=(1, 2)), ["gan=0.5"])
        self.assertEqual(found, SomeWeights(10.0, 0.5, (1, 2)))
        self.assertEqual(term_weights.replace(SomeWeights(), []), SomeWeights())

    @parameterized.parameters("l2=1", "ramp=1", "gan", "gan=", "gan=much", "")
    def test_refuses(self, text):
        with self.assertRaisesRegex(ValueError, f"pairs of l1, gan; got '{text}'"):
            term_weights.replace(SomeWeights(), [text])
