"""The measures of models that train, and the steps of those that lower one loss."""

from collections.abc import Mapping

import tensorflow as tf

from tfsemcomp.losses import replicas


class MeasuredModel(tf.keras.Model):
    """Shows running means of its losses and of other measures.

    A model names them once by `_define_means`, and `_report` takes them in each step.
    """

    def _define_means(self, *names: str) -> None:
        self.means = {name: tf.keras.metrics.Mean(name) for name in names}

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Running means, which Keras resets for each epoch."""
        return list(self.means.values())

    def _report(self, found: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes every measure from among what a step found; gives the means."""
        for name, mean in self.means.items():
            mean.update_state(found[name])
        return {name: mean.result() for name, mean in self.means.items()}


class SingleLossModel(MeasuredModel):
    """Trains and tests a loss with one optimizer.

    A model gives a method `_losses_of(batch, training)`, which returns scalars by name,
    "loss" being the one to lower, for all names of its means.
    """

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step."""
        with tf.GradientTape() as tape:
            losses = self._losses_of(batch, training=True)
            loss = replicas.share(losses["loss"])
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        # A part that this loss leaves out has no gradient.
        self.optimizer.apply_gradients(
            (gradient, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
            if gradient is not None
        )
        return self._report(losses)

    def test_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same measures, taken as the trained model works."""
        return self._report(self._losses_of(batch, training=False))
