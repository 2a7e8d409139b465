"""Pictures of sentences: the base layer of a picture that is sent as its caption.

Source: Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, with its published code.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfsemcomp.layers import diff_augment
from tfsemcomp.losses import adversarial, replicas
from tfsemcomp.models import damsm as judges
from tfsemcomp.models import runs
from tfsemcomp.models import text_to_image_networks as networks
from tfsemcomp.models.damsm import TextSize
from tfsemcomp.models.single_loss import MeasuredModel

# Sides of the smallest pictures, which are judged in 4x4 positions.
_FIRST_SIDES = (8, 16, 32, 64)
# Terms of the losses, mean logits of the largest pictures, and the share of drawn
# pictures that fit their own sentence best.
_MEASURES = (
    *("loss", "gan", "words", "sentences", "kl", "layout"),
    *("real", "fake", "recall"),
)
# Where a test draws its noise, so that all tests draw the same.
_TEST_SEED = (5, 7)


@dataclasses.dataclass(frozen=True)
class TextToImageSize:
    """Hyper-parameters of one size.

    Attributes:
        generator: N of the generator (ngf).
        discriminator: N of the discriminators (ndf).
        first: side of the smallest pictures: 8, 16, 32 or 64.
        stages: pictures of one sentence, each of twice the side; at least 1.
        residuals: blocks of each refinement.
        noise: nz.
        condition: width of what is drawn of the sentence.
    """

    generator: int
    discriminator: int
    first: int = 64
    stages: int = 3
    residuals: int = 2
    noise: int = 100
    condition: int = 100

    def __post_init__(self) -> None:
        if self.first not in _FIRST_SIDES:
            raise ValueError(
                f"`first` must be one of {_FIRST_SIDES}; got {self.first}."
            )
        counts = dataclasses.asdict(self)
        wrong = [
            name for name, count in counts.items() if count < (name != "residuals")
        ]
        if wrong:
            raise ValueError(f"{wrong} must be at least 1; got {counts}.")

    @property
    def resolution(self) -> int:
        """Side of the largest pictures, pixels."""
        return self.first * 2 ** (self.stages - 1)

    @property
    def sides(self) -> list[int]:
        """Sides of all stages' pictures."""
        return [self.first * 2**stage for stage in range(self.stages)]


