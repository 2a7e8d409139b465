"""Networks whose results are the same on every machine, to the last bit.

    x --to the grid--> float64 --op--> sums without an error --to the grid-->

Floating point sums depend on their order, and so on processors, threads and libraries.
Here weights and activations are whole multiples of fixed steps, and so small that
float64 holds each product and each sum of a layer without rounding. No order of
summation changes them, nor does an error below half a step: each layer's results are
rounded to the grid again. What a network finds may then select tables, or be the
context that coder and decoder share.

Source: the idea is that of integer networks, Balle et al., ICLR 2019 (learned weights
there, rounded ones here); the grids are ours.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

# Bits behind the point: of activations and weights, and of factors of channels.
_BITS, _FACTOR_BITS = 16, 20
# Activations are cut off here, and factors must be smaller.
_LARGEST, _LARGEST_FACTOR = 2.0**10, 2.0**7
# What the weights that lead to one value may add up to, so that 53 bits hold the sum.
_LARGEST_SUM = 2.0 ** (53 - 2 * _BITS) / _LARGEST
# ResizeBilinear computes in float32, exactly for so few bits and factors of 2, 4, 8.
_RESIZED_BITS, _LARGEST_RESIZED = 8, 2.0**7

# Ops that only move, choose or compare values; what whole numbers go through is exact.
_MOVING = frozenset(
    [
        "ArgMax",
        "BatchToSpaceND",
        "ConcatV2",
        "ExpandDims",
        "GatherV2",
        "Identity",
        "MaxPool",
        "Maximum",
        "Minimum",
        "OneHot",
        "Pack",
        "Pad",
        "PadV2",
        "Range",
        "Relu",
        "Reshape",
        "Shape",
        "Slice",
        "SpaceToBatchND",
        "Squeeze",
        "StridedSlice",
        "Tile",
        "Transpose",
    ]
)
# Ops whose results leave the grid or its range.
_ADDING = frozenset(["AddV2", "BiasAdd", "Neg", "Sub"])
_SILENT = frozenset(["Const", "NoOp", "Placeholder"])

_Values = dict[str, tf.Tensor]


def exactly(function: Callable) -> tf.types.experimental.GenericFunction:
    """The same network in exact arithmetic, for `export.export`.

    Weights become float16 with at most 16 bits behind the point, which are widened when
    they are used. Activations have 16 bits behind the point and are cut off at +-1024;
    before a bilinear interpolation 8 and +-128. Interpolations are exact that enlarge
    by 2, 4 or 8.

    Args:
        function: tf.function with an input signature of named tensors, that returns a
            dict of tensors; of convolutions, sums, ReLUs, pooling, batch normalisation
            at inference and interpolation.
    Returns: one with the same signature and types of results.
    Raises: ValueError if it has another op, or weights too large for exact sums.
    """
    concrete = function.get_concrete_function()
    names = sorted(concrete.structured_outputs)
    frozen = convert_to_constants.convert_variables_to_constants_v2(concrete)
    constants = _constants(frozen.graph)
    _check(frozen.graph, constants)

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        values: _Values = {}
        for given, place in zip(tensors, frozen.inputs, strict=True):
            values[place.name] = _settle(given) if given.dtype.is_floating else given
        for op in frozen.graph.get_operations():
            _run(op, values, constants)
        found = [tf.cast(values[old.name], old.dtype) for old in frozen.outputs]
        return dict(zip(names, found, strict=True))

    return tf.function(call, input_signature=function.input_signature)


def _constants(graph: tf.Graph) -> dict[str, np.ndarray]:
    """What is known before any input, by names of tensors."""
    found: dict[str, np.ndarray] = {}
    for op in graph.get_operations():
        if op.type == "Const":
            found[op.outputs[0].name] = tf.make_ndarray(op.get_attr("value"))
        elif op.type == "Identity" and op.inputs[0].name in found:
            found[op.outputs[0].name] = found[op.inputs[0].name]
    return found


def _check(graph: tf.Graph, constants: dict[str, np.ndarray]) -> None:
    """Raises ValueError if the graph cannot be computed exactly."""
    known = {*_MOVING, *_ADDING, *_RULES}
    ops = [op for op in graph.get_operations() if op.type not in _SILENT]
    foreign = sorted({op.type for op in ops if _is_real(op)} - known)
    if foreign:
        raise ValueError(
            f"`function` has ops that have no exact form here: {', '.join(foreign)}."
        )
    for op in ops:
        if op.type != "Conv2D":
            continue
        weights = constants.get(op.inputs[1].name)
        if weights is None:
            raise ValueError(f"`function` weighs {op.name} by what is no constant.")
        total = abs(weights).sum(axis=(0, 1, 2)).max()
        if total > _LARGEST_SUM:
            raise ValueError(
                f"`function` has weights in {op.name} that add up to {total:g}; sums "
                f"are exact up to {_LARGEST_SUM:g}."
            )


def _is_real(op: tf.Operation) -> bool:
    return any(tensor.dtype.is_floating for tensor in (*op.inputs, *op.outputs))


def _run(op: tf.Operation, values: _Values, constants: dict[str, np.ndarray]) -> None:
    """Adds what an op gives."""
    if op.type in ("NoOp", "Placeholder"):
        return
    if op.type == "Const":
        values[op.outputs[0].name] = _constant(constants[op.outputs[0].name])
        return
    given = [values[old.name] for old in op.inputs]
    if op.type in _RULES:
        found = _RULES[op.type](op, given, constants)
    else:
        found = _same(op, given)
        if op.type in _ADDING and found.dtype.is_floating:
            found = _settle(found)
    values[op.outputs[0].name] = found


def _same(op: tf.Operation, given: Sequence[tf.Tensor]) -> tf.Tensor:
    """The first result of the same op, given other tensors."""
    call = getattr(tf.raw_ops, op.type)
    inputs: dict[str, Any] = {}
    rest = list(given)
    for arg in op.op_def.input_arg:
        count = op.get_attr(arg.number_attr) if arg.number_attr else 1
        taken, rest = rest[:count], rest[count:]
        inputs[arg.name] = taken if arg.number_attr else taken[0]
    attributes = {
        attr.name: op.get_attr(attr.name)
        for attr in op.op_def.attr
        if attr.name in inspect.signature(call).parameters
    }
    return call(**inputs, **attributes)


def _settle(x: tf.Tensor, bits: int = _BITS, largest: float = _LARGEST) -> tf.Tensor:
    """float64 of whole steps in a range."""
    steps = tf.round(tf.cast(x, tf.float64) * 2.0**bits)
    return tf.clip_by_value(steps * 2.0**-bits, -largest, largest)


def _grid(values: np.ndarray, bits: int) -> np.ndarray:
    """float64 of whole steps."""
    return np.rint(values.astype(np.float64) * 2.0**bits) * 2.0**-bits


def _constant(values: np.ndarray) -> tf.Tensor:
    if values.dtype != np.float32:
        return tf.constant(values)
    return tf.constant(_grid(values, _BITS))


def _weights(values: np.ndarray) -> tf.Tensor:
    # What has 11 significant digits and 16 bits behind the point fits into float16.
    short = _grid(values.astype(np.float16), _BITS).astype(np.float16)
    # As integers, since protobufs of float16 take more than 2 bytes a value.
    kept = tf.bitcast(tf.constant(short.view(np.int16)), tf.float16)
    return tf.cast(kept, tf.float64)


def _cast(op: tf.Operation, given: list[tf.Tensor], _constants: Any) -> tf.Tensor:
    wanted = op.get_attr("DstT")
    if wanted.is_floating:
        return _settle(given[0])
    return tf.cast(given[0], wanted)


def _convolve(
    op: tf.Operation, given: list[tf.Tensor], constants: dict[str, np.ndarray]
) -> tf.Tensor:
    weights = _weights(constants[op.inputs[1].name])
    return _settle(_same(op, [given[0], weights]))


def _multiply(
    op: tf.Operation, given: list[tf.Tensor], constants: dict[str, np.ndarray]
) -> tf.Tensor:
    if not given[0].dtype.is_floating:
        return _same(op, given)
    factors = [
        tensor
        if constants.get(old.name) is None
        else tf.constant(_factors(constants[old.name], op.name))
        for tensor, old in zip(given, op.inputs, strict=True)
    ]
    return _settle(factors[0] * factors[1])


def _factors(values: np.ndarray, name: str) -> np.ndarray:
    if abs(values).max() > _LARGEST_FACTOR:
        raise ValueError(
            f"`function` has factors in {name} up to {abs(values).max():g}; products "
            f"are exact up to {_LARGEST_FACTOR:g}."
        )
    return _grid(values, _FACTOR_BITS)


def _normalize(
    op: tf.Operation, given: list[tf.Tensor], constants: dict[str, np.ndarray]
) -> tf.Tensor:
    """Batch normalisation at inference: x * factor + offset."""
    if op.get_attr("is_training"):
        raise ValueError(f"`function` takes statistics of its batch in {op.name}.")
    scale, offset, mean, variance = (
        constants[old.name].astype(np.float64) for old in op.inputs[1:]
    )
    scale = scale / np.sqrt(variance + op.get_attr("epsilon"))
    factors = tf.constant(_factors(scale, op.name))
    shift = tf.constant(_grid(offset - mean * scale, _BITS))
    return _settle(given[0] * factors + shift)


def _mean(
    op: tf.Operation, given: list[tf.Tensor], constants: dict[str, np.ndarray]
) -> tf.Tensor:
    # The op's own kernels divide before they add.
    x, axes = given[0], constants[op.inputs[1].name].ravel()
    total = tf.reduce_sum(x, axes, keepdims=op.get_attr("keep_dims"))
    count = tf.reduce_prod(tf.gather(tf.shape(x), axes % x.shape.rank))
    return _settle(total / tf.cast(count, tf.float64))


def _resize(op: tf.Operation, given: list[tf.Tensor], _constants: Any) -> tf.Tensor:
    narrow = _settle(given[0], _RESIZED_BITS, _LARGEST_RESIZED)
    return _settle(_same(op, [tf.cast(narrow, tf.float32), given[1]]))


_RULES: dict[str, Callable[..., tf.Tensor]] = {
    "Cast": _cast,
    "Conv2D": _convolve,
    "FusedBatchNormV3": _normalize,
    "Mean": _mean,
    "Mul": _multiply,
    "ResizeBilinear": _resize,
}
