"""Models from a server, for those that a package does not hold.

A server is any web server over a folder like `saved_models`: MANIFEST.json, and below
each model's name the files that it lists. There is no address unless the user gives
one. What has come is kept in `manifest.cache_folder`, is checked against the SHA-256 of
the manifest before it is used, and is never asked for again:

    MANIFEST.json --> entry of the model --> files to .partial/NAME, piece by piece
                  --> SHA-256 of each    --> rename to NAME --> entry into the cache's
                                             (one step)         MANIFEST.json (one step)

A download that was cut goes on where it ended, also in another process. The checksums
come from the server's manifest: whoever can change that can change the model, so take
an https address that you trust.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import http.client
import os
import pathlib
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from tfsemcomp.errors import LimitError, ModelMismatchError, SemCompError
from tfsemcomp.serving import manifest

URL_VARIABLE = "TFSEMCOMP_MODELS_URL"
PARTIAL = ".partial"
_LOCK = ".lock"
_BLOCK_BYTES = 1 << 18
_MAX_MANIFEST_BYTES = 16 << 20
# What a new attempt may end, apart from some answers of the server.
_PASSING = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a fetch keeps trying.

    Attributes:
        attempts: connections in a row that may end without a new byte, >= 1.
        pause_s: seconds before the second one; twice as long before each that follows.
        timeout_s: seconds without a byte after which a connection counts as dead.
        max_bytes: the largest file that is taken.
    """

    attempts: int = 5
    pause_s: float = 0.5
    timeout_s: float = 30.0
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"`attempts` must be at least 1, received {self.attempts}")


def models_url(url: str | None = None) -> str:
    """The address of the folder of models, with a slash at its end.

    Args:
        url: http or https; None for that of the environment variable
            TFSEMCOMP_MODELS_URL.
    Raises:
        SemCompError: if there is neither; ValueError if it is no such address.
    """
    url = url or os.environ.get(URL_VARIABLE)
    if not url:
        raise SemCompError(
            "there is no address to fetch models from: set the environment variable "
            f"{URL_VARIABLE}, or name one with --url."
        )
    parts = urllib.parse.urlsplit(url)
    web = parts.scheme in ("http", "https") and parts.netloc
    if not web or parts.query or parts.fragment:
        raise ValueError(
            "`url` must be the http or https address of a folder, without ? and #, "
            f"received {url!r}"
        )
    return url.rstrip("/") + "/"


def fetch(
    name: str,
    url: str | None = None,
    *,
    patience: Patience | None = None,
    on_bytes: Progress | None = None,
) -> manifest.ModelInfo:
    """Makes sure that a model is here, by fetching it where it is not.

    A model that is here and whole costs no connection. Several processes may fetch the
    same model: one does, the others wait for it.

    Args:
        name: of the model in the server's manifest.
        url: as `models_url` takes it.
        patience: with a bad connection.
        on_bytes: is told the bytes of the current file that are here, and its size (0
            if the server does not say).
    Returns: the model, as `manifest.find` gives it.
    Raises:
        SemCompError: if there is no address, the server cannot be reached or has no
            such model, or the cache cannot be written.
        ModelMismatchError: if the server's files are not those of its manifest.
        LimitError: if a file is larger than `patience` takes.
    """
    _check_name(name)
    found = _whole(name)
    if found is not None:
        return found
    base = models_url(url)
    patience = patience or Patience()
    folder = manifest.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            # Another process may have fetched it meanwhile.
            found = _whole(name)
            if found is not None:
                return found
            _fetch(name, base, folder, patience, on_bytes or (lambda *_: None))
        model = _listed(name)
        if model is None:
            raise SemCompError(f"{folder}: model `{name}` is gone again; try again.")
        return model
    except OSError as error:
        raise SemCompError(
            f"cannot keep models in {folder}: {error.strerror or error}; set "
            f"{manifest.CACHE_VARIABLE} to a folder that can be written."
        ) from error


