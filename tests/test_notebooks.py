"""The notebooks run, in their smoke mode, and are kept without results."""

import json
import os
import pathlib
from unittest import mock

import nbclient
import nbformat
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp import images
from tfsemcomp.serving import manifest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
MAX_BYTES = 200_000


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


class KeptTest(SemCompTestCase):
    def test_which_there_are(self):
        self.assertEqual(
            NOTEBOOKS,
            [
                "compare_codecs",
                "quickstart",
                "serve",
                "train_hyperprior_tpu",
                "train_msroi_gpu",
            ],
        )
        page = (ROOT / "docs" / "NOTEBOOKS.md").read_text(encoding="utf-8")
        for name in NOTEBOOKS:
            self.assertIn(f"`notebooks/{name}.ipynb`", page)

    @parameterized.parameters(*NOTEBOOKS)
    def test_small_valid_and_without_results(self, name):
        self.assertLess((FOLDER / f"{name}.ipynb").stat().st_size, MAX_BYTES)
        notebook = read(name)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                self.assertEqual((cell.outputs, cell.execution_count), ([], None))

    @parameterized.parameters(*NOTEBOOKS)
    def test_all_begin_alike(self, name):
        def cells(which):
            found = {cell.id: cell.source for cell in read(which).cells}
            return found["install"], found["setup"]

        self.assertEqual(cells(name), cells("quickstart"))
        self.assertStartsWith(read(name).cells[0].source, "# ")


class RunTest(SemCompTestCase):
    def run_notebook(self, name: str) -> str:
        """Runs a notebook in a folder of its own; returns what its cells print."""
        environment = {
            "TFSEMCOMP_SMOKE": "1",
            "TFSEMCOMP_CLONE": str(ROOT),
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            # What the kernel would write to the user's folders.
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "jupyter"),
        }
        notebook = read(name)
        work = self.folder / "work"
        work.mkdir()
        client = nbclient.NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": str(work)}},
        )
        with mock.patch.dict(os.environ, environment):
            client.execute()
        self.output = work / "notebook_output"
        return "".join(
            output.get("text", "")
            for cell in notebook.cells
            if cell.cell_type == "code"
            for output in cell.outputs
        )

    def test_quickstart(self):
        text = self.run_notebook("quickstart")
        self.assertRegex(text, r"hyperprior: \d+ bytes, \d\d\.\d\d dB")
        self.assertEqual(images.read(self.output / "ours.jpg").shape, (64, 96, 3))
        self.assertTrue((self.output / "shown" / "report.html").is_file())

    def test_compare_codecs(self):
        self.run_notebook("compare_codecs")
        self.assertTrue((self.output / "results" / "report.html").is_file())

    def test_train_hyperprior_tpu(self):
        text = self.run_notebook("train_hyperprior_tpu")
        self.assertIn("smoke run: two steps on the default device, no TPU", text)
        self.assert_exported("my-hyperprior", "hyperprior")
        self.assertIn("codec: hyperprior", text)

    def test_train_msroi_gpu(self):
        text = self.run_notebook("train_msroi_gpu")
        self.assertIn("smoke run: on whatever device there is", text)
        self.assert_exported("my-msroi", "msroi_jpeg")

    def test_serve(self):
        text = self.run_notebook("serve")
        # No server, and nobody is told otherwise.
        self.assertIn("smoke run: no server is started", text)
        self.assertIn("NOT SERVED", text)
        self.assertRegex(text, r"in this process: \d+ bytes")
        self.assertNotRegex(text, r"(?m)^on \S+: \d+ bytes")
        self.assertIn("hyper_synthesis", text)

    def assert_exported(self, name: str, system: str) -> None:
        folder = self.output / "models"
        card = json.loads((folder / name / manifest.CARD).read_text(encoding="utf-8"))
        self.assertEqual(card["system"], system)
        self.assertEqual(card["steps"], 2)
