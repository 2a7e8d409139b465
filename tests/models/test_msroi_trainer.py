import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.metrics.networks import weights_file
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.models.msroi_cnn import MsroiCnn
from tfsemcomp.models.msroi_trainer import MsroiLoss, MsroiTrainer
from tfsemcomp.models.teacher import Teacher


def a_batch(labels):
    shape = [len(labels), 64, 64, 3]
    image = tf.random.stateless_uniform(shape, [1, 2], 0, 255, tf.int32)
    return {"image": tf.cast(image, tf.uint8), "label": tf.constant(labels, tf.int64)}


def a_trainer(loss=None, teacher=None):
    trainer = MsroiTrainer(MsroiCnn(3, "tiny"), loss or MsroiLoss(), teacher)
    trainer.create_weights(32)
    trainer.compile(optimizer=tf.keras.optimizers.AdamW(1e-2))
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


class MsroiTrainerTest(SemCompTestCase):
    @parameterized.parameters("softmax", "sigmoid")
    def test_learns_one_batch_by_heart(self, kind):
        trainer = a_trainer(MsroiLoss(kind=kind))
        batch = a_batch([0, 1, 2, 1])
        step = tf.function(trainer.train_step)
        first = float(step(batch)["loss"])
        for _ in range(25):
            trainer.reset_metrics()
            last = step(batch)
        self.assertLess(float(last["loss"]), 0.7 * first)
        self.assertEqual(float(last["top1"]), 1.0)

    def test_unlabelled_images_change_no_label_loss(self):
        trainer = a_trainer()
        labelled = a_batch([0, 2, -1, -1])
        only = {name: value[:2] for name, value in labelled.items()}
        both = trainer.test_step(labelled)["label"]
        trainer.reset_metrics()
        np.testing.assert_allclose(both, trainer.test_step(only)["label"], rtol=1e-5)

    def test_teacher_stays_frozen_and_student_comes_closer(self):
        path = weights_file("MobileNet")
        trainer = a_trainer(teacher=Teacher(path, 3))
        before = [v.numpy() for v in trainer.teacher.variables]
        batch = a_batch([-1, -1, 0, 1])
        step = tf.function(trainer.train_step)
        teacher = trainer.teacher(tf.cast(batch["image"], tf.float32))
        kernel = tf.random.stateless_normal(trainer.teacher.kernel.shape, [5, 6])
        trainer.teacher.set_classifier(kernel / tf.norm(teacher["pooled"][0]))
        before[-1] = trainer.teacher.kernel.numpy()
        first = {name: float(value) for name, value in step(batch).items()}
        for _ in range(20):
            trainer.reset_metrics()
            last = step(batch)
        for name in ("dense", "deep", "maps"):
            self.assertLess(float(last[name]), first[name])
        for old, new in zip(before, trainer.teacher.variables, strict=True):
            np.testing.assert_array_equal(old, new)

    def test_train_step_is_xla_clean(self):
        path = weights_file("MobileNet")
        for teacher in (None, Teacher(path, 3)):
            trainer = a_trainer(teacher=teacher)
            self.assert_xla_clean(trainer.train_step, a_batch([0, 1, 2, -1]))

    def test_wrong_teacher_files(self):
        with self.assertRaisesRegex(SemCompError, "no such file"):
            Teacher(str(self.folder / "none.npz"), 3)
        np.savez(self.folder / "other.npz", a=np.zeros(3))
        with self.assertRaisesRegex(BitstreamError, "conv1/kernel"):
            Teacher(str(self.folder / "other.npz"), 3)
