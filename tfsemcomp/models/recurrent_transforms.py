"""Encoders and decoders of the recurrent codec: the published one, and ours on a DCT.

Both are a set of steps that `models.recurrent_autoencoder` puts in a loop:

    source = prepare(x)      estimate_0 = zero of source's shape
    codes, state = encode(source - estimate, state, i, condition)
    change, state = decode(codes, estimate, state, i, condition)
    x_hat = finish(estimate, i, condition)

Source: arXiv 1910.03472 and arXiv 1608.05148 (ConvTransforms).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsemcomp.layers import block_dct
from tfsemcomp.layers.conv_gru import CELLS

layers = tf.keras.layers

# Pixels to a cell, along each axis.
STRIDE = 16
# Of RGB in 0..255 over ImageNet, as Mentzer et al. 2018 give them.
MEAN = (121.85369873, 113.58860779, 100.63715363)
VARIANCE = (4746.37695312, 4454.13964844, 4812.234375)
# What a step may depend on beside its number: a constant, and machine_weight.
CONDITIONS = 2
# Low frequencies of 16x16 blocks that the straight path of our coder moves.
ACTIVE = 256
# Rounds in which our encoder sets its bits, so that later ones see earlier ones.
ROUNDS = 8
# What a bit leaves of a coefficient's spread, and by how much of the spread it moves
# the estimate: by a Gaussian's mean magnitude at first. Photos have longer tails than
# Gaussians, so that halving would soon leave out what is far off.
_LEFT = 0.7
_FIRST_MOVE, _MOVE = math.sqrt(2 / math.pi), 0.8


def binarise(
    logits: tf.Tensor, training: bool | None, stochastic: bool = False
) -> tf.Tensor:
    """Bits as -1 and +1; gradients pass to tanh(logits).

    Args:
        logits: float32.
        training: draw +1 with probability (1 + tanh(logits)) / 2, if `stochastic`.
        stochastic: see there; else the sign, where 0 counts as +1.
    Returns: float32 of the same shape.
    Source: arXiv 1511.06085, section 3.2.
    """
    soft = tf.tanh(logits)
    bound = 0.0
    if training and stochastic:
        bound = tf.random.uniform(tf.shape(soft), -1.0, 1.0)
    hard = tf.where(soft >= bound, tf.ones_like(soft), -tf.ones_like(soft))
    # In this order the values are exact.
    return tf.stop_gradient(hard) + (soft - tf.stop_gradient(soft))


class ConvTransforms(layers.Layer):
    """The published encoder and decoder, on normalised pixels.

    e [B,H,W,3] --3x3 s2--> F0 --RNN s2--> F1 --RNN s2--> F2 --RNN s2--> F3
      --1x1--> logits [B,H/16,W/16,bits]
    codes --1x1--> G0 --RNN 2x2, d2s--> G1/4 --RNN, d2s--> G2/4 --RNN 3x3, d2s--> G3/4
      --RNN 3x3, d2s--> G4/4 --1x1--> change [B,H,W,3]

    d2s: depth to space, twice the sides. RNN: 3x3 on its input and 1x1 on its state
    where nothing else is said.

    Args:
        encoder: F0 to F3.
        decoder: G0 to G4.
        bits: of a cell in each iteration.
        cell: "gru" or "lstm".
        stochastic: draw the bits while training.
    """

    def __init__(
        self,
        encoder: Sequence[int],
        decoder: Sequence[int],
        bits: int,
        cell: str = "gru",
        stochastic: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        make = CELLS[cell]
        self.bits, self.stochastic = bits, stochastic
        self.first = layers.Conv2D(
            encoder[0], 3, 2, "same", bias_initializer=_a_tenth()
        )
        self.encoders = [make(width, 3, 1, 2) for width in encoder[1:]]
        self.to_bits = _dense(bits, dtype="float32")
        self.from_bits = _dense(decoder[0])
        self.decoders = [
            make(width, kernel, recurrent)
            for width, kernel, recurrent in zip(
                decoder[1:], (2, 3, 3, 3), (1, 1, 3, 3), strict=True
            )
        ]
        self.last = _dense(3, dtype="float32")

    def prepare(self, x: tf.Tensor) -> tf.Tensor:
        """Normalised pixels: float32 [B,H,W,3] in [0, 255] -> the same shape."""
        return (x - MEAN) / np.sqrt(np.asarray(VARIANCE, np.float32) + 1e-10)

    def finish(
        self, estimate: tf.Tensor, iteration: int, condition: tf.Tensor
    ) -> tf.Tensor:
        """Pixels again, not clipped."""
        del iteration, condition
        return estimate * np.sqrt(np.asarray(VARIANCE, np.float32) + 1e-10) + MEAN

    def zero_estimate(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tf.Tensor:
        """The estimate before the first iteration, of rows x columns cells."""
        return tf.zeros([batch, STRIDE * rows, STRIDE * columns, 3])

    def encoder_state(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tuple:
        """The encoder's state before the first iteration."""
        return tuple(
            cell.zero_state(batch, rows * scale, columns * scale)
            for cell, scale in zip(self.encoders, (4, 2, 1), strict=True)
        )

    def decoder_state(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tuple:
        """The decoder's state before the first iteration."""
        return tuple(
            cell.zero_state(batch, rows * scale, columns * scale)
            for cell, scale in zip(self.decoders, (1, 2, 4, 8), strict=True)
        )

    def encode(
        self,
        residual: tf.Tensor,
        state: tuple,
        iteration: int,
        condition: tf.Tensor,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tuple]:
        """Bits [B,h,w,bits] of the residual, and the next state."""
        del iteration, condition
        x, following = self.first(residual), []
        for cell, before in zip(self.encoders, state, strict=True):
            x, after = cell(x, before)
            following.append(after)
        codes = binarise(self.to_bits(x), training, self.stochastic)
        return codes, tuple(following)

    def decode(
        self,
        codes: tf.Tensor,
        estimate: tf.Tensor,
        state: tuple,
        iteration: int,
        condition: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        """What the bits add to the estimate, and the next state."""
        del estimate, iteration, condition
        x, following = self.from_bits(codes), []
        for cell, before in zip(self.decoders, state, strict=True):
            x, after = cell(x, before)
            x = tf.nn.depth_to_space(x, 2)
            following.append(after)
        return self.last(x), tuple(following)


class Modulation(layers.Layer):
    """Scales and shifts channels by iteration and condition; does nothing at first.

    x [B,h,w,C] --* (1 + scale) + shift--> [B,h,w,C]

    Args:
        iterations: T.
    Call args:
        x: float [B,h,w,C].
        iteration: 0 to T - 1, an int or a scalar.
        condition: float32 [B,CONDITIONS].
    """

    def __init__(self, iterations: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.iterations = iterations

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the weights."""
        width = 2 * shape[-1]
        self.table = self.add_weight(
            "table",
            (self.iterations, CONDITIONS, width),
            dtype=tf.float32,
            initializer="zeros",
        )
        super().build(shape)

    def call(
        self, x: tf.Tensor, iteration: int | tf.Tensor, condition: tf.Tensor
    ) -> tf.Tensor:
        """Modulates `x`."""
        found = condition @ _row(self.table, iteration)
        found = tf.cast(found[:, None, None], x.dtype)
        scale, shift = tf.split(found, 2, axis=-1)
        return x * (1 + scale) + shift

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "iterations": self.iterations}


class DctTransforms(layers.Layer):
    """Our light encoder and decoder, on 16x16 block DCT coefficients.

    e [B,h,w,768] --straight_i--> + -> bits in ROUNDS rounds -> codes [B,h,w,32]
      --gain_i, 1x1--> N --modulate, GRU 3x3--> --1x1, zero--^
    codes --straight_i--> + --> change [B,h,w,768]
      --1x1 (and 1x1 of the estimate)--> N --modulate, GRU, GRU--> --1x1, zero--^
    estimate --BlockDct--> x --s2d 4, 3x3, leaky ReLU, modulate, 3x3 zero, d2s--> + x

    All cells work at one position for 16x16 pixels. The straight paths, own weights for
    each iteration i, begin as a working codec: every bit refines one coefficient by
    successive approximation, and the next bit goes where photos vary most. What the
    networks add begins at zero. So that a second bit of a coefficient in the same
    iteration can know the first, bits are set in rounds; only encoders see that.

    Straight paths, estimate and DCT are float32 under any policy.

    Args:
        width: N.
        filter_width: of the two convolutions on pixels.
        bits: of a cell in each iteration, a multiple of `ROUNDS`.
        iterations: T.
        cell: "gru" or "lstm".
        stochastic: draw the bits while training.
    """

    def __init__(
        self,
        width: int,
        filter_width: int,
        bits: int,
        iterations: int,
        cell: str = "gru",
        stochastic: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        make = CELLS[cell]
        self.bits, self.stochastic = bits, stochastic
        self.width, self.filter_width = width, filter_width
        self.dct = block_dct.BlockDct(block=STRIDE, dtype="float32")
        self.inverse = block_dct.BlockDct(True, STRIDE, dtype="float32")
        self.channels = len(self.dct.spread)
        start = successive_approximation(bits, iterations)
        for name, value in dataclasses.asdict(start).items():
            initializer = tf.keras.initializers.Constant(value)
            weight = self.add_weight(name, value.shape, initializer=initializer)
            setattr(self, name, weight)
        self.encoder_in = layers.Dense(width)
        self.encoder_film = Modulation(iterations)
        self.encoders = [make(width, 3, 1)]
        self.to_bits = layers.Dense(bits, dtype="float32", kernel_initializer="zeros")
        self.codes_in = layers.Dense(width)
        self.estimate_in = layers.Dense(width)
        self.decoder_film = Modulation(iterations)
        self.decoders = [make(width, 3, 1), make(width, 3, 1)]
        self.to_change = layers.Dense(
            self.channels, dtype="float32", kernel_initializer="zeros"
        )
        self.filter_in = layers.Conv2D(filter_width, 3, padding="same")
        self.filter_film = Modulation(iterations)
        self.filter_out = layers.Conv2D(
            48, 3, padding="same", kernel_initializer="zeros", dtype="float32"
        )

    def prepare(self, x: tf.Tensor) -> tf.Tensor:
        """Coefficients over their spread: [B,H,W,3] -> [B,H/16,W/16,768].

        Those come first that vary most over photos.
        """
        return tf.gather(self.dct(x), _order(), axis=-1)

    def finish(
        self, estimate: tf.Tensor, iteration: int | tf.Tensor, condition: tf.Tensor
    ) -> tf.Tensor:
        """Pixels, filtered, not clipped: [B,h,w,768] -> [B,16h,16w,3]."""
        x = self.inverse(tf.gather(estimate, np.argsort(_order()), axis=-1))
        quarters = tf.nn.space_to_depth(x / 128 - 1, 4)
        inner = tf.nn.leaky_relu(self.filter_in(quarters))
        inner = self.filter_film(inner, iteration, condition)
        return x + tf.nn.depth_to_space(64 * self.filter_out(inner), 4)

    def zero_estimate(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tf.Tensor:
        """The estimate before the first iteration: grey."""
        return tf.zeros([batch, rows, columns, self.channels])

    def encoder_state(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tuple:
        """The encoder's state before the first iteration."""
        return tuple(cell.zero_state(batch, rows, columns) for cell in self.encoders)

    def decoder_state(
        self, batch: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
    ) -> tuple:
        """The decoder's state before the first iteration."""
        return tuple(cell.zero_state(batch, rows, columns) for cell in self.decoders)

    def encode(
        self,
        residual: tf.Tensor,
        state: tuple,
        iteration: int | tf.Tensor,
        condition: tf.Tensor,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tuple]:
        """Bits [B,h,w,bits] of the residual, and the next state."""
        gain = tf.exp(_row(self.log_gain, iteration))
        # Far outliers would drive the cells into saturation.
        x = self.encoder_in(tf.clip_by_value(residual * gain, -8, 8))
        x, following = _run(
            self.encoders, state, self.encoder_film(x, iteration, condition)
        )
        low, _ = tf.split(residual, [ACTIVE, self.channels - ACTIVE], axis=-1)
        logits = low @ _row(self.forward, iteration) + self.to_bits(x)
        # A block of columns for each round, whose rows are the rounds before it.
        blocks = tf.split(_row(self.ladder, iteration), ROUNDS, axis=1)
        codes = []
        for part, block in zip(tf.split(logits, ROUNDS, axis=-1), blocks, strict=True):
            if codes:
                told = tf.concat(codes, axis=-1)
                part -= told @ block[: told.shape[-1]]
            codes.append(binarise(part, training, self.stochastic))
        return tf.concat(codes, axis=-1), following

    def decode(
        self,
        codes: tf.Tensor,
        estimate: tf.Tensor,
        state: tuple,
        iteration: int | tf.Tensor,
        condition: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        """What the bits add to the estimate, and the next state."""
        x = self.codes_in(codes) + self.estimate_in(tf.clip_by_value(estimate, -8, 8))
        x, following = _run(
            self.decoders, state, self.decoder_film(x, iteration, condition)
        )
        straight = codes @ _row(self.backward, iteration)
        rest = self.channels - ACTIVE
        straight = tf.pad(straight, [[0, 0], [0, 0], [0, 0], [0, rest]])
        return straight + self.to_change(x), following


def _row(weight: tf.Variable, iteration: int | tf.Tensor) -> tf.Tensor:
    """What a weight [T,...] is in an iteration.

    The weight is read first: gathering from the variable itself would break in loops of
    frozen graphs. A known number slices, since gradients of gathering are sparse, of a
    size that only running tells, which XLA for TPUs does not take.
    """
    values = tf.convert_to_tensor(weight)
    return (
        values[iteration]
        if isinstance(iteration, int)
        else tf.gather(values, iteration)
    )


def _run(cells: Sequence[layers.Layer], state: tuple, x: tf.Tensor):
    following = []
    for cell, before in zip(cells, state, strict=True):
        x, after = cell(x, before)
        following.append(after)
    return x, tuple(following)


def _a_tenth() -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.Constant(0.1)


def _dense(units: int, **kwargs) -> layers.Dense:
    """A 1x1 convolution with the published start of its biases."""
    return layers.Dense(units, bias_initializer=_a_tenth(), **kwargs)


def _order() -> np.ndarray:
    """The 768 coefficients, those that vary most over photos first."""
    return np.argsort(-block_dct.spread(STRIDE), kind="stable")


@dataclasses.dataclass
class Start:
    """Weights with which the straight paths are a progressive transform codec.

    Attributes:
        forward: float32 [T,ACTIVE,bits], coefficients over their spread -> logits.
        backward: float32 [T,bits,ACTIVE], bits -> coefficients over their spread.
        ladder: float32 [T,bits,bits], what earlier rounds' bits take off the logits.
        log_gain: float32 [T,768], less the logarithm of what is left of the spread.
    """

    forward: np.ndarray
    backward: np.ndarray
    ladder: np.ndarray
    log_gain: np.ndarray


def successive_approximation(bits: int, iterations: int) -> Start:
    """Gives every bit of every iteration to the coefficient that is known least.

    Each bit of a coefficient is the sign of what is left of it, and leaves `_LEFT` of
    its spread. Within an iteration later bits of one coefficient come in later rounds.

    Args:
        bits: of a cell in each iteration, a multiple of `ROUNDS`.
        iterations: T.
    Raises: ValueError if `bits` is no multiple of `ROUNDS`.
    """
    if bits % ROUNDS:
        raise ValueError(f"`bits` must be a multiple of {ROUNDS}; got {bits}.")
    spread = block_dct.spread(STRIDE)[_order()]
    start = Start(
        forward=np.zeros((iterations, ACTIVE, bits), np.float32),
        backward=np.zeros((iterations, bits, ACTIVE), np.float32),
        ladder=np.zeros((iterations, bits, bits), np.float32),
        log_gain=np.zeros((iterations, len(spread)), np.float32),
    )
    # Spread of what is left of each coefficient, over its own.
    left = np.ones(len(spread))
    room = bits // ROUNDS
    for iteration in range(iterations):
        start.log_gain[iteration] = -np.log(np.maximum(left, 1 / 16))
        free = np.full(ROUNDS, room)
        given: dict[int, list[tuple[int, float]]] = {}
        blocked: set[int] = set()
        while free.any():
            open_ones = [k for k in range(ACTIVE) if k not in blocked]
            k = max(open_ones, key=lambda k: left[k] * spread[k])
            before = given.setdefault(k, [])
            first = before[-1][0] // room + 1 if before else 0
            rounds = [r for r in range(first, ROUNDS) if free[r]]
            if not rounds:
                blocked.add(k)
                continue
            slot = rounds[0] * room + room - free[rounds[0]]
            free[rounds[0]] -= 1
            scale = left[k]
            move = scale * (_FIRST_MOVE if scale == 1 else _MOVE)
            start.forward[iteration, k, slot] = 1 / scale
            start.backward[iteration, slot, k] = move
            for other, other_move in before:
                start.ladder[iteration, other, slot] = other_move / scale
            before.append((slot, move))
            left[k] *= _LEFT
    return start
