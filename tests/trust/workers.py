"""What processes of their own do in the tests: every codec, from a list of samples."""

import os
import pathlib

from tests.fuzz import samples
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.serving import manifest


def code_all(folders: dict[str, str | None]) -> dict[str, list]:
    """Files of codecs, and their decoded pixels.

    Args:
        folders: codec -> folder of its models, None without.
    """
    found = {}
    for name, folder in folders.items():
        if folder is not None:
            os.environ[manifest.ENVIRONMENT_VARIABLE] = folder
        codec, files = base.get_codec(name), samples.files(name)
        found[name] = [(data, codec.decompress(data).tobytes()) for data in files]
    return found


def error_of_coding(name: str) -> str:
    """What a codec says in this process: text of the typed error, "" if none."""
    try:
        samples.files(name)
    except SemCompError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def models_of(names) -> dict[str, str | None]:
    """`code_all`'s argument; makes the models."""
    made = {name: samples.SAMPLES[name].models for name in names}
    return {
        name: str(pathlib.Path(make())) if make else None for name, make in made.items()
    }
