from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images


class FigureMsroiTest(SemCompTestCase):
    def test_draws_four_panels(self):
        photo, out = self.folder / "photo.png", self.folder / "figure.png"
        images.write(photo, smooth_image(96, 144))
        self.run_recipe_test(
            "recipes/figure_msroi.py",
            f"--photo={photo}",
            f"--out={out}",
            "--crop=32",
            "--side=64",
            "--map=contrast",
        )
        self.assertEqual(images.read(out).shape, (64 + 22, 4 * 68 - 4, 3))
