import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tests.models.conceptual_networks import SIZE, a_model
from tfsemcomp.entropy import builders, range_coder, tables
from tfsemcomp.models import conceptual_module
from tfsemcomp.models.conceptual import ConceptualSize
from tfsemcomp.serving import allowed_ops, manifest, runner

GRID = ConceptualSize(1, 4, 4, 3, grid=True)


def pictures(count, height, width):
    found = [smooth_image(height, width, seed) for seed in range(count)]
    return np.stack(found).astype(np.float32)


def lines(count, height, width):
    rng = np.random.default_rng(1)
    return (rng.random([count, height, width, 1]) < 0.05).astype(np.float32)


class ConceptualModuleTest(SemCompTestCase):
    @parameterized.parameters(
        ({"variant": "hf_gan", "latent": "rate"}, (2, 128, 256), (1, 1)),
        ({"variant": "unet", "latent": "kl"}, (1, 256, 128), (1, 1)),
        ({"size": GRID}, (1, 128, 256), (1, 2)),
    )
    def test_signatures_do_what_the_model_does(self, options, shape, cells):
        model = a_model(**{"size": SIZE, "step": 0.05, **options})
        written = []
        extras = {"more.txt": lambda path: written.append(path.write_text("more"))}
        path = conceptual_module.export_model(model, self.folder / "m", 1, extras)
        self.assertEqual((path / "more.txt").read_text(), "more")
        served = runner.LocalRunner(manifest.find(path))

        images, structure = pictures(*shape), lines(*shape)
        z = served.call("analyze", images=images)["z"]
        self.assertEqual(z.dtype, np.int32)
        self.assertEqual(z.shape, (shape[0], *cells, 3))
        # Kernels over sigma once, or in each call: a symbol may fall the other way.
        difference = np.abs(z - model.analyze(tf.constant(images)))
        self.assertLessEqual(difference.max(), 1)
        self.assertLess(difference.mean(), 0.1)

        expected = model.synthesize(tf.constant(structure), tf.cast(z, tf.float32))
        given = {"structure": structure, "z": z}
        drawn = served.call("synthesize", **given)
        self.assertLen(drawn, len(expected))
        for number, stage in enumerate(expected[:-1]):
            np.testing.assert_allclose(drawn[f"stage_{number}"], stage, atol=0.5)
        drawn = drawn["images"]
        np.testing.assert_allclose(drawn, expected[-1], atol=0.5)
        self.assertBetween(drawn.min(), 0, 255)
        self.assertBetween(drawn.max(), 0, 255)
        self.assertNotIn("VariableV2", allowed_ops.all_of(path))

        # What was written codes what was found.
        coder = tables.load(path / tables.FILE_NAME)["z"]
        self.assertLen(coder, 3)
        coded = range_coder.encode_channels(coder, z)
        np.testing.assert_array_equal(
            range_coder.decode_channels(coder, coded, z.shape[1:]), z
        )

    def test_kl_tables_are_of_a_unit_gaussian_in_steps(self):
        model = a_model(latent="kl", step=0.25)
        found = conceptual_module.tables(model)["z"]
        expected = builders.gaussian_tables(
            [4.0] * 3, precision=conceptual_module.PRECISION
        )
        np.testing.assert_array_equal(found.lookup, expected.lookup)
        np.testing.assert_array_equal(found.offsets, expected.offsets)

    def test_facts_for_the_card(self):
        facts = conceptual_module.latents(a_model(), {"method": "canny", "sigma": 2.0})
        self.assertEqual(
            facts,
            {
                "stride": 128,
                "channels": 3,
                "grid": False,
                "variant": "hf_gan",
                "structure": {"method": "canny", "sigma": 2.0},
            },
        )
