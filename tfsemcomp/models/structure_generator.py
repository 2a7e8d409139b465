"""Layer 2 of `layered`: a picture drawn from lines, a base picture and a sentence.

Sources: Zhang et al., Rethinking Semantic Image Compression, IEEE TCSVT 33(8), 2023
(variant `v1`); `v2` is this project's.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfsemcomp.layers import spectral_norm, upsample
from tfsemcomp.losses import adversarial, distortion, replicas
from tfsemcomp.losses import features as feature_losses
from tfsemcomp.models import conceptual_networks, runs, scmc_blocks
from tfsemcomp.models import conceptual_structure as structures
from tfsemcomp.models import structure_generator_networks as networks
from tfsemcomp.models.scmc_generator import HificDiscriminator, ScmcGenerator
from tfsemcomp.models.single_loss import MeasuredModel

VARIANTS = ("v1", "v2")
# What stands for a base picture where there is none, 0..255.
GREY = 127.5
# Terms of the losses, and the judges' mean logits.
_MEASURES = ("loss", "gan", "l1", "perceptual", "real", "fake")
# Rounds of power iteration before training begins.
_FIRST_UPDATES = 8
# Side that every network takes, pixels.
_SIDE = conceptual_networks.SMALLEST_JUDGED

TextToImage = Callable[[tf.Tensor], tf.Tensor]
Features = Callable[[tf.Tensor], Sequence[tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class StructureSize:
    """Hyper-parameters of one size.

    Attributes:
        width: of all layers of `v1`.
        widths: of `v2`, from full size down; each further one halves.
        hidden: channels within SPADE (`v2`).
        sentence: width of the sentence's vector (`v2`).
        judge: N of the discriminators.
    """

    width: int
    widths: tuple[int, ...]
    hidden: int
    sentence: int
    judge: int

    def __post_init__(self) -> None:
        plain = (self.width, self.hidden, self.sentence, *self.widths)
        if min(plain) < 1 or self.judge < 2 or len(self.widths) < 2:
            raise ValueError(
                "widths must be positive, `judge` at least 2, and `widths` at least "
                f"two; got {dataclasses.asdict(self)}."
            )


SIZES = {
    "tiny": StructureSize(4, (4, 6, 8), 4, 4, 4),
    "small": StructureSize(24, (12, 32, 64, 96, 128), 8, 64, 16),
    "paper": StructureSize(64, (64, 128, 256, 384, 512), 64, 256, 64),
}


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, as published; 0 leaves a term out.

    Attributes:
        l1: of the mean absolute error of pictures in [-1, 1].
        perceptual: of the features' distance; without a network of features, of
            1 - MS-SSIM plus the error of gradients of pictures in [-1, 1].
        gan: of the adversarial loss.
        gan_ramp: steps where `gan`, and what trains the judges, begins to rise from
            zero and where it is reached.
    """

    l1: float = 10.0
    perceptual: float = 10.0
    gan: float = 1.0
    gan_ramp: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        negative = [n for n in ("l1", "perceptual", "gan") if getattr(self, n) < 0]
        if negative:
            raise ValueError(f"weights must not be negative; got {negative}.")
        start, full = self.gan_ramp
        if not 0 <= start <= full:
            raise ValueError(f"`gan_ramp` must rise from 0; got {(start, full)}.")


