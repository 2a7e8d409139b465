"""Which ops a model may hold: those that compute on tensors and touch nothing else.

A SavedModel is a program. What this list leaves out reads or writes files, calls
Python, talks to the network or keeps state between calls, or no model has needed it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tfsemcomp.serving import signatures

if TYPE_CHECKING:
    from tensorflow.core.framework import node_def_pb2

_COMPUTING = """
Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any
ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh AvgPool BatchMatMul BatchMatMulV2
BatchToSpaceND BiasAdd Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs
BroadcastTo Cast Ceil Cholesky ClipByValue Complex ComplexAbs Concat ConcatV2 Conj
Const Conv2D Conv2DBackpropInput Conv3D Cos Cosh Cumprod Cumsum DecodeJpeg DecodePng
DepthToSpace DepthwiseConv2dNative Dequantize Diag DiagPart Div DivNoNan
DynamicPartition DynamicStitch Einsum Elu EnsureShape Enter Equal Erf Erfc Erfinv Exit
Exp ExpandDims Expm1 ExtractImagePatches FFT2D FakeQuantWithMinMaxVars Fill Floor
FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd
GatherV2 Greater GreaterEqual HSVToRGB IFFT2D IRFFT2D Identity IdentityN If Imag
InTopKV2 InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu LeftShift Less
LessEqual Lgamma Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr LoopCond MatMul
MatrixBandPart MatrixDiagV3 MatrixSetDiagV3 Max MaxPool MaxPoolV2 Maximum Mean Merge
Min Minimum MirrorPad Mod Mul MulNoNan Neg NextIteration NoOp NonMaxSuppressionV3
NonMaxSuppressionV4 NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall
Placeholder PlaceholderWithDefault Pow PreventGradient Prod QuantizeV2 RFFT2D RGBToHSV
Range Rank Real RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic
ResizeBilinear ResizeNearestNeighbor ReverseSequence ReverseV2 RightShift Rint Roll
Round Rsqrt ScaleAndTranslate ScatterNd SegmentMax SegmentMean SegmentSum Select
SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
StatefulPartitionedCall StatelessCase StatelessIf StatelessRandomNormalV2
StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessWhile StopGradient
StridedSlice Sub Sum Switch Tan Tanh TensorListConcatV2 TensorListElementShape
TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
TensorListReserve TensorListSetItem TensorListStack TensorScatterAdd
TensorScatterUpdate Tile TopKV2 Transpose TruncateDiv TruncateMod Unpack
UnsortedSegmentMax UnsortedSegmentSum Where While Xdivy Xlogy ZerosLike
"""
# With which TensorFlow saves and restores variables, though a model has none.
_SAVING_OPS = """
MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch StringJoin
"""
ALLOWED = frozenset(_COMPUTING.split())
_SAVING = frozenset(_SAVING_OPS.split())
_SAVERS = ("__inference__traced_save_", "__inference__traced_restore_")


def forbidden(folder: str | os.PathLike) -> list[str]:
    """Names of the ops of a SavedModel that are not allowed, sorted.

    Those that save variables are allowed where only saving runs them.

    Args:
        folder: that holds saved_model.pb.
    Raises: ModelMismatchError if that is no SavedModel.
    """
    found: set[str] = set()
    for meta in signatures.parse(folder).meta_graphs:
        functions = meta.graph_def.library.function
        names = {function.signature.name for function in functions}
        savers = {name for name in names if name.startswith(_SAVERS)}
        for function in functions:
            ops, called = _ops(function.node_def), _called(function.node_def)
            if function.signature.name in savers:
                found |= (ops - _SAVING) | called
            else:
                found |= (ops - (names - savers)) | (called & savers)
        # TensorFlow runs the nodes outside of functions of old files only.
        is_new = meta.HasField("object_graph_def")
        outside = _ops(meta.graph_def.node) - names
        run = outside | (_called(meta.graph_def.node) & savers)
        found |= outside - _SAVING if is_new else run
    return sorted(found - ALLOWED)


def all_of(folder: str | os.PathLike) -> set[str]:
    """Names of all ops in a SavedModel's graphs and function libraries.

    Raises: ModelMismatchError if that is no SavedModel.
    """
    names: set[str] = set()
    for meta in signatures.parse(folder).meta_graphs:
        names |= _ops(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            names |= _ops(function.node_def)
    return names


def _ops(nodes: Iterable[node_def_pb2.NodeDef]) -> set[str]:
    return {node.op for node in nodes}


def _called(nodes: Iterable[node_def_pb2.NodeDef]) -> set[str]:
    """Names of the functions that nodes take as attributes."""
    attributes = [value for node in nodes for value in node.attr.values()]
    single = {value.func.name for value in attributes if value.HasField("func")}
    return single | {func.name for value in attributes for func in value.list.func}
