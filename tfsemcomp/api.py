"""The functions behind `import tfsemcomp`: from a name or a file to the right codec.

Nothing heavy is imported before it is needed: TensorFlow only once a codec runs a
network, numpy and Pillow once pixels are touched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.serving.manifest import ModelInfo

DEFAULT_CODEC = "msroi_jpeg"
_Path = str | os.PathLike[str]
_MAX_FILE_BYTES = 2**31


def load(name: _Path, *, server: str | None = None) -> base.Codec:
    """Makes the codec that a name stands for.

    Args:
        name: of a codec (its default model then), of a model, or the path of a model's
            folder, the one that holds saved_model.pb.
        server: of a TF Serving that hosts the codec's models: "host:8500" (gRPC),
            "http://host:8501" (REST) and more, see `serving.addresses`; None runs
            them here.

    Returns: the codec; see `Codec.compress` and `Codec.decompress`.
    Raises:
        ValueError: if there is neither codec nor model of that name, or `server` is
            given to a codec that runs no model.
        SemCompError: if the model is missing or says not which codec it belongs to.
    """
    text = os.fspath(name)
    if text in base.codec_names():
        return base.get_codec(text, **_given(server=server))
    return base.get_codec(_find_model(text).system, model=text, **_given(server=server))


def compress(
    image: np.ndarray | _Path,
    codec: str | base.Codec = DEFAULT_CODEC,
    *,
    model: str | None = None,
    server: str | None = None,
    **settings: Any,
) -> bytes:
    """Compresses an image.

    Args:
        image: uint8 [H,W,3], RGB, or the path of an image file.
        codec: name of a codec, or one from `load`.
        model: name or path of a model for a codec that runs one; None for its default.
        server: as of `load`.
        **settings: of `Codec.compress`: `quality`, or `target_bpp`, or `target_bytes`,
            `limits`, and the codec's own.

    Returns: the bytes of the whole file.
    Raises: as `Codec.compress`; for a path also as `images.load`.
    """
    if isinstance(codec, str):
        codec = base.get_codec(codec, **_given(model=model, server=server))
    elif model is not None or server is not None:
        given = "model" if model is not None else "server"
        raise ValueError(f"`{given}` needs the name of a codec; this one has its own")
    if isinstance(image, (str, os.PathLike)):
        from tfsemcomp import images

        limits = settings.get("limits") or bitstream.Limits()
        image = images.read(image, limits=limits)
    return codec.compress(image, **settings)


def decompress(
    data: bytes | _Path,
    *,
    layers: int | None = None,
    limits: bitstream.Limits | None = None,
    allow_torn: bool = False,
    server: str | None = None,
    **settings: Any,
) -> np.ndarray:
    """Decodes whatever `compress` wrote, and any image file that `images` reads.

    Args:
        data: the whole file, or its path.
        layers: how many layers of a layered stream to decode; None for all.
        limits: of the image's size; None stands for `Limits()`.
        allow_torn: decode the whole layers of a stream that is cut or damaged, instead
            of refusing it.
        server: that runs the networks of the file's codec, as of `load`.
        **settings: that the file's codec has for decoding.

    Returns: uint8 [H,W,3], RGB.
    Raises: as `Codec.decompress`; SemCompError also if the file cannot be read.
    """
    from tfsemcomp import images, inspection

    data, name = _bytes_of(data)
    codec = inspection.codec_of(data)
    if codec is not None:
        return base.get_codec(codec, **_given(server=server)).decompress(
            data, layers=layers, limits=limits, allow_torn=allow_torn, **settings
        )
    base.check_one_layer("an image file", layers)
    base.check_no_settings("an image file", {**settings, **_given(server=server)})
    limits = limits or bitstream.Limits()
    return images.load_bytes(data, name=name, limits=limits).pixels


def info(
    data: bytes | _Path, *, limits: bitstream.Limits | None = None
) -> dict[str, Any]:
    """Says what a file holds without decoding it, in values that JSON takes.

    Args:
        data: the whole file, or its path.
        limits: of the image's size; None stands for `Limits()`.

    Returns: a dict with at least `format`, `codec` (None if no codec here writes such
        files), `model`, `fingerprint`, `width`, `height`, `layers`, `chunks` (dicts
        with `type`, `layer` and `bytes`), `layer_bytes`, `bytes` and `bpp`.
    Raises:
        SemCompError: if the file cannot be read.
        BitstreamError: if it is neither a stream nor an image, or cut or damaged as
            far as can be seen without decoding.
        LimitError: if it declares more than `limits` allow.
    """
    from tfsemcomp import inspection

    data, name = _bytes_of(data)
    return inspection.describe(data, name, limits or bitstream.Limits())


def list_codecs() -> list[base.CodecInfo]:
    """Describes all codecs, also those that cannot run here and why."""
    return base.list_codecs()


def list_models() -> list[ModelInfo]:
    """Describes the trained models that are installed, from their manifest.

    Raises: SemCompError if there is no manifest.
    """
    from tfsemcomp.serving import manifest

    return manifest.list_models()


def codec_for_model(model: _Path) -> str:
    """Name of the codec that a model belongs to.

    Raises: as `load`.
    """
    return _find_model(os.fspath(model)).system


def read_file(path: _Path) -> bytes:
    """All bytes of a file.

    Raises: SemCompError if it is missing, a directory or unreadable; LimitError if it
        has more than 2 GiB; BitstreamError if it is empty.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise errors.SemCompError(
            f"cannot read `{os.fspath(path)}`: {error.strerror or error}"
        ) from error
    if not data:
        raise errors.BitstreamError(f"`{os.fspath(path)}` is empty")
    if len(data) > _MAX_FILE_BYTES:
        raise errors.LimitError(
            f"`{os.fspath(path)}` is larger than {_MAX_FILE_BYTES} bytes, the most "
            "that is read"
        )
    return data


def _find_model(name: str) -> ModelInfo:
    from tfsemcomp.serving import manifest

    try:
        model = manifest.find(name)
    except errors.SemCompError as error:
        if os.path.exists(name):
            raise
        raise ValueError(
            f"`{name}` is neither a codec ({', '.join(base.codec_names())}) nor a "
            f"model: {error}"
        ) from error
    if model.system not in base.codec_names():
        raise errors.SemCompError(
            f"the card of model `{name}` must name one of the codecs "
            f"{', '.join(base.codec_names())} as its `system`, it says "
            f"{model.system!r}"
        )
    return model


def _bytes_of(data: bytes | _Path) -> tuple[bytes, str]:
    """The bytes, and what to call them in messages."""
    if isinstance(data, (str, os.PathLike)):
        return read_file(data), os.fspath(data)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ValueError(
            f"`data` must be bytes or a path, received {type(data).__name__}"
        )
    return bytes(data), "the data"


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
