"""Decoders' networks for TensorFlow Lite, as far as its own kernels go.

    file --range decoder, tables--> y_hat --synthesize.tflite--> picture

Only networks that paint are converted, with TFLite's built-in operations and none of
TensorFlow's, so that any TFLite runtime runs them. `hyper_synthesis`, which selects
tables, is not: it computes in double precision, for which TFLite has no convolutions,
and in less another table might be selected than the encoder's. Models of `factorized`
and `rnn` have none; for others a device must run it by other means.
Sizes of inputs are those of the signature: resize them before tensors are allocated.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from tfsemcomp import images
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import manifest, signatures

_PREFIX = "synthesize"
SUFFIX = ".tflite"
# Where C++ writes; sys.stderr is another thing.
_STDERR = 2


def decoders(model: manifest.ModelInfo) -> list[str]:
    """Signatures of a model that paint, sorted; none of a model that paints nothing."""
    names = signatures.read(model.path)
    return sorted(name for name in names if name.startswith(_PREFIX))


def convert(model: manifest.ModelInfo, signature: str) -> bytes:
    """Converts a signature.

    Args:
        model: whose files are checked against its manifest first.
        signature: one of the model's.
    Returns: the flat buffer of a TFLite model whose inputs and outputs have the names
        and types of the signature's.
    Raises:
        ValueError: the model has no such signature.
        ModelMismatchError: files of the model were changed.
        SemCompError: it needs operations that TFLite does not have.
    """
    known = signatures.read(model.path)
    if signature not in known:
        raise ValueError(
            f"`signature` must be one of {', '.join(sorted(known))}, received "
            f"{signature!r}"
        )
    import tensorflow as tf

    manifest.verify(model)
    loaded = tf.saved_model.load(str(model.path))
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [loaded.signatures[signature]], loaded
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        with _quiet():
            return converter.convert()
    except Exception as error:
        # The converter raises an error of its own, of a private module, and others.
        raise SemCompError(
            f"`{signature}` of {model.name} needs operations that TFLite does not "
            "have; run it with TensorFlow"
        ) from error


def export_decoders(
    model: manifest.ModelInfo, folder: str | os.PathLike, overwrite: bool = False
) -> tuple[dict[str, pathlib.Path], dict[str, str]]:
    """Writes what paints as `folder`/name/version/SIGNATURE.tflite.

    Args:
        model: see `convert`.
        folder: of all models; made when missing.
        overwrite: replaces files that are there.
    Returns: files by signature, and for those that could not be converted the reason.
    Raises:
        SemCompError: the model paints nothing, or a file is there or cannot be written.
        ModelMismatchError: files of the model were changed.
    """
    names = decoders(model)
    if not names:
        raise SemCompError(f"{model.name} has no signature that paints pictures")
    target = pathlib.Path(folder) / model.name / str(model.version)
    paths = {name: target / f"{name}{SUFFIX}" for name in names}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise SemCompError(
                f"{path}: exists; choose another folder, or --overwrite to replace it"
            )
    written, reasons = {}, {}
    for name, path in paths.items():
        try:
            data = convert(model, name)
        except ModelMismatchError:
            raise
        except SemCompError as error:
            reasons[name] = str(error)
            continue
        target.mkdir(parents=True, exist_ok=True)
        images.write_atomic(path, data)
        written[name] = path
    return written, reasons


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what the converter's C++ writes of its troubles off the terminal."""
    with tempfile.TemporaryFile() as sink:
        kept = os.dup(_STDERR)
        os.dup2(sink.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
