"""Encoders of sentences and pictures into one space, which judge whether they match.

Source: Xu et al., AttnGAN, CVPR 2018, arXiv 1711.10485, section 3.2 (DAMSM), with its
published code.
"""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

from tfsemcomp import trunks
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.layers import upsample
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.layers.word_embedding import WordEmbedding
from tfsemcomp.losses import damsm as losses
from tfsemcomp.models import runs
from tfsemcomp.models.single_loss import SingleLossModel
from tfsemcomp.semantics.vocabulary import END, UNKNOWN

# Layers of ``tf.keras.applications`` whose regions and whose mean are matched.
_TAPS = {
    "inception_v3": ("mixed7", "mixed10"),
    "mobilenet": ("conv_pw_11_relu", "conv_pw_12_relu"),
}
TRUNKS = (*_TAPS, "conv")
_BATCH_NORM_MOMENTUM = 0.98


@dataclasses.dataclass(frozen=True)
class TextSize:
    """What a text encoder is made of.

    Attributes:
        vocabulary: how many ids there are, the length of a `Vocabulary`.
        words: T, most words of a caption.
        embedding: width of a word's embedding.
        width: D, even.
    """

    vocabulary: int
    words: int = 18
    embedding: int = 300
    width: int = 256

    def __post_init__(self) -> None:
        if self.vocabulary <= UNKNOWN or min(self.words, self.embedding) < 1:
            raise ValueError(
                f"`vocabulary` must be more than {UNKNOWN}, `words` and `embedding` at "
                f"least 1; got {dataclasses.asdict(self)}."
            )
        if self.width < 2 or self.width % 2:
            raise ValueError(f"`width` must be even; got {self.width}.")


@dataclasses.dataclass(frozen=True)
class DamsmSize:
    """Hyper-parameters of one size.

    Attributes:
        trunk: one of `TRUNKS`: a frozen ImageNet network, or "conv", an own one.
        side: to which pictures are scaled for the trunk, pixels.
        embedding: as in `TextSize`.
        width: D of both encoders.
        convolutions: of the trunk "conv": channels at strides 2, 4, ...
    """

    trunk: str
    side: int
    embedding: int
    width: int
    convolutions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.trunk not in TRUNKS:
            raise ValueError(f"`trunk` must be one of {TRUNKS}; got '{self.trunk}'.")
        if (self.trunk == "conv") != bool(self.convolutions):
            raise ValueError("`convolutions` are those of the trunk 'conv', no other.")


SIZES = {
    "tiny": DamsmSize("conv", 32, 8, 16, (8, 12, 16)),
    "small": DamsmSize("mobilenet", 128, 128, 128),
    "small-conv": DamsmSize("conv", 128, 128, 128, (32, 64, 128, 192)),
    "paper": DamsmSize("inception_v3", 299, 300, 256),
}


