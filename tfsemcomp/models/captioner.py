"""A network that says in a sentence what is in a picture.

    x [B,H,W,3] --trunk--> f [B,h,w,C] --means of a grid, linear, BN--> memory [B,g*g,D]
    memory, start, w_1, ..., w_(t-1) --decoder--> logits of w_t [B,V]

Decoders: `lstm` gets the mean of the memory as its first input and then the words; in
`transformer` each word attends to those before it and to the memory.

Trunks: `own` is trained with the rest, or frozen with what a network of `msroi_cnn` has
learnt; any other is a frozen network of ``tf.keras.applications`` with the user's
ImageNet weights.

Source: Zhang et al., SCMC, TCSVT 33(8), 2023, whose captioner (`paper`) is that of
Vinyals et al., arXiv 1411.4555; the start token, the grid and the transformer (arXiv
1706.03762, layers normalised first) are ours.
"""

import dataclasses

import tensorflow as tf

from tfsemcomp import trunks
from tfsemcomp.errors import UnavailableError
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.layers.word_embedding import WordEmbedding
from tfsemcomp.models import runs
from tfsemcomp.models.msroi_cnn import keras_application, residual_trunk
from tfsemcomp.models.single_loss import SingleLossModel
from tfsemcomp.semantics.vocabulary import END, PAD, START

DECODERS = ("lstm", "transformer")
OWN = "own"
# Layers at which known trunks end: npz files of weights hold no more.
_LAST = {"MobileNet": "conv_pw_12_relu", "VGG16": "block5_conv3"}
# Of the trunks whose weights an npz may hold, as `trunks.detect` calls them.
_KERAS_NAMES = {"mobilenet": "MobileNet", "vgg16": "VGG16"}
_FEED_FORWARD = 4
# What no softmax gives a chance.
_NEVER = -1e9


@dataclasses.dataclass(frozen=True)
class CaptionerSize:
    """Hyper-parameters of one size.

    Attributes:
        trunk: "own" or the name of a network of ``tf.keras.applications``.
        widths: of the own trunk: channels at strides 2, 4, 8 and 16.
        blocks: of the own trunk: bottleneck blocks at strides 4, 8 and 16.
        frozen: the own trunk keeps the weights and statistics that it begins with.
        resolution: side of the pictures, pixels.
        grid: parts of a side whose means are the memory.
        width: D, of the memory and of words.
        hidden: of the LSTM's cells; a transformer has `width`.
        layers: of the decoder.
        heads: of the transformer's attention.
        dropout: share of the decoder's values dropped in training.
        words: T, most words of a caption.
    """

    trunk: str = OWN
    widths: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    frozen: bool = False
    resolution: int = 128
    grid: int = 1
    width: int = 256
    hidden: int = 512
    layers: int = 1
    heads: int = 4
    dropout: float = 0.0
    words: int = 20

    def __post_init__(self) -> None:
        if (self.trunk == OWN) != bool(self.widths and self.blocks):
            raise ValueError("`widths` and `blocks` are those of the trunk 'own' only.")
        if self.width % self.heads:
            raise ValueError(
                f"`width` must be a multiple of `heads`; got {self.width} and "
                f"{self.heads}."
            )


SIZES = {
    "tiny": CaptionerSize(
        widths=(8, 8, 12, 16),
        blocks=(0, 0, 1),
        resolution=32,
        grid=2,
        width=16,
        hidden=24,
        heads=2,
    ),
    "small": CaptionerSize(
        widths=(24, 48, 96, 192),
        blocks=(1, 2, 4),
        grid=4,
        width=192,
        hidden=256,
        layers=2,
        dropout=0.3,
    ),
    "paper": CaptionerSize(trunk="ResNet152", resolution=224),
}


