"""`semantic_enhanced`'s generator: a coded picture and its labels -> a better picture.

Source: JPD-SE, arXiv 2005.12810, with its published code (variant `pix2pixhd`); variant
`residual` is this project's.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfsemcomp.layers import spectral_norm, upsample
from tfsemcomp.losses import adversarial, replicas
from tfsemcomp.losses import features as feature_losses
from tfsemcomp.models import runs
from tfsemcomp.models import semantic_enhancer_networks as networks
from tfsemcomp.models.semantic_enhancer_networks import label_borders
from tfsemcomp.models.single_loss import MeasuredModel

VARIANTS = ("residual", "pix2pixhd")
DISTORTIONS = ("l1", "mse")
# The codec of base pictures whose own is none of a model's.
OTHER = "other"
# What stands for a base picture where there is none, 0..255.
GREY = 127.5
# Terms of the losses, the judges' mean logits, PSNR and what it gains over the base.
_TERMS = ("gan", "matching", "perceptual", "distortion", "consistency")
_MEASURES = ("loss", *_TERMS, "real", "fake", "psnr", "gain")
# Rounds of power iteration before training begins.
_FIRST_UPDATES = 8
# Side that every network takes, pixels.
_SIDE = 32

Features = Callable[[tf.Tensor], Sequence[tf.Tensor]]
Segment = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class EnhancerSize:
    """Hyper-parameters of one size.

    Attributes:
        widths: of `residual`, from full size down; each further one halves, 4 at most.
        hidden: channels within SPADE (`residual`).
        told: width of what codec and rate say (`residual`).
        width: N of `pix2pixhd`.
        blocks: of its middle.
        judge: N of the discriminators.
    """

    widths: tuple[int, ...]
    hidden: int
    told: int
    width: int
    blocks: int
    judge: int

    def __post_init__(self) -> None:
        plain = (self.hidden, self.told, self.width, self.blocks, self.judge)
        if min(*plain, *self.widths) < 1 or not 2 <= len(self.widths) <= 5:
            raise ValueError(
                "widths and blocks must be positive, and `widths` two to five; got "
                f"{dataclasses.asdict(self)}."
            )


SIZES = {
    "tiny": EnhancerSize((4, 8, 12, 16, 24), 4, 8, 2, 1, 4),
    "small": EnhancerSize((16, 32, 80, 160, 224), 16, 32, 16, 4, 16),
    "paper": EnhancerSize((64, 128, 256, 384, 512), 64, 128, 64, 9, 64),
}


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 leaves a term and its work out.

    Attributes:
        gan: of the adversarial loss, mean over the judges' scales (published: sum).
        matching: of the difference of what the judges' layers see.
        perceptual: of the features' distance of a frozen network.
        distortion: of the error of pictures in [0, 1].
        consistency: of the cross-entropy of labels that a frozen segmenter finds.
    """

    gan: float = 0.0
    matching: float = 0.0
    perceptual: float = 0.0
    distortion: float = 0.0
    consistency: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name in _TERMS if getattr(self, name) < 0]
        if negative:
            raise ValueError(f"weights must not be negative; got {negative}.")
        if not any(getattr(self, name) for name in _TERMS):
            raise ValueError(f"one weight at least of {_TERMS} must not be 0.")

    @property
    def judged(self) -> bool:
        """Whether discriminators are needed."""
        return self.gan > 0 or self.matching > 0


