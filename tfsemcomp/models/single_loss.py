"""The steps of models that lower one loss with one optimizer."""

import tensorflow as tf

from tfsemcomp.losses import replicas


class SingleLossModel(tf.keras.Model):
    """Trains and tests a loss, and shows running means of it and of other measures.

    A model gives a method `_losses_of(batch, training)`, which returns scalars by name,
    "loss" being the one to lower, and calls `_define_means` with those names.
    """

    def _define_means(self, *names: str) -> None:
        self.means = {name: tf.keras.metrics.Mean(name) for name in names}

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Running means, which Keras resets for each epoch."""
        return list(self.means.values())

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

    def _report(self, losses: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for name, value in losses.items():
            self.means[name].update_state(value)
        return {metric.name: metric.result() for metric in self.metrics}
