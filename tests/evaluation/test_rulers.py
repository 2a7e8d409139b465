import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp import metrics
from tfsemcomp.evaluation.rulers import Ruler

PHOTO, PICTURE = smooth_image(48, 48), smooth_image(48, 48, 1)


class RulerTest(SemCompTestCase):
    def test_metrics_asked_for(self):
        ruler = Ruler(["psnr", "edge_f1"], "")
        self.assertEqual(
            ruler.measure(PHOTO, PICTURE),
            {
                "psnr": metrics.psnr(PHOTO, PICTURE),
                "edge_f1": metrics.edge_f1(PHOTO, PICTURE),
            },
        )
        self.assertIsNone(ruler.features(PHOTO))
        with self.assertRaises(ValueError):
            Ruler(["nope"], "")

    def test_features_of_a_backbone(self):
        ruler = Ruler(["psnr"], weights_file("MobileNet"))
        found = ruler.measure(PHOTO, PICTURE)
        families = sorted(name.split("@")[0] for name in found)
        self.assertEqual(families, ["feature_dists", "feature_lpips", "psnr"])
        np.testing.assert_array_equal(
            ruler.features(PHOTO), ruler.backbone.embed(PHOTO[None])[0]
        )
