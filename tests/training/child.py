"""A training in a process of its own: killed at a step, or one of several workers."""

import os
import signal

import numpy as np
import tensorflow as tf
from absl import app, flags

from tests.training import networks
from tfsemcomp.training import loop, recipe_flags, strategies

_TRAINING = recipe_flags.define(
    ["tiny"],
    size="tiny",
    crop=networks.PLAN.crop,
    batch=4,
    steps=4,
    learning_rate=1.0,
)
_NOISE = flags.DEFINE_boolean("noise", True, "See `networks.a_model`.")
_KILL_AT = flags.DEFINE_integer("kill_at", None, "Step that ends in SIGKILL.")
_DEVICES = flags.DEFINE_integer("devices", 1, "Logical CPUs.")


class Killer(tf.keras.callbacks.Callback):
    """Ends the process without a chance to do anything more."""

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the step."""
        if int(self.model.optimizer.iterations.numpy()) == _KILL_AT.value:
            os.kill(os.getpid(), signal.SIGKILL)


def main(argv):
    """Trains and writes the state to state.npz."""
    del argv
    devices = [tf.config.LogicalDeviceConfiguration()] * _DEVICES.value
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], devices
    )
    run = _TRAINING.read()
    model = loop.fit(
        lambda: networks.a_model(_NOISE.value),
        run.batches(networks.PLAN),
        run.fit_config(),
        run.validation_batches(4),
        [Killer()],
        run.records,
    )
    values = networks.state(model)
    with strategies.writing_folder(model.distribute_strategy, run.out) as own:
        np.savez(os.path.join(own, "state.npz"), *values)


if __name__ == "__main__":
    app.run(main)
