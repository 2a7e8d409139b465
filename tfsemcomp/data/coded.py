"""Coded pictures that records hold beside their originals, to learn from.

Records of materialized.py may hold the same picture coded by several codecs at several
qualities. `materialized.bases` finds those; pipeline.py reads one of them at a time.
"""

import dataclasses

import tensorflow as tf

from tfsemcomp.data import records


@dataclasses.dataclass(frozen=True)
class Bases:
    """Which coded pictures there are, and of which codec each is.

    Attributes:
        pictures: features with the decoded pictures as PNG, at least one.
        streams: features with their whole files, in the same order.
        codecs: the number that each codec has for whoever learns, in the same order.
    """

    pictures: tuple[str, ...]
    streams: tuple[str, ...]
    codecs: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = {len(self.pictures), len(self.streams), len(self.codecs)}
        if len(counts) > 1 or not self.pictures:
            raise ValueError(
                "`pictures`, `streams` and `codecs` must have the same number of "
                f"values, one at least; got {len(self.pictures)}, {len(self.streams)} "
                f"and {len(self.codecs)}."
            )

    def draw(self, key: tf.Tensor) -> tf.Tensor:
        """One of the pictures at random: int64 [2] -> int32 scalar."""
        # Not the draws of pictures and captions, whose keys are `key` to `key` + 3.
        return tf.random.stateless_uniform([], key + 4, 0, len(self.codecs), tf.int32)

    def in_turn(self, number: tf.Tensor) -> tf.Tensor:
        """The pictures one after another: int64 scalar -> int32 scalar."""
        return tf.cast(number % len(self.codecs), tf.int32)

    def read(
        self, serialized: tf.Tensor, chosen: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One coded picture of a record, in a graph.

        A record without one of them ends the stream with ``InvalidArgumentError``.

        Args:
            serialized: string scalar.
            chosen: int32 scalar, which one.
        Returns: the picture as PNG, string scalar; the number of its codec, int32; the
            bits of its file for a pixel, float32.
        """
        names = (*self.pictures, *self.streams)
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in names}
        found = tf.io.parse_single_example(serialized, spec)
        pictures = tf.stack([found[name] for name in self.pictures])
        lengths = tf.stack([tf.strings.length(found[name]) for name in self.streams])
        size = records.parse(serialized, ("image/height", "image/width"))
        pixels = tf.cast(size["image/height"] * size["image/width"], tf.float32)
        rate = 8.0 * tf.cast(lengths[chosen], tf.float32) / pixels
        return pictures[chosen], tf.constant(self.codecs)[chosen], rate
