"""What happens between the pieces of a run: checkpoints, history, the stop at a NaN."""

import csv
import io
import math

import tensorflow as tf

from tfsemcomp.errors import SemCompError

HISTORY = "history.csv"
_CHECKPOINTS = "checkpoints"
# Workers draw other numbers than each other, in any of so many pieces.
_WORKER_STRIDE = 1_000_003


class Keeper(tf.keras.callbacks.Callback):
    """Writes and restores everything that a later piece depends on.

    Args:
        model: compiled, all weights created.
        out: folder of the run, from which checkpoints are read.
        own: folder that this worker writes to; `out` for the chief.
        steps_per_epoch: steps of a piece.
        seed: of what is drawn in the first piece; see `on_epoch_begin`.
        keep: checkpoints to keep.
        worker: number of this worker.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        out: str,
        own: str,
        steps_per_epoch: int,
        seed: int,
        keep: int,
        worker: int,
    ) -> None:
        super().__init__()
        self.out = out
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed + _WORKER_STRIDE * worker
        self.piece = tf.Variable(0, dtype=tf.int64, trainable=False, name="piece")
        state = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, piece=self.piece
        )
        folder = tf.io.gfile.join(own, _CHECKPOINTS)
        self.manager = tf.train.CheckpointManager(state, folder, keep)
        self.iterations = model.optimizer.iterations

    def restore(self) -> int:
        """Returns the number of pieces done, 0 for a new run.

        Raises:
            SemCompError: the checkpoint's pieces have another length.
        """
        newest = tf.train.latest_checkpoint(tf.io.gfile.join(self.out, _CHECKPOINTS))
        if newest is None:
            return 0
        status = self.manager.checkpoint.restore(newest)
        status.assert_existing_objects_matched()
        pieces, steps = int(self.piece.numpy()), int(self.iterations.numpy())
        if steps != pieces * self.steps_per_epoch:
            raise SemCompError(
                f"{self.out} holds {steps} steps in {pieces} pieces, which are not of "
                f"`steps_per_epoch` = {self.steps_per_epoch}: run with that of the "
                "first time, or choose another folder."
            )
        return pieces

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the piece's random numbers anew, so that they don't need saving.

        Random operations take their seeds from this one and from their place in the
        graph, where each replica of a worker has operations of its own.
        """
        tf.random.set_seed(self.seed + epoch)
        self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves, unless the piece ended in a loss that is not finite."""
        if self.model.stop_training:
            return
        self.piece.assign(epoch + 1)
        self.manager.save()


class NanStop(tf.keras.callbacks.Callback):
    """Ends training at the first loss that is not finite and goes back.

    Args:
        keeper: of the same training.
    """

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.keeper = keeper
        self.step: int | None = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the running mean of the loss, which a NaN or infinity enters."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            self.step = int(self.model.optimizer.iterations.numpy())
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes back the steps since the last checkpoint."""
        if self.step is not None:
            self.keeper.restore()


class History(tf.keras.callbacks.Callback):
    """Writes OUT/history.csv: a row a piece, with all digits of all measures.

    It comes before the `Keeper`: a run that is killed between them does the piece again
    and writes the row again.

    Args:
        out: folder of the run.
        steps_per_epoch: steps of a piece.
    """

    def __init__(self, out: str, steps_per_epoch: int) -> None:
        super().__init__()
        tf.io.gfile.makedirs(out)
        self.path = tf.io.gfile.join(out, HISTORY)
        self.steps_per_epoch = steps_per_epoch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds a row, unless the piece ended in a loss that is not finite."""
        if self.model.stop_training:
            return
        rows = [row for row in self._read() if int(row["piece"]) <= epoch]
        measures = {name: repr(float(value)) for name, value in (logs or {}).items()}
        steps = (epoch + 1) * self.steps_per_epoch
        rows.append({"piece": str(epoch + 1), "step": str(steps), **measures})
        names = dict.fromkeys(name for row in rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with tf.io.gfile.GFile(self.path + ".tmp", "w") as file:
            file.write(text.getvalue())
        tf.io.gfile.rename(self.path + ".tmp", self.path, overwrite=True)

    def _read(self) -> list[dict[str, str]]:
        if not tf.io.gfile.exists(self.path):
            return []
        with tf.io.gfile.GFile(self.path) as file:
            return list(csv.DictReader(io.StringIO(file.read())))
