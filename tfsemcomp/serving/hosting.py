"""Folders of models as TF Serving takes them, and the file that tells it of them.

    DIR/<name>/<version>/saved_model.pb     and the tables beside it, which clients need
    DIR/<name>/card.json
    DIR/models.config                       --model_config_file of the server

Each version has a label, `fingerprint-` and the model's fingerprint: a client that asks
for it gets that model or an error.
"""

import os
import pathlib
import shutil

from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.serving import client, manifest

CONFIG = "models.config"
# Where the stock container looks for models.
BASE_PATH = "/models"
# What configurations cannot hold between quotes.
_UNQUOTABLE = '"\\\n'


def copy(
    model: manifest.ModelInfo, folder: str | os.PathLike, overwrite: bool = False
) -> pathlib.Path:
    """Copies a model to where a server finds it, whole or not at all.

    Args:
        model: whose files are checked against its manifest first.
        folder: of all models; made when missing.
        overwrite: puts it in the place of a version that is there.
    Returns: the version folder, `folder`/name/version.
    Raises:
        SemCompError: if that version is there, or cannot be written.
        ModelMismatchError: if files of the model were changed.
    """
    manifest.verify(model)
    target = pathlib.Path(folder) / model.name / str(model.version)
    check_free(target, overwrite)
    # Servers take only names that are numbers for versions.
    temporary = target.with_name(f".{model.version}.{os.getpid()}")
    old = target.with_name(f".{model.version}.{os.getpid()}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(model.path, temporary)
        card = model.path.parent / manifest.CARD
        if card.is_file():
            images.write_atomic(target.parent / manifest.CARD, card.read_bytes())
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise SemCompError(
            f"cannot write `{target}`: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target


def check_free(target: pathlib.Path, overwrite: bool) -> None:
    """Raises SemCompError if a version is there that must stay."""
    if target.exists() and not overwrite:
        raise SemCompError(
            f"{target}: exists; choose another folder, or --overwrite to put the model "
            "in its place"
        )


def hosted(folder: str | os.PathLike) -> list[manifest.ModelInfo]:
    """All versions of all models of a folder, sorted by name and version."""
    paths = [
        path.parent
        for path in pathlib.Path(folder).glob("*/*/saved_model.pb")
        if path.parent.name.isdigit()
    ]
    found = [manifest.find(path) for path in paths]
    return sorted(found, key=lambda model: (model.path.parent.name, model.version))


def write_config(
    folder: str | os.PathLike, base_path: str = BASE_PATH
) -> tuple[pathlib.Path, list[manifest.ModelInfo]]:
    """Writes `CONFIG` for all models of a folder, in place of the one that is there.

    Args:
        folder: of models.
        base_path: where the server sees that folder.
    Returns: the file, and the models in it.
    Raises: SemCompError if it cannot be written, or a name cannot stand in it.
    """
    models = hosted(folder)
    entries: dict[str, list[manifest.ModelInfo]] = {}
    for model in models:
        entries.setdefault(model.path.parent.name, []).append(model)
    text = "model_config_list {\n"
    for name, versions in entries.items():
        text += _entry(name, f"{base_path.rstrip('/')}/{name}", versions)
    path = pathlib.Path(folder) / CONFIG
    images.write_atomic(path, (text + "}\n").encode())
    return path, models


def _entry(name: str, base_path: str, versions: list[manifest.ModelInfo]) -> str:
    if any(letter in name + base_path for letter in _UNQUOTABLE):
        raise SemCompError(f"{base_path!r}: cannot stand in {CONFIG}; rename it")
    numbers = " ".join(f"versions: {model.version}" for model in versions)
    # Of files that are twice there, the latest version has the label.
    labels = {client.label(model): model.version for model in versions}
    lines = [
        f'    name: "{name}"',
        f'    base_path: "{base_path}"',
        '    model_platform: "tensorflow"',
        f"    model_version_policy {{ specific {{ {numbers} }} }}",
        *(
            f'    version_labels {{ key: "{label}" value: {number} }}'
            for label, number in labels.items()
        ),
    ]
    return "  config {\n" + "\n".join(lines) + "\n  }\n"
