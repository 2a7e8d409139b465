from unittest import mock

import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.losses import replicas


class ShareTest(SemCompTestCase):
    def test_alone_it_is_the_loss(self):
        self.assertEqual(float(replicas.share(tf.constant(3.0))), 3.0)

    def test_shares_of_all_replicas_add_up_to_the_mean(self):
        losses = [tf.constant(loss) for loss in (1.0, 2.0, 6.0, 7.0)]
        strategy = mock.Mock(num_replicas_in_sync=4)
        with mock.patch.object(tf.distribute, "get_strategy", lambda: strategy):
            shares = [replicas.share(loss) for loss in losses]
        self.assertEqual(float(tf.add_n(shares)), 4.0)