def _whole(name: str) -> manifest.ModelInfo | None:
    """The model if it is here; of the cache only if it is as its manifest says.

    Raises: ModelMismatchError if a shipped one is not.
    """
    model = _listed(name)
    if model is None or not (model.path / "saved_model.pb").is_file():
        return None
    try:
        manifest.verify(model)
    except ModelMismatchError:
        if manifest.cache_folder() in model.path.parents:
            return None
        raise
    return model


def _listed(name: str) -> manifest.ModelInfo | None:
    try:
        models = manifest.list_models()
    except ModelMismatchError:
        raise
    except SemCompError:
        # Nothing is shipped, and nothing fetched yet.
        return None
    return next((model for model in models if model.name == name), None)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from this folder; the lock ends with the process."""
    with open(folder / _LOCK, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(
    name: str,
    base: str,
    folder: pathlib.Path,
    patience: Patience,
    on_bytes: Progress,
) -> None:
    """Fetches the files of a model and enters it into the cache's manifest."""
    entry = _entry(name, base, folder, patience)
    partial = folder / PARTIAL / name
    for path, digest in entry["files"].items():
        target = partial / path
        target.parent.mkdir(parents=True, exist_ok=True)
        address = urllib.parse.urljoin(base, urllib.parse.quote(f"{name}/{path}"))
        _fetch_file(address, target, digest, patience, on_bytes)
    _remove_others(partial, entry["files"])
    models = manifest.read(folder)
    # Until the new entry is written, nothing may point to the old files.
    if models.pop(name, None) is not None:
        manifest.write(folder, models)
    shutil.rmtree(folder / name, ignore_errors=True)
    partial.replace(folder / name)
    manifest.write(folder, models | {name: entry})


def _entry(
    name: str, base: str, folder: pathlib.Path, patience: Patience
) -> dict[str, Any]:
    """What the manifests say of a model, that of this package before the server's."""
    shipped = manifest.shipped_entries()
    if name in shipped:
        return shipped[name]
    address = urllib.parse.urljoin(base, manifest.MANIFEST)
    target = folder / PARTIAL / f".{manifest.MANIFEST}"
    target.parent.mkdir(exist_ok=True)
    # It may have changed since.
    target.unlink(missing_ok=True)
    few = dataclasses.replace(patience, max_bytes=_MAX_MANIFEST_BYTES)
    _complete(address, target, few, lambda *_: None)
    models = manifest.parse(target.read_bytes(), address)
    if name not in models:
        raise SemCompError(
            f"{address} has no model `{name}`; there are {', '.join(sorted(models))}."
        )
    _check_entry(models[name], f"{address}, model `{name}`")
    return models[name]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == manifest.MANIFEST:
        raise ValueError(
            "`name` must be that of a model, of letters, digits, '.', '_' and '-', "
            f"received {name!r}"
        )


