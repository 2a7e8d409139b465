"""Devices and workers: which strategy, which worker this is, and where it writes.

Every worker of `multi_worker` runs the same program. All must take part whenever
variables are read for saving, since some are kept in one part a replica and are added
up then; what counts is written by the chief alone.
"""

import contextlib
import tempfile
from collections.abc import Iterator

import tensorflow as tf

STRATEGIES = ("default", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the distribution strategy called `name`.

    Args:
        name: one of `STRATEGIES`: "default" (one device), "mirrored" (all GPUs of this
            machine), "multi_worker" (those of all machines in ``TF_CONFIG``; must be
            made before TensorFlow does anything else) or "tpu" (the TPU of this
            machine).
    Raises:
        ValueError: another name.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}; got '{name}'.")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    return tf.distribute.get_strategy()


def worker_number(strategy: tf.distribute.Strategy) -> int:
    """Place of this process among its workers: 0 for the chief and for a lone one."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0
    resolver = strategy.cluster_resolver
    if resolver.task_type != "worker":
        return 0
    return resolver.task_id + int("chief" in resolver.cluster_spec().jobs)


@contextlib.contextmanager
def writing_folder(strategy: tf.distribute.Strategy, folder: str) -> Iterator[str]:
    """Where this process writes what all workers write together.

    Args:
        strategy: of the training.
        folder: that the result shall lie in; all workers must be able to read it.

    Yields: `folder` for the chief, a temporary one for each other worker.
    """
    if worker_number(strategy) == 0:
        yield folder
        return
    with tempfile.TemporaryDirectory() as other:
        yield other
