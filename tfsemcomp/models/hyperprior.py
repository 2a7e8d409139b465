"""Transform coding with a hyperprior: factorized, scale and mean-scale, one class.

Sources: Balle et al. 2018, arXiv 1802.01436 (factorized, scale); Minnen et al. 2018,
arXiv 1809.02736, without its autoregression (mean_scale). The size `small` keeps the
entropy model and replaces the transforms by a DCT with residual networks, which hours
on a CPU can train; gains that make one model serve many rates follow Cui et al. 2021,
arXiv 2003.02012. Conditions make it layer 3 of `layered` (`hyperprior_conditions`).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from tfsemcomp.entropy import builders
from tfsemcomp.layers import block_dct
from tfsemcomp.losses import distortion, rate
from tfsemcomp.models import hyperprior_conditions as conditions
from tfsemcomp.models import hyperprior_transforms as transforms
from tfsemcomp.models import runs
from tfsemcomp.models.hyperprior_conditions import Lower
from tfsemcomp.models.single_loss import SingleLossModel

VARIANTS = ("factorized", "scale", "mean_scale")
DISTORTIONS = ("mse", "ms_ssim")
# The rate points of CompressAI's model zoo, for either distortion.
LMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.1800)
MS_SSIM_LMBDAS = (2.40, 4.58, 8.73, 16.64, 31.73, 60.50, 115.37, 220.00)

# The standard deviations that an index chooses from.
SCALE_TABLE = builders.scale_table()
_LOG_LOW = math.log(SCALE_TABLE[0])
_LOG_STEP = math.log(SCALE_TABLE[1]) - _LOG_LOW


@dataclasses.dataclass(frozen=True)
class HyperpriorSize:
    """Hyper-parameters of one size.

    Attributes:
        transform: "gdn", the published pair, or "dct".
        hyper_channels: N, channels of z; of the gdn transforms, too.
        channels: M, channels of y; 192 for "dct".
        analysis: width and blocks of the branch of g_a ("dct").
        synthesis: width and blocks of the branch of g_s ("dct").
        hyper_widths: channels between y and z and, on the way back, of the two layers
            of h_s ("dct").
    """

    transform: str
    hyper_channels: int
    channels: int
    analysis: tuple[int, int] = (0, 0)
    synthesis: tuple[int, int] = (0, 0)
    hyper_widths: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        if self.transform not in ("gdn", "dct"):
            raise ValueError(
                f"`transform` must be 'gdn' or 'dct'; got '{self.transform}'."
            )
        if self.transform == "dct" and self.channels != block_dct.CHANNELS:
            raise ValueError(
                f"a dct transform has {block_dct.CHANNELS} `channels`; got "
                f"{self.channels}."
            )

    @property
    def stride(self) -> int:
        """Pixels to a position of y, along each axis."""
        return 8 if self.transform == "dct" else 16

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this: pixels to a position of z."""
        return 4 * self.stride


SIZES = {
    "tiny": HyperpriorSize("gdn", 16, 24),
    "tiny-dct": HyperpriorSize("dct", 8, 192, (8, 1), (8, 1), (16, 8, 16)),
    "small": HyperpriorSize("dct", 64, 192, (64, 1), (96, 2), (96, 64, 96)),
    "small-gdn": HyperpriorSize("gdn", 64, 96),
    "paper": HyperpriorSize("gdn", 128, 192),
    "paper-high": HyperpriorSize("gdn", 192, 320),
}


