"""Writes SavedModels that any TF Serving binary can host."""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import convert_to_constants

from tfsemcomp.errors import SemCompError
from tfsemcomp.serving import allowed_ops

# What signatures of encoded pictures take and give beside those of decoded ones.
ENCODED = "encoded"
SIZE = "size"

# Constants of so many values or more may be kept in fewer bits; others are no weights.
_LARGE = 64
_FULL, _HALF, _QUARTER = 32, 16, 8


def export(
    signatures: Mapping[str, Callable],
    folder: str | os.PathLike,
    version: int = 1,
    extras: Mapping[str, Callable[[pathlib.Path], None]] | None = None,
    *,
    bits: int | Mapping[str, int] = _FULL,
) -> pathlib.Path:
    """Saves signatures as `folder`/`version`, whole or not at all.

    Variables become constants of the graph: a client then loads it in a tenth of the
    time, since no Keras objects have to be rebuilt, and nothing in it can be trained.

    Args:
        signatures: name -> tf.function with an input signature of named tensors, that
            returns a dict of tensors.
        folder: of the model; made when missing.
        version: number of the folder that TF Serving reads, >= 1.
        extras: name -> function that writes a further file of the model, such as its
            tables, at the path that it is given.
        bits: 32, 16 or 8: in how many bits float32 weights are stored, which are
            widened when the graph is loaded; or so by signature, where others keep 32.
            16 keep 11 significant binary digits; with 8 a matrix or kernel keeps 255
            levels for each of its output channels. What selects tables should keep 32.
    Returns: the version folder.
    Raises:
        SemCompError: if the folder exists, or the graph holds ops that are not stock.
        ValueError: if `bits` names no signature, or another number.
    """
    wanted = dict.fromkeys(signatures, bits) if isinstance(bits, int) else bits
    _check_bits(wanted, signatures)
    target = pathlib.Path(folder) / str(version)
    if target.exists():
        raise SemCompError(f"{target}: exists; choose another version or remove it.")
    temporary = target.with_name(f".{version}.{os.getpid()}")
    try:
        frozen = {
            name: _freeze(call, wanted.get(name, _FULL))
            for name, call in signatures.items()
        }
        tf.saved_model.save(tf.Module(), str(temporary), signatures=frozen)
        foreign = allowed_ops.forbidden(temporary)
        if foreign:
            raise SemCompError(
                f"{target}: ops {', '.join(foreign)} are not among those that models "
                "may hold (serving/allowed_ops.py); move them out of the signatures."
            )
        for name, write in (extras or {}).items():
            write(temporary / name)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def from_bytes(
    function: Callable, images: str = "images", multiple: int = 1
) -> tf.types.experimental.GenericFunction:
    """A signature of encoded pictures, from that of decoded ones.

    `encoded` string [B], whole JPEG or PNG files, all of one size in pixels, takes the
    place of the pictures. They are decoded in the graph by a stock op: three channels
    of 8 bits, without alpha, as they lie in the file whatever EXIF says, colour
    profiles ignored. Then they are mirrored at their lower and right edge, as codecs
    do.

    Args:
        function: tf.function with an input signature of named tensors, that returns a
            dict of tensors.
        images: name of its input float32 [B,H,W,3] in [0, 255].
        multiple: H and W become multiples of it.
    Returns: one with the same other inputs, which gives the same and `size`, int32
        [B,2]: H and W as decoded.
    Raises: ValueError if there is no such input.
    """
    signature = list(function.input_signature)
    names = [spec.name for spec in signature]
    if images not in names:
        raise ValueError(f"`images` must be one of {', '.join(names)}, got {images!r}.")
    place = names.index(images)
    signature[place] = tf.TensorSpec([None], tf.string, name=ENCODED)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = list(tensors)
        pixels = tf.map_fn(
            _decode, given[place], fn_output_signature=tf.TensorSpec(_PICTURE, tf.uint8)
        )
        size = tf.shape(pixels)[1:3]
        given[place] = tf.cast(_mirror(pixels, size, multiple), tf.float32)
        # An axis of pictures is what servers that batch requests need.
        sizes = tf.tile(size[None], [tf.shape(pixels)[0], 1])
        return {**function(*given), SIZE: sizes}

    return tf.function(call, input_signature=signature)