SIZES = {
    "tiny": TextToImageSize(
        4, 4, first=16, stages=2, residuals=1, noise=8, condition=8
    ),
    "small": TextToImageSize(24, 32, stages=2, residuals=1, noise=32, condition=64),
    "paper": TextToImageSize(32, 64),
}


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's terms; 0 leaves a term out.

    Attributes:
        gan: of the adversarial losses, summed over stages and both questions.
        words: of how well the words of the sentence are found in the largest picture.
        sentences: of how well the sentence fits it.
        kl: of the condition's divergence from a unit Gaussian.
        layout: of the mean absolute error of 4x4 mean colours, of pictures in [-1, 1];
            not published. What a codec's first layer is for.
    """

    gan: float = 1.0
    words: float = 5.0
    sentences: float = 5.0
    kl: float = 1.0
    layout: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name, weight in vars(self).items() if weight < 0]
        if negative:
            raise ValueError(f"weights must not be negative; got {negative}.")


class TextToImage(MeasuredModel):
    """Draws a picture of a sentence and of noise.

        words --text encoder, frozen--> e_t, sentence
        sentence, noise, e_t --generator--> x_1, x_2, ...   each of twice the side
        x_k, sentence --discriminator k--> is it real? is it of this sentence?

    One forward pass gives two losses, each with a gradient of its own:

        generator:      gan + words + sentences + kl (+ layout)
        discriminators: (real + right) / 2 + (fake + fake right + wrong) / 3, all stages

    right, wrong: judgements with the picture's own sentence and with that of the next
    picture of the batch. words, sentences: those of `Damsm`, frozen, of the largest
    picture; its text encoder is a part of this model, its image encoder is not.

    The optimizer of `fit` trains the generator and may average it; the discriminators
    have their own. Workflow: recipes/train_damsm.py, recipes/train_text_to_image.py;
    `generate` is what the layered codec exports.

    Args:
        size: a name in `SIZES` or a `TextToImageSize`.
        text: of the encoder.
        gan_mode: one of `adversarial.MODES`.
    Call args:
        words: int32 [B,T].
        noise: float32 [B,nz], of a unit Gaussian; None for zeros, its mean.
        training: batch statistics, and draws of the condition.
    Returns: float32 [B,R,R,3] in [0, 255], R `size.resolution`.
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | TextToImageSize,
        text: TextSize,
        gan_mode: str = "original",
        **kwargs,
    ) -> None:
        # Losses are float32 under any policy; networks follow it.
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        self.text_size = text
        self.gan_mode = adversarial.check_mode(gan_mode)
        self.text = judges.TextEncoder(text, name="text")
        self.text.trainable = False
        self.generator = networks.Generator(
            self.size.generator,
            _doublings(self.size.first),
            self.size.stages,
            self.size.residuals,
            self.size.condition,
            name="generator",
        )
        self.discriminators = [
            networks.Discriminator(
                self.size.discriminator, _doublings(side), name=f"discriminator{side}"
            )
            for side in self.size.sides
        ]
        self._damsm = None
        self._define_means(*_MEASURES)

    @property
    def words(self) -> int:
        """T, ids of a caption."""
        return self.text_size.words

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer of `fit` trains: the generator."""
        return self.generator.trainable_weights

    @property
    def judging_weights(self) -> list[tf.Variable]:
        """What the other optimizer trains: all discriminators."""
        return [w for judge in self.discriminators for w in judge.trainable_weights]

    def create_weights(self) -> None:
        """Creates all weights by one pass over a caption without words."""
        words = tf.zeros([1, self.words], tf.int32)
        _, sentence, _ = self.text(words)
        self(words, tf.zeros([1, self.size.noise]))
        for judge, side in zip(self.discriminators, self.size.sides, strict=True):
            judge(tf.zeros([1, side, side, 3]), sentence)

    def take_text(self, damsm: judges.Damsm) -> None:
        """Takes the trained text encoder.

        Raises: ValueError if it is of another size.
        """
        if damsm.text_size != self.text_size:
            raise ValueError(
                f"`damsm` has a text encoder of {damsm.text_size}, this model one of "
                f"{self.text_size}."
            )
        for mine, theirs in zip(self.text.weights, damsm.text.weights, strict=True):
            mine.assign(theirs)

    def take_weights(self, other: "TextToImage") -> None:
        """Copies all weights of a model of the same shape; see `runs.take_weights`."""
        runs.take_weights(self, other, "size and text encoder")

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        damsm: judges.Damsm,
        weights: LossWeights | None = None,
        augmented: bool = False,
        **kwargs,
    ) -> None:
        """Sets what training needs; all weights must exist.

        Args:
            optimizer: of the generator.
            discriminator_optimizer: of the discriminators.
            damsm: trained, whose text encoder was taken; it stays as it is.
            weights: of the losses; None for the published ones.
            augmented: discriminators see pictures changed by `diff_augment`.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        discriminator_optimizer.build(self.judging_weights)
        self.loss_weights = weights or LossWeights()
        self.augmented = augmented
        # Hidden from Keras, which would count its weights as this model's.
        self._damsm = lambda: damsm

    def generate(self, words: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Draws pictures with the statistics of the training; nothing else is random.

        Args:
            words: int32 [B,T] of `Vocabulary.ids`; all 0 where there is no caption.
            noise: float32 [B,nz], of a unit Gaussian.
        Returns: float32 [B,R,R,3] in [0, 255], R `size.resolution`.
        """
        return self(words, noise, training=False)

    def call(
        self,
        words: tf.Tensor,
        noise: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Draws the largest pictures."""
        if noise is None:
            noise = tf.zeros([tf.shape(words)[0], self.size.noise])
        pictures, _, _ = self.generator(noise, *self.text(words), training=training)
        return _to_pixels(pictures[-1])

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both optimizers.

        Args:
            batch: {"image": uint8 [B,R,R,3], "words": int32 [B,T], "label": int64 [B]}.
        """
        found, drawing, judging = self.gradients(batch)
        self.optimizer.apply_gradients(
            zip(drawing, self.generator.trainable_weights, strict=True)
        )
        self.discriminator_optimizer.apply_gradients(
            zip(judging, self.judging_weights, strict=True)
        )
        return self._report(found)

    def test_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures, of pictures drawn as a decoder does, from fixed noise."""
        return self._report(self._losses_of(batch, training=False))

    def gradients(
        self, batch: Mapping[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
        """Losses of a batch, and the gradients of generator and discriminators.

        All of them are taken of one forward pass, before any weight changes.
        """
        with tf.GradientTape(persistent=True) as tape:
            found = self._losses_of(batch, training=True)
            drawing = replicas.share(found["drawing"])
            judging = replicas.share(found["judging"])
        return (
            found,
            tape.gradient(drawing, self.generator.trainable_weights),
            tape.gradient(judging, self.judging_weights),
        )

    def _losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        weights, damsm = self.loss_weights, self._damsm()
        pixels = tf.cast(batch["image"], tf.float32)
        text = self.text(batch["words"])
        noise = self._draw_noise(pixels, training)
        drawn, mean, log_variance = self.generator(noise, *text, training=training)
        real = _pyramid(pixels / 127.5 - 1, self.size.sides)
        judged = self._judge(real, drawn, text[1], training)
        matched = damsm.losses_of(*damsm.score(_to_pixels(drawn[-1]), text), batch)
        excess = tf.square(mean) + tf.exp(log_variance) - 1 - log_variance
        layouts = [_means(x) for x in (real[-1], drawn[-1])]
        terms = {
            "gan": judged["gan"],
            "words": matched["words"],
            "sentences": matched["sentences"],
            "kl": tf.reduce_mean(excess) / 2,
            "layout": tf.reduce_mean(tf.abs(layouts[0] - layouts[1])),
        }
        drawing = tf.add_n(
            [getattr(weights, name) * term for name, term in terms.items()]
        )
        return terms | {
            "loss": drawing + judged["judging"],
            "real": judged["real"],
            "fake": judged["fake"],
            "recall": matched["recall"],
            "drawing": drawing,
            "judging": judged["judging"],
        }

    def _draw_noise(self, pixels: tf.Tensor, training: bool) -> tf.Tensor:
        shape = [tf.shape(pixels)[0], self.size.noise]
        if training:
            return tf.random.normal(shape)
        return tf.random.stateless_normal(shape, _TEST_SEED)

    def _judge(
        self,
        real: Sequence[tf.Tensor],
        drawn: Sequence[tf.Tensor],
        sentence: tf.Tensor,
        training: bool,
    ) -> dict[str, tf.Tensor]:
        """What the discriminators say, summed over stages.

        Returns: the loss of the generator "gan" and that of the discriminators
            "judging"; mean logits of the largest pictures, "real" and "fake".
        """
        mode, gan, judging = self.gan_mode, 0.0, 0.0
        wrong_sentence = tf.roll(sentence, 1, axis=0)
        found = {}
        for judge, *pair in zip(self.discriminators, real, drawn, strict=True):
            if training and self.augmented:
                pair = [diff_augment.augment(x) for x in pair]
            seen = [judge.features(x, training) for x in pair]
            real_logits, fake_logits = (
                [judge.judge(f), judge.judge_match(f, sentence, training)] for f in seen
            )
            wrong = judge.judge_match(seen[0], wrong_sentence, training)
            judging += adversarial.real_loss(real_logits, mode)
            judging += adversarial.fake_loss([*fake_logits, wrong], mode)
            gan += 2 * adversarial.generator_loss(fake_logits, mode)
            found = {
                "real": tf.reduce_mean(real_logits[0]),
                "fake": tf.reduce_mean(fake_logits[0]),
            }
        return {**found, "gan": gan, "judging": judging}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "text": dataclasses.asdict(self.text_size),
            "gan_mode": self.gan_mode,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "TextToImage":
        """Rebuilds the model from `get_config`."""
        sizes = {
            "size": runs.rebuild_size(TextToImageSize, config["size"]),
            "text": runs.rebuild_size(TextSize, config["text"]),
        }
        return cls(**{**config, **sizes})


def load_run(folder: str) -> TextToImage:
    """Loads the model that recipes/train_text_to_image.py trained; see `runs.load`."""
    return runs.load(TextToImage, folder, "recipes/train_text_to_image.py")


def _doublings(side: int) -> int:
    """How often 4 must be doubled to give `side`."""
    return (side // 4).bit_length() - 1


def _pyramid(x: tf.Tensor, sides: Sequence[int]) -> list[tf.Tensor]:
    """Pictures at the sides of all stages, small to large: means of squares."""
    found = [x]
    for _ in sides[1:]:
        found.append(tf.nn.avg_pool2d(found[-1], 2, 2, "VALID"))
    return found[::-1]


def _means(x: tf.Tensor) -> tf.Tensor:
    """Mean colours of 4x4 parts."""
    part = x.shape[1] // 4
    return tf.nn.avg_pool2d(x, part, part, "VALID")


def _to_pixels(x: tf.Tensor) -> tf.Tensor:
    return (x + 1) * 127.5
