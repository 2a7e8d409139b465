"""What made a result: versions of the software, the commit, the models, the machine."""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterable

from tfsemcomp import version
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError

# What may change a file, a picture or a value.
_PACKAGES = (
    "imagecodecs",
    "jpeglib",
    "keras-cv",
    "mozjpeg-lossless-optimization",
    "numba",
    "numpy",
    "pillow",
    "pillow-heif",
    "pillow-jxl-plugin",
    "tensorflow",
    "tensorflow-compression",
)
# Libraries in Pillow, by the name of the feature.
_PILLOW_FEATURES = {
    "libjpeg_turbo": "libjpeg-turbo",
    "webp": "libwebp",
    "avif": "libavif",
    "jpg_2000": "openjpeg",
}
_GIT_SECONDS = 10


def versions() -> dict[str, str]:
    """The versions of Python, this package, and what codecs and metrics build on.

    Returns:
        Version by name, of those that are installed. Nothing heavy is imported.
    """
    from PIL import features

    found = {"python": platform.python_version(), "tfsemcomp": version.__version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for feature, library in _PILLOW_FEATURES.items():
        if features.check(feature):
            found[library] = str(features.version(feature))
    return found


def commit() -> str | None:
    """The git commit of this package's checkout.

    Returns:
        Its 40 digits, with "+dirty" where tracked files have changed since; None
        where the package is no checkout of its own, or git is not there.
    """
    root = pathlib.Path(__file__).resolve().parents[2]
    # An installed package may lie in somebody else's checkout.
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if head is None or changes is None:
        return None
    return head + ("+dirty" if changes else "")


def _git(root: pathlib.Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def models(codecs: Iterable[base.Codec]) -> dict[str, str]:
    """The models that codecs run.

    Args:
        codecs: those of a sweep.

    Returns:
        "name version fingerprint" by codec, "codec model" where one was named. Codecs
        whose model is not on this machine are left out.
    """
    from tfsemcomp.serving import manifest

    found = {}
    for codec in codecs:
        if not codec.uses_model:
            continue
        try:
            model = manifest.choose(codec.model, codec.name)
        except SemCompError:
            continue
        name = f"{codec.name} {codec.model or ''}".strip()
        found[name] = f"{model.name} {model.version} {model.fingerprint.hex()}"
    return found


def machine() -> dict[str, str]:
    """What times depend on, in words: system, processor, cores, and how busy it is."""
    found = {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    # Systems that do not count their load have no such function.
    with contextlib.suppress(AttributeError, OSError):
        found["load at the start"] = f"{os.getloadavg()[0]:.1f}"
    return found


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def file_digest(path: pathlib.Path) -> str | None:
    """SHA-256 of a file in hexadecimal digits; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