class Hyperprior(SingleLossModel):
    """A picture as integers whose probabilities a second, smaller latent tells.

        x --g_a--> * gain --> y --Q--> y_hat --> / gain --g_s--> x_hat
                              |          ^
                             h_a         | mu, scale index (float64, CPU)
                              v          |
                              z --Q--> z_hat --h_s--> * gain

    x: pixels in [0, 255]. Q: rounding; of y after its mean mu is taken off. gain: one
    number a channel, interpolated between the rates of `lmbdas` by `quality`; without
    gains (a gdn transform of one rate) it is 1. `factorized` has no z, h_a and h_s.
    With a `condition`, g_s, and of "v2" g_a too, see the picture and the lines of a
    lower layer; h_a and h_s never do, so that no difference in them is fatal.

    Workflow: compile with an optimizer, `fit` on batches {"image": uint8 [B,H,W,3]} of
    static H and W, with a condition also of what `compile` says, build tables once from
    the trained prior (`tfsemcomp.entropy`), export `analyze`, `hyper_synthesis` and
    `synthesize` (recipes/export_hyperprior.py), code with `codecs.hyperprior`.

    Args:
        size: a name in `SIZES` or a `HyperpriorSize`.
        variant: one of `VARIANTS`.
        lmbdas: weights of the distortion, rising: one, or one for each quality 1, 2...
        distortion: "mse" (on 0..255) or "ms_ssim" (1 - MS-SSIM).
        condition: one of `hyperprior_conditions.CONDITIONS`; "v1" needs gdn transforms.
    Call args:
        x: float32 [B,H,W,3] in [0, 255], H and W multiples of `size.multiple`.
        quality: float32 [B] in [1, len(lmbdas)]; None for 1.
        lower: picture and lines of the lower layer, see there; with a condition only.
        training: noise stands for rounding in the rate; gradients pass rounding.
    Returns: dict: x_hat [B,H,W,3], bits_y [B], bits_z [B] (bits of each picture).
    Raises: ValueError for an unknown size, variant, distortion or condition, or bad
        `lmbdas`.
    """

    def __init__(
        self,
        size: str | HyperpriorSize = "small",
        variant: str = "mean_scale",
        lmbdas: Sequence[float] = (0.013,),
        distortion: str = "mse",
        condition: str = "none",
        **kwargs,
    ) -> None:
        # Gains, rates and losses are float32 under any policy; g_a, g_s, h_a and h_s
        # follow it.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {VARIANTS}; got '{variant}'.")
        if distortion not in DISTORTIONS:
            raise ValueError(
                f"`distortion` must be one of {DISTORTIONS}; got '{distortion}'."
            )
        self.lmbdas = tuple(float(lmbda) for lmbda in lmbdas)
        if not self.lmbdas or min(self.lmbdas) <= 0:
            raise ValueError(f"`lmbdas` must be positive; got {self.lmbdas}.")
        if sorted(set(self.lmbdas)) != list(self.lmbdas):
            raise ValueError(f"`lmbdas` must rise; got {self.lmbdas}.")
        if condition not in conditions.CONDITIONS:
            raise ValueError(
                f"`condition` must be one of {conditions.CONDITIONS}; got "
                f"'{condition}'."
            )
        if condition == "v1" and self.size.transform != "gdn":
            raise ValueError(
                f"`condition` 'v1' needs a size with gdn transforms; got '{size}'."
            )
        self.variant = variant
        self.distortion = distortion
        self.condition = condition
        self._lower = None
        self._make_transforms()
        self._make_prior()
        self._define_means("loss", "bpp", "bpp_z", "mse", "distortion")

    @property
    def has_gains(self) -> bool:
        """Whether y is scaled by trained gains."""
        return self.size.transform == "dct" or len(self.lmbdas) > 1

    def _make_transforms(self) -> None:
        size, n, m = self.size, self.size.hyper_channels, self.size.channels
        if size.transform == "dct":
            sees = self.condition == "v2"
            self.g_a = transforms.DctAnalysis(*size.analysis, sees, name="g_a")
            self.g_s = transforms.DctSynthesis(*size.synthesis, sees, name="g_s")
        else:
            self.g_a = transforms.GdnAnalysis(n, m, name="g_a")
            self.g_s = self._make_gdn_synthesis(n)
        if self.has_gains:
            self._make_gains()
        if self.variant == "factorized":
            return
        kind = "light" if size.transform == "dct" else self.variant
        width = size.hyper_widths[0] if kind == "light" else n
        self.h_a = transforms.hyper_analysis(kind, n, width)
        self.h_s = self.make_hyper_synthesis()

    def _make_gdn_synthesis(self, width: int) -> tf.keras.layers.Layer:
        if self.condition == "none":
            return transforms.GdnSynthesis(width, name="g_s")
        laplacian = self.condition == "v1"
        return conditions.ScmcSynthesis(width, laplacian, name="g_s")

    def make_hyper_synthesis(self, dtype: str | None = None) -> tf.keras.Sequential:
        """A new h_s of this model's shape, in the policy's precision or in `dtype`."""
        size, n, m = self.size, self.size.hyper_channels, self.size.channels
        if size.transform == "dct":
            kind, widths = "light", size.hyper_widths[1:]
        else:
            kind = self.variant
            widths = (n, n) if kind == "scale" else (m, 3 * m // 2)
        outputs = 2 * m if self.variant == "mean_scale" else m
        return transforms.hyper_synthesis(kind, widths, outputs, dtype)

    def _make_gains(self) -> None:
        """Gains that make rounding the best quantiser of the DCT, at high rate.

        Those of a gdn transform, which has no scale yet, are 1 in the middle.
        """
        steps = _quantiser_steps(self.lmbdas, self.distortion)
        spread = np.full(self.size.channels, np.exp(np.mean(np.log(steps))))
        if self.size.transform == "dct":
            spread = block_dct.spread()
        start = np.log(spread[None] / steps[:, None])
        for name, sign in (("log_gain", 1), ("log_inverse_gain", -1)):
            value = tf.keras.initializers.Constant(sign * start)
            weight = self.add_weight(name, start.shape, initializer=value)
            setattr(self, name, weight)

    def _make_prior(self) -> None:
        coded = self.size.hyper_channels
        if self.variant == "factorized":
            coded = self.size.channels
        # TFC's 10 spreads the density wide, for latents of unknown size; the dct's are
        # small from the first step, and would pay for it for thousands of steps.
        spread = 2 if self.size.transform == "dct" else 10
        self.prior = tfc.NoisyDeepFactorized(batch_shape=(coded,), init_scale=spread)
        self.entropy_model = tfc.ContinuousBatchedEntropyModel(
            self.prior,
            coding_rank=3,
            compression=False,
            bottleneck_dtype=tf.float32,
            offset_heuristic=False,
        )

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        side = self.size.multiple
        x, lower = tf.zeros([1, side, side, 3]), None
        if self.condition != "none":
            lower = x, x[..., :1]
        self(x, tf.ones([1]), lower)

    def levels(self, quality: tf.Tensor) -> tf.Tensor:
        """Shares of the rates that `quality` lies between: [B] -> [B, rates]."""
        places = tf.range(1, len(self.lmbdas) + 1, dtype=quality.dtype)
        return tf.maximum(1 - tf.abs(quality[:, None] - places), 0)

    def analyze(
        self, x: tf.Tensor, quality: tf.Tensor, lower: Lower | None = None
    ) -> tf.Tensor:
        """g_a and gain: pixels [B,H,W,3], quality [B] -> y float32 [B,h,w,M]."""
        levels = self.levels(quality)
        seen = self._check(lower) if self.condition == "v2" else None
        y = tf.cast(self.g_a(x, levels, seen), tf.float32)
        if not self.has_gains:
            return y
        return y * tf.exp(levels @ self.log_gain)[:, None, None]

    def hyper_analyze(self, y: tf.Tensor) -> tf.Tensor:
        """h_a: y [B,h,w,M] -> z float32 [B,h/4,w/4,N], not rounded."""
        y = tf.abs(y) if self.variant == "scale" else y
        return tf.cast(self.h_a(y), tf.float32)

    def predict_y(
        self,
        z_hat: tf.Tensor,
        quality: tf.Tensor,
        h_s: tf.keras.Model | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What z_hat tells of y: mean and scale index, not rounded.

        Args:
            z_hat: [B,h,w,N], rounded.
            quality: [B], of the same dtype.
            h_s: a copy of h_s in another precision; None for the trained one.
        Returns: mu and index, [B,4h,4w,M]; the index counts `SCALE_TABLE`, on a
            logarithmic scale.
        """
        dtype = z_hat.dtype
        found = (h_s or self.h_s)(z_hat)
        found = tf.cast(found, dtype)
        mu, log_scale = tf.zeros_like(found), found
        if self.variant == "mean_scale":
            mu, log_scale = tf.split(found, 2, axis=-1)
        if self.has_gains:
            log_gain = self.levels(quality) @ tf.cast(self.log_gain, dtype)
            log_gain = log_gain[:, None, None]
            mu, log_scale = mu * tf.exp(log_gain), log_scale + log_gain
        return mu, (log_scale - _LOG_LOW) / _LOG_STEP

    def synthesize(
        self, y_hat: tf.Tensor, quality: tf.Tensor, lower: Lower | None = None
    ) -> tf.Tensor:
        """Gain taken off, then g_s: y_hat [B,h,w,M] -> x_hat float32, not clipped."""
        levels = self.levels(quality)
        if self.has_gains:
            y_hat = y_hat * tf.exp(levels @ self.log_inverse_gain)[:, None, None]
        return tf.cast(self.g_s(y_hat, levels, self._check(lower)), tf.float32)

    def _check(self, lower: Lower | None) -> Lower | None:
        """`lower`, which is there if and only if this model has a condition."""
        if (lower is None) != (self.condition == "none"):
            raise ValueError(
                f"`lower` goes with a model of some condition; this one has "
                f"'{self.condition}', and `lower` is {'not ' * (lower is None)}given."
            )
        return lower

    def call(
        self,
        x: tf.Tensor,
        quality: tf.Tensor | None = None,
        lower: Lower | None = None,
        training: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """Codes pictures in one go, with the bits that they would cost."""
        quality = tf.ones([tf.shape(x)[0]]) if quality is None else quality
        y = self.analyze(x, quality, lower)
        if self.variant == "factorized":
            _, bits = self.entropy_model(y, training=training)
            return {
                "x_hat": self.synthesize(_round(y), quality, lower),
                "bits_y": bits,
                "bits_z": tf.zeros_like(bits),
            }
        z = self.hyper_analyze(y)
        _, bits_z = self.entropy_model(z, training=training)
        mu, index = self.predict_y(_round(z), quality)
        offset = y - mu
        symbols = _round(offset)
        coded = offset + _noise(offset) if training else symbols
        index = tf.clip_by_value(index, 0, len(SCALE_TABLE) - 1)
        scale = tf.exp(_LOG_LOW + _LOG_STEP * index)
        bits = rate.gaussian_bits(coded, scale)
        return {
            "x_hat": self.synthesize(symbols + mu, quality, lower),
            "bits_y": tf.reduce_sum(bits, axis=(1, 2, 3)),
            "bits_z": bits_z,
        }

    def compile(
        self,
        *args,
        lower: Callable[[Mapping[str, tf.Tensor], bool], Lower] | None = None,
        **kwargs,
    ) -> None:
        """Sets what training needs.

        Args:
            lower: batch, training -> picture and lines of the lower layer, of frozen
                networks; not part of this model's weights. With a condition only.
            *args, **kwargs: of Keras.
        """
        super().compile(*args, **kwargs)
        # Hidden from Keras, which would count the networks' weights as this model's.
        self._lower = None
        if lower is not None:
            self._lower = lambda batch, training: lower(batch, training)

    def lower(self, batch: Mapping[str, tf.Tensor], training: bool) -> Lower | None:
        """What the layers below make of a batch; None if `compile` was given none."""
        return None if self._lower is None else self._lower(batch, training)

    def _losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        return self.losses_beside(batch, self.lower(batch, training), training)

    def losses_beside(
        self, batch: Mapping[str, tf.Tensor], lower: Lower | None, training: bool
    ) -> dict[str, tf.Tensor]:
        """Losses of a batch, scalars by name, "loss" being the one that is lowered.

        Args:
            batch: {"image": uint8 [B,H,W,3]}, H and W static.
            lower: as `call` takes it.
            training: with noise in place of rounding.
        """
        x = tf.cast(batch["image"], tf.float32)
        count, height, width = x.shape[0], x.shape[1], x.shape[2]
        quality = self._draw_quality(tf.shape(x)[0] if count is None else count)
        found = self(x, quality, lower, training=training)
        bpp_z = found["bits_z"] / (height * width)
        bpp = found["bits_y"] / (height * width) + bpp_z
        error = distortion.mse(x, found["x_hat"])
        lost = error
        if self.distortion == "ms_ssim":
            lost = 1 - distortion.ms_ssim(x, found["x_hat"])
        log_lmbda = tf.math.log(tf.constant(self.lmbdas))
        log_lmbda = tf.linalg.matvec(self.levels(quality), log_lmbda)
        # Losses grow about as lmbda^0.4: without it high rates would drown low ones.
        share = tf.exp(0.4 * (tf.reduce_mean(log_lmbda) - log_lmbda))
        loss = share * (tf.exp(log_lmbda) * lost + bpp)
        means = {
            "loss": loss,
            "bpp": bpp,
            "bpp_z": bpp_z,
            "mse": error,
            "distortion": lost,
        }
        return {name: tf.reduce_mean(value) for name, value in means.items()}

    def _draw_quality(self, count: int | tf.Tensor) -> tf.Tensor:
        """Qualities for a batch, spread evenly over the range from a random start."""
        rates = len(self.lmbdas)
        if rates == 1:
            return tf.ones([count])
        places = tf.range(count, dtype=tf.float32) / tf.cast(count, tf.float32)
        places = tf.math.floormod(places + tf.random.uniform([]), 1.0)
        # Half a step beyond the ends, so that they are met as often as the middle.
        return tf.clip_by_value(0.5 + rates * places, 1.0, float(rates))

    def take_weights(self, other: "Hyperprior") -> None:
        """Copies another model's weights; where rates differ, those between its own.

        Args:
            other: of the same size, variant and condition, its weights created, as must
                be these. A model of the condition "v2" with a "dct" transform may take
                those of one without: it sees nothing of the lower layer then.
        Raises: ValueError if its networks have other shapes.
        """
        # Where this model's rates lie among the other's: quality 1, 1.5, ... Lmbdas of
        # two distortions are compared by the quantiser steps that suit them.
        here, there = (
            -np.log(_quantiser_steps(model.lmbdas, model.distortion))
            for model in (self, other)
        )
        places = np.interp(here, there, np.arange(1, len(there) + 1))
        shares = other.levels(tf.constant(places, tf.float32)).numpy()
        of_rates = {weight.ref() for weight in self._rate_weights()}
        weights = self.weights
        if self.size.transform == "dct" and other.condition == "none":
            branches = self.g_a.branch, self.g_s.branch
            new = [weight for branch in branches for weight in branch.weights_of_seen()]
            for weight in new:
                weight.assign(tf.zeros_like(weight))
            seen = {weight.ref() for weight in new}
            weights = [weight for weight in weights if weight.ref() not in seen]
        if len(weights) != len(other.weights):
            raise ValueError(
                f"`other` has {len(other.weights)} weights, this model "
                f"{len(weights)}: give a model of the same size and variant, with the "
                "same condition or none."
            )
        for mine, theirs in zip(weights, other.weights, strict=True):
            value = theirs.numpy()
            if mine.ref() in of_rates and value.shape[:1] == shares.shape[1:]:
                value = shares @ value
            if mine.shape != value.shape:
                raise ValueError(
                    f"`other` has {mine.name} of shape {list(value.shape)}, this model "
                    f"needs {list(mine.shape)}: give a model of the same size."
                )
            mine.assign(value)

    def _rate_weights(self) -> list[tf.Variable]:
        """The weights whose first axis counts the rates."""
        found = self._gains()
        if self.size.transform == "dct":
            for transform in (self.g_a, self.g_s):
                found += [layer.kernel for layer in transform.branch.modulate]
        return found

    def save_own_variables(self, store: MutableMapping) -> None:
        """Called by `save_weights`."""
        runs.store_variables(self._own_variables(), store)

    def load_own_variables(self, store: Mapping) -> None:
        """Called by `load_weights`: takes what `save_own_variables` wrote."""
        variables = self._own_variables()
        runs.restore_variables(variables, store, "gains and priors", "size and variant")

    def _gains(self) -> list[tf.Variable]:
        return [self.log_gain, self.log_inverse_gain] if self.has_gains else []

    def _own_variables(self) -> list[tf.Variable]:
        return [*self._gains(), *self.entropy_model.variables]

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "variant": self.variant,
            "lmbdas": list(self.lmbdas),
            "distortion": self.distortion,
            "condition": self.condition,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Hyperprior":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(HyperpriorSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> Hyperprior:
    """Loads the model that recipes/train_hyperprior.py trained; see `runs.load`."""
    return runs.load(Hyperprior, folder, "recipes/train_hyperprior.py")


def _quantiser_steps(lmbdas: Sequence[float], distortion: str) -> np.ndarray:
    """Step of the uniform quantiser that is best at each lmbda, in 8-bit steps.

    Minimises lmbda D + R for D = step^2 / 12 and dR/dD = -1 / (2 ln 2 D), both per
    pixel: an orthonormal luma coefficient counts in all three channels of the mean.
    """
    lmbdas = np.asarray(lmbdas)
    if distortion == "ms_ssim":
        # The zoo's pairs of lmbdas meet at about the same rates.
        lmbdas = np.exp(
            np.interp(np.log(lmbdas), np.log(MS_SSIM_LMBDAS), np.log(LMBDAS))
        )
    return np.sqrt(12 / (2 * math.log(2) * lmbdas))


def _round(x: tf.Tensor) -> tf.Tensor:
    """Rounds; gradients pass as if it had not."""
    return x + tf.stop_gradient(tf.round(x) - x)


def _noise(x: tf.Tensor) -> tf.Tensor:
    return tf.random.uniform(tf.shape(x), -0.5, 0.5)
