import json

import numpy as np

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import label_maps
from tfsemcomp.entropy import context_mixing
from tfsemcomp.semantics import edges


def labels(seed: int) -> np.ndarray:
    return (smooth_image(40, 56, seed)[..., 0] // 22).astype(np.uint8)


class ContextMixingRecipesTest(SemCompTestCase):
    def test_benchmark_measures_decoded_files(self):
        data = self.folder / "data"
        for split in ("train", "val"):
            (data / "camvid/labels" / split).mkdir(parents=True)
            (data / "bsds500/images" / split).mkdir(parents=True)
            for seed in range(2):
                map_path = data / "camvid/labels" / split / f"{seed}.png"
                label_maps.write(map_path, labels(seed))
                photo = smooth_image(48, 40, seed)
                images.write(data / "bsds500/images" / split / f"{seed}.png", photo)
        output = self.run_recipe_test(
            "recipes/benchmark_context_mixing.py",
            f"--data_dir={data}",
            "--parts=camvid,bsds500,times",
            "--out=out",
            "--smoke",
        )
        path = self.folder / "out" / "smoke" / "context_mixing.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        found = {"camvid labels": result["camvid"]["labels"]}
        for scale in (1, 2, 4):
            name = f"edges 1/{scale}"
            found[f"bsds500 {name}"] = result["bsds500"][name]
        coders = {"PNG", "WebP", "JPEG XL e9", "ours, cold", "ours, primed"}
        for name, one in found.items():
            self.assertEqual(one["maps"], 2)
            self.assertContainsSubset(coders, one["bytes"])
            self.assertIn(f"| {name} | 2 |", output)
        expected = [len(context_mixing.encode(labels(seed), 12)) for seed in range(2)]
        sizes = result["camvid"]["labels"]["bytes"]
        self.assertEqual(sizes["ours, cold"], np.mean(expected))
        # Both splits hold the same maps here.
        self.assertLess(sizes["ours, primed"], sizes["ours, cold"])
        seconds = result["times"]
        for name in ("labels", "edges"):
            compiling = seconds[f"{name}, first call, compiling"]
            self.assertGreater(compiling, seconds[f"{name}, first call, compiled"])
        self.assertIn("labels 1024x512, decode", seconds)

    def test_primes_from_photos(self):
        (self.folder / "photos").mkdir()
        for seed in range(3):
            photo = smooth_image(48, 40, seed)
            images.write(self.folder / "photos" / f"{seed}.png", photo)
        output = self.run_recipe_test(
            "recipes/prime_context_mixing.py",
            "--images=photos",
            "--scales=1,2",
            "--out=primed.npz",
        )
        self.assertIn("learnt from 3 maps", output)
        primed = context_mixing.load(self.folder / "primed.npz")
        plane = edges.extract(smooth_image(48, 40, 1))
        cold = context_mixing.encode(plane, 2)
        self.assertLess(len(context_mixing.encode(plane, 2, primed=primed)), len(cold))

    def test_primes_from_label_maps(self):
        (self.folder / "maps").mkdir()
        planes = [labels(seed) for seed in range(3)]
        for seed, plane in enumerate(planes):
            label_maps.write(self.folder / "maps" / f"{seed}.png", plane)
        self.run_recipe_test(
            "recipes/prime_context_mixing.py",
            "--labels=maps",
            "--symbols=12",
            "--seed=5",
            "--out=primed.npz",
        )
        primed = context_mixing.load(self.folder / "primed.npz")
        order = np.random.default_rng(5).permutation(3)
        again = context_mixing.prime([planes[i] for i in order], 12)
        for name, array in again.state.items():
            np.testing.assert_array_equal(primed.state[name], array)
