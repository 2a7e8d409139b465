"""The 8x8 block DCT of a picture as a layer: a transform to start from."""

import numpy as np
import tensorflow as tf

BLOCK = 8
CHANNELS = 3 * BLOCK * BLOCK

# JFIF's R'G'B' -> Y'CbCr (ITU-T T.871), offsets left out.
_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ]
)
# Standard deviations of coefficients of photos, fitted to 99 of them: a power of the
# radial frequency, its value at radius 1, the exponent, the DC's own, and a floor,
# since most photos at hand have lost their fine chroma to JPEG.
_LUMA_SPREAD = (100.0, 1.24, 500.0, 1.0)
_CHROMA_SPREAD = (20.0, 1.95, 140.0, 1.0)


def spread() -> np.ndarray:
    """Standard deviation of each coefficient over photos, in 8-bit steps: [192]."""
    radius = np.hypot(*np.mgrid[:BLOCK, :BLOCK])
    planes = []
    for at_one, exponent, constant, floor in (_LUMA_SPREAD, *[_CHROMA_SPREAD] * 2):
        plane = at_one * np.maximum(radius, 1.0) ** -exponent
        plane[0, 0] = constant
        planes.append(np.maximum(plane, floor).ravel())
    return np.concatenate(planes)


def _dct_basis() -> np.ndarray:
    """Orthonormal DCT-II: basis[k, n] is sample n of the cosine k."""
    n = np.arange(BLOCK)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * BLOCK))
    basis *= np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis


def forward_matrix() -> np.ndarray:
    """Pixels of a block -> coefficients over their spread.

    Returns:
        float64 [192,192]. Rows: pixels as ``tf.nn.space_to_depth`` orders them (row,
        column, channel). Columns: component (Y, Cb, Cr), vertical, then horizontal
        frequency.
    """
    basis = _dct_basis()
    # [y, x, channel, component, u, v]
    matrix = np.einsum("kc,uy,vx->yxckuv", _YCC, basis, basis)
    return matrix.reshape(CHANNELS, CHANNELS) / spread()


class BlockDct(tf.keras.layers.Layer):
    """Pixels to 8x8 block coefficients over their spread, or back; nothing is trained.

    x [B,H,W,3] --space_to_depth 8--> [B,H/8,W/8,192] --matrix--> c [B,H/8,W/8,192]
    c [B,h,w,192] --matrix--> [B,h,w,192] --depth_to_space 8--> x [B,8h,8w,3]

    x: pixels in [0, 255]. c: of the order of 1, Y first, then Cb and Cr. All that is
    trained around it then works on numbers of one size, whatever their frequency.

    Args:
        inverse: go from coefficients to pixels.
    Call args:
        inputs: float x, H and W multiples of 8, or float c.
    Returns: float c or x, in the layer's compute dtype; x is not clipped.
    """

    def __init__(self, inverse: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.inverse = inverse
        matrix = forward_matrix()
        self.matrix = np.linalg.inv(matrix) if inverse else matrix

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Transforms `inputs`."""
        matrix = tf.constant(self.matrix, inputs.dtype)
        if self.inverse:
            return tf.nn.depth_to_space(tf.matmul(inputs, matrix), BLOCK) + 128
        return tf.matmul(tf.nn.space_to_depth(inputs - 128, BLOCK), matrix)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "inverse": self.inverse}
