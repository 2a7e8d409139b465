import tensorflow as tf
from absl import flags

from tests.harness import SemCompTestCase
from tests.metrics.networks import weights_file
from tfsemcomp.training import teacher_flags


class TeacherFlagsTest(SemCompTestCase):
    def read(self, *arguments):
        values = flags.FlagValues()
        found = teacher_flags.define("dists", values)
        values(["recipe", *arguments])
        return found

    def test_there_is_none_unless_asked_for(self):
        self.assertIsNone(self.read().features(smoke=False))
        self.assertEqual(self.read().kind, "dists")
        self.assertEqual(self.read("--feature_kind=unit").kind, "unit")

    def test_a_smoke_test_reads_no_file(self):
        found = self.read("--teacher=/nowhere.npz")
        self.assertIsNone(found.features(smoke=True))

    def test_layers_of_a_file(self):
        found = self.read(
            f"--teacher={weights_file('MobileNet')}",
            "--feature_layers=conv_pw_1_relu,conv_pw_3_relu",
        )
        features = found.features(smoke=False)(tf.zeros([1, 64, 64, 3]))
        self.assertEqual([f.shape[1] for f in features], [32, 16])
