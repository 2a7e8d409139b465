"""The steps of trainers that learn from labelled pictures."""

import tensorflow as tf

from tfsemcomp.losses import replicas


class LabelledTrainer(tf.keras.Model):
    """Trains and tests on {"image": uint8 [B,H,W,3], "label": int64 [B]}.

    A trainer gives two methods: `_forward(batch, training)`, which returns losses by
    name, "loss" being the one to lower, and logits [B,classes]; and `_report(losses,
    logits, labels)`, which returns what a log shows.
    """

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One optimizer step."""
        with tf.GradientTape() as tape:
            losses, logits = self._forward(batch, training=True)
            loss = replicas.share(losses["loss"])
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._report(losses, logits, batch["label"])

    def test_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Losses and accuracy, without dropout."""
        losses, logits = self._forward(batch, training=False)
        return self._report(losses, logits, batch["label"])