# What each phase of a training lowers. The first draws from labels alone.
PHASES = {
    1: LossWeights(gan=1.0, matching=10.0, perceptual=10.0),
    2: LossWeights(gan=1.0, matching=10.0, perceptual=10.0, distortion=10.0),
    3: LossWeights(distortion=10.0),
}


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What pictures are drawn from.

    Attributes:
        base: float32 [B,H,W,3] in [0, 255].
        labels: int32 [B,H,W]; what is no class is no label.
        boundaries: float32 [B,H,W,1] of 0 and 1.
        codec: int32 [B].
        rate: float32 [B], bits a pixel.
    """

    base: tf.Tensor
    labels: tf.Tensor
    boundaries: tf.Tensor
    codec: tf.Tensor
    rate: tf.Tensor


class SemanticEnhancer(MeasuredModel):
    """Draws a picture from a coded one and its labels, and judges it as it learns.

        base, labels, boundaries, codec, rate --generator--> x_hat
        labels, boundaries, x or x_hat --discriminators--> what their layers see

    `residual` adds to the base what a U-Net draws, and is one model for all codecs and
    qualities; `pix2pixhd` draws all of it anew and knows neither codec nor rate. The
    optimizer of `fit` trains the generator, and may average it; the discriminators have
    their own. Both learn from one forward pass.

    Args:
        size: a name in `SIZES` or an `EnhancerSize`.
        variant: one of `VARIANTS`.
        classes: number of labels, 1 to 255, with the one that is ignored.
        ignored: a label that `consistency` leaves out, such as "unlabelled"; None
            without.
        bases: codecs of the base pictures; their numbers are their places here, and
            `len(bases)` is any other.
        boundaries: whether boundaries are seen.
        withheld: share of the training pictures without labels, and independently
            share of those whose codec is not told.
        gan_mode: one of `adversarial.MODES`.
    Call args: a mapping with the fields of `Conditions`; H and W multiples of
        `multiple`.
    Returns: float32 [B,H,W,3], about [0, 255].
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | EnhancerSize = "small",
        variant: str = "residual",
        classes: int = 12,
        ignored: int | None = None,
        bases: Sequence[str] = ("jpeg",),
        boundaries: bool = True,
        withheld: float = 0.1,
        gan_mode: str = "ls",
        **kwargs,
    ) -> None:
        # Losses are float32 under any policy; networks follow it.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {VARIANTS}; got '{variant}'.")
        if not 1 <= classes <= 255:
            raise ValueError(f"`classes` must be from 1 to 255; got {classes}.")
        if ignored is not None and not 0 <= ignored < classes:
            raise ValueError(
                f"`ignored` must be one of {classes} classes; got {ignored}."
            )
        if OTHER in bases or len(set(bases)) < len(bases):
            raise ValueError(
                f"`bases` must be different codecs without '{OTHER}'; got {bases}."
            )
        if not 0 <= withheld <= 1:
            raise ValueError(f"`withheld` must be in [0, 1]; got {withheld}.")
        self.variant, self.classes, self.ignored = variant, classes, ignored
        self.bases, self.boundaries = tuple(bases), boundaries
        self.withheld, self.gan_mode = withheld, adversarial.check_mode(gan_mode)
        self._make_networks()
        self._features = self._segment = None
        self._define_means(*_MEASURES)

    def _make_networks(self) -> None:
        size = self.size
        if self.variant == "residual":
            self.generator = networks.EnhancerUnet(
                size.widths, size.hidden, size.told, len(self.codecs), name="generator"
            )
        else:
            self.generator = networks.GlobalGenerator(
                size.width, size.blocks, name="generator"
            )
        self.discriminators = networks.FeatureDiscriminators(
            size.judge, self.variant == "residual", name="discriminators"
        )

    @property
    def codecs(self) -> tuple[str, ...]:
        """Names of the codecs by number; the last stands for all others."""
        return (*self.bases, OTHER)

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this."""
        return 16 if self.variant == "residual" else 32

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer of `fit` trains: all but the discriminators."""
        judges = {weight.ref() for weight in self.discriminators.trainable_weights}
        return [w for w in super().trainable_weights if w.ref() not in judges]

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        base = tf.zeros([1, _SIDE, _SIDE, 3])
        labels, none = tf.zeros([1, _SIDE, _SIDE], tf.int32), tf.zeros([1], tf.int32)
        told = Conditions(base, labels, base[..., :1], none, tf.ones([1]))
        self(vars(told))
        self.discriminators(self._maps(labels, told.boundaries), base)
        for _ in range(_FIRST_UPDATES):
            spectral_norm.update(self)

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        phase: int = 3,
        weights: LossWeights | None = None,
        *,
        distortion: str = "l1",
        features: Features | None = None,
        feature_kind: str = "unit",
        segment: Segment | None = None,
        zero_labels: bool = False,
        **kwargs,
    ) -> None:
        """Sets what training needs; all weights must exist.

        Args:
            optimizer: of the generator.
            discriminator_optimizer: of the discriminators.
            phase: 1, 2 or 3; in the first, base pictures are grey.
            weights: of the losses; None for those of the phase.
            distortion: one of `DISTORTIONS`.
            features: pictures float32 [B,H,W,3] in [0, 255] -> features [B,h,w,C] of
                each layer, of a frozen network; not part of this model's weights.
            feature_kind: one of `losses.features.KINDS`.
            segment: such pictures -> scores float32 [B,h,w,classes], of a frozen
                segmenter; not part of this model's weights.
            zero_labels: draw without any labels.
        Raises: ValueError for an unknown phase or distortion, or a weight whose term
            lacks its network.
        """
        if phase not in PHASES:
            raise ValueError(f"`phase` must be one of {[*PHASES]}; got {phase}.")
        if distortion not in DISTORTIONS:
            raise ValueError(
                f"`distortion` must be one of {DISTORTIONS}; got '{distortion}'."
            )
        weights = weights or PHASES[phase]
        for name, needed in (("perceptual", features), ("consistency", segment)):
            if getattr(weights, name) and needed is None:
                what = "features" if name == "perceptual" else "segment"
                raise ValueError(
                    f"`weights` have {name}={getattr(weights, name)}, which needs "
                    f"`{what}`, a frozen network: give it, or set {name}=0."
                )
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        discriminator_optimizer.build(self.discriminators.trainable_weights)
        self.phase, self.loss_weights = phase, weights
        self.distortion, self.feature_kind = distortion, feature_kind
        self.zero_labels = zero_labels
        # Hidden from Keras, which would count the networks' weights as this model's.
        self._features = None if features is None else lambda x: features(x)
        self._segment = None if segment is None else lambda x: segment(x)

    def call(
        self, told: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> tf.Tensor:
        """Draws pictures of what the fields of `Conditions` say."""
        del training
        maps = self._maps(told["labels"], told["boundaries"])
        x = _to_signed(told["base"])
        if self.variant == "pix2pixhd":
            drawn = self.generator(tf.concat([maps, x], axis=-1))
        else:
            drawn = x + self.generator(x, maps, told["codec"], told["rate"])
        return (drawn + 1) * 127.5

    def _maps(self, labels: tf.Tensor, boundaries: tf.Tensor) -> tf.Tensor:
        """What is seen of labels and boundaries, float32 [B,H,W,M]."""
        maps = tf.one_hot(labels, self.classes)
        return tf.concat([maps, boundaries], axis=-1) if self.boundaries else maps

    def conditions(self, batch: Mapping[str, tf.Tensor], training: bool) -> Conditions:
        """What pictures of a batch are drawn from.

        Args:
            batch: "planes" uint8 [B,H,W,1], classes, or [B,H,W,2], with boundaries
                behind them, not 0 on one; without them labels' borders are boundaries.
                "base" uint8 [B,H,W,3], "codec" int32 [B] and "rate" float32 [B].
            training: withhold a share.
        """
        labels, codec = tf.cast(batch["planes"][..., 0], tf.int32), batch["codec"]
        count = tf.shape(codec)[0]
        told = tf.fill([count], not self.zero_labels)
        if training and self.withheld:
            draw = tf.random.uniform([2, count]) >= self.withheld
            told &= draw[0]
            codec = tf.where(draw[1], codec, len(self.bases))
        labels = tf.where(told[:, None, None], labels, self.classes)
        boundaries = label_borders(labels)
        if batch["planes"].shape[-1] > 1:
            sent = tf.cast(batch["planes"][..., 1:2] > 0, tf.float32)
            boundaries = sent * tf.cast(told, tf.float32)[:, None, None, None]
        base = tf.cast(batch["base"], tf.float32)
        if self.phase == 1:
            base = tf.fill(tf.shape(base), GREY)
        return Conditions(base, labels, boundaries, codec, batch["rate"])

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of the generator, and of the discriminators where they count.

        Args:
            batch: "image" uint8 [B,H,W,3] and what `conditions` takes.
        """
        judged = self.loss_weights.judged
        if judged:
            spectral_norm.update(self)
        with tf.GradientTape(persistent=True) as tape:
            found = self.losses_of(batch, training=True)
            drawing = replicas.share(found["drawing"])
            judging = replicas.share(found["judging"])
        mine, judges = self.trainable_weights, self.discriminators.trainable_weights
        gradients = tape.gradient(drawing, mine)
        judgements = tape.gradient(judging, judges) if judged else []
        self.optimizer.apply_gradients(zip(gradients, mine, strict=True))
        if judged:
            self.discriminator_optimizer.apply_gradients(
                zip(judgements, judges, strict=True)
            )
        return self._report(found)

    def test_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures with all labels and codecs told."""
        return self._report(self.losses_of(batch, training=False))

    def losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        """Terms of the losses, scalars, 0 where their weight is; and what was drawn.

        Returns: beside the terms "drawing" and "judging", the weighted losses of
            generator and judges; "psnr" of what was drawn and its "gain" over the base,
            dB; "x_hat" [B,H,W,3].
        """
        weights = self.loss_weights
        pixels = tf.cast(batch["image"], tf.float32)
        told = self.conditions(batch, training)
        x_hat = self(vars(told), training=training)
        terms = dict.fromkeys((*_TERMS, "real", "fake"), tf.constant(0.0))
        judging = tf.constant(0.0)
        terms["distortion"] = self._distortion(pixels, x_hat)
        if weights.judged:
            judged, judging = self._judge(told, pixels, x_hat)
            terms |= judged
        if weights.perceptual:
            seen = self._features(pixels), self._features(x_hat)
            distance = feature_losses.feature_distance(*seen, self.feature_kind)
            terms["perceptual"] = tf.reduce_mean(distance)
        if weights.consistency:
            labels = tf.cast(batch["planes"][..., 0], tf.int32)
            terms["consistency"] = self._consistency(labels, x_hat)
        drawing = tf.add_n(
            [
                getattr(weights, name) * terms[name]
                for name in _TERMS
                if getattr(weights, name)
            ]
        )
        psnr = _psnr(pixels, x_hat)
        base = tf.cast(batch["base"], tf.float32)
        return terms | {
            "loss": drawing + judging,
            "psnr": psnr,
            "gain": psnr - _psnr(pixels, base),
            "drawing": drawing,
            "judging": judging,
            "x_hat": x_hat,
        }

    def _judge(
        self, told: Conditions, pixels: tf.Tensor, x_hat: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Terms that the discriminators give, and their own loss."""
        maps = self._maps(told.labels, told.boundaries)
        real = self.discriminators(maps, _to_signed(pixels))
        fake = self.discriminators(maps, _to_signed(x_hat))
        logits = [[scale[-1] for scale in seen] for seen in (real, fake)]
        matching = [
            tf.reduce_mean(feature_losses.feature_distance(a[:-1], b[:-1], "l1"))
            for a, b in zip(real, fake, strict=True)
        ]
        means = [
            tf.add_n([tf.reduce_mean(scale) for scale in one]) / len(one)
            for one in logits
        ]
        terms = {
            "gan": adversarial.generator_loss(logits[1], self.gan_mode),
            "matching": tf.add_n(matching) / len(matching),
            "real": means[0],
            "fake": means[1],
        }
        return terms, adversarial.discriminator_loss(*logits, self.gan_mode)

    def _distortion(self, pixels: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        error = (pixels - x_hat) / 255
        return tf.reduce_mean(
            tf.abs(error) if self.distortion == "l1" else tf.square(error)
        )

    def _consistency(self, labels: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of the classes that the segmenter finds in `x_hat`."""
        scores = self._segment(x_hat)
        logits = upsample.resize(scores, labels.shape[1], labels.shape[2])
        counts = labels < self.classes
        if self.ignored is not None:
            counts &= labels != self.ignored
        counts = tf.cast(counts, tf.float32)
        # A one-hot of a class that there is not is 0 throughout.
        truth = tf.one_hot(labels, self.classes)
        entropy = tf.nn.softmax_cross_entropy_with_logits(truth, logits)
        return tf.reduce_sum(entropy * counts) / tf.maximum(tf.reduce_sum(counts), 1)

    def take_weights(self, other: "SemanticEnhancer") -> None:
        """Copies all weights of a model of the same shape, to train on from it.

        Raises: ValueError if its weights differ in number or shape, or its codecs in
            number or order.
        """
        if self.bases != other.bases:
            raise ValueError(
                f"`other` knows the codecs {', '.join(other.bases)}, this model "
                f"{', '.join(self.bases)}: give the same in the same order."
            )
        runs.take_weights(self, other, "size, variant, classes and boundaries")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "variant": self.variant,
            "classes": self.classes,
            "ignored": self.ignored,
            "bases": list(self.bases),
            "boundaries": self.boundaries,
            "withheld": self.withheld,
            "gan_mode": self.gan_mode,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "SemanticEnhancer":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(EnhancerSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> SemanticEnhancer:
    """Loads the model that recipes/train_semantic_enhancer.py trained; see `runs`."""
    return runs.load(SemanticEnhancer, folder, "recipes/train_semantic_enhancer.py")


def _psnr(pixels: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
    """Mean over pictures of PSNR in dB, of pixels as a file would have them."""
    error = pixels - tf.clip_by_value(tf.round(x_hat), 0, 255)
    mse = tf.reduce_mean(tf.square(error), axis=(1, 2, 3))
    # A picture without error would have no end of decibels.
    floor = tf.maximum(mse, 1e-3)
    return tf.reduce_mean(10 / math.log(10) * tf.math.log(255.0**2 / floor))


def _to_signed(x: tf.Tensor) -> tf.Tensor:
    return x / 127.5 - 1
