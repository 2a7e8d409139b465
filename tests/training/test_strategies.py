import os
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.training import callbacks, strategies


class MakeStrategyTest(SemCompTestCase):
    def test_a_tpu_is_connected_and_initialised_before_use(self):
        calls = mock.Mock()
        cluster_resolver = tf.distribute.cluster_resolver
        with (
            mock.patch.object(
                cluster_resolver, "TPUClusterResolver", calls.TPUClusterResolver
            ),
            mock.patch.object(
                tf.config, "experimental_connect_to_cluster", calls.connect
            ),
            mock.patch.object(
                tf.tpu.experimental, "initialize_tpu_system", calls.initialize
            ),
            mock.patch.object(tf.distribute, "TPUStrategy", calls.TPUStrategy),
        ):
            strategy = strategies.make_strategy("tpu")
        resolver = calls.TPUClusterResolver.return_value
        self.assertEqual(
            calls.mock_calls,
            [
                mock.call.TPUClusterResolver(tpu=""),
                mock.call.connect(resolver),
                mock.call.initialize(resolver),
                mock.call.TPUStrategy(resolver),
            ],
        )
        self.assertIs(strategy, calls.TPUStrategy.return_value)

    def test_local_strategies(self):
        default = strategies.make_strategy("default")
        self.assertIs(default, tf.distribute.get_strategy())
        mirrored = strategies.make_strategy("mirrored")
        self.assertIsInstance(mirrored, tf.distribute.MirroredStrategy)
        for strategy in (default, mirrored):
            self.assertEqual(strategies.worker_number(strategy), 0)

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, "`strategy`.*multi_worker.*'gpu'"):
            strategies.make_strategy("gpu")


def a_worker(cluster, task_type, index):
    """A strategy that only knows its place, for no other worker is there."""
    strategy = mock.create_autospec(
        tf.distribute.MultiWorkerMirroredStrategy, instance=True
    )
    strategy.cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=task_type, task_id=index
    )
    return strategy


class WorkersTest(SemCompTestCase):
    def test_the_chief_is_number_0_and_writes_the_result(self):
        workers = {"worker": ["a:1", "b:1"]}
        chief = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
        out = str(self.folder)
        for cluster, task_type, index, number in (
            ({}, None, None, 0),
            (workers, "worker", 0, 0),
            (workers, "worker", 1, 1),
            (chief, "chief", 0, 0),
            (chief, "worker", 0, 1),
            (chief, "worker", 1, 2),
        ):
            strategy = a_worker(cluster, task_type, index)
            with self.subTest(task=task_type, index=index):
                self.assertEqual(strategies.worker_number(strategy), number)
                with strategies.writing_folder(strategy, out) as own:
                    self.assertEqual(own == out, number == 0)
                    self.assertTrue(os.path.isdir(own))
                self.assertEqual(os.path.isdir(own), number == 0)

    def test_what_is_drawn_depends_on_seed_piece_and_worker(self):
        def drawn(seed, worker, piece):
            model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
            model.build([None, 1])
            model.compile("sgd", "mse")
            folder = str(self.folder)
            keeper = callbacks.Keeper(model, folder, folder, 5, seed, 1, worker)
            keeper.set_model(model)
            keeper.on_epoch_begin(piece)
            return tf.random.uniform([4]).numpy()

        places = [(1, 0, 0), (2, 0, 5), (1, 0, 1), (1, 1, 0), (1, 2, 0)]
        values = [drawn(*place) for place in places]
        for place, value in zip(places, values, strict=True):
            np.testing.assert_array_equal(drawn(*place), value)
        self.assertLen({value.tobytes() for value in values}, len(places))
