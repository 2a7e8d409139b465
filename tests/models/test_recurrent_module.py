import numpy as np
from absl.testing import parameterized

from tests.codecs import rnn_models
from tests.harness import SemCompTestCase
from tests.models import recurrent_networks
from tfsemcomp.entropy import bit_contexts
from tfsemcomp.models import recurrent_module
from tfsemcomp.serving import manifest, runner

T = rnn_models.ITERATIONS


class RecurrentModuleTest(SemCompTestCase):
    """What was exported does what the network does."""

    def load(self, name):
        self.model = rnn_models.a_model(name)
        self.path = rnn_models.folder() / name / "1"
        self.runner = runner.LocalRunner(manifest.find(self.path))
        self.dial = {}
        if self.model.machine_weight is None:
            self.dial = {"machine_weight": np.float32([0, 0.6])}

    def run_network(self, x, stops=None):
        weight = self.dial.get("machine_weight")
        found = self.model(x.astype(np.float32), weight, stops)
        return (np.moveaxis(found[key].numpy(), 1, 0) for key in ("codes", "x_hat"))

    def assert_near(self, one, two):
        """Equal but for what sums in another order."""
        self.assertLess(np.mean(abs(one - two) > 0.01 + 1e-4 * abs(two)), 1e-3)

    @parameterized.product(name=tuple(rnn_models.MODELS), size=((32, 48), (16, 16)))
    def test_signatures_are_the_network(self, name, size):
        self.load(name)
        x = recurrent_networks.pictures(2, *size)
        grid = size[0] // 16, size[1] // 16
        codes, pictures = self.run_network(x)
        for count in (1, T):
            found = self.runner.call(
                "analyze",
                images=x.astype(np.float32),
                stops=np.full((2, *grid), count, np.int32),
                **self.dial,
            )
            self.assertEqual(found["codes"].dtype, np.int32)
            np.testing.assert_array_equal(found["codes"], codes[:, :count])
            self.check_errors(found["errors"], x, pictures[:, :count])
            decoded = self.runner.call("synthesize", codes=found["codes"], **self.dial)
            self.assert_near(decoded["images"], pictures[:, count - 1])

    def check_errors(self, errors, x, pictures):
        rounded = np.rint(np.clip(pictures, 0, 255)).astype(float)
        squared = ((rounded - x[:, None]) ** 2).mean(axis=-1)
        count, iterations, height, width = squared.shape
        cells = squared.reshape(count, iterations, height // 16, 16, width // 16, 16)
        expected = cells.mean(axis=(3, 5))
        np.testing.assert_allclose(errors, expected, rtol=0.01, atol=0.1)

    @parameterized.parameters(*rnn_models.MODELS)
    def test_cells_stop(self, name):
        self.load(name)
        x = recurrent_networks.pictures(2, 48, 32)
        stops = np.random.default_rng(0).integers(0, T, (2, 3, 2)).astype(np.int32)
        codes, pictures = self.run_network(x, stops)
        found = self.runner.call(
            "analyze", images=x.astype(np.float32), stops=stops, **self.dial
        )
        last = stops.max()
        self.assertLess(last, T)
        np.testing.assert_array_equal(found["codes"], codes[:, :last])
        active = stops[:, None] > np.arange(last)[:, None, None]
        np.testing.assert_array_equal(found["codes"].any(axis=-1), active)
        decoded = self.runner.call("synthesize", codes=found["codes"], **self.dial)
        self.assert_near(decoded["images"], pictures[:, last - 1])

    @parameterized.parameters(*rnn_models.MODELS)
    def test_facts_and_contexts(self, name):
        self.load(name)
        self.assertEqual(
            recurrent_module.facts(self.model),
            {
                "stride": 16,
                "iterations": T,
                "channels": 32,
                "machine_weight": rnn_models.MODELS[name]["machine_weight"],
            },
        )
        contexts = bit_contexts.load(self.path / bit_contexts.FILE_NAME)
        self.assertEqual((contexts.iterations, contexts.channels), (T, 32))
