"""Which models are shipped, where they lie, and that nothing of them has changed.

`saved_models/MANIFEST.json` names every model with the SHA-256 of each of its files. A
model's fingerprint, which streams carry, is drawn from the files of its version folder
(graph, weights, tables), so that one changed weight makes another model.
"""

import dataclasses
import hashlib
import json
import os
import pathlib

from tfsemcomp import installed
from tfsemcomp.errors import ModelMismatchError, SemCompError

ENVIRONMENT_VARIABLE = "TFSEMCOMP_MODELS"
CACHE_VARIABLE = "TFSEMCOMP_CACHE"
MANIFEST = "MANIFEST.json"
CARD = "card.json"
_SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """One model on disk.

    Attributes:
        name: "msroi-small", ...
        version: of the folder that TF Serving would pick, >= 1.
        system: the codec it belongs to.
        path: folder that holds saved_model.pb.
        card: contents of card.json.
        files: path below the model's folder -> SHA-256, empty for a model that is in
            no manifest.
        default: whether `system` takes this model when none is named.
    """

    name: str
    version: int
    system: str
    path: pathlib.Path
    # Left out of comparisons, which makes models keys of a cache.
    card: dict = dataclasses.field(compare=False)
    files: dict[str, str] = dataclasses.field(compare=False)
    default: bool = False

    @property
    def fingerprint(self) -> bytes:
        """4 bytes that change with any file of the version folder."""
        below = f"{self.version}/"
        listed = {
            name.removeprefix(below): digest
            for name, digest in self.files.items()
            if name.startswith(below)
        }
        return _fingerprint(listed) if listed else fingerprint(self.path)


def models_folder() -> pathlib.Path:
    """The folder with MANIFEST.json.

    It is the one that the environment variable TFSEMCOMP_MODELS names, or
    `saved_models` beside the package (a clone), or where pip put it.

    Raises:
        SemCompError: if none of them has a manifest.
    """
    folder = _shipped_folder()
    if folder is None:
        raise SemCompError(
            f"no {MANIFEST} in {' or '.join(map(str, _candidates()))}: set "
            f"{ENVIRONMENT_VARIABLE} to the folder of models, or install tfsemcomp "
            "again."
        )
    return folder


def _shipped_folder() -> pathlib.Path | None:
    whole = (path for path in _candidates() if (path / MANIFEST).is_file())
    return next(whole, None)


def _candidates() -> list[pathlib.Path]:
    """Where the shipped models may lie."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return [pathlib.Path(named)] if named else installed.places("saved_models")


def cache_folder() -> pathlib.Path:
    """The folder of fetched models, laid out like that of the shipped ones.

    It is `models` below the folder that the environment variable TFSEMCOMP_CACHE
    names, or below `tfsemcomp` in the user's cache. It need not exist.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return pathlib.Path(named) / "models"
    user = os.environ.get("XDG_CACHE_HOME")
    base = pathlib.Path(user) if user else pathlib.Path.home() / ".cache"
    return base / "tfsemcomp" / "models"


def list_models() -> list[ModelInfo]:
    """All models that are here, sorted by name.

    They are those of `models_folder` and those that were fetched. Of two with one name
    the shipped one counts, unless its files were left out, and a fetched model is the
    default of its system only where none is shipped.

    Raises:
        SemCompError: if there is neither; ModelMismatchError for a damaged manifest.
    """
    fetched = _models_of(cache_folder())
    shipped: dict[str, ModelInfo] = {}
    # A folder that somebody named must be there.
    if os.environ.get(ENVIRONMENT_VARIABLE) or not fetched or _shipped_folder():
        shipped = _models_of(models_folder())
    taken = {model.system for model in shipped.values() if model.default}
    models = dict(shipped)
    for name, model in fetched.items():
        if name not in shipped:
            default = model.default and model.system not in taken
            models[name] = dataclasses.replace(model, default=default)
        elif not (shipped[name].path / "saved_model.pb").is_file():
            models[name] = dataclasses.replace(
                shipped[name], path=model.path, card=model.card
            )
    return [model for _, model in sorted(models.items())]


def shipped_entries() -> dict[str, dict]:
    """The entries of the manifest of `models_folder` by name; none if there is none.

    Raises:
        ModelMismatchError: if the file is no manifest.
    """
    folder = _shipped_folder()
    return {} if folder is None else read(folder)


def find(name: str | os.PathLike) -> ModelInfo:
    """The model called `name`, or the one in that folder.

    Args:
        name: a name in the manifest, or the path of a folder with saved_model.pb.
    Raises:
        SemCompError: if there is neither.
    """
    path = pathlib.Path(name)
    if (path / "saved_model.pb").is_file():
        return _from_folder(path.resolve())
    models = {model.name: model for model in list_models()}
    if str(name) not in models:
        raise SemCompError(
            f"no model `{name}`; there are {', '.join(models)}. `tfsemcomp models "
            "--fetch=NAME` fetches others; a path must hold saved_model.pb."
        )
    return models[str(name)]


