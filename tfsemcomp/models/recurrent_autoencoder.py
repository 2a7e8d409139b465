"""The observer-dependent recurrent codec: progressive codes by iteration.

Source: arXiv 1910.03472; architecture of the sizes `paper`, `small-conv` and `tiny`
after arXiv 1608.05148. The size `small` puts the same loop on block DCT coefficients,
so that hours on a CPU can train it.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsemcomp.layers.conv_gru import CELLS
from tfsemcomp.losses import distortion
from tfsemcomp.models import recurrent_transforms as transforms
from tfsemcomp.models import runs
from tfsemcomp.models.code_length import CodeLength
from tfsemcomp.models.single_loss import SingleLossModel

STRIDE = transforms.STRIDE
RECONSTRUCTIONS = ("additive", "oneshot")
# L_human = HUMAN_SCALE (1 - MS-SSIM).
HUMAN_SCALE = 5000.0


@dataclasses.dataclass(frozen=True)
class RecurrentSize:
    """Hyper-parameters of one size.

    Attributes:
        transform: "conv", the published pair, or "dct".
        iterations: T, at most 16.
        bits: C, of a cell in each iteration.
        encoder: F0 to F3 of `ConvTransforms`.
        decoder: G0 to G4 of `ConvTransforms`.
        width: N of `DctTransforms`.
        filter_width: of `DctTransforms`.
        rate_width: channels of the predictor of bits that training may use.
    """

    transform: str
    iterations: int = 8
    bits: int = 32
    encoder: tuple[int, ...] = ()
    decoder: tuple[int, ...] = ()
    width: int = 0
    filter_width: int = 0
    rate_width: int = 96

    def __post_init__(self) -> None:
        if self.transform not in ("conv", "dct"):
            raise ValueError(
                f"`transform` must be 'conv' or 'dct'; got '{self.transform}'."
            )
        if not 1 <= self.iterations <= 16:
            raise ValueError(
                f"`iterations` must be from 1 to 16; got {self.iterations}."
            )


SIZES = {
    "tiny": RecurrentSize(
        "conv", 4, 32, (16, 32, 32, 32), (32, 32, 32, 32, 16), rate_width=16
    ),
    "tiny-dct": RecurrentSize("dct", 4, 32, width=16, filter_width=8, rate_width=16),
    "small": RecurrentSize("dct", 8, 32, width=128, filter_width=64),
    "small-conv": RecurrentSize(
        "conv", 8, 32, (32, 128, 256, 256), (256, 256, 256, 128, 64)
    ),
    "paper": RecurrentSize(
        "conv", 8, 32, (64, 256, 512, 512), (512, 512, 512, 256, 128)
    ),
}


class RecurrentAutoencoder(SingleLossModel):
    """A picture as binary codes, 32 for 16x16 pixels in each of T iterations.

        x --prepare--> s            e_1 = s        estimate_0 = 0
        e_i --E, binarise--> codes_i --* mask_i--> D --> change_i
        estimate_i = estimate_{i-1} + change_i     (additive)
        estimate_i = change_i                      (oneshot)
        e_{i+1} = s - estimate_i                   estimate_i --finish--> x_hat_i

    E and D keep a state from iteration to iteration. The first q iterations are the
    picture at quality q. mask_i is 0 where a cell has stopped.

    Loss, averaged over iterations and pictures:

        L = machine_weight L_machine + (1 - machine_weight) L_human
        L_human = 5000 (1 - MS-SSIM)
        L_machine = feature_scale * mean over layers of (MSE(features)
                    + pooled_weight * MSE(features averaged over the picture))

    machine_weight is 0 for human and 1 for machine observers. pooled_weight is 0 in the
    paper: the least error of features has them shrunk, as a blur has them, and the
    second term holds their sum, which classifiers take. Two terms can be added,
    both 0 in the paper: pixel_weight MSE(x_hat, x), which keeps brightness and colour
    where neither loss looks; and beta L' bpp, with L' = L as a constant and bpp the
    code length of the iteration's codes under a small predictor that only training has.
    beta > 0 makes codes that a context coder shortens: a bit per pixel is then worth
    beta times the loss that is left.

    Workflow: `compile` with an optimizer and, for machine_weight > 0, features; `fit`;
    export `analyze` and `synthesize` (recipes/export_rnn.py); code with `codecs.rnn`.

    Args:
        size: a name in `SIZES` or a `RecurrentSize`.
        cell: "gru" or "lstm".
        reconstruction: one of `RECONSTRUCTIONS`.
        machine_weight: in [0, 1]; None for a model with a dial, trained over all.
        beta: weight of the rate, >= 0.
        pixel_weight: of the mean squared error, >= 0.
        stochastic: draw the bits while training; None for the transform's custom.
        masked: share of training pictures whose cells stop at random iterations.
    Call args:
        x: float32 [B,H,W,3] in [0, 255], H and W multiples of 16.
        machine_weight: float32 [B]; None for that of the model (0 with a dial).
        stops: int32 [B,H/16,W/16], iterations that a cell takes part in; None for T.
        training: for `stochastic`.
        iterations: how many to run; None for T.
    Returns: dict: x_hat float32 [T,B,H,W,3], not clipped; codes float32
        [T,B,H/16,W/16,C] of -1, 1, and 0 where a cell has stopped.
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | RecurrentSize = "small",
        cell: str = "gru",
        reconstruction: str = "additive",
        machine_weight: float | None = 0.0,
        beta: float = 0.0,
        pixel_weight: float = 0.0,
        stochastic: bool | None = None,
        masked: float = 0.0,
        **kwargs,
    ) -> None:
        # Estimates, codes and losses are float32 under any policy.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if cell not in CELLS:
            raise ValueError(f"`cell` must be one of {list(CELLS)}; got '{cell}'.")
        if reconstruction not in RECONSTRUCTIONS:
            raise ValueError(
                f"`reconstruction` must be one of {RECONSTRUCTIONS}; got "
                f"'{reconstruction}'."
            )
        if machine_weight is not None and not 0 <= machine_weight <= 1:
            raise ValueError(
                "`machine_weight` must be in [0, 1], 0 human and 1 machine, or None; "
                f"got {machine_weight}."
            )
        if min(beta, pixel_weight) < 0:
            raise ValueError(
                f"`beta` and `pixel_weight` must not be negative; got {beta} and "
                f"{pixel_weight}."
            )
        if not 0 <= masked <= 1:
            raise ValueError(f"`masked` must be in [0, 1]; got {masked}.")
        self.cell, self.reconstruction = cell, reconstruction
        self.machine_weight, self.beta = machine_weight, beta
        self.pixel_weight, self.masked = pixel_weight, masked
        self.stochastic = stochastic
        self.transforms = _make_transforms(self.size, cell, stochastic)
        self.predictor = CodeLength(self.size.iterations, self.size.rate_width)
        self._features = None
        self._define_means(
            "loss", "human", "machine", "mse", "bpp", "ms_ssim_first", "ms_ssim"
        )

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        found = self(tf.zeros([1, 2 * STRIDE, 2 * STRIDE, 3]))
        self.predictor(found["codes"])

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        features: Callable[[tf.Tensor], Sequence[tf.Tensor]] | None = None,
        feature_scale: float = 1.0,
        normalise_features: bool = False,
        pooled_weight: float = 0.0,
        iterations: int | None = None,
        even_iterations: bool = False,
        **kwargs,
    ) -> None:
        """Sets what training needs.

        Args:
            optimizer: of Keras.
            features: pictures float32 [B,H,W,3] in [0, 255] -> features [B,h,w,C] of
                each layer, of a frozen network; not part of this model's weights.
            feature_scale: weight of their mean squared error.
            normalise_features: divide each layer's error by the mean square of the
                original's features in the batch, so that layers count alike.
            pooled_weight: of the error of averaged features, >= 0.
            iterations: train the first ones only, which is faster; None for all.
            even_iterations: let iterations count alike, whatever their loss; else, as
                in the paper, the first ones count most, which have most of it.
        Raises: ValueError if machine_weight needs features and there are none, or a
            number is out of range.
        """
        super().compile(optimizer=optimizer, **kwargs)
        if features is None and self.machine_weight != 0:
            raise ValueError(
                f"`features` must be given for a machine_weight of "
                f"{self.machine_weight}."
            )
        if pooled_weight < 0:
            raise ValueError(
                f"`pooled_weight` must not be negative; got {pooled_weight}."
            )
        if iterations is not None and not 1 <= iterations <= self.size.iterations:
            raise ValueError(
                f"`iterations` must be from 1 to {self.size.iterations}; got "
                f"{iterations}."
            )
        # Hidden from Keras, which would count the network's weights as this model's.
        self._features = None if features is None else functools.partial(features)
        self.feature_scale = feature_scale
        self.normalise_features = normalise_features
        self.pooled_weight = pooled_weight
        self.trained_iterations = iterations or self.size.iterations
        self.even_iterations = even_iterations

    def condition(self, machine_weight: tf.Tensor) -> tf.Tensor:
        """What iterations depend on: machine_weight [B] -> [B,CONDITIONS]."""
        return tf.stack([tf.ones_like(machine_weight), machine_weight], axis=-1)

    def step(
        self,
        source: tf.Tensor,
        estimate: tf.Tensor,
        states: tuple,
        iteration: int | tf.Tensor,
        condition: tf.Tensor,
        mask: tf.Tensor | None,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tuple]:
        """One iteration of encoder and decoder: codes, estimate and states."""
        encoder_state, decoder_state = states
        codes, encoder_state = self.transforms.encode(
            source - estimate, encoder_state, iteration, condition, training
        )
        if mask is not None:
            codes *= mask
        estimate, decoder_state = self.decode_step(
            codes, estimate, decoder_state, iteration, condition
        )
        return codes, estimate, (encoder_state, decoder_state)

    def decode_step(
        self,
        codes: tf.Tensor,
        estimate: tf.Tensor,
        state: tuple,
        iteration: int | tf.Tensor,
        condition: tf.Tensor,
    ) -> tuple[tf.Tensor, tuple]:
        """One iteration of the decoder: estimate and state."""
        change, state = self.transforms.decode(
            codes, estimate, state, iteration, condition
        )
        if self.reconstruction == "additive":
            change += estimate
        return change, state

    def call(
        self,
        x: tf.Tensor,
        machine_weight: tf.Tensor | None = None,
        stops: tf.Tensor | None = None,
        training: bool | None = None,
        iterations: int | None = None,
    ) -> dict[str, tf.Tensor]:
        """Runs all iterations, or the first ones."""
        batch, height, width = _shape(x)
        if machine_weight is None:
            machine_weight = tf.fill([batch], float(self.machine_weight or 0))
        condition = self.condition(machine_weight)
        grid = batch, height // STRIDE, width // STRIDE
        source = self.transforms.prepare(x)
        estimate = self.transforms.zero_estimate(*grid)
        states = (
            self.transforms.encoder_state(*grid),
            self.transforms.decoder_state(*grid),
        )
        all_codes, pictures = [], []
        for iteration in range(iterations or self.size.iterations):
            mask = None
            if stops is not None:
                mask = tf.cast(stops > iteration, tf.float32)[..., None]
            codes, estimate, states = self.step(
                source, estimate, states, iteration, condition, mask, training
            )
            all_codes.append(codes)
            pictures.append(self.transforms.finish(estimate, iteration, condition))
        return {"x_hat": tf.stack(pictures), "codes": tf.stack(all_codes)}

    def _losses_of(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        x = tf.cast(batch["image"], tf.float32)
        count, height, width = _shape(x)
        weight = self._draw_weights(count)
        stops = None
        if training and self.masked:
            stops = self._draw_stops(count, height // STRIDE, width // STRIDE)
        iterations = self.trained_iterations
        found = self(x, weight, stops, training, iterations)
        bpp = tf.zeros([iterations, count])
        if self.beta:
            bits = self.predictor(found["codes"])
            bpp = tf.reduce_sum(bits, axis=(2, 3, 4)) / float(height * width)
        similarity = distortion.ms_ssim(x, found["x_hat"])
        human = HUMAN_SCALE * (1 - similarity)
        machine = tf.zeros_like(human)
        if self._features is not None:
            machine = self._feature_error(x, found["x_hat"])
        error = tf.math.squared_difference(found["x_hat"], x)
        error = tf.reduce_mean(error, axis=(2, 3, 4))
        if self.machine_weight == 1:
            # Only reported: without a gradient its backward pass costs nothing.
            human = tf.stop_gradient(human)
        lost = weight * machine + (1 - weight) * human + self.pixel_weight * error
        loss = lost + self.beta * tf.stop_gradient(lost) * bpp
        if self.even_iterations:
            own = tf.reduce_mean(lost, axis=1, keepdims=True)
            loss *= tf.stop_gradient(tf.reduce_mean(lost) / (own + 1e-6))
        means = {
            "loss": loss,
            "human": human,
            "machine": machine,
            "mse": error,
            "bpp": bpp,
            "ms_ssim_first": similarity[0],
            "ms_ssim": similarity[-1],
        }
        return {name: tf.reduce_mean(value) for name, value in means.items()}

    def _feature_error(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        """Mean over layers of the features' mean squared error: [T,B]."""
        count, height, width = _shape(x)
        iterations = x_hat.shape[0]
        originals = self._features(x)
        stacked = tf.reshape(x_hat, [iterations * count, height, width, 3])
        coded = self._features(stacked)
        total = tf.zeros([iterations, count])
        for original, features in zip(originals, coded, strict=True):
            original = tf.stop_gradient(tf.cast(original, tf.float32))
            features = tf.reshape(
                tf.cast(features, tf.float32), [iterations, count, *original.shape[1:]]
            )
            total += self._relative_error(features, original)
            if self.pooled_weight:
                pooled = tf.reduce_mean(features, axis=(2, 3), keepdims=True)
                wanted = tf.reduce_mean(original, axis=(1, 2), keepdims=True)
                total += self.pooled_weight * self._relative_error(pooled, wanted)
        return self.feature_scale * total / len(originals)

    def _relative_error(self, features: tf.Tensor, original: tf.Tensor) -> tf.Tensor:
        """Mean squared error: [T,B,h,w,C] and [B,h,w,C] -> [T,B]."""
        error = tf.math.squared_difference(features, original[None])
        error = tf.reduce_mean(error, axis=(2, 3, 4))
        if self.normalise_features:
            error /= tf.reduce_mean(tf.square(original)) + 1e-6
        return error

    def _draw_weights(self, count: int | tf.Tensor) -> tf.Tensor:
        """machine_weight of each picture [B]: with a dial spread over [0, 1]."""
        if self.machine_weight is not None:
            return tf.fill([count], float(self.machine_weight))
        places = tf.range(count, dtype=tf.float32) / tf.cast(count, tf.float32)
        places = tf.math.floormod(places + tf.random.uniform([]), 1.0)
        # Beyond both ends, so that these are met as often as the middle.
        return tf.clip_by_value(1.4 * places - 0.2, 0.0, 1.0)

    def _draw_stops(self, count, rows, columns) -> tf.Tensor:
        """Random stops for a share of the pictures, T for all others."""
        last = float(self.size.iterations)
        drawn = tf.random.uniform([count, rows, columns], 0.0, last + 1)
        whole = tf.random.uniform([count, 1, 1]) >= self.masked
        return tf.cast(tf.where(whole, last, tf.floor(drawn)), tf.int32)

    def take_weights(self, other: "RecurrentAutoencoder") -> None:
        """Copies the weights of another model, whatever it was trained for.

        Args:
            other: of the same size and cell, its weights created, as must be these.
        Raises: ValueError if its networks have other shapes.
        """
        pairs = zip(self.trainable_variables, other.trainable_variables, strict=False)
        alike = all(mine.shape == theirs.shape for mine, theirs in pairs)
        if not alike or len(self.trainable_variables) != len(other.trainable_variables):
            raise ValueError(
                "`other` must have the size and cell of this model, "
                f"{self.size} with {self.cell}; got {other.size} with {other.cell}."
            )
        for mine, theirs in zip(
            self.trainable_variables, other.trainable_variables, strict=True
        ):
            mine.assign(theirs)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "cell": self.cell,
            "reconstruction": self.reconstruction,
            "machine_weight": self.machine_weight,
            "beta": self.beta,
            "pixel_weight": self.pixel_weight,
            "stochastic": self.stochastic,
            "masked": self.masked,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "RecurrentAutoencoder":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(RecurrentSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> RecurrentAutoencoder:
    """Loads the model that recipes/train_rnn.py trained; see `runs.load`."""
    return runs.load(RecurrentAutoencoder, folder, "recipes/train_rnn.py")


def _make_transforms(
    size: RecurrentSize, cell: str, stochastic: bool | None
) -> tf.keras.layers.Layer:
    if size.transform == "dct":
        return transforms.DctTransforms(
            size.width,
            size.filter_width,
            size.bits,
            size.iterations,
            cell,
            bool(stochastic),
        )
    return transforms.ConvTransforms(
        size.encoder,
        size.decoder,
        size.bits,
        cell,
        True if stochastic is None else stochastic,
    )


def _shape(x: tf.Tensor) -> tuple:
    """Batch, height and width, static where they are known, as XLA needs them."""
    dynamic = tf.shape(x)
    return tuple(dynamic[i] if x.shape[i] is None else x.shape[i] for i in range(3))
