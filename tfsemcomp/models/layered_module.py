"""The exported form of `layered`: one model of all its networks, and their facts."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfsemcomp.entropy import context_mixing, text
from tfsemcomp.entropy import tables as table_files
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import hyperprior_module, layered
from tfsemcomp.models.captioner import Captioner
from tfsemcomp.models.hyperprior import Hyperprior
from tfsemcomp.models.structure_generator import StructureGenerator
from tfsemcomp.models.text_to_image import TextToImage
from tfsemcomp.semantics import vocabulary
from tfsemcomp.semantics.vocabulary import Vocabulary
from tfsemcomp.serving import export

# Sides of pictures are multiples of it, whatever the networks need.
MULTIPLE = 64


class LayeredModule(hyperprior_module.HyperpriorModule):
    """What codecs and servers call of trained networks.

    describe:             images float32 [B,H,W,3] in [0, 255], any H and W ->
                          state float32 [B,S]
    next_word:            state, words int32 [B,n], length int32 [B] -> logits
                          float32 [B,V]; words begin with the start
    synthesize_text:      words int32 [B,T], noise float32 [B,nz] -> images float32
                          [B,R,R,3] in [0, 255]
    synthesize_structure: structure float32 [B,H,W,1] of 0 and 1, base float32
                          [B,H,W,3] in [0, 255], words int32 [B,T] -> images [B,H,W,3]
                          in [0, 255]
    analyze:              images, base, structure, quality int32 [B] -> y float32
                          [B,h,w,M], z int32; base is layer 2's picture
    hyper_synthesis:      z, quality -> index int32 [B,h,w,M], mu float32
    synthesize:           y_hat float32 [B,h,w,M], base, structure, quality -> images,
                          not clipped

    H and W are multiples of 64; quality counts the signal's lmbdas from 0; words are
    padded with 0. `hyper_synthesis` runs in float64 on the CPU and sees z alone.

    Args:
        captioner, text_to_image, structure, signal: trained, float32.
        words: T.
    Raises: SemCompError if they don't fit together.
    """

    def __init__(
        self,
        captioner: Captioner,
        text_to_image: TextToImage,
        structure: StructureGenerator,
        signal: Hyperprior,
        words: int,
    ) -> None:
        if signal.condition == "none" or signal.variant == "factorized":
            raise SemCompError(
                "the signal must be a model with a condition and a hyperprior; it has "
                f"`condition` '{signal.condition}' and `variant` '{signal.variant}': "
                "train it with recipes/train_layered.py --phase=signal."
            )
        if MULTIPLE % signal.size.multiple or MULTIPLE % structure.multiple:
            raise SemCompError(
                f"sides are multiples of {MULTIPLE}; the signal needs multiples of "
                f"{signal.size.multiple}, the structure of {structure.multiple}."
            )
        super().__init__(signal)
        self.captioner, self.text_to_image = captioner, text_to_image
        self.structure, self.words = structure, words

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """The functions that `serving.export.export` takes."""
        size = self.model.size
        states = self.captioner.size.grid**2 * self.captioner.size.width
        images, base = (_floats(name, None, None, 3) for name in ("images", "base"))
        structure = _floats("structure", None, None, 1)
        words = _integers("words", self.words)
        noise = _floats("noise", self.text_to_image.size.noise)
        z = _integers("z", None, None, size.hyper_channels)
        y_hat = _floats("y_hat", None, None, size.channels)
        quality = _integers("quality")
        state, length = _floats("state", states), _integers("length")
        begun = _integers("words", None)
        taken = {
            "describe": [images],
            "next_word": [state, begun, length],
            "synthesize_text": [words, noise],
            "synthesize_structure": [structure, base, words],
            "analyze": [images, base, structure, quality],
            "hyper_synthesis": [z, quality],
            "synthesize": [y_hat, base, structure, quality],
        }
        return {
            name: tf.function(getattr(self, f"call_{name}"), input_signature=specs)
            for name, specs in taken.items()
        }

    def call_describe(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """See the class."""
        return {"state": self.captioner.describe(images)}

    def call_next_word(
        self, state: tf.Tensor, words: tf.Tensor, length: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        return {"logits": self.captioner.next_word(state, words, length)}

    def call_synthesize_text(
        self, words: tf.Tensor, noise: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        told = fit_words(words, self.text_to_image.words)
        return {"images": layered.shown(self.text_to_image.generate(told, noise))}

    def call_synthesize_structure(
        self, structure: tf.Tensor, base: tf.Tensor, words: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        drawn = self.structure(structure, base, words, training=False)
        return {"images": layered.shown(drawn)}

    def call_analyze(
        self,
        images: tf.Tensor,
        base: tf.Tensor,
        structure: tf.Tensor,
        quality: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        return self._analyze(images, _from_one(quality), (base, structure))

    def call_hyper_synthesis(
        self, z: tf.Tensor, quality: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        return self._hyper_synthesis(z, _from_one(quality))

    def call_synthesize(
        self,
        y_hat: tf.Tensor,
        base: tf.Tensor,
        structure: tf.Tensor,
        quality: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """See the class."""
        return self._synthesize(y_hat, _from_one(quality), (base, structure))


def fit_words(words: tf.Tensor, length: int) -> tf.Tensor:
    """Cuts or pads sentences: int32 [B,T] -> [B,length]."""
    kept = tf.pad(words[:, :length], [[0, 0], [0, length]])[:, :length]
    return tf.ensure_shape(kept, [None, length])


def card(
    module: LayeredModule, structure: Mapping[str, Any], text_seed: bool
) -> dict[str, Any]:
    """What a codec must know of the networks, for the card's part `layered`.

    Args:
        module: of the networks.
        structure: `method` of the edges that they were trained on, and what sets it.
        text_seed: whether a text comes with a seed of its picture.
    """
    signal = module.model
    return {
        "resolution": module.text_to_image.size.resolution,
        "noise": module.text_to_image.size.noise,
        "words": module.words,
        "lmbdas": list(signal.lmbdas),
        "multiple": MULTIPLE,
        "structure": dict(structure),
        "version": signal.condition,
        "text_seed": text_seed,
        "latents": hyperprior_module.latents(signal),
    }


def export_module(
    module: LayeredModule,
    folder: str | os.PathLike,
    version: int,
    words: Vocabulary,
    text_model: text.TextModel,
    primed: context_mixing.Primed | None = None,
    bits: int | Mapping[str, int] = 32,
) -> pathlib.Path:
    """Saves signatures, tables and vocabulary as `folder`/`version`.

    Args:
        module: of the networks.
        folder: of the model; made when missing.
        version: see `serving.export.export`.
        words: that captioner and text-to-image network know.
        text_model: tables of captions.
        primed: what the coder of lines starts with; None for nothing.
        bits: of the weights of signatures, see `serving.export.export`.
    Returns: the version folder.
    Raises: SemCompError if the networks know other numbers of words, and as
        `serving.export.export`.
    """
    known = {
        "the captioner": module.captioner.vocabulary,
        "the text-to-image network": module.text_to_image.text_size.vocabulary,
        "the structure": module.structure.vocabulary or len(words),
    }
    for name, count in known.items():
        if count != len(words):
            raise SemCompError(
                f"{name} was trained for {count} words, the vocabulary has "
                f"{len(words)}: give all of them the same vocabulary."
            )
    built = hyperprior_module.tables(module.model)
    extras = {
        table_files.FILE_NAME: lambda path: table_files.save(path, built),
        text.FILE_NAME: lambda path: text.save(path, text_model),
        vocabulary.FILE_NAME: lambda path: vocabulary.save(path, words),
    }
    if primed is not None:
        extras[context_mixing.FILE_NAME] = lambda p: context_mixing.save(p, primed)
    return export.export(module.signatures(), folder, version, extras, bits=bits)


def _floats(name: str, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([None, *shape], tf.float32, name=name)


def _integers(name: str, *shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([None, *shape], tf.int32, name=name)


def _from_one(quality: tf.Tensor) -> tf.Tensor:
    """Places in `lmbdas` as `Hyperprior` counts qualities: int32 [B] -> float32 [B]."""
    return tf.cast(quality, tf.float32) + 1
