"""Keeps the weights that did best on the validation data, beside the newest."""

import tensorflow as tf
from absl import logging

from tfsemcomp.data import records
from tfsemcomp.training import strategies

WEIGHTS = "best.weights.h5"
RECORD = "best.json"


class BestWeights(tf.keras.callbacks.Callback):
    """Writes OUT/best.weights.h5 and OUT/best.json after each better validation.

    It does so before the piece's checkpoint is written: a run that is killed between
    them does the piece again and finds what is there.

    Args:
        out: folder of the run.
        measure: a mean of the validation, of which more is better.
        part: attribute of the trained model whose weights are kept.
    """

    def __init__(self, out: str, measure: str, part: str = "network") -> None:
        super().__init__()
        self.out = out
        self.part = part
        self.measure = measure
        self.best = float("-inf")
        known = records.read_json(tf.io.gfile.join(out, RECORD))
        if known is not None:
            self.best = known[measure]

    def on_test_end(self, logs: dict | None = None) -> None:
        """Keeps the weights if they are better than all before."""
        value = (logs or {}).get(self.measure)
        if value is None or not value > self.best:
            return
        self.best = float(value)
        steps = int(self.model.optimizer.iterations.numpy())
        record = {name: float(mean) for name, mean in logs.items()} | {"steps": steps}
        strategy = self.model.distribute_strategy
        with strategies.writing_folder(strategy, self.out) as own:
            tf.io.gfile.makedirs(own)
            getattr(self.model, self.part).save_weights(f"{own}/tmp.{WEIGHTS}")
            tf.io.gfile.rename(f"{own}/tmp.{WEIGHTS}", f"{own}/{WEIGHTS}", True)
            records.write_json(tf.io.gfile.join(own, RECORD), record)
        logging.info("best %s so far: %.4f at step %d", self.measure, value, steps)
