"""The conceptual codec: a picture as its edges and one small latent of its texture.

Sources: Layered Conceptual Image Compression, ICIP 2019 (variant `unet`); Conceptual
Compression via Deep Structure and Texture Synthesis, arXiv 2011.04976 (`hf_gan`).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence

import tensorflow as tf
import tensorflow_compression as tfc

from tfsemcomp.layers import spectral_norm
from tfsemcomp.losses import adversarial, distortion, rate, replicas
from tfsemcomp.losses import features as feature_losses
from tfsemcomp.models import conceptual_networks as networks
from tfsemcomp.models import conceptual_structure as structures
from tfsemcomp.models import runs
from tfsemcomp.models.single_loss import MeasuredModel

VARIANTS = ("hf_gan", "unet")
LATENTS = ("rate", "kl")
CELL = networks.CELL
# Terms of the losses, the latent's bits, and the discriminators' mean logits.
_MEASURES = (
    *("loss", "gan", "l1", "ssim", "features", "latent", "prior"),
    *("bits", "real", "fake"),
)
# Rounds of power iteration before training begins.
_FIRST_UPDATES = 8


@dataclasses.dataclass(frozen=True)
class ConceptualSize:
    """Hyper-parameters of one size.

    Attributes:
        generator: N of the generator (ngf).
        encoder: N of the encoder (nef).
        discriminator: N of the discriminators (ndf).
        latents: nz.
        stages: halvings of the generator; sides of pictures are multiples of
            2**stages.
        grid: one latent for each 128x128 pixels in place of one a picture.
    """

    generator: int
    encoder: int
    discriminator: int
    latents: int
    stages: int = 7
    grid: bool = False

    def __post_init__(self) -> None:
        smallest = min(self.generator, self.encoder, self.latents)
        if smallest < 1 or self.discriminator < 2:
            raise ValueError(
                "widths must be positive, `discriminator` at least 2; got "
                f"{dataclasses.asdict(self)}."
            )
        if not 5 <= self.stages <= 7:
            raise ValueError(f"`stages` must be from 5 to 7; got {self.stages}.")
        if self.grid and self.multiple != CELL:
            raise ValueError(
                f"a `grid` has a latent for {CELL} pixels and needs 7 `stages`; got "
                f"{self.stages}."
            )

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this."""
        return 2**self.stages


