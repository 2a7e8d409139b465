"""What is handed out: the wheel's and the source archive's files, and that it works."""

import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import tfsemcomp
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What setup.py reads.
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
# What the source archive has beside the package and its models.
FOLDERS = ("docs", "docs_tools", "notebooks", "recipes", "tests", "tfrecords_tools")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
DATA = "tfsemcomp-{version}.data/data/share/tfsemcomp/"


def run(command: list, folder: pathlib.Path, **variables: str) -> str:
    """Runs a program that knows nothing of this checkout; returns its output."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables}
    for name in ("PYTHONPATH", "TFSEMCOMP_MODELS"):
        environment.pop(name, None)
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout


def files_below(folder: pathlib.Path) -> set[str]:
    """Paths below the root of the checkout, as an archive names them."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and ".ipynb_checkpoints" not in path.parts
    }


def listed_models() -> set[str]:
    """Every file that the manifest names, and the manifest."""
    text = (ROOT / "saved_models" / "MANIFEST.json").read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return {"saved_models/MANIFEST.json"} | {
        f"saved_models/{name}/{path}"
        for name, model in models.items()
        for path in model["files"]
    }


class WheelTest(SemCompTestCase):
    """One wheel, built once, looked into and installed."""

    def build(self) -> pathlib.Path:
        # A copy, since setuptools leaves its own folders beside setup.py.
        source = self.folder / "source"
        source.mkdir()
        for name in SOURCES:
            shutil.copy(ROOT / name, source)
        shutil.copytree(ROOT / "tfsemcomp", source / "tfsemcomp", ignore=LEFT_OUT)
        photos = pathlib.Path("recipes", "demo_photos")
        shutil.copytree(ROOT / photos, source / photos)
        (source / "saved_models").symlink_to(ROOT / "saved_models")
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
        run([*command, "--outdir", self.folder / "dist", source], self.folder)
        (wheel,) = (self.folder / "dist").iterdir()
        return wheel

    def test_the_wheel_holds_everything_and_does_the_demo(self):
        wheel = self.build()
        version = tfsemcomp.__version__
        self.assertEqual(wheel.name, f"tfsemcomp-{version}-py3-none-any.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        data = DATA.format(version=version)
        photos = {
            name.removeprefix("recipes/")
            for name in files_below(ROOT / "recipes" / "demo_photos")
        }
        expected = files_below(ROOT / "tfsemcomp")
        expected |= {data + name for name in listed_models() | photos}
        told = {name for name in names if name.startswith(f"tfsemcomp-{version}.dist")}
        self.assertEqual(names - told, expected)
        self._install_and_run(wheel)

    def _install_and_run(self, wheel: pathlib.Path) -> None:
        """Installs it beside the libraries of this environment, and uses it."""
        home = self.folder / "environment"
        venv.create(home, symlinks=True)
        python = home / "bin" / "python"
        libraries = run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            self.folder,
        ).strip()
        # A line of a .pth file lends the libraries, but not an editable install there.
        link = pathlib.Path(libraries) / "lent.pth"
        link.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        run([*pip, "--no-deps", "--no-index", wheel], self.folder)
        work = self.folder / "elsewhere"
        work.mkdir()
        images.write(work / "a photo.png", smooth_image(64, 64))
        command = home / "bin" / "tfsemcomp"
        self.assertIn(tfsemcomp.__version__, run([command, "--version"], work))
        models = json.loads(run([command, "models", "--json"], work))["models"]
        for model in models:
            self.assertStartsWith(model["path"], str(home / "share"))
        photos = run(
            [
                python,
                "-c",
                "import tfsemcomp; from tfsemcomp.evaluation import comparison\n"
                "print(tfsemcomp.__file__, comparison.photos())",
            ],
            work,
        )
        self.assertEqual(
            photos.split(),
            [
                f"{libraries}/tfsemcomp/__init__.py",
                str(home / "share" / "tfsemcomp" / "demo_photos"),
            ],
        )
        arguments = ["--images=a photo.png", "--out=shown", "--qualities=50"]
        run([command, "compare", *arguments], work)
        page = (work / "shown" / "report.html").read_text(encoding="utf-8")
        self.assertIn("a photo.png", page)
        self.assertLen(list((work / "shown" / "files").rglob("*.jpg")), 2)


class SourceArchiveTest(SemCompTestCase):
    def test_it_is_whole(self):
        command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base"]
        run([*command, self.folder], ROOT)
        path = self.folder / "tfsemcomp.egg-info" / "SOURCES.txt"
        names = set(path.read_text(encoding="utf-8").splitlines())
        expected = {*SOURCES, "CHANGELOG.md", "Makefile", "SECURITY.md", "mkdocs.yml"}
        for folder in FOLDERS:
            expected |= files_below(ROOT / folder)
        expected |= files_below(ROOT / "tfsemcomp") | listed_models()
        self.assertEqual(expected - names, set())


class VersionTest(SemCompTestCase):
    def test_it_is_told_in_one_place(self):
        version = re.escape(tfsemcomp.__version__)
        for path in ROOT.glob("*.toml"):
            self.assertNotRegex(path.read_text(encoding="utf-8"), r"(?m)^version\b")
        tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
        self.assertNotRegex(ast.unparse(tree), rf"['\"]{version}['\"]")

    def test_the_changelog_has_it(self):
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        headings = re.findall(r"(?m)^## \[(.*?)\](?: - (\d{4}-\d\d-\d\d))?$", text)
        self.assertEqual(headings[0], ("Unreleased", ""))
        self.assertEqual(headings[1][0], tfsemcomp.__version__)
        self.assertEqual(len(headings), len(set(headings)))
