import json

from tests.harness import SemCompTestCase, smooth_image
from tests.serving.processes import ModelServer
from tfsemcomp import images
from tfsemcomp.serving import hosting, manifest


class BenchmarkServingTest(SemCompTestCase):
    def test_all_parts_on_a_small_picture(self):
        model = manifest.find("hyperprior-small-2")
        hosting.copy(model, self.folder / "models")
        config, _ = hosting.write_config(
            self.folder / "models", str(self.folder / "models")
        )
        server = ModelServer(config, [model.name], self.folder / "log.txt")
        self.addCleanup(server.close)
        images.write(self.folder / "photo.png", smooth_image(80, 70))
        self.run_recipe_test(
            "recipes/benchmark_serving.py",
            f"--server={server.grpc}",
            f"--server_pid={server.process.pid}",
            f"--codec={model.name}",
            "--image=photo.png",
            "--batch=2",
            "--out=results",
            "--smoke",
        )
        folder = self.folder / "results" / "smoke"
        found = json.loads((folder / "serving.json").read_text("utf-8"))
        self.assertEqual(found["about"]["model"], model.name)
        for part, pictures in (("predict", 2), ("compress", 1), ("decompress", 1)):
            rows = found[part]["rows"]
            self.assertEqual([row["clients"] for row in rows], [1, 2])
            for row in rows:
                told = row["milliseconds"]
                order = [told[name] for name in ("p50", "p90", "p99", "max")]
                self.assertEqual(order, sorted(order))
                self.assertGreater(order[0], 0)
                self.assertGreaterEqual(row["seconds"], 0.5)
                self.assertAlmostEqual(
                    row["pictures_a_second"],
                    pictures * row["requests"] / row["seconds"],
                    delta=0.02 * row["pictures_a_second"],
                )
                for size in row["server_MiB"]:
                    self.assertBetween(size, 50, 20000)
        text = (folder / "serving.md").read_text("utf-8")
        self.assertEqual(text.count("\n| 2 | "), 3)
        self.assertNotIn("not told", text)
