"""Installs tfsemcomp: semantic image compression in TensorFlow 2 / Keras."""

import json
import os
import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 11):
    sys.exit(
        "error: tfsemcomp needs Python 3.10 or 3.11 (TensorFlow 2.14 exists for no "
        f"other); this is Python {sys.version.split()[0]}: install python3.11 and "
        "run it from there."
    )

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def _read_version() -> str:
    scope: dict[str, str] = {}
    with open(os.path.join(HERE, "tfsemcomp", "version.py"), encoding="utf-8") as file:
        exec(file.read(), scope)
    return scope["__version__"]


def _read_text(name: str) -> str:
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def _shared_files() -> list[tuple[str, list[str]]]:
    """Puts models and photos where an installed package looks for them.

    Of saved_models/ that is what the manifest names: what recipes need besides, such
    as weights to train on from, stays in the repository.
    """
    with open(os.path.join(HERE, "saved_models", "MANIFEST.json"), "rb") as file:
        models = json.load(file)["models"]
    paths = ["saved_models/MANIFEST.json"]
    for name, model in sorted(models.items()):
        paths += [f"saved_models/{name}/{path}" for path in sorted(model["files"])]
    photos = sorted(os.listdir(os.path.join(HERE, "recipes", "demo_photos")))
    found: dict[str, list[str]] = {
        "demo_photos": [f"recipes/demo_photos/{name}" for name in photos]
    }
    for path in paths:
        found.setdefault(os.path.dirname(path), []).append(path)
    return [(f"share/tfsemcomp/{folder}", files) for folder, files in found.items()]


CORE = [
    "absl-py>=1.4",
    "jpeglib>=1.0.2,<2",
    "mozjpeg-lossless-optimization>=1.1,<2",
    "numba>=0.58,<1",
    "numpy>=1.23.5,<2",
    "pillow>=11.3",
    "tensorflow>=2.14.1,<2.15",
    "tensorflow-compression>=2.14.1,<2.15",
    "tqdm>=4.60",
]
EXTRAS = {
    # Codecs and figures to compare with.
    "bench": [
        "bjontegaard>=1.3",
        "brotli>=1.1,<2",
        "matplotlib>=3.7",
        "pandas>=2.0,<3",
        "pillow-heif>=0.18",
        "pillow-jxl-plugin>=1.3",
        "pyjpegli>=0.3",
        "zstandard>=0.22,<1",
    ],
    # Records made on Apache Beam.
    "beam": ["apache-beam>=2.70,<3"],
    # The site of docs/.
    "docs": ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=1,<2"],
    # Records from TensorFlow Datasets, pre-trained trunks.
    "train": [
        # tensorflow-datasets imports it for builders that are not its own.
        "importlib-resources>=5",
        "keras-cv>=0.9,<0.10",
        "tensorboard>=2.14,<2.15",
        "tensorflow-datasets>=4.9,<4.10",
        # Newer ones need protobuf 5, which TensorFlow 2.14 does not take.
        "tensorflow-metadata<1.16",
    ],
    # The page of `tfsemcomp demo`. It holds Pillow below its newest release.
    "demo": ["gradio>=6.31,<7"],
    "serving": ["tensorflow-serving-api>=2.14.1,<2.15"],
    # A search for bytes that break a decoder, `make fuzz-deep`.
    "fuzz": ["atheris>=2.3,<4"],
}
EXTRAS["dev"] = [
    *EXTRAS["bench"],
    *EXTRAS["docs"],
    *EXTRAS["train"],
    *EXTRAS["demo"],
    *EXTRAS["serving"],
    # Newer ones hold Pillow, and with it our codecs, below its newest release.
    "apache-beam>=2.70,<2.71",
    "build>=1,<2",
    # tensorflow_datasets.testing imports it.
    "dill>=0.3",
    # Notebooks, run by a test.
    "ipykernel>=6.29,<8",
    "nbclient>=0.10,<1",
    "nbformat>=5.10,<6",
    "pytest>=7.4",
    "pytest-xdist>=3.3",
    "psnr-hvsm>=0.2",
    "ruff>=0.6",
    "scikit-image>=0.22",
    # Steers Debian's Chromium, where that is installed.
    "selenium>=4.20,<5",
    # build without isolation takes these from here.
    "setuptools>=65",
    "sewar>=0.4.6",
    "tifffile>=2023.4",
    # Certificates of the servers in tests.
    "trustme>=1.1,<2",
    "wheel>=0.40",
]

setup(
    name="tfsemcomp",
    version=_read_version(),
    description="Semantic image compression in TensorFlow 2 and Keras",
    long_description=_read_text("README.md"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=["tfsemcomp", "tfsemcomp.*"]),
    package_data={
        "tfsemcomp.entropy": ["*.npz"],
        "tfsemcomp.evaluation": ["anchor_data/*", "page/*"],
        "tfsemcomp.demo": ["assets/*"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    data_files=_shared_files(),
    entry_points={"console_scripts": ["tfsemcomp=tfsemcomp.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