def choose(model: str | os.PathLike[str] | None, system: str) -> ModelInfo:
    """The model that is named, or else that of a system.

    Args:
        model: as of `find`; None for `default_model(system)`.
        system: of the default, as a codec is called.
    Raises: as `find` and `default_model`.
    """
    return default_model(system) if model is None else find(model)


def default_model(system: str) -> ModelInfo:
    """The model that codec `system` takes when none is named.

    Raises:
        SemCompError: if none is shipped for it.
    """
    for model in list_models():
        if model.system == system and model.default:
            return model
    raise SemCompError(f"no model is shipped for `{system}`; name one by its path.")


def with_fingerprint(wanted: bytes, system: str) -> ModelInfo:
    """The model of `system` that made a stream.

    Args:
        wanted: the 4 bytes of the stream's header.
        system: the codec of the stream's header.
    Raises:
        ModelMismatchError: if no model of the manifest has that fingerprint.
    """
    models = [model for model in list_models() if model.system == system]
    for model in models:
        if model.fingerprint == wanted:
            return model
    names = ", ".join(model.name for model in models) or "none"
    raise ModelMismatchError(
        f"the stream was made with a model of fingerprint {wanted.hex()}, which is not "
        f"here (models of {system} here: {names}); name its folder as `model`."
    )


def verify(model: ModelInfo) -> None:
    """Checks every listed file of a model against its SHA-256.

    Raises:
        ModelMismatchError: naming the first file that is missing or differs.
    """
    root = model.path.parent
    for name, digest in model.files.items():
        path = root / name
        if not path.is_file() or sha256(path) != digest:
            raise ModelMismatchError(
                f"{path}: is missing or differs from {MANIFEST}; restore the files of "
                f"model `{model.name}`."
            )


def add(folder: pathlib.Path, card: dict, default: bool) -> None:
    """Writes a model's card and enters the model into the manifest, with its checksums.

    Args:
        folder: of the manifest, which is made when missing.
        card: tells at least the model's `name`, its `version` and its `system`; the
            files of that version are there already.
        default: whether it becomes the default of its system.
    """
    name, version = card["name"], card["version"]
    root = folder / name
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    (root / CARD).write_text(text, encoding="utf-8")
    models = read(folder)
    for entry in models.values():
        if default and entry["system"] == card["system"]:
            entry["default"] = False
    paths = [root / CARD, *sorted((root / str(version)).rglob("*"))]
    models[name] = {
        "system": card["system"],
        "version": version,
        "default": default,
        "files": {
            path.relative_to(root).as_posix(): sha256(path)
            for path in paths
            if path.is_file()
        },
    }
    write(folder, models)


def write(folder: pathlib.Path, models: dict[str, dict]) -> None:
    """Writes the manifest of a folder, all at once.

    Args:
        folder: it is there.
        models: the entries by name, as `read` gives them.
    """
    text = json.dumps({"schema": _SCHEMA, "models": models}, indent=1, sort_keys=True)
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def fingerprint(path: pathlib.Path) -> bytes:
    """4 bytes that stand for all files below a version folder."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return _fingerprint({f.relative_to(path).as_posix(): sha256(f) for f in files})


def _fingerprint(files: dict[str, str]) -> bytes:
    digest = hashlib.sha256()
    for name, checksum in sorted(files.items()):
        digest.update(f"{name} {checksum}\n".encode())
    return digest.digest()[:4]


def sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read(folder: pathlib.Path) -> dict[str, dict]:
    """The entries of a folder's manifest by name; none if it has no manifest.

    Raises:
        ModelMismatchError: if the file is no manifest.
    """
    path = folder / MANIFEST
    return parse(path.read_bytes(), str(path)) if path.is_file() else {}


def parse(data: bytes, where: str) -> dict[str, dict]:
    """The entries of a manifest by name.

    Args:
        data: contents of the file.
        where: what to call it in messages.
    Raises:
        ModelMismatchError: if they are none.
    """
    try:
        content = json.loads(data.decode("utf-8"))
        schema, models = content["schema"], dict(content["models"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelMismatchError(f"{where}: not a manifest ({error}).") from error
    if schema != _SCHEMA:
        raise ModelMismatchError(
            f"{where}: schema {schema}, but this tfsemcomp reads {_SCHEMA}; update it."
        )
    return models


def _models_of(folder: pathlib.Path) -> dict[str, ModelInfo]:
    return {
        name: _from_entry(folder, name, entry) for name, entry in read(folder).items()
    }


def _from_entry(folder: pathlib.Path, name: str, entry: dict) -> ModelInfo:
    root = folder / name
    return ModelInfo(
        name=name,
        version=entry["version"],
        system=entry["system"],
        path=root / str(entry["version"]),
        card=_read_card(root / CARD),
        files=entry["files"],
        default=entry["default"],
    )


def _from_folder(path: pathlib.Path) -> ModelInfo:
    card = _read_card(path.parent / CARD)
    version = int(path.name) if path.name.isdigit() else 1
    name = card.get("name", path.parent.name if path.name.isdigit() else path.name)
    return ModelInfo(name, version, card.get("system", ""), path, card, {})


def _read_card(path: pathlib.Path) -> dict:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelMismatchError(f"{path}: not a model card ({error}).") from error
