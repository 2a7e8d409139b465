"""The block DCT of a picture as a layer: a transform to start from."""

import numpy as np
import tensorflow as tf

BLOCK = 8
CHANNELS = 3 * BLOCK * BLOCK
BLOCKS = (8, 16)

# JFIF's R'G'B' -> Y'CbCr (ITU-T T.871), offsets left out.
_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)
# Standard deviations of 8x8 coefficients of photos, fitted to 99 of them: a power of
# the radial frequency, its value at radius 1, the exponent, the DC's own, and a floor,
# since most photos at hand have lost their fine chroma to JPEG.
_LUMA_SPREAD = (100.0, 1.24, 500.0, 1.0)
_CHROMA_SPREAD = (20.0, 1.95, 140.0, 1.0)


def spread(block: int = BLOCK) -> np.ndarray:
    """Standard deviation of each coefficient over photos, in 8-bit steps.

    Larger blocks sample the same spectrum more finely; neighbouring 8x8 blocks are so
    alike that the DC grows with the block's side.

    Args:
        block: side of the blocks, one of `BLOCKS`.
    Returns: float64 [3 * block * block].
    Raises: ValueError for another `block`.
    """
    if block not in BLOCKS:
        raise ValueError(f"`block` must be one of {BLOCKS}; got {block}.")
    finer = block / BLOCK
    radius = np.hypot(*np.mgrid[:block, :block]) / finer
    planes = []
    for at_one, exponent, constant, floor in (_LUMA_SPREAD, *[_CHROMA_SPREAD] * 2):
        plane = at_one * np.maximum(radius, 1 / finer) ** -exponent
        plane[0, 0] = constant * finer
        planes.append(np.maximum(plane, floor).ravel())
    return np.concatenate(planes)


def _dct_basis(block: int) -> np.ndarray:
    """Orthonormal DCT-II: basis[k, n] is sample n of the cosine k."""
    n = np.arange(block)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * block))
    basis *= np.sqrt(2 / block)
    basis[0] /= np.sqrt(2)
    return basis


def forward_matrix(block: int = BLOCK) -> np.ndarray:
    """Pixels of a block -> coefficients over their spread.

    Args:
        block: side of the blocks, one of `BLOCKS`.
    Returns:
        float64 [C,C], C = 3 * block * block. Rows: pixels as ``tf.nn.space_to_depth``
        orders them (row, column, channel). Columns: component (Y, Cb, Cr), vertical,
        then horizontal frequency.
    Raises: ValueError for another `block`.
    """
    scale = spread(block)
    basis = _dct_basis(block)
    # [y, x, channel, component, u, v]
    matrix = np.einsum("kc,uy,vx->yxckuv", _YCC, basis, basis)
    return matrix.reshape(len(scale), len(scale)) / scale


class BlockDct(tf.keras.layers.Layer):
    """Pixels to block coefficients over their spread, or back; nothing is trained.

    x [B,H,W,3] --rows and colours, then columns--> * 1/spread --> c [B,H/b,W/b,C]
    c [B,h,w,C] * spread --columns, then rows and colours--> x [B,bh,bw,3]

    x: pixels in [0, 255]. c: of the order of 1, ordered by component (Y, Cb, Cr),
    vertical, then horizontal frequency; C = 3 b b. All that is trained around it then
    works on numbers of one size, whatever their frequency.

    Args:
        inverse: go from coefficients to pixels.
        block: b, side of the blocks, one of `BLOCKS`.
    Call args:
        inputs: float x, H and W multiples of b, or float c.
    Returns: float c or x, in the layer's compute dtype; x is not clipped.
    Raises: ValueError for another `block`.
    """

    def __init__(self, inverse: bool = False, block: int = BLOCK, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inverse = inverse
        self.block = block
        self.spread = spread(block)
        self.columns = _dct_basis(block)
        # A pixel row of a block and its colours at once: [x * 3, v * 3].
        rows = np.einsum("kc,vx->xcvk", _YCC, self.columns)
        self.rows = rows.reshape(3 * block, 3 * block)
        if inverse:
            self.rows = np.linalg.inv(self.rows)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Transforms `inputs`."""
        return self._backward(inputs) if self.inverse else self._forward(inputs)

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        b, shape = self.block, _shape(x)
        h, w = shape[1] // b, shape[2] // b
        x = tf.reshape(x - 128, [-1, 3 * b]) @ tf.constant(self.rows, x.dtype)
        x = tf.reshape(x, [-1, b, w * 3 * b])
        x = tf.matmul(tf.constant(self.columns, x.dtype), x)
        x = tf.reshape(x, [-1, b, w, b, 3])
        x = tf.transpose(x, [0, 2, 4, 1, 3])
        x = tf.reshape(x, [shape[0], h, w, 3 * b * b])
        return x * tf.constant(1 / self.spread, x.dtype)

    def _backward(self, c: tf.Tensor) -> tf.Tensor:
        b, shape = self.block, _shape(c)
        h, w = shape[1], shape[2]
        c = tf.reshape(c * tf.constant(self.spread, c.dtype), [-1, w, 3, b, b])
        c = tf.reshape(tf.transpose(c, [0, 3, 1, 4, 2]), [-1, b, w * 3 * b])
        c = tf.matmul(tf.constant(self.columns.T, c.dtype), c)
        c = tf.reshape(c, [-1, 3 * b]) @ tf.constant(self.rows, c.dtype)
        return tf.reshape(c, [shape[0], h * b, w * b, 3]) + 128

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"inverse": self.inverse, "block": self.block}
        return {**super().get_config(), **config}


def _shape(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Sizes of the axes, static where they are known, as XLA needs them."""
    dynamic = tf.shape(x)
    return [dynamic[i] if n is None else n for i, n in enumerate(x.shape)]
