import json
import os
import shutil
from unittest import mock

import numpy as np

from tests.codecs import semantic_models
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream, images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.data import label_maps, records
from tfsemcomp.evaluation import panels
from tfsemcomp.metrics import recognition
from tfsemcomp.serving import manifest

PIXELS = (smooth_image(48, 64), smooth_image(48, 64, 1))
# Not quite what the test's segmenter finds.
LABELS = tuple(
    np.digitize(image[..., 0], (100, 170)).astype(np.uint8) for image in PIXELS
)


class SemanticEnhancedRecipesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        # A copy, for its cards get figures.
        models = shutil.copytree(semantic_models.folder(), self.folder / "models")
        root = {manifest.ENVIRONMENT_VARIABLE: str(models)}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.codec = base.get_codec("semantic_enhanced")

    def test_evaluate(self):
        data = self.folder / "records"
        found = [
            records.Record(
                name=str(number),
                image=images.encode(pixels, "PNG"),
                height=48,
                width=64,
                label_map=label_maps.encode(labels),
            )
            for number, (pixels, labels) in enumerate(zip(PIXELS, LABELS, strict=True))
        ]
        records.write_shards(found, str(data), "val", 1)
        out = self.folder / "out"
        text = self.run_recipe_test(
            "recipes/evaluate_semantic_enhanced.py",
            f"--data={data}:val",
            f"--out={out}",
            "--bases=jpeg",
            "--qualities=5,40",
            "--perceptions=0,1",
            "--backbone=",
            "--metrics=psnr",
            "--card",
        )
        self.assertEqual((out / "evaluation.md").read_text() + "\n", text)
        some = self.folder / "some"
        self.run_recipe_test(
            "recipes/evaluate_semantic_enhanced.py",
            f"--data={data}:val",
            f"--out={some}",
            "--bases=jpeg,jxl",
            "--cases=free,corrected,derived",
            "--backbone=",
            "--metrics=psnr",
            "--smoke",
        )
        found = json.loads((some / "smoke" / "evaluation.json").read_text())
        names = {n: [*one["qualities"]["1"]] for n, one in found["bases"].items()}
        self.assertEqual(names["jpeg"], ["base", "free", "derived", "corrected"])
        self.assertEqual(names["jxl"], ["base", "free", "derived"])
        self.assertEqual([*found["seconds"]], ["paid", "derived", "corrected"])
        facts = json.loads((out / "evaluation.json").read_text())
        told = manifest.default_model("semantic_enhanced").card["results"]
        self.assertEqual(told["data"], f"2 photos of {data}:val")
        psnr = told["jpeg"]["qualities"]["5"]["base"]["psnr"]
        self.assertEqual(psnr, facts["bases"]["jpeg"]["qualities"]["5"]["base"]["psnr"])
        for quality in (5, 40):
            cases = facts["bases"]["jpeg"]["qualities"][str(quality)]
            self.assertLen(cases, 1 + 2 * 8)
            self.check_accountings(cases, quality)
            self.check_semantics(cases, quality)
        told = facts["bases"]["jpeg"]["bd_rate"]
        self.assertIn("points", told["paid, perception 0"]["psnr"])
        self.assertNotIn("zero base, perception 0", told)

    def check_accountings(self, cases: dict, quality: int) -> None:
        """Bytes are those of files, and each way has its own."""
        files = {
            "paid": [
                self.codec.compress(pixels, quality=quality, labels=labels)
                for pixels, labels in zip(PIXELS, LABELS, strict=True)
            ],
            "corrected": [
                self.codec.compress(
                    pixels, quality=quality, labels=labels, mode="corrected"
                )
                for pixels, labels in zip(PIXELS, LABELS, strict=True)
            ],
        }
        for way, mode in (
            ("segment", "segment"),
            ("derived", "derived"),
            ("zero labels", "none"),
        ):
            files[way] = [
                self.codec.compress(pixels, quality=quality, mode=mode)
                for pixels in PIXELS
            ]
        jpeg = base.get_codec("jpeg")
        plain = [jpeg.compress(pixels, quality=quality) for pixels in PIXELS]
        for case in ("base", "free, perception 0", "free, perception 1"):
            self.assertEqual(cases[case]["bytes"], np.mean([*map(len, plain)]))
        for way, made in files.items():
            for wanted in (0, 1):
                case = cases[f"{way}, perception {wanted}"]
                self.assertEqual(case["bytes"], np.mean([*map(len, made)]))
                scores = [
                    metrics.psnr(p, self.codec.decompress(d, perception=float(wanted)))
                    for p, d in zip(PIXELS, made, strict=True)
                ]
                self.assertAlmostEqual(case["psnr"], np.mean(scores), places=5)
                before = [
                    metrics.psnr(p, jpeg.decompress(d))
                    for p, d in zip(PIXELS, plain, strict=True)
                ]
                better = np.mean(np.array(scores) > before)
                self.assertEqual(case["better"]["psnr"], better)
        paid, free = cases["paid, perception 0"], cases["free, perception 0"]
        self.assertEqual(paid["psnr"], free["psnr"])
        semantics = [len(d) - len(bitstream.truncate(d, 1)) for d in files["paid"]]
        self.assertEqual(cases["zero base, perception 0"]["bytes"], np.mean(semantics))
        self.assertLess(cases["zero base, perception 0"]["psnr"], paid["psnr"])
        self.assertGreater(cases["noisy, perception 0"]["bytes"], paid["bytes"])

    def check_semantics(self, cases: dict, quality: int) -> None:
        """What the judge and the classes say of the plain base."""
        jpeg = base.get_codec("jpeg")
        confusion, errors = np.zeros((3, 3), int), []
        for pixels, labels in zip(PIXELS, LABELS, strict=True):
            picture = jpeg.decompress(jpeg.compress(pixels, quality=quality))
            found = semantic_models.labels_of(picture)
            confusion += recognition.confusion(labels, found, 3)
            errors.append((picture.astype(float) - pixels)[labels == 1])
        self.assertAlmostEqual(cases["base"]["miou"], recognition.miou(confusion))
        error = np.concatenate(errors)
        psnr = 10 * np.log10(255**2 / (error**2).mean())
        self.assertAlmostEqual(cases["base"]["classes"]["1"]["psnr"], psnr)
        self.assertAlmostEqual(cases["base"]["classes"]["1"]["l1"], abs(error).mean())

    def test_figure(self):
        photos, labels = self.folder / "photos", self.folder / "labels"
        for folder in (photos, labels):
            folder.mkdir()
        for number, pixels in enumerate(PIXELS):
            images.write(photos / f"{number}.png", pixels)
            label_maps.write(labels / f"{number}.png", LABELS[number])
        out = self.folder / "figure.png"
        self.run_recipe_test(
            "recipes/figure_semantic_enhanced.py",
            f"--images={photos}",
            f"--labels={labels}",
            f"--out={out}",
            "--quality=5",
            "--perceptions=0,1",
            "--side=64",
            "--rows=2",
        )
        grid = images.read(out)
        self.assertEqual(grid.shape, (2 * (64 + panels.CAPTION_HEIGHT), 5 * 68 - 4, 3))
        for row, pixels in enumerate(PIXELS):
            data = self.codec.compress(pixels, quality=5, labels=LABELS[row])
            top = row * (64 + panels.CAPTION_HEIGHT)
            for column, expected in (
                (0, pixels),
                (2, self.codec.decompress(data, layers=1)),
                (3, self.codec.decompress(data)),
                (4, self.codec.decompress(data, perception=1.0)),
            ):
                found = grid[top : top + 48, column * 68 : column * 68 + 64]
                np.testing.assert_array_equal(found, expected)
            drawn = grid[top : top + 48, 68 : 68 + 64]
            colours = {tuple(drawn[LABELS[row] == label][0]) for label in range(3)}
            self.assertLen(colours, 3)
