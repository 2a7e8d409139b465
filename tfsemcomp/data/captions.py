"""Captions of records as rows of word ids, within the input pipeline."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfsemcomp.data import reading, records
from tfsemcomp.semantics.vocabulary import END, Vocabulary, tokens

WordReader = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Words:
    """How captions become words of batches, see `pipeline.training_batches`.

    Attributes:
        vocabulary: numbers the words.
        length: T, ids of a caption: longer ones are shortened, others padded with 0.
        drops: a caption of more than T words loses words at random, order kept, as in
            AttnGAN; False cuts off its end.
        required: a record without a caption ends the stream; False makes it all 0.
    """

    vocabulary: Vocabulary
    length: int
    drops: bool = False
    required: bool = True

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"`length` must be at least 1; got {self.length}.")

    def reader(
        self, sources: Sequence[tuple[str, str]], *, skip_corrupt: bool = False
    ) -> WordReader:
        """What gives the words of a serialized record, in a graph.

        All captions are read once and numbered by the vocabulary itself, so that there
        is one rule of what a word is; the graph looks them up.

        Args:
            sources: (folder, split) pairs whose records will come.
            skip_corrupt: leave out damaged records, see `reading.serialized`.
        Returns: string scalar, key int64 [2] -> int32 [T]: those of one of its
            captions, drawn by the key; without a key, of the first.
        """
        found = set(of_records(sources, skip_corrupt=skip_corrupt))
        # "" stands for no caption, whose row is all 0.
        found = sorted(found - {""})
        longest = max([self.length, *(len(tokens(text)) for text in found)])
        width = longest if self.drops else self.length
        rows = np.zeros([1 + len(found), width], np.int32)
        for number, text in enumerate(found, start=1):
            rows[number] = self.vocabulary.ids(text, width)
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(found, tf.string), tf.range(1, 1 + len(found))
            ),
            default_value=0,
        )
        rows = tf.constant(rows)

        def read(serialized: tf.Tensor, key: tf.Tensor | None) -> tf.Tensor:
            texts = records.parse(serialized, ("captions",))["captions"]
            if self.required:
                told = "a record has no captions: give `data` that all have them"
                tf.debugging.Assert(tf.size(texts) > 0, [told])
            number = 0 if key is None else _draw(key, tf.maximum(tf.size(texts), 1))
            text = tf.concat([texts, [""]], axis=0)[number]
            row = rows[table.lookup(text)]
            if self.drops and key is not None:
                row = _thin_out(row, self.length, key)
            return tf.ensure_shape(row[: self.length], [self.length])

        return read


def of_records(
    sources: Sequence[tuple[str, str]], *, skip_corrupt: bool = False
) -> list[str]:
    """All captions of some records, in their order.

    Args:
        sources: (folder, split) pairs.
        skip_corrupt: leave out damaged records, see `reading.serialized`.
    """
    found = []
    for source in sources:
        stream = reading.serialized(*source, skip_corrupt=skip_corrupt)
        stream = stream.map(lambda one: records.parse(one, ("captions",))["captions"])
        for texts in stream.as_numpy_iterator():
            found += [text.decode() for text in texts]
    return found


def _draw(key: tf.Tensor, below: tf.Tensor) -> tf.Tensor:
    # Not the draws that cut and colour the picture, whose keys are `key` and `key` + 1.
    return tf.random.stateless_uniform([], key + 2, 0, below, tf.int32)


def _thin_out(row: tf.Tensor, length: int, key: tf.Tensor) -> tf.Tensor:
    """`length` of the ids, in their order: words at random, before end and padding."""
    order = tf.random.stateless_uniform(tf.shape(row), key + 3)
    order = tf.where(row > END, order, 2.0)
    return tf.gather(row, tf.sort(tf.argsort(order, stable=True)[:length]))