class StructureGenerator(MeasuredModel):
    """Draws the picture of layer 2, and judges it while it learns.

        structure, base, words --generator--> x_hat
        x or x_hat, structure, words --discriminators--> logits

    `v1` is SCMC's generator, which knows no words, with a judge of pictures alone; `v2`
    a U-Net modulated by lines and sentence, judged together with both. A share of the
    training pictures is drawn from lines alone: what a stream without text gives.

    The optimizer of `fit` trains the generator, and may average it; the discriminators
    have their own. Both learn from one forward pass.

    Args:
        size: a name in `SIZES` or a `StructureSize`.
        variant: one of `VARIANTS`.
        vocabulary: ids of words that `v2` knows, at least 4; 0 for none.
        attention_axis: of `v1`: "query", as published, or "key".
        gan_mode: one of `adversarial.MODES`.
        textless: share of training pictures with a grey base and no words.
    Call args:
        structure: float32 [B,H,W,1] of 0 and 1, H and W multiples of `multiple`.
        base: float32 [B,H,W,3] in [0, 255]; None for grey.
        words: int32 [B,T], 0 for padding; None for no word.
        training: drops what training drops, and normalises by batches (`v1`).
    Returns: float32 [B,H,W,3], about [0, 255]; `v2` keeps within it.
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | StructureSize = "small",
        variant: str = "v2",
        vocabulary: int = 0,
        attention_axis: str = "query",
        gan_mode: str = "original",
        textless: float = 0.5,
        **kwargs,
    ) -> None:
        # Losses are float32 under any policy; networks follow it.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {VARIANTS}; got '{variant}'.")
        if vocabulary and vocabulary < 4:
            raise ValueError(f"`vocabulary` must be 0 or above 3; got {vocabulary}.")
        if attention_axis not in scmc_blocks.AXES:
            raise ValueError(
                f"`attention_axis` must be one of {scmc_blocks.AXES}; got "
                f"'{attention_axis}'."
            )
        if not 0 <= textless <= 1:
            raise ValueError(f"`textless` must be in [0, 1]; got {textless}.")
        self.variant, self.vocabulary = variant, vocabulary
        self.attention_axis, self.textless = attention_axis, textless
        self.gan_mode = adversarial.check_mode(gan_mode)
        self._make_networks()
        self.condition_on()
        self._features = None
        self._define_means(*_MEASURES)

    def _make_networks(self) -> None:
        size, names = self.size, ("generator", "discriminators")
        if self.variant == "v1":
            self.generator = ScmcGenerator(
                size.width, self.attention_axis, name=names[0]
            )
            self.discriminators = HificDiscriminator(size.judge, name=names[1])
            return
        told = self.vocabulary, size.sentence
        self.generator = networks.ModulatedUnet(
            size.widths, size.hidden, *told, name=names[0]
        )
        self.discriminators = networks.ToldDiscriminators(
            size.judge, *told, name=names[1]
        )

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this."""
        return 32 if self.variant == "v1" else 2 ** (len(self.size.widths) - 1)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer of `fit` trains: all but the discriminators."""
        judges = {weight.ref() for weight in self.discriminators.trainable_weights}
        return [w for w in super().trainable_weights if w.ref() not in judges]

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        x, words = tf.zeros([1, _SIDE, _SIDE, 3]), tf.zeros([1, 1], tf.int32)
        structure = x[..., :1]
        self(structure)
        self.discriminators(structure, x, words)
        for _ in range(_FIRST_UPDATES):
            spectral_norm.update(self)

    def condition_on(
        self,
        degradation: structures.Degradation | None = None,
        text_to_image: TextToImage | None = None,
    ) -> None:
        """Sets what lines and base pictures of batches are.

        Args:
            degradation: how edge maps vary; None for the default.
            text_to_image: words int32 [B,T] -> pictures float32 [B,h,w,3] in [0, 255],
                of a frozen network; not part of this model's weights. Without it the
                base is grey throughout.
        """
        self.degradation = degradation or structures.Degradation()
        # Hidden from Keras, which would count the network's weights as this model's.
        self._text_to_image = None
        if text_to_image is not None:
            self._text_to_image = lambda words: text_to_image(words)

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        weights: LossWeights | None = None,
        features: Features | None = None,
        feature_kind: str = "dists",
        **kwargs,
    ) -> None:
        """Sets what training needs; all weights must exist. See `condition_on`, too.

        Args:
            optimizer: of the generator.
            discriminator_optimizer: of the discriminators.
            weights: of the losses; None for the published ones.
            features: pictures float32 [B,H,W,3] in [0, 255] -> features [B,h,w,C] of
                each layer, of a frozen network; not part of this model's weights.
            feature_kind: one of `losses.features.KINDS`.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        discriminator_optimizer.build(self.discriminators.trainable_weights)
        self.loss_weights = weights or LossWeights()
        self._features = None if features is None else lambda x: features(x)
        self.feature_kind = feature_kind

    def call(
        self,
        structure: tf.Tensor,
        base: tf.Tensor | None = None,
        words: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Draws pictures."""
        shape = tf.shape(structure)
        if base is None:
            base = tf.fill(tf.concat([shape[:3], [3]], axis=0), GREY)
        if words is None:
            words = tf.zeros([shape[0], 1], tf.int32)
        drawn = self.generator(structure, _to_signed(base), words, training=training)
        return (drawn + 1) * 127.5

    def conditions(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What pictures of a batch are drawn from: `structure`, `base` and `words`.

        Args:
            batch: "planes" uint8 [B,H,W,P], see `conceptual_structure.draw`, and where
                there are captions "words" int32 [B,T]; H and W static.
            training: vary the lines, and leave out a share of the texts.
        """
        make = structures.draw if training else structures.fixed
        structure = make(batch["planes"], self.degradation)
        count, height, width, _ = structure.shape
        count = tf.shape(structure)[0] if count is None else count
        grey = tf.fill([count, height, width, 3], GREY)
        if "words" not in batch:
            return structure, grey, tf.zeros([count, 1], tf.int32)
        words = batch["words"]
        if training and self.textless:
            kept = tf.random.uniform([count, 1]) >= self.textless
            words = tf.where(kept, words, 0)
        if self._text_to_image is None:
            return structure, grey, words
        told = tf.reduce_any(words != 0, axis=1)[:, None, None, None]
        drawn = upsample.resize(self._text_to_image(words), height, width)
        return structure, tf.where(told, tf.stop_gradient(drawn), grey), words

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both optimizers.

        Args:
            batch: "image" uint8 [B,H,W,3] and what `conditions` takes; H and W at least
                64.
        """
        spectral_norm.update(self)
        with tf.GradientTape(persistent=True) as tape:
            found = self.losses_of(batch, training=True)
            drawing = replicas.share(found["drawing"])
            judging = replicas.share(found["judging"])
        mine, judges = self.trainable_weights, self.discriminators.trainable_weights
        gradients = tape.gradient(drawing, mine)
        judged = tape.gradient(judging, judges)
        self.optimizer.apply_gradients(zip(gradients, mine, strict=True))
        self.discriminator_optimizer.apply_gradients(zip(judged, judges, strict=True))
        return self._report(found)

    def test_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures with maps as the first file's, and all texts."""
        return self._report(self.losses_of(batch, training=False))

    def losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        """Terms of the losses, scalars; what was drawn, and of which lines.

        Returns: beside the terms "drawing" and "judging", the weighted losses of
            generator and judges; "x_hat" [B,H,W,3] and "structure".
        """
        weights = self.loss_weights
        pixels = tf.cast(batch["image"], tf.float32)
        structure, base, words = self.conditions(batch, training)
        x_hat = self(structure, base, words, training=training)
        x, drawn = _to_signed(pixels), _to_signed(x_hat)
        real = self.discriminators(structure, x, words)
        fake = self.discriminators(structure, drawn, words)
        terms = {
            "gan": adversarial.generator_loss(fake, self.gan_mode),
            "l1": tf.reduce_mean(tf.abs(x - drawn)),
            "perceptual": self._perceptual(pixels, x_hat),
        }
        gan = self._ramp(weights.gan_ramp)
        drawing = weights.gan * gan * terms["gan"]
        for name in ("l1", "perceptual"):
            if getattr(weights, name):
                drawing += getattr(weights, name) * terms[name]
        judging = gan * adversarial.discriminator_loss(real, fake, self.gan_mode)
        return terms | {
            "loss": drawing + judging,
            "real": adversarial.mean_logit(real),
            "fake": adversarial.mean_logit(fake),
            "drawing": drawing,
            "judging": judging,
            "x_hat": x_hat,
            "structure": structure,
        }

    def _perceptual(self, pixels: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        if self._features is not None:
            seen = self._features(pixels), self._features(x_hat)
            distance = feature_losses.feature_distance(*seen, self.feature_kind)
            return tf.reduce_mean(distance)
        unlike = 1 - distortion.ms_ssim(pixels, x_hat)
        return tf.reduce_mean(unlike + distortion.gradient_error(pixels, x_hat) / 127.5)

    def _ramp(self, steps: tuple[int, int]) -> tf.Tensor:
        return adversarial.ramp(self.discriminator_optimizer.iterations, steps)

    def take_weights(self, other: "StructureGenerator") -> None:
        """Copies all weights of a model of the same shape, to train on from it.

        Raises: ValueError if its weights differ in number or shape.
        """
        runs.take_weights(self, other, "size, variant and vocabulary")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "variant": self.variant,
            "vocabulary": self.vocabulary,
            "attention_axis": self.attention_axis,
            "gan_mode": self.gan_mode,
            "textless": self.textless,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "StructureGenerator":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(StructureSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> StructureGenerator:
    """Loads the model that recipes/train_layered.py trained; see `runs.load`."""
    return runs.load(
        StructureGenerator, folder, "recipes/train_layered.py --phase=structure"
    )


def _to_signed(x: tf.Tensor) -> tf.Tensor:
    return x / 127.5 - 1