class Captioner(SingleLossModel):
    """Words of pictures, see the drawing of this module.

        L = mean over real words and ends of CE(logits, word) + d L_teacher
        L_teacher = mean over positions of 1 - cos(1x1(f), teacher's features)

    Workflow: `compile`, `fit` (recipes/train_captioner.py), export `describe` and
    `next_word`; `semantics.captions.describe` searches for the likeliest sentence.

    Args:
        size: a name in `SIZES` or a `CaptionerSize`.
        vocabulary: ids in all, the length of a `Vocabulary`.
        decoder: one of `DECODERS`.
        teacher_channels: of the features to learn from; 0 for no teacher.
    Call args:
        inputs: images float [B,H,W,3] in [0, 255], H and W the size's resolution, and
            words int32 [B,n], start first, n <= T + 1.
        training: turns on dropout and batch statistics.
    Returns: float32 [B,n,V], logits of the words after each.
    Raises: ValueError for an unknown size or decoder, or a trunk without features for
        each part of the grid.
    """

    def __init__(
        self,
        size: str | CaptionerSize,
        vocabulary: int,
        decoder: str = "transformer",
        teacher_channels: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if decoder not in DECODERS:
            raise ValueError(f"`decoder` must be one of {DECODERS}; got '{decoder}'.")
        self.vocabulary, self.decoder_name = vocabulary, decoder
        self.teacher_channels = teacher_channels
        self.trunk = _build_trunk(self.size)
        side = self.trunk(tf.keras.Input([self.size.resolution] * 2 + [3])).shape[1]
        if side % self.size.grid:
            raise ValueError(
                f"`grid` must divide the {side} features of a side; got "
                f"{self.size.grid}."
            )
        self.pool = tf.keras.layers.AveragePooling2D(side // self.size.grid)
        self.projection = tf.keras.layers.Dense(self.size.width, name="projection")
        self.norm = tf.keras.layers.BatchNormalization(dtype="float32")
        kind = LstmDecoder if decoder == "lstm" else TransformerDecoder
        self.decoder = kind(self.size, vocabulary, name="decoder")
        if teacher_channels:
            self.hint = tf.keras.layers.Dense(
                teacher_channels, dtype="float32", name="hint"
            )
        self.teacher, self.distillation, self.smoothing = None, 0.0, 0.0
        learned = ("distillation",) if teacher_channels else ()
        self._define_means("loss", "entropy", "right", *learned)

    def compile(
        self,
        optimizer,
        teacher=None,
        distillation: float = 1.0,
        smoothing: float = 0.0,
        **kwargs,
    ) -> None:
        """Sets what it learns with.

        Args:
            optimizer: of Keras.
            teacher: pictures float [B,H,W,3] in [0, 255] -> features [B,h,w,C] of the
                own trunk's height and width; None to learn from captions alone.
            distillation: d, weight of the teacher's loss, see the class.
            smoothing: share of the truth spread over all words while training, in
                [0, 1).
            **kwargs: further ones of Keras.
        Raises: ValueError if there are `teacher_channels` and no teacher, or the other
            way round.
        """
        if (teacher is None) == bool(self.teacher_channels):
            raise ValueError(
                f"`teacher` must be given if there are `teacher_channels`, and only "
                f"then; these are {self.teacher_channels}."
            )
        super().compile(optimizer=optimizer, **kwargs)
        self.teacher, self.distillation = teacher, distillation
        self.smoothing = smoothing

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        images = tf.zeros([1, self.size.resolution, self.size.resolution, 3])
        self((images, tf.fill([1, self.size.words], START)))
        if self.teacher_channels:
            self.hint(self.trunk(images))

    def take_trunk(self, weights: str) -> None:
        """Gives a trunk of Keras its weights.

        Args:
            weights: "imagenet", which Keras downloads, or the path of an npz with one
                array a weight, named `<layer>/<weight>`.
        Raises:
            ValueError: the trunk is our own.
            UnavailableError: Keras cannot download the weights.
            SemCompError: there is no such npz, or it lacks a weight.
        """
        if self.size.trunk == OWN:
            raise ValueError("`weights` are for trunks of Keras, not for 'own'.")
        network = self.trunk.get_layer(self.size.trunk)
        if weights != trunks.IMAGENET:
            trunks.load_npz(network, weights)
            return
        builder, _ = keras_application(self.size.trunk)
        try:
            whole = builder(include_top=False, weights=trunks.IMAGENET)
        except Exception as error:  # Keras raises a plain Exception
            raise UnavailableError(
                f"cannot get the ImageNet weights of {self.size.trunk}: {error}. Give "
                "the path of an npz with its weights instead."
            ) from error
        for layer in network.layers:
            layer.set_weights(whole.get_layer(layer.name).get_weights())

    def call(
        self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool | None = None
    ) -> tf.Tensor:
        """Runs trunk and decoder."""
        images, words = inputs
        memory = self._memory(self.trunk(images, training=training), training)
        return self.decoder(memory, words, training=training)

    def _memory(self, features: tf.Tensor, training: bool | None) -> tf.Tensor:
        pooled = self.projection(self.pool(features))
        parts = tf.reshape(pooled, [-1, self.size.grid**2, self.size.width])
        return self.norm(tf.cast(parts, tf.float32), training=training)

    def describe(self, images: tf.Tensor) -> tf.Tensor:
        """What a caption of pictures depends on.

        Args:
            images: float32 [B,H,W,3] in [0, 255], any H and W; they are scaled to the
                size's resolution.
        Returns: float32 [B,S], the memory as a vector.
        """
        side = [self.size.resolution] * 2
        images = tf.image.resize(images, side, antialias=True)
        memory = self._memory(self.trunk(images, training=False), False)
        return tf.reshape(memory, [-1, self.size.grid**2 * self.size.width])

    def next_word(
        self, state: tf.Tensor, words: tf.Tensor, length: tf.Tensor
    ) -> tf.Tensor:
        """Which word may come next.

        Args:
            state: float32 [B,S] of `describe`.
            words: int32 [B,n], any n >= 1: start, the words so far, then anything.
            length: int32 [B], how many of these count, the start among them.
        Returns: float32 [B,V], logits; after T words only the end is possible.
        """
        most = self.size.words + 1
        words = tf.pad(words[:, :most], [[0, 0], [0, most]])[:, :most]
        words.set_shape([None, most])
        memory = tf.reshape(state, [-1, self.size.grid**2, self.size.width])
        place = tf.clip_by_value(length - 1, 0, most - 1)
        logits = self.decoder(memory, words, training=False)
        logits = tf.gather(logits, place, batch_dims=1)
        end = tf.one_hot(END, self.vocabulary, 0.0, _NEVER)
        return tf.where((length >= most)[:, None], end, logits)

    def _losses_of(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        images, words = tf.cast(batch["image"], tf.float32), batch["words"]
        before = tf.concat([tf.fill(tf.shape(words[:, :1]), START), words], axis=1)
        features = self.trunk(images, training=training)
        memory = self._memory(features, training)
        logits = self.decoder(memory, before[:, :-1], training=training)
        counted = tf.cast(words != PAD, tf.float32)
        total = tf.maximum(tf.reduce_sum(counted), 1)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(words, logits)
        entropy = tf.reduce_sum(entropy * counted) / total
        found = tf.argmax(logits, axis=-1, output_type=tf.int32)
        right = tf.reduce_sum(tf.cast(found == words, tf.float32) * counted) / total
        losses = {"loss": entropy, "entropy": entropy, "right": right}
        if training and self.smoothing:
            # The mean cross-entropy with all words takes the same part of the loss.
            spread = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
            spread = tf.reduce_sum(spread * counted) / total
            losses["loss"] += self.smoothing * (spread - entropy)
        if self.teacher is None:
            return losses
        wanted = tf.stop_gradient(self.teacher(images))
        hint = self.hint(tf.cast(features, tf.float32))
        likeness = tf.reduce_sum(
            tf.math.l2_normalize(hint, -1, 1e-6)
            * tf.math.l2_normalize(tf.cast(wanted, tf.float32), -1, 1e-6),
            axis=-1,
        )
        distance = 1 - tf.reduce_mean(likeness)
        losses["loss"] += self.distillation * distance
        return {**losses, "distillation": distance}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "vocabulary": self.vocabulary,
            "decoder": self.decoder_name,
            "teacher_channels": self.teacher_channels,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Captioner":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(CaptionerSize, config["size"])
        return cls(**{**config, "size": size})


class LstmDecoder(tf.keras.layers.Layer):
    """Words by a recurrent network: mean of memory, start, w_1, ... --LSTM--> logits.

    Args:
        size: see `CaptionerSize`.
        vocabulary: V.
    Call args:
        memory: float32 [B,P,D].
        words: int32 [B,n], static n.
    Returns: float32 [B,n,V].
    """

    def __init__(self, size: CaptionerSize, vocabulary: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.embed = WordEmbedding(vocabulary, size.width)
        # Cells unrolled over few words: stock operations that XLA compiles.
        self.recurrent = [
            tf.keras.layers.RNN(
                tf.keras.layers.LSTMCell(size.hidden),
                return_sequences=True,
                unroll=True,
            )
            for _ in range(size.layers)
        ]
        self.dropout = UniformDropout(size.dropout)
        self.logits = tf.keras.layers.Dense(vocabulary, dtype="float32")

    def call(
        self, memory: tf.Tensor, words: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Reads all words at once, each knowing those before."""
        embedded = self.embed(words)
        first = tf.reduce_mean(memory, axis=1, keepdims=True)
        x = tf.concat([tf.cast(first, embedded.dtype), embedded], axis=1)
        for recurrent in self.recurrent:
            x = recurrent(self.dropout(x, training=training))
        return self.logits(self.dropout(x[:, 1:], training=training))


class TransformerDecoder(tf.keras.layers.Layer):
    """Words by attention to those before and to the memory.

        x = words + places;  each layer: x += before(LN x), += memory(LN x), += FF(LN x)

    Args, call args, returns: as of `LstmDecoder`; n <= T + 1.
    """

    def __init__(self, size: CaptionerSize, vocabulary: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.embed = WordEmbedding(vocabulary, size.width)
        self.places, self.parts = (
            self.add_weight(
                name,
                (count, size.width),
                initializer=tf.keras.initializers.RandomUniform(-0.05, 0.05),
            )
            for name, count in (("places", size.words + 1), ("parts", size.grid**2))
        )
        self.blocks = [_Block(size) for _ in range(size.layers)]
        self.norm = tf.keras.layers.LayerNormalization(dtype="float32")
        self.dropout = UniformDropout(size.dropout)
        self.logits = tf.keras.layers.Dense(vocabulary, dtype="float32")

    def call(
        self, memory: tf.Tensor, words: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Reads all words at once, each knowing those before."""
        x = self.embed(words)
        x += tf.cast(self.places[: words.shape[1]], x.dtype)
        x = self.dropout(x, training=training)
        memory = tf.cast(memory + self.parts, x.dtype)
        for block in self.blocks:
            x = block(x, memory, training=training)
        return self.logits(self.norm(x))


class _Block(tf.keras.layers.Layer):
    """One layer of a `TransformerDecoder`."""

    def __init__(self, size: CaptionerSize, **kwargs) -> None:
        super().__init__(**kwargs)
        depth = size.width // size.heads
        self.before = tf.keras.layers.MultiHeadAttention(size.heads, depth)
        self.memory = tf.keras.layers.MultiHeadAttention(size.heads, depth)
        self.norms = [tf.keras.layers.LayerNormalization() for _ in range(3)]
        self.inner = tf.keras.layers.Dense(_FEED_FORWARD * size.width, "gelu")
        self.outer = tf.keras.layers.Dense(size.width)
        self.dropout = UniformDropout(size.dropout)

    def call(
        self, x: tf.Tensor, memory: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """x [B,n,D], memory [B,P,D] -> [B,n,D]."""
        y = self.norms[0](x)
        y = self.before(y, y, use_causal_mask=True)
        x += self.dropout(y, training=training)
        y = self.memory(self.norms[1](x), memory)
        x += self.dropout(y, training=training)
        y = self.outer(self.inner(self.norms[2](x)))
        return x + self.dropout(y, training=training)


def trunk_of(given: str) -> tuple[str, str | None]:
    """Name and weights of a trunk that a user names.

    Args:
        given: "own", the name of a network of ``tf.keras.applications``, or the path of
            an npz of MobileNet's or VGG16's weights.
    Returns: `CaptionerSize.trunk`, and what `take_trunk` takes, None for the own one.
    Raises: as `trunks.detect` for a file.
    """
    if given == OWN:
        return OWN, None
    if given.endswith(".npz"):
        return _KERAS_NAMES[trunks.detect(given)], given
    return given, trunks.IMAGENET


def with_trunk(size: CaptionerSize, trunk: str) -> CaptionerSize:
    """The size with another trunk; a small own one where the size has none."""
    if trunk != OWN:
        return dataclasses.replace(size, trunk=trunk, widths=(), blocks=())
    own = size if size.trunk == OWN else SIZES["small"]
    return dataclasses.replace(size, trunk=OWN, widths=own.widths, blocks=own.blocks)


def with_own_trunk(
    size: CaptionerSize, widths: tuple[int, ...], blocks: tuple[int, ...]
) -> CaptionerSize:
    """The size with a frozen own trunk of these widths and blocks."""
    return dataclasses.replace(
        size, trunk=OWN, widths=widths, blocks=blocks, frozen=True
    )


def load_run(folder: str) -> Captioner:
    """The trained captioner of a run, see `runs.load`."""
    return runs.load(Captioner, folder, "recipes/train_captioner.py")


def signatures(
    model: Captioner,
) -> dict[str, tf.types.experimental.GenericFunction]:
    """What `serving.export.export` takes of a trained captioner.

    describe: images float32 [B,H,W,3] in [0, 255] -> state float32 [B,S]
    next_word: state float32 [B,S], words int32 [B,n], length int32 [B] -> logits
        float32 [B,V]; see `Captioner.next_word`
    """
    state_size = model.size.grid**2 * model.size.width
    image = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
    state = tf.TensorSpec([None, state_size], tf.float32, name="state")
    words = tf.TensorSpec([None, None], tf.int32, name="words")
    length = tf.TensorSpec([None], tf.int32, name="length")

    @tf.function(input_signature=[image])
    def describe(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"state": model.describe(images)}

    @tf.function(input_signature=[state, words, length])
    def next_word(
        state: tf.Tensor, words: tf.Tensor, length: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return {"logits": model.next_word(state, words, length)}

    return {"describe": describe, "next_word": next_word}


def _build_trunk(size: CaptionerSize) -> tf.keras.Model:
    """float [B,H,W,3] in [0, 255] -> features [B,h,w,C]."""
    if size.trunk == OWN:
        trunk = residual_trunk(size.widths, size.blocks)
        trunk.trainable = not size.frozen
        return trunk
    builder, preprocess = keras_application(size.trunk)
    whole = builder(include_top=False, weights=None, input_shape=(None, None, 3))
    last = _LAST.get(size.trunk)
    output = whole.get_layer(last).output if last else whole.output
    network = tf.keras.Model(whole.input, output, name=size.trunk)
    inputs = tf.keras.Input((None, None, 3))
    # Its statistics stay those of ImageNet.
    features = network(preprocess(inputs), training=False)
    trunk = tf.keras.Model(inputs, features, name="trunk")
    trunk.trainable = False
    return trunk
