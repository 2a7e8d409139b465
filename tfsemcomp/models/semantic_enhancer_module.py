"""The exported form of semantic enhancers: one signature of stock ops."""

import os
import pathlib
from typing import Any

import tensorflow as tf

from tfsemcomp.entropy import context_mixing
from tfsemcomp.errors import SemCompError
from tfsemcomp.models.semantic_enhancer import Conditions, SemanticEnhancer
from tfsemcomp.serving import export

# What two trained models must share to be mixed.
_ALIKE = ("variant", "classes", "ignored", "bases", "boundaries")


class SemanticEnhancerModule(tf.Module):
    """What codecs and servers call of one trained model, or of two.

    synthesize: base float32 [B,H,W,3] in [0, 255], labels int32 [B,H,W],
                boundaries float32 [B,H,W,1] of 0 and 1, codec int32 [B],
                rate float32 [B] in bits a pixel, perception float32 [B] in [0, 1] ->
                images float32 [B,H,W,3] about [0, 255], not clipped

    H and W are multiples of the models' `multiple`. Labels that are no class are no
    label. What `perception` mixes are the pictures that the two models draw.

    Args:
        faithful: the model of perception 0, trained for distortion.
        perceptual: the model of perception 1; None for one that `perception` changes
            nothing of.
    Raises: SemCompError if the two differ in what they are told.
    """

    def __init__(
        self, faithful: SemanticEnhancer, perceptual: SemanticEnhancer | None = None
    ) -> None:
        super().__init__()
        if perceptual is not None:
            differing = [
                name
                for name in _ALIKE
                if getattr(faithful, name) != getattr(perceptual, name)
            ]
            if differing:
                raise SemCompError(
                    f"the two models differ in {', '.join(differing)}: train one from "
                    "the other with `--init`."
                )
        self.faithful, self.perceptual = faithful, perceptual

    def card(self) -> dict[str, Any]:
        """What a codec must know, for the card."""
        model = self.faithful
        return {
            "classes": model.classes,
            "ignored": model.ignored,
            "bases": list(model.codecs),
            "multiple": model.multiple,
            "boundaries": model.boundaries,
            "dial": self.perceptual is not None,
        }

    def signatures(self) -> dict[str, tf.types.experimental.GenericFunction]:
        """The functions that `serving.export.export` takes."""
        specs = [
            tf.TensorSpec([None, None, None, 3], tf.float32, name="base"),
            tf.TensorSpec([None, None, None], tf.int32, name="labels"),
            tf.TensorSpec([None, None, None, 1], tf.float32, name="boundaries"),
            tf.TensorSpec([None], tf.int32, name="codec"),
            tf.TensorSpec([None], tf.float32, name="rate"),
            tf.TensorSpec([None], tf.float32, name="perception"),
        ]
        return {"synthesize": tf.function(self._synthesize, input_signature=specs)}

    def _synthesize(
        self,
        base: tf.Tensor,
        labels: tf.Tensor,
        boundaries: tf.Tensor,
        codec: tf.Tensor,
        rate: tf.Tensor,
        perception: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        told = vars(Conditions(base, labels, boundaries, codec, rate))
        if self.perceptual is None:
            # A signature keeps all of its inputs.
            unused = 0.0 * perception[:, None, None, None]
            return {"images": self.faithful(told) + unused}
        share = tf.clip_by_value(perception, 0.0, 1.0)[:, None, None, None]
        # A model that no picture wants does not run.
        images = tf.cond(
            tf.reduce_all(share == 0),
            lambda: self.faithful(told),
            lambda: tf.cond(
                tf.reduce_all(share == 1),
                lambda: self.perceptual(told),
                lambda: (
                    (1 - share) * self.faithful(told) + share * self.perceptual(told)
                ),
            ),
        )
        return {"images": images}


def export_module(
    module: SemanticEnhancerModule,
    folder: str | os.PathLike,
    version: int = 1,
    primed: context_mixing.Primed | None = None,
    half: bool = False,
) -> pathlib.Path:
    """Saves the signature as `folder`/`version`.

    Args:
        module: of the models.
        folder: of the exported one; made when missing.
        version: see `serving.export.export`.
        primed: what the coder of labels starts with; None for nothing.
        half: store weights in 16 bits, see there.
    Returns: the version folder.
    Raises: as `serving.export.export`.
    """
    extras = {}
    if primed is not None:
        extras[context_mixing.FILE_NAME] = lambda p: context_mixing.save(p, primed)
    bits = 16 if half else 32
    return export.export(module.signatures(), folder, version, extras, bits=bits)