class TextEncoder(tf.keras.layers.Layer):
    """Words in their context, and the sentence.

        ids --embedding, dropout .5--> LSTM, both directions --> words e_t
        last states of both directions, side by side --> sentence

    Ids up to 2 (padding, start, end) are no words: what the encoder says is the same
    with and without them.

    Args:
        size: see `TextSize`.
    Call args:
        ids: int32 [B,T], static T; no word comes behind the end.
        training: turns on the dropout.
    Returns: words float32 [B,T,D], 0 where there is none; sentence float32 [B,D]; mask
        bool [B,T].
    """

    def __init__(self, size: TextSize, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size = size
        self.embed = WordEmbedding(size.vocabulary, size.embedding, dtype="float32")
        self.dropout = UniformDropout(0.5, dtype="float32")
        self.cells = [
            tf.keras.layers.LSTMCell(size.width // 2, dtype="float32", name=name)
            for name in ("forward", "backward")
        ]

    def call(
        self, ids: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Encodes captions."""
        mask = ids > END
        known = mask & (ids < self.size.vocabulary)
        embedded = self.embed(tf.where(known, ids, UNKNOWN))
        embedded = self.dropout(embedded, training=training)
        pairs = tf.unstack(embedded, axis=1), tf.unstack(mask, axis=1)
        steps = list(zip(*pairs, strict=True))
        forward, one_end = _run(self.cells[0], steps)
        backward, other_end = _run(self.cells[1], steps[::-1])
        words = tf.concat([tf.stack(forward, 1), tf.stack(backward[::-1], 1)], axis=-1)
        words = tf.where(mask[..., None], words, 0.0)
        return words, tf.concat([one_end, other_end], axis=-1), mask


class ImageEncoder(tf.keras.layers.Layer):
    """Regions of a picture, and the picture, in the space of words and sentences.

        x --bilinear--> side --trunk--> f [B,h,w,C] --1x1--> regions v_n
                                        g, mean over positions, linear --> picture

    Trunks: Inception v3 (17x17x768, then 2048) and MobileNet v1 (strides 16 and 32),
    frozen; or convolutions with batch normalisation, which are trained.

    Args:
        size: see `DamsmSize`.
    Call args:
        x: float32 [B,H,W,3] in [0, 255], static height and width.
        training: of the trunk "conv".
    Returns: regions float32 [B,N,D], picture float32 [B,D].
    """

    def __init__(self, size: DamsmSize, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size = size
        self.trunk = _build_trunk(size)
        self.to_regions = tf.keras.layers.Dense(
            size.width, use_bias=False, dtype="float32"
        )
        self.to_picture = tf.keras.layers.Dense(size.width, dtype="float32")

    def call(
        self, x: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes pictures."""
        x = upsample.resize(x, self.size.side, self.size.side) / 127.5 - 1
        trained = training and self.size.trunk == "conv"
        regions, last = self.trunk(x, training=bool(trained))
        regions = self.to_regions(tf.cast(regions, tf.float32))
        count = regions.shape[1] * regions.shape[2]
        pooled = tf.reduce_mean(tf.cast(last, tf.float32), axis=(1, 2))
        regions = tf.reshape(regions, [-1, count, self.size.width])
        return regions, self.to_picture(pooled)


class Damsm(SingleLossModel):
    """Deep attentional multimodal similarity: which sentence belongs to which picture.

        words  --text encoder-->  e_t, sentence        L = words + sentences
        x      --image encoder--> v_n, picture

    words: every region of every picture attends to every sentence of the batch, and
    scores say how well the words find something of theirs; sentences: by cosine. Both
    are cross-entropy over the batch, from picture to sentence and back
    (`losses.damsm`).

    Batches: {"image": uint8 [B,H,W,3], "words": int32 [B,T], "label": int64 [B]};
    pictures of the same class are no wrong answers to each other.

    Workflow: `compile`, `fit` (recipes/train_damsm.py); then `TextToImage` takes its
    text encoder and is judged by both. Nothing of the image encoder is ever exported.

    Args:
        size: a name in `SIZES` or a `DamsmSize`.
        vocabulary: how many ids there are.
        words: T.
    Call args:
        batch: "image" and "words" as above; the image may be float32.
        training: of both encoders.
    Returns: scores of the words and of the sentences, float32 [B,B], pictures by
        sentences.
    Raises: ValueError for an argument that is none of these.
    """

    def __init__(
        self,
        size: str | DamsmSize = "small",
        vocabulary: int = 5000,
        words: int = 18,
        **kwargs,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.size = runs.resolve_size(size, SIZES)
        self.text_size = TextSize(
            vocabulary, words, self.size.embedding, self.size.width
        )
        self.text = TextEncoder(self.text_size, name="text")
        self.pictures = ImageEncoder(self.size, name="pictures")
        self._define_means("loss", "words", "sentences", "recall")

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        side, words = self.size.side, self.text_size.words
        image = tf.zeros([1, side, side, 3])
        self({"image": image, "words": tf.zeros([1, words], tf.int32)})

    def take_trunk(self, weights: str) -> None:
        """Takes the frozen trunk's weights; without them it is a random network.

        Args:
            weights: "imagenet", which Keras downloads; else a file: an npz of MobileNet
                (see `trunks.build`), or Keras' own h5 of Inception v3 without its top.
        Raises:
            ValueError: this size has a trunk of its own.
            UnavailableError: Keras cannot download the weights.
            SemCompError: there is no such file.
            BitstreamError: the npz lacks a weight.
        """
        trunk = self.size.trunk
        if trunk == "conv":
            raise ValueError("`weights` are for frozen trunks; 'conv' is trained.")
        if trunk == "mobilenet":
            found = trunks.build(trunk, weights, _TAPS[trunk])
        else:
            found = _load_inception(weights)
        self.pictures.trunk.set_weights(found.get_weights())

    def take_weights(self, other: "Damsm") -> None:
        """Copies all weights of a model of the same shape; see `runs.take_weights`."""
        runs.take_weights(self, other, "size, vocabulary and trunk")

    def call(
        self, batch: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores all pairs of a batch."""
        x = tf.cast(batch["image"], tf.float32)
        return self.score(x, self.text(batch["words"], training=training), training)

    def score(
        self,
        x: tf.Tensor,
        text: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `call`, of pictures in [0, 255] and what the text encoder said."""
        encoded, sentences, mask = text
        regions, pictures = self.pictures(x, training=training)
        return (
            losses.word_scores(regions, encoded, mask),
            losses.sentence_scores(pictures, sentences),
        )

    def _losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        return self.losses_of(*self(batch, training=training), batch)

    def losses_of(
        self,
        by_words: tf.Tensor,
        by_sentences: tf.Tensor,
        batch: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """What scores of this model cost: scalars by name.

        Args:
            by_words: float32 [B,B] of `call`.
            by_sentences: the same.
            batch: whose "label" tells classes.
        Returns: "words", "sentences", "loss", their sum, and "recall", the share of
            pictures whose sentence comes first.
        """
        words = losses.matching_loss(by_words, batch["label"])
        sentences = losses.matching_loss(by_sentences, batch["label"])
        right = tf.range(tf.shape(by_sentences)[0])
        first = tf.argmax(by_sentences, axis=1, output_type=tf.int32) == right
        return {
            "loss": words + sentences,
            "words": words,
            "sentences": sentences,
            "recall": tf.reduce_mean(tf.cast(first, tf.float32)),
        }

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "vocabulary": self.text_size.vocabulary,
            "words": self.text_size.words,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Damsm":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(DamsmSize, config["size"])
        return cls(**{**config, "size": size})


def load_run(folder: str) -> Damsm:
    """Loads the model that recipes/train_damsm.py trained; see `runs.load`."""
    return runs.load(Damsm, folder, "recipes/train_damsm.py")


def _run(
    cell: tf.keras.layers.LSTMCell, steps: list[tuple[tf.Tensor, tf.Tensor]]
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """A cell over words, unrolled: stock operations, of fixed shape, on any device.

    Keras' own unrolled layer loses the states of its backward direction under a mask.

    Args:
        cell: the LSTM.
        steps: of each word its embedding [B,E] and whether it is one, bool [B].
    Returns: states at all words, and the last one; [B,D/2] each.
    """
    state = cell.get_initial_state(
        batch_size=tf.shape(steps[0][0])[0], dtype=tf.float32
    )
    found = []
    for embedded, is_word in steps:
        _, after = cell(embedded, state)
        state = [
            tf.where(is_word[:, None], new, old)
            for new, old in zip(after, state, strict=True)
        ]
        found.append(state[0])
    return found, state[0]


def _build_trunk(size: DamsmSize) -> tf.keras.Model:
    """float [B,S,S,3] in [-1, 1] -> features of the regions, and the last ones."""
    if size.trunk == "conv":
        return _build_convolutions(size.convolutions)
    builder = {
        "inception_v3": tf.keras.applications.InceptionV3,
        "mobilenet": tf.keras.applications.MobileNet,
    }[size.trunk]
    whole = builder(include_top=False, weights=None, input_shape=(None, None, 3))
    trunk = _tapped(whole, _TAPS[size.trunk])
    trunk.trainable = False
    return trunk


def _build_convolutions(widths: tuple[int, ...]) -> tf.keras.Model:
    x = inputs = tf.keras.Input((None, None, 3))
    for width in widths:
        x = tf.keras.layers.Conv2D(width, 3, 2, "same", use_bias=False)(x)
        x = tf.keras.layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM)(x)
        x = tf.keras.layers.ReLU()(x)
    return tf.keras.Model(inputs, [x, x], name="trunk")


def _load_inception(weights: str) -> tf.keras.Model:
    if weights != trunks.IMAGENET and not tf.io.gfile.exists(weights):
        raise SemCompError(f"{weights}: no such file of network weights.")
    try:
        whole = tf.keras.applications.InceptionV3(
            include_top=False, weights=weights, input_shape=(None, None, 3)
        )
    except Exception as error:  # Keras raises a plain Exception
        raise UnavailableError(
            f"cannot get the weights of inception_v3: {error}. Give Keras' own h5 file "
            "of them, without its top, instead."
        ) from error
    return _tapped(whole, _TAPS["inception_v3"])


def _tapped(whole: tf.keras.Model, names: tuple[str, ...]) -> tf.keras.Model:
    outputs = [whole.get_layer(name).output for name in names]
    return tf.keras.Model(whole.input, outputs, name="trunk")
