"""Quoted curves: whole, ordered, and each with its source."""

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import anchors


class AnchorsTest(SemCompTestCase):
    @parameterized.product(dataset=anchors.datasets(), metric=("psnr", "ms_ssim"))
    def test_curves_are_sound(self, dataset, metric):
        found = anchors.curves(dataset, metric)
        self.assertGreater(len(found), 10)
        self.assertLen({curve.name for curve in found}, len(found))
        top = {"psnr": 60.0, "ms_ssim": 1.0}[metric]
        for curve in found:
            with self.subTest(curve.name):
                self.assertFalse(curve.measured)
                self.assertRegex(
                    curve.source,
                    "^(CompressAI|TensorFlow Compression|NeuralCompression"
                    "|measured for tfsemcomp with) ",
                )
                # Quoted rates rise strictly: no point is there twice.
                self.assertEqual(list(curve.rates), sorted(set(curve.rates)))
                self.assertBetween(max(curve.values), 0.5, top)
                self.assertLess(curve.values[0], curve.values[-1])
                self.assertBetween(curve.rates[-1], 0.1, 16.0)

    def test_the_curves_that_plots_need_are_there(self):
        names = {curve.name for curve in anchors.curves("kodak", "psnr")}
        self.assertContainsSubset(
            {
                "jpeg-pillow7",
                "webp-pillow7",
                "avif-s6",
                "vtm",
                "bmshj2018-hyperprior-8bit (mse)",
                "mbt2018-8bit (mse)",
                "hific (mse+lpips+gan)",
            },
            names,
        )

    def test_means_are_over_the_whole_set(self):
        self.assertEqual(anchors.curves("kodak", "psnr")[0].images, 24)
        self.assertEqual(anchors.curves("tecnick", "psnr")[0].images, 100)

    def test_other_metrics_have_no_points(self):
        self.assertEqual(anchors.curves("kodak", "vifp"), [])

    def test_refuses_an_unknown_data_set(self):
        with self.assertRaisesRegex(ValueError, "`dataset` must be one of kodak, tec"):
            anchors.curves("clic", "psnr")

    def test_finds_the_set_by_its_pictures(self):
        kodak = [f"kodim{number:02}.png" for number in range(1, 25)]
        self.assertEqual(anchors.find_dataset(kodak), "kodak")
        self.assertEqual(anchors.find_dataset([f"x/{n}" for n in kodak]), "kodak")
        self.assertIsNone(anchors.find_dataset(kodak[1:]))
        self.assertIsNone(anchors.find_dataset([*kodak, "other.png"]))