SIZES = {
    "tiny": ConceptualSize(4, 8, 8, 8, stages=6),
    "tiny-grid": ConceptualSize(4, 8, 8, 8, grid=True),
    "small": ConceptualSize(16, 16, 16, 32),
    "small-grid": ConceptualSize(16, 16, 16, 32, grid=True),
    # The published U-Net has 8 latents, the fusion generator 64.
    "paper-8": ConceptualSize(64, 64, 64, 8),
    "paper": ConceptualSize(64, 64, 64, 64),
}


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 leaves a term out.

    `START` and `FULL` of a term are the steps where its weight begins to rise from zero
    and where it is reached.

    Attributes:
        gan: of the adversarial loss.
        l1: of the mean absolute error of pictures in [-1, 1].
        ssim: of 1 - SSIM of pixels in [0, 255]. A published code measured pictures in
            [-1, 1] with the constants of [0, 1].
        features: of the features' distance.
        latent: of the mean absolute difference between z and the decoded picture's mu;
            it trains the generator alone.
        prior: of the latent's cost in nats a picture: its rate, or its divergence from
            a unit Gaussian; it trains the encoder and its prior alone.
        r1: of the discriminators' gradient penalty.
        gan_ramp: START and FULL of `gan` and of what trains the discriminators.
        prior_ramp: START and FULL of `prior`.
    """

    gan: float = 1.0
    l1: float = 10.0
    ssim: float = 25.0
    features: float = 0.3
    latent: float = 1.0
    prior: float = 0.01
    r1: float = 0.0
    gan_ramp: tuple[int, int] = (0, 0)
    prior_ramp: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        terms = {k: v for k, v in vars(self).items() if not k.endswith("_ramp")}
        negative = [name for name, weight in terms.items() if weight < 0]
        if negative:
            raise ValueError(f"weights must not be negative; got {negative}.")
        for name in ("gan_ramp", "prior_ramp"):
            start, full = getattr(self, name)
            if not 0 <= start <= full:
                raise ValueError(f"`{name}` must rise from 0; got {(start, full)}.")


# As published; the U-Net had neither SSIM nor features.
WEIGHTS = {"hf_gan": LossWeights(), "unet": LossWeights(ssim=0.0, features=0.0)}


class Conceptual(MeasuredModel):
    """A picture as an edge map and a texture latent, drawn anew by a generator.

        x --encoder--> mu --/ step, Q--> symbols --* step--> z
        x --edges (semantics)--> coded, decoded--> S
        S, z --generator--> x_hat           x or x_hat, S --discriminators--> logits

    Q: rounding. Training draws S from the edges as files of several qualities have
    them (`conceptual_structure`), so that one generator serves all of them. The cost
    of the latent is either its rate under a trained factorized prior, where the step of
    each dimension is trained too (`latent="rate"`), or its divergence from a unit
    Gaussian as published (`"kl"`), with a fixed step; both count in nats.

    One forward pass gives three losses, each with a gradient of its own:

        generator:      gan + l1 + ssim + features + latent
        encoder, prior: gan + l1 + ssim + features + prior
        discriminators: real + fake (+ r1)

    The optimizer of `fit` trains encoder, prior and generator, and may average them;
    the discriminators have their own. Workflow: `compile`, `fit` on batches with edge
    planes; export `analyze` and `synthesize` (recipes/export_conceptual.py); code with
    `codecs.conceptual`.

    Args:
        size: a name in `SIZES` or a `ConceptualSize`.
        variant: one of `VARIANTS`.
        latent: one of `LATENTS`.
        step: of the latent's quantiser, at first or throughout ("kl").
        gan_mode: one of `adversarial.MODES`.
        conditional: whether discriminators see S.
        textureless: share of training pictures that get z = 0, what a decoder has when
            a file ends behind the structure.
    Call args:
        x: float32 [B,H,W,3] in [0, 255], H and W multiples of `size.multiple`.
        structure: float32 [B,H,W,1] of 0 and 1; None for no line.
        training: draws noise and drops what training drops.
    Returns: x_hat float32 [B,H,W,3] in [0, 255].
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | ConceptualSize = "small",
        variant: str = "hf_gan",
        latent: str = "rate",
        step: float = 0.25,
        gan_mode: str = "ls",
        conditional: bool = True,
        textureless: float = 0.0,
        **kwargs,
    ) -> None:
        # Latents and losses are float32 under any policy; networks follow it.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {VARIANTS}; got '{variant}'.")
        if latent not in LATENTS:
            raise ValueError(f"`latent` must be one of {LATENTS}; got '{latent}'.")
        if not 0 < step < math.inf:
            raise ValueError(f"`step` must be positive; got {step}.")
        if not 0 <= textureless <= 1:
            raise ValueError(f"`textureless` must be in [0, 1]; got {textureless}.")
        self.variant, self.latent, self.first_step = variant, latent, step
        self.gan_mode = adversarial.check_mode(gan_mode)
        self.conditional, self.textureless = conditional, textureless
        self.encoder = self.make_encoder()
        self.generator = self.make_generator()
        self.discriminators = networks.PatchDiscriminators(
            self.size.discriminator, conditional, name="discriminators"
        )
        self._make_prior()
        self._features = None
        self._define_means(*_MEASURES)

    def make_encoder(self, spectral: bool = True) -> networks.TextureEncoder:
        """A new encoder of this model's shape; see `spectral_norm.copy_folded`."""
        return networks.TextureEncoder(
            self.size.encoder,
            self.size.latents,
            self.size.grid,
            spread=self.latent == "kl",
            spectral=spectral,
            name="encoder",
        )

    def make_generator(self, spectral: bool = True) -> tf.keras.layers.Layer:
        """A new generator of this model's shape; see `spectral_norm.copy_folded`."""
        shape = self.size.generator, self.size.stages, self.size.grid
        if self.variant == "unet":
            return networks.UnetGenerator(*shape, name="generator")
        return networks.FusionGenerator(*shape, spectral=spectral, name="generator")

    def _make_prior(self) -> None:
        trained = self.latent == "rate"
        self.log_step = self.add_weight(
            "log_step",
            (self.size.latents,),
            initializer=tf.keras.initializers.Constant(math.log(self.first_step)),
            trainable=trained,
        )
        self.prior = self.entropy_model = None
        if trained:
            self.prior = tfc.NoisyDeepFactorized(batch_shape=(self.size.latents,))
            self.entropy_model = tfc.ContinuousBatchedEntropyModel(
                self.prior,
                coding_rank=3,
                compression=False,
                bottleneck_dtype=tf.float32,
                offset_heuristic=False,
            )

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer of `fit` trains: all but the discriminators."""
        judges = {weight.ref() for weight in self.discriminators.trainable_weights}
        return [w for w in super().trainable_weights if w.ref() not in judges]

    @property
    def coder_weights(self) -> list[tf.Variable]:
        """Trained weights of the encoder and of the latent's prior."""
        drawing = {weight.ref() for weight in self.generator.trainable_weights}
        return [w for w in self.trainable_weights if w.ref() not in drawing]

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        side = max(self.size.multiple, networks.SMALLEST_JUDGED)
        x, structure = tf.zeros([1, side, side, 3]), tf.zeros([1, side, side, 1])
        self(x, structure)
        self.discriminators(x, structure)
        for _ in range(_FIRST_UPDATES):
            spectral_norm.update(self)

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        weights: LossWeights | None = None,
        degradation: structures.Degradation | None = None,
        features: Callable[[tf.Tensor], Sequence[tf.Tensor]] | None = None,
        feature_kind: str = "mse",
        **kwargs,
    ) -> None:
        """Sets what training needs; all weights must exist.

        Args:
            optimizer: of encoder, prior and generator.
            discriminator_optimizer: of the discriminators.
            weights: of the losses; None for the published ones of the variant.
            degradation: how edge maps vary; None for the default.
            features: pictures float32 [B,H,W,3] in [0, 255] -> features [B,h,w,C] of
                each layer, of a frozen network; not part of this model's weights.
                Without it their term is left out.
            feature_kind: one of `losses.features.KINDS`.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        discriminator_optimizer.build(self.discriminators.trainable_weights)
        self.loss_weights = weights or WEIGHTS[self.variant]
        self.degradation = degradation or structures.Degradation()
        # Hidden from Keras, which would count the network's weights as this model's.
        self._features = None if features is None else lambda x: features(x)
        self.feature_kind = feature_kind

    def analyze(self, x: tf.Tensor) -> tf.Tensor:
        """Pixels [B,H,W,3] in [0, 255] -> symbols of the latent, [B,g,g',nz]."""
        mean, _ = self.encoder(_to_signed(x))
        return tf.round(mean * tf.exp(-self.log_step))

    def synthesize(self, structure: tf.Tensor, symbols: tf.Tensor) -> list[tf.Tensor]:
        """Draws a picture.

        Args:
            structure: float32 [B,H,W,1] of 0 and 1.
            symbols: float32 [B,g,g',nz], of `analyze`.
        Returns: the generator's stages, the last of which is the picture: float32
            [B,h,w,3] in [0, 255].
        """
        stages = self.generator(structure, symbols * tf.exp(self.log_step))
        return [_to_pixels(stage) for stage in stages]

    def call(
        self,
        x: tf.Tensor,
        structure: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Codes pictures in one go."""
        if structure is None:
            structure = tf.zeros_like(x[..., :1])
        z, _, _ = self._draw_latent(_to_signed(x), training)
        return _to_pixels(self.generator(structure, z, training=training)[-1])

    def _draw_latent(
        self, x: tf.Tensor, training: bool | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The latent of pictures in [-1, 1].

        Returns: z as the generator gets it [B,g,g',nz]; what it costs, in nats, and the
            bits that coding it takes, [B] each.
        """
        mean, log_variance = self.encoder(x)
        step = tf.exp(self.log_step)
        scaled = mean / step
        symbols = scaled + tf.stop_gradient(tf.round(scaled) - scaled)
        if self.latent == "rate":
            # Noise stands for rounding in the rate, gradients pass rounding.
            _, bits = self.entropy_model(scaled, training=training)
            return symbols * step, bits * math.log(2), bits
        excess = tf.square(mean) + tf.exp(log_variance) - 1 - log_variance
        nats = tf.reduce_sum(excess, axis=(1, 2, 3)) / 2
        bits = _unit_gaussian_bits(symbols, step)
        if not training:
            return symbols * step, nats, bits
        noise = tf.random.normal(tf.shape(mean))
        return mean + tf.exp(log_variance / 2) * noise, nats, bits

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both optimizers.

        Args:
            batch: "image" uint8 [B,H,W,3] and "planes" uint8 [B,H,W,P], see
                `conceptual_structure.draw`; H and W static and at least 64.
        """
        spectral_norm.update(self)
        found, gradients = self.gradients(batch)
        main = [*gradients["generator"], *gradients["coder"]]
        weights = [*self.generator.trainable_weights, *self.coder_weights]
        self.optimizer.apply_gradients(zip(main, weights, strict=True))
        judges = self.discriminators.trainable_weights
        self.discriminator_optimizer.apply_gradients(
            zip(gradients["discriminators"], judges, strict=True)
        )
        return self._report(found)

    def test_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures with rounding for noise and maps as the first file's."""
        return self._report(self._losses_of(batch, training=False))

    def gradients(
        self, batch: Mapping[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], dict[str, list[tf.Tensor]]]:
        """Losses of a batch, and the gradients of each network's own.

        All of them are taken of one forward pass, before any weight changes.

        Returns: the terms; gradients of "generator", "coder" (encoder and prior) and
            "discriminators", in the order of their weights.
        """
        with tf.GradientTape(persistent=True) as tape:
            found = self._losses_of(batch, training=True)
            shared = replicas.share(found["shared"])
            drawing = shared + replicas.share(found["weighted_latent"])
            coding = shared + replicas.share(found["weighted_prior"])
            judging = replicas.share(found["judging"])
        gradients = {
            "generator": tape.gradient(drawing, self.generator.trainable_weights),
            "coder": tape.gradient(coding, self.coder_weights),
            "discriminators": tape.gradient(
                judging, self.discriminators.trainable_weights
            ),
        }
        return found, gradients

    def _losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        weights = self.loss_weights
        pixels = tf.cast(batch["image"], tf.float32)
        x = _to_signed(pixels)
        make = structures.draw if training else structures.fixed
        structure = make(batch["planes"], self.degradation)
        z, nats, bits = self._draw_latent(x, training)
        if training and self.textureless:
            kept = tf.random.uniform([tf.shape(z)[0], 1, 1, 1]) >= self.textureless
            z *= tf.cast(kept, tf.float32)
        x_hat = self.generator(structure, z, training=training)[-1]
        real, penalty = self._judge_real(x, structure)
        fake = self.discriminators(x_hat, structure)
        terms = {
            "gan": adversarial.generator_loss(fake, self.gan_mode),
            "l1": tf.reduce_mean(tf.abs(x - x_hat)),
            "ssim": tf.reduce_mean(1 - distortion.ssim(pixels, _to_pixels(x_hat))),
            "features": self._feature_distance(pixels, x_hat),
            "latent": tf.constant(0.0),
            "prior": tf.reduce_mean(nats),
        }
        if weights.latent:
            again, _ = self.encoder(x_hat)
            terms["latent"] = tf.reduce_mean(tf.abs(again - tf.stop_gradient(z)))
        gan = self._ramp(weights.gan_ramp)
        shared = weights.gan * gan * terms["gan"]
        for name in ("l1", "ssim", "features"):
            if getattr(weights, name):
                shared += getattr(weights, name) * terms[name]
        latent = weights.latent * terms["latent"]
        prior = weights.prior * self._ramp(weights.prior_ramp) * terms["prior"]
        judging = adversarial.discriminator_loss(real, fake, self.gan_mode)
        judging = gan * (judging + weights.r1 * penalty)
        return terms | {
            "loss": shared + latent + prior + judging,
            "bits": tf.reduce_mean(bits),
            "real": adversarial.mean_logit(real),
            "fake": adversarial.mean_logit(fake),
            "shared": shared,
            "weighted_latent": latent,
            "weighted_prior": prior,
            "judging": judging,
        }

    def _judge_real(
        self, x: tf.Tensor, structure: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Logits of real pictures, and the penalty of their gradient if one counts."""
        if not self.loss_weights.r1:
            return self.discriminators(x, structure), tf.constant(0.0)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = self.discriminators(x, structure)
            total = tf.add_n([tf.reduce_sum(scale) for scale in logits])
        return logits, adversarial.gradient_penalty(tape.gradient(total, x))

    def _feature_distance(self, pixels: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        if self._features is None:
            return tf.constant(0.0)
        seen = self._features(pixels), self._features(_to_pixels(x_hat))
        return tf.reduce_mean(feature_losses.feature_distance(*seen, self.feature_kind))

    def _ramp(self, steps: tuple[int, int]) -> tf.Tensor:
        return adversarial.ramp(self.optimizer.iterations, steps)

    def save_own_variables(self, store: MutableMapping) -> None:
        """Called by `save_weights`."""
        runs.store_variables(self._own_variables(), store)

    def load_own_variables(self, store: Mapping) -> None:
        """Called by `load_weights`: takes what `save_own_variables` wrote."""
        variables = self._own_variables()
        runs.restore_variables(variables, store, "steps and priors", "size and latent")

    def _own_variables(self) -> list[tf.Variable]:
        prior = [] if self.entropy_model is None else self.entropy_model.variables
        return [self.log_step, *prior]

    def take_weights(self, other: "Conceptual") -> None:
        """Copies all weights of a model of the same shape; see `runs.take_weights`."""
        runs.take_weights(self, other, "size, variant and latent")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "variant": self.variant,
            "latent": self.latent,
            "step": self.first_step,
            "gan_mode": self.gan_mode,
            "conditional": self.conditional,
            "textureless": self.textureless,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Conceptual":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(ConceptualSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> Conceptual:
    """Loads the model that recipes/train_conceptual.py trained; see `runs.load`."""
    return runs.load(Conceptual, folder, "recipes/train_conceptual.py")


def _unit_gaussian_bits(symbols: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Bits of multiples of `step` under a unit Gaussian: [B,g,g',nz] -> [B]."""
    scale = tf.broadcast_to(1 / step, tf.shape(symbols))
    return tf.reduce_sum(rate.gaussian_bits(symbols, scale), axis=(1, 2, 3))


def _to_signed(x: tf.Tensor) -> tf.Tensor:
    return x / 127.5 - 1


def _to_pixels(x: tf.Tensor) -> tf.Tensor:
    return (x + 1) * 127.5
