from absl import flags

from tests.harness import SemCompTestCase
from tfsemcomp.models.conceptual_structure import Degradation
from tfsemcomp.training import edge_map_flags


class EdgeMapFlagsTest(SemCompTestCase):
    def read(self, *arguments):
        values = flags.FlagValues()
        found = edge_map_flags.define(["2"], values)
        values(["recipe", *arguments])
        return found

    def test_defaults(self):
        found = self.read()
        self.assertEqual(found.planes, ["edges/encoded"])
        self.assertEqual(found.degradation(), Degradation((2,), (0.25, 0.6), 0.2))

    def test_what_is_given(self):
        found = self.read(
            "--planes=layer/a/map,layer/b/map",
            "--scales=1,4",
            "--thresholds=.1,.2",
            "--edge_dropout=0",
        )
        self.assertEqual(found.planes, ["layer/a/map", "layer/b/map"])
        self.assertEqual(found.degradation(), Degradation((1, 4), (0.1, 0.2), 0.0))
        with self.assertRaisesRegex(ValueError, "`scales`"):
            self.read("--scales=3").degradation()