def _check_entry(entry: Any, where: str) -> None:
    """Refuses what a hostile server might say, before anything is done with it."""
    try:
        files = entry["files"]
        right = (
            isinstance(entry["system"], str)
            and type(entry["version"]) is int
            and entry["version"] >= 1
            and type(entry["default"]) is bool
            and f"{entry['version']}/saved_model.pb" in files
            and all(_is_inside(path) for path in files)
            and all(_DIGEST.fullmatch(digest) for digest in files.values())
        )
    except (KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise ModelMismatchError(
            f"{where}: not an entry of a manifest; tell who runs that server."
        )


def _is_inside(path: str) -> bool:
    """Whether a path stays below its folder on every system."""
    return all(_NAME.fullmatch(part) for part in path.split("/"))


def _remove_others(partial: pathlib.Path, files: dict[str, str]) -> None:
    """Removes what a fetch of an older version left; it would change the print."""
    for path in partial.rglob("*"):
        if path.is_file() and path.relative_to(partial).as_posix() not in files:
            path.unlink()


def _fetch_file(
    address: str,
    target: pathlib.Path,
    digest: str,
    patience: Patience,
    on_bytes: Progress,
) -> None:
    """Fetches a file, from where an earlier attempt ended.

    Raises: ModelMismatchError if a whole new copy has another SHA-256.
    """
    resumed = target.exists()
    if resumed and manifest.sha256(target) == digest:
        return
    _complete(address, target, patience, on_bytes)
    if resumed and manifest.sha256(target) != digest:
        # What was here before may have been of another version.
        target.unlink()
        _complete(address, target, patience, on_bytes)
    if manifest.sha256(target) != digest:
        target.unlink()
        raise ModelMismatchError(
            f"{address}: differs from the manifest; nothing of it is kept, tell who "
            "runs that server."
        )


def _complete(
    address: str, target: pathlib.Path, patience: Patience, on_bytes: Progress
) -> None:
    """Fetches what lacks of a file, over as many connections as that takes."""
    best = idle = 0
    while True:
        start = _size(target)
        try:
            _append(address, target, start, patience, on_bytes)
            return
        except _PASSING as error:
            _raise_unless_passing(error, address, target)
            best, before = max(best, start, _size(target)), max(best, start)
            idle = 0 if best > before else idle + 1
            if idle >= patience.attempts:
                raise SemCompError(
                    f"cannot fetch {address}: {_tell(error)}; what has come is kept, "
                    "try again."
                ) from error
            time.sleep(patience.pause_s * 2 ** max(idle - 1, 0))


def _size(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(
    address: str,
    target: pathlib.Path,
    start: int,
    patience: Patience,
    on_bytes: Progress,
) -> None:
    """Reads one answer into a file, from its byte `start` on where the server can.

    Raises: one of `_PASSING` if the connection fails or ends too early; LimitError.
    """
    headers = {"Range": f"bytes={start}-"} if start else {}
    with _open(address, headers, patience) as answer:
        # A server without ranges sends the whole file again.
        position = start if answer.status == http.client.PARTIAL_CONTENT else 0
        if position and not _starts_at(answer, start):
            target.unlink()
            raise http.client.HTTPException("the server sent another range")
        size = 0 if answer.length is None else position + answer.length
        with open(target, "r+b" if position else "wb") as file:
            file.seek(position)
            _check_size(address, target, size, patience.max_bytes)
            while block := answer.read(_BLOCK_BYTES):
                position += len(block)
                _check_size(address, target, position, patience.max_bytes)
                file.write(block)
                on_bytes(position, size)
            file.flush()
            os.fsync(file.fileno())
    # read(n) tells of no early end.
    if position < size:
        raise http.client.HTTPException(f"{size - position} bytes did not come")


def _starts_at(answer: http.client.HTTPResponse, start: int) -> bool:
    found = _RANGE.match(answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _raise_unless_passing(error: Exception, address: str, target: pathlib.Path) -> None:
    """Raises for an error that a new attempt will not end."""
    if not isinstance(error, urllib.error.HTTPError):
        return
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and target.exists():
        # There is more of it here than there: it is of another version, or whole.
        target.unlink()
        return
    if error.code < 500 and error.code not in (408, 429):
        raise SemCompError(f"cannot fetch {address}: {_tell(error)}.") from error


def _check_size(address: str, target: pathlib.Path, size: int, most: int) -> None:
    """Keeps nothing of a file that is too large."""
    if size > most:
        target.unlink()
        raise LimitError(
            f"{address}: has more than {most} bytes, the most that is taken."
        )


def _open(
    address: str, headers: dict[str, str], patience: Patience
) -> http.client.HTTPResponse:
    # What is compressed on the way would have another length.
    request = urllib.request.Request(
        address, headers={"Accept-Encoding": "identity", **headers}
    )
    opener = urllib.request.build_opener(_NoDowngrade)
    return opener.open(request, timeout=patience.timeout_s)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # noqa: ANN001, D102
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise SemCompError(
                f"cannot fetch {req.full_url}: it leads to {newurl}, which is no https."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _tell(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", "") or error) or type(error).__name__
