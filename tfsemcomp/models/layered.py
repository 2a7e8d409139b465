"""Layers 2 and 3 of `layered` upon each other: frozen below, or trained together."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfsemcomp.layers import spectral_norm
from tfsemcomp.losses import replicas
from tfsemcomp.models import runs
from tfsemcomp.models.hyperprior import Hyperprior
from tfsemcomp.models.hyperprior_conditions import Lower
from tfsemcomp.models.single_loss import MeasuredModel
from tfsemcomp.models.structure_generator import (
    GREY,
    Features,
    LossWeights,
    StructureGenerator,
)

_MEASURES = ("loss", "l1", "perceptual", "gan", "bpp", "mse")


def lower_layers(
    generator: StructureGenerator, alone: float = 0.0
) -> Callable[[Mapping[str, tf.Tensor], bool], Lower]:
    """What layer 3 sees of batches, as `Hyperprior.compile` takes it.

    Args:
        generator: trained, `condition_on` called; nothing here trains it.
        alone: share of training pictures with a grey picture and no lines: what a
            stream of layer 3 alone gives.
    Returns: batch, training -> picture of layer 2 as it is shown, in whole grey levels,
        and its lines, both of `StructureGenerator.conditions`.
    """

    def lower(batch: Mapping[str, tf.Tensor], training: bool) -> Lower:
        structure, base, words = generator.conditions(batch, training)
        drawn = generator(structure, base, words, training=False)
        drawn = tf.stop_gradient(tf.round(shown(drawn)))
        if training and alone:
            kept = tf.random.uniform([tf.shape(drawn)[0], 1, 1, 1]) >= alone
            drawn = tf.where(kept, drawn, GREY)
            structure = tf.where(kept, structure, 0.0)
        return drawn, structure

    return lower


def shown(images: tf.Tensor) -> tf.Tensor:
    """Pictures within [0, 255]."""
    return tf.clip_by_value(images, 0.0, 255.0)


class Layered(MeasuredModel):
    """Layers 2 and 3, each trained before, trained on together.

        lines, base, words --structure--> x_2;  x, x_2, lines --signal--> y --> x_3

        structure and signal: share * (layer 2's own losses) + rate + distortion of x_3
        discriminators:       as of layer 2 alone

    Layer 2 then also draws what spares layer 3 bits. The optimizer of `fit` trains both
    networks, and may average them; the discriminators have their own.

    Args:
        structure: draws layer 2.
        signal: codes layer 3, with a condition.
    Raises: ValueError if `signal` has no condition.
    """

    def __init__(
        self, structure: StructureGenerator, signal: Hyperprior, **kwargs
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        if signal.condition == "none":
            raise ValueError("`signal` must have a condition; got 'none'.")
        self.structure, self.signal = structure, signal
        self.share = 1.0
        self._define_means(*_MEASURES)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer of `fit` trains: all but the discriminators."""
        return [*self.structure.trainable_weights, *self.signal.trainable_weights]

    def create_weights(self) -> None:
        """Creates all weights by one pass over empty pictures."""
        self.structure.create_weights()
        self.signal.create_weights()
        # Keras saves weights of models that were called only.
        self.built = True

    def compile(
        self,
        optimizer: tf.keras.optimizers.Optimizer,
        discriminator_optimizer: tf.keras.optimizers.Optimizer,
        weights: LossWeights | None = None,
        features: Features | None = None,
        feature_kind: str = "dists",
        share: float = 0.1,
        **kwargs,
    ) -> None:
        """Sets what training needs; all weights must exist.

        Args:
            optimizer: of both networks.
            discriminator_optimizer, weights, features, feature_kind: see
                `StructureGenerator.compile`; call its `condition_on`, too.
            share: weight of layer 2's own losses.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.share = share
        self.discriminator_optimizer = discriminator_optimizer
        self.structure.compile(
            optimizer, discriminator_optimizer, weights, features, feature_kind
        )

    def call(
        self,
        x: tf.Tensor,
        structure: tf.Tensor | None = None,
        quality: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Codes pictures from their lines, without text.

        Args:
            x: float32 [B,H,W,3] in [0, 255].
            structure: float32 [B,H,W,1] of 0 and 1; None for no line.
            quality: float32 [B], see `Hyperprior`.
        Returns: layer 2's picture, and what `Hyperprior` gives.
        """
        if structure is None:
            structure = tf.zeros_like(x[..., :1])
        drawn = shown(self.structure(structure))
        return drawn, self.signal(x, quality, (drawn, structure))

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of both optimizers on batches as `StructureGenerator` takes them."""
        spectral_norm.update(self.structure)
        with tf.GradientTape(persistent=True) as tape:
            found = self._losses_of(batch, training=True)
            main, judging = (replicas.share(found[k]) for k in ("loss", "judging"))
        mine = self.trainable_weights
        judges = self.structure.discriminators.trainable_weights
        gradients = tape.gradient(main, mine), tape.gradient(judging, judges)
        self.optimizer.apply_gradients(zip(gradients[0], mine, strict=True))
        self.discriminator_optimizer.apply_gradients(
            zip(gradients[1], judges, strict=True)
        )
        return self._report(found)

    def test_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures, with rounding for noise and lines as of the first file."""
        return self._report(self._losses_of(batch, training=False))

    def _losses_of(
        self, batch: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        drawn = self.structure.losses_of(batch, training)
        lower = shown(drawn["x_hat"]), drawn["structure"]
        coded = self.signal.losses_beside(batch, lower, training)
        return {
            "loss": self.share * drawn["drawing"] + coded["loss"],
            "judging": drawn["judging"],
            **{name: drawn[name] for name in ("l1", "perceptual", "gan")},
            **{name: coded[name] for name in ("bpp", "mse")},
        }

    def get_config(self) -> dict:
        """Returns what `from_config` needs: the configurations of both networks."""
        return {
            "structure": self.structure.get_config(),
            "signal": self.signal.get_config(),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Layered":
        """Rebuilds the model from `get_config`."""
        structure = StructureGenerator.from_config(config["structure"])
        signal = Hyperprior.from_config(config["signal"])
        return cls(structure, signal, name=config["name"])


def load_run(folder: str) -> Layered:
    """Loads the model that recipes/train_layered.py trained; see `runs.load`."""
    return runs.load(Layered, folder, "recipes/train_layered.py --phase=joint")
