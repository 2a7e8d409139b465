"""Signatures and weights of a SavedModel, read without running it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfsemcomp.errors import ModelMismatchError

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

# Types as TensorFlow's protobufs call them -> as NumPy does.
_TYPES = {
    "DT_BOOL": "bool",
    "DT_DOUBLE": "float64",
    "DT_FLOAT": "float32",
    "DT_HALF": "float16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_STRING": "string",
    "DT_UINT8": "uint8",
}
# What SavedModels keep among their signatures for their own start.
_INTERNAL = "__saved_model"
# What the constants that were variables are called after the op that read them.
_FROZEN = "/resource"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or a result of a signature.

    Attributes:
        dtype: as NumPy calls it, or "string".
        shape: its sides, None for those of any length; None for any rank.
        node: of the graph, which tells exports of one network apart.
    """

    dtype: str
    shape: tuple[int | None, ...] | None
    node: str

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype} of any rank"
        sides = ["?" if side is None else str(side) for side in self.shape]
        return f"{self.dtype} [{', '.join(sides)}]"


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a signature takes and gives, by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def __str__(self) -> str:
        sides = [
            ", ".join(f"{name} {tensor}" for name, tensor in sorted(side.items()))
            for side in (self.inputs, self.outputs)
        ]
        return f"{sides[0] or 'nothing'} -> {sides[1]}"


def read(folder: str | os.PathLike) -> dict[str, Signature]:
    """The signatures of a SavedModel, by name.

    Args:
        folder: that holds saved_model.pb.
    Raises: ModelMismatchError if that is no SavedModel.
    """
    return from_protos(_served(folder).signature_def)


def frozen_variables(folder: str | os.PathLike) -> dict[str, np.ndarray]:
    """Weights of an exported network, for training on from it.

    Args:
        folder: that holds saved_model.pb.
    Returns: layers' names and the variable's place, such as
        `net/conv2d/Conv2D/ReadVariableOp` -> array. Weights that were exported in fewer
        bits are not among them.
    Raises: ModelMismatchError if that is no SavedModel.
    """
    from tensorflow.python.framework import tensor_util

    return {
        node.name.removesuffix(_FROZEN): tensor_util.MakeNdarray(
            node.attr["value"].tensor
        )
        for function in _served(folder).graph_def.library.function
        for node in function.node_def
        if node.op == "Const" and node.name.endswith(_FROZEN)
    }


def parse(folder: str | os.PathLike) -> saved_model_pb2.SavedModel:
    """The file of a SavedModel, not run.

    Args:
        folder: that holds saved_model.pb.
    Raises: ModelMismatchError if that is no SavedModel.
    """
    from google.protobuf import message
    from tensorflow.core.protobuf import saved_model_pb2

    path = pathlib.Path(folder) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except (OSError, message.DecodeError) as error:
        raise ModelMismatchError(f"{path}: not a SavedModel ({error}).") from error
    return saved


def _served(folder: str | os.PathLike) -> meta_graph_pb2.MetaGraphDef:
    """The graph that a server takes of a SavedModel."""
    for meta in parse(folder).meta_graphs:
        if "serve" in meta.meta_info_def.tags:
            return meta
    path = pathlib.Path(folder) / "saved_model.pb"
    raise ModelMismatchError(f"{path}: holds no graph to serve; export it again.")


def from_protos(
    found: Mapping[str, meta_graph_pb2.SignatureDef],
) -> dict[str, Signature]:
    """Signatures of protobufs, as SavedModels and servers over gRPC have them."""
    return {
        name: Signature(
            {key: _tensor(info) for key, info in definition.inputs.items()},
            {key: _tensor(info) for key, info in definition.outputs.items()},
        )
        for name, definition in found.items()
        if not name.startswith(_INTERNAL)
    }


def _tensor(info: meta_graph_pb2.TensorInfo) -> Tensor:
    from tensorflow.core.framework import types_pb2

    shape = info.tensor_shape
    sides = None if shape.unknown_rank else [dim.size for dim in shape.dim]
    return _make(types_pb2.DataType.Name(info.dtype), sides, info.name)


def from_json(found: Mapping[str, Any]) -> dict[str, Signature]:
    """Signatures of JSON, as servers over REST have them.

    Raises: KeyError, TypeError, ValueError, AttributeError if it is of another form.
    """
    return {
        name: Signature(
            {k: _json_tensor(t) for k, t in definition.get("inputs", {}).items()},
            {k: _json_tensor(t) for k, t in definition.get("outputs", {}).items()},
        )
        for name, definition in found.items()
        if not name.startswith(_INTERNAL)
    }


def _json_tensor(info: Mapping[str, Any]) -> Tensor:
    shape = info["tensor_shape"]
    sides = None
    if not shape.get("unknown_rank", False):
        sides = [int(dim["size"]) for dim in shape.get("dim", [])]
    return _make(info["dtype"], sides, info["name"])


def _make(dtype: str, sides: list[int] | None, node: str) -> Tensor:
    shape = None
    if sides is not None:
        shape = tuple(None if side < 0 else side for side in sides)
    return Tensor(_TYPES.get(dtype, dtype), shape, node)