_PICTURE = [None, None, 3]


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """A file, string scalar -> uint8 [H,W,3]."""
    # It takes PNG, too. Its exact transform gives the pixels that `images.load` gives.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(image, _PICTURE)


def _mirror(pixels: tf.Tensor, size: tf.Tensor, multiple: int) -> tf.Tensor:
    """As `codecs.learned.pad`, which mirrors narrow pictures more than once, too."""
    for axis in (1, 2):
        length = size[axis - 1]
        period = tf.maximum(2 * (length - 1), 1)
        place = tf.range(-(-length // multiple) * multiple) % period
        pixels = tf.gather(pixels, tf.minimum(place, period - place), axis=axis)
    return pixels


def _check_bits(bits: Mapping[str, int], signatures: Mapping[str, Callable]) -> None:
    for name, number in bits.items():
        if name not in signatures or number not in (_FULL, _HALF, _QUARTER):
            raise ValueError(
                f"`bits` must give {_FULL}, {_HALF} or {_QUARTER} to some of "
                f"{', '.join(sorted(signatures))}; got {name}: {number}."
            )


def _freeze(function: Callable, bits: int) -> Callable:
    """The same function without variables."""
    concrete = function.get_concrete_function()
    names = sorted(concrete.structured_outputs)
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)
    if bits != _FULL:
        frozen = _shorten(frozen, bits)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, frozen(*tensors), strict=True))

    return tf.function(call, input_signature=function.input_signature)


def _shorten(frozen: tf.types.experimental.ConcreteFunction, bits: int) -> Callable:
    """The same function, its large float32 constants kept in fewer bits."""
    graph = frozen.graph.as_graph_def()
    for node in list(graph.node):
        if (
            node.op == "Const"
            and node.attr["dtype"].type == tf.float32.as_datatype_enum
        ):
            values = tf.make_ndarray(node.attr["value"].tensor)
            if values.size >= _LARGE:
                _widen(graph, node, values, bits)
    inputs = [tensor.name for tensor in frozen.inputs]
    outputs = [tensor.name for tensor in frozen.outputs]

    def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
        fed = dict(zip(inputs, tensors, strict=True))
        return tf.graph_util.import_graph_def(graph, fed, outputs, name="")

    return call


def _widen(
    graph: graph_pb2.GraphDef, node: node_def_pb2.NodeDef, values: np.ndarray, bits: int
) -> None:
    """Makes a node that held values compute them from a shorter constant."""
    del node.input[:]
    node.attr.clear()
    # Vectors, such as biases, are few values and have no channels to scale.
    if bits == _HALF or values.ndim < 2:
        short = _add_constant(graph, f"{node.name}/half", values.astype(np.float16))
        _make_cast(node, short, tf.float16)
        return
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    step = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    levels = np.rint(values / step).astype(np.int8)
    cast = graph.node.add(name=f"{node.name}/levels")
    _make_cast(cast, _add_constant(graph, f"{node.name}/quarter", levels), tf.int8)
    node.op = "Mul"
    node.input.extend([cast.name, _add_constant(graph, f"{node.name}/step", step)])
    node.attr["T"].type = tf.float32.as_datatype_enum


def _add_constant(graph: graph_pb2.GraphDef, name: str, values: np.ndarray) -> str:
    constant = graph.node.add(name=name, op="Const")
    constant.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    return name


def _make_cast(node: node_def_pb2.NodeDef, source: str, dtype: tf.DType) -> None:
    """Makes a node the float32 of what another one gives."""
    node.op = "Cast"
    node.input.append(source)
    node.attr["SrcT"].type = dtype.as_datatype_enum
    node.attr["DstT"].type = tf.float32.as_datatype_enum
