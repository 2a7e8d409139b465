import numpy as np
from absl import flags
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import context_mixing
from tfsemcomp.evaluation import structure_flags


class StructureFlagsTest(SemCompTestCase):
    def read(self, *arguments, scale=True):
        values = flags.FlagValues()
        found = structure_flags.define("edges", scale=scale, flag_values=values)
        values(["recipe", *arguments])
        return found

    def test_facts(self):
        self.assertEqual(self.read().facts(), {"method": "canny"})
        found = self.read("--edges=method=canny,threshold=0.2,sigma=1.5,scale=2")
        expected = {"method": "canny", "threshold": 0.2, "sigma": 1.5, "scale": 2}
        self.assertEqual(found.facts(), expected)

    @parameterized.parameters(
        ("colour=red", "name=value pairs of method"),
        ("method=guess", "guess"),
        ("sigma=2", "."),
    )
    def test_wrong_facts(self, text, message):
        with self.assertRaisesRegex(ValueError, message):
            self.read(f"--edges={text}").facts()

    def test_only_some_models_tell_a_scale(self):
        with self.assertRaisesRegex(ValueError, "scale=2"):
            self.read("--edges=method=canny,scale=2", scale=False).facts()

    def test_primed(self):
        self.assertIsNone(self.read().primed())
        path = self.folder / "primed.npz"
        context_mixing.save(path, context_mixing.prime([np.eye(16, dtype=np.uint8)], 2))
        self.assertIsNotNone(self.read(f"--primed={path}").primed())
