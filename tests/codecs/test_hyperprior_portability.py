"""What one machine encodes, every other one decodes.

The machines are processes on this one: with oneDNN's kernels and with Eigen's, with one
thread and with two, coding pictures one by one and in batches. Their float32 sums
differ, which `test_float32_would_not_do` shows, so that the other tests can fail.
"""

import contextlib
import functools
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.codecs import hyperprior_models
from tests.harness import SemCompTestCase, noise_image, smooth_image
from tests.models.hyperprior_networks import a_model
from tfsemcomp.models import hyperprior_module
from tfsemcomp.models.hyperprior import HyperpriorSize
from tfsemcomp.serving import export, manifest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MACHINES = {
    f"{kernels}-{threads}": (onednn, threads)
    for (kernels, onednn), threads in itertools.product(
        {"eigen": "0", "onednn": "1"}.items(), (1, 2)
    )
}
BATCHES = (1, 4)
HEIGHT, WIDTH, COUNT = 96, 128, 24
# z of 768x512 pixels, as Kodak's are.
ROWS, COLUMNS, PHOTOS, CHANNELS = 8, 12, 4, 192


def images() -> np.ndarray:
    """Crops of photos, and smooth pictures with more and more noise."""
    found = []
    for path in sorted((ROOT / "recipes" / "demo_photos").glob("*.png")):
        with Image.open(path) as file:
            pixels = np.asarray(file.convert("RGB"))
        corners = itertools.product((0, 150), (60, 220))
        found += [pixels[y : y + HEIGHT, x : x + WIDTH] for y, x in corners]
    for seed in range(COUNT - len(found)):
        share = seed / COUNT
        smooth, noise = (
            make(HEIGHT, WIDTH, seed) for make in (smooth_image, noise_image)
        )
        found.append(np.uint8((1 - share) * smooth + share * noise))
    return np.stack(found)


def write_wide(folder: pathlib.Path) -> None:
    """Exports a random hyper-synthesis of 192 channels, as wide as the published one.

    `double` is what models are exported with, `single` the same in float32.
    """
    model = a_model(HyperpriorSize("gdn", CHANNELS, CHANNELS), "scale")
    z = np.random.default_rng(7).normal(0, 3, (PHOTOS, ROWS, COLUMNS, CHANNELS))
    z = np.rint(z).astype(np.int32)
    # Indexes about 24 +- 14: they meet both ends.
    last = model.h_s.layers[-1]
    kernel = np.random.default_rng(8).normal(size=last.kernel.shape)
    last.kernel.assign(kernel)
    last.kernel.assign(1.7 * kernel / np.std(model.h_s(tf.cast(z[:1], tf.float32))))
    last.bias.assign_add(tf.ones([CHANNELS]))
    module = hyperprior_module.HyperpriorModule(model)

    @tf.function(input_signature=module.signatures()["hyper_synthesis"].input_signature)
    def single(z):
        _, index = model.predict_y(tf.cast(z, tf.float32), tf.ones(tf.shape(z)[:1]))
        return {"index": tf.cast(tf.clip_by_value(tf.round(index), 0, 63), tf.int32)}

    signatures = {"double": module.signatures()["hyper_synthesis"], "single": single}
    export.export(signatures, folder / "wide")
    np.save(folder / "z.npy", z)


def run_machines(folder: pathlib.Path) -> None:
    """Lets each machine encode, then each decode all streams; one works at a time."""
    with contextlib.ExitStack() as stack:
        children = []
        for name, (onednn, threads) in MACHINES.items():
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.codecs.hyperprior_child"]
                + [str(folder), name, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(folder / f"{name}.log").open("w"),
                text=True,
                cwd=ROOT,
                env={
                    **os.environ,
                    manifest.ENVIRONMENT_VARIABLE: str(hyperprior_models.folder()),
                    "TF_ENABLE_ONEDNN_OPTS": onednn,
                    "CUDA_VISIBLE_DEVICES": "",
                },
            )
            stack.callback(child.wait)
            stack.callback(child.stdin.close)
            children.append((name, child))
            tell(folder, name, child, "encode")
        for name, child in children:
            tell(folder, name, child, "decode")


def tell(folder: pathlib.Path, name: str, child: subprocess.Popen, word: str) -> None:
    child.stdin.write(f"{word}\n")
    child.stdin.flush()
    if child.stdout.readline() != "done\n":
        log = (folder / f"{name}.log").read_text()
        raise AssertionError(f"{name} did not {word}: {log[-3000:]}")


@functools.cache
def results() -> tempfile.TemporaryDirectory:
    """The folder of the machines after all have worked; gone with the process."""
    made = tempfile.TemporaryDirectory()
    folder = pathlib.Path(made.name)
    np.save(folder / "images.npy", images())
    write_wide(folder)
    run_machines(folder)
    return made


class PortabilityTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(results().name)

    def indexes(self, precision):
        """Table indexes of the wide net, of every machine and batch."""
        found = {}
        for name in MACHINES:
            with np.load(self.root / name / "indexes.npz") as file:
                for batch in BATCHES:
                    found[f"{name}/{batch}"] = file[f"{precision}{batch}"]
        return found

    def test_every_machine_decodes_every_stream(self):
        # Wrong symbols would have ended a machine: they do not match their check.
        reference = None
        for name in MACHINES:
            with np.load(self.root / name / "pictures.npz") as file:
                self.assertLen(file.files, len(MACHINES) * len(BATCHES) ** 2)
                for streams in file.files:
                    pictures = file[streams].astype(int)
                    self.assertEqual(pictures.shape, (COUNT, HEIGHT, WIDTH, 3))
                    if reference is None:
                        reference = pictures
                    # g_s is float32: it may round a pixel the other way. g_a is, too:
                    # a latent may, and with it a few pixels.
                    difference = abs(pictures - reference)
                    self.assertLess(np.mean(difference > 1), 1e-3)

    def test_indexes_of_a_wide_net_are_the_same_everywhere(self):
        found = self.indexes("double")
        reference = next(iter(found.values()))
        self.assertEqual(reference.size, PHOTOS * 16 * ROWS * COLUMNS * CHANNELS)
        # The net uses its tables: all of them, and none most of the time.
        counts = np.bincount(reference.ravel(), minlength=64)
        self.assertGreater(counts.min(), 0)
        self.assertLess(counts.max(), 0.2 * reference.size)
        for name, index in found.items():
            self.assertEqual(np.count_nonzero(index != reference), 0, name)

    def test_float32_would_not_do(self):
        found = list(self.indexes("single").values())
        flips = [np.count_nonzero(a != b) for a, b in itertools.combinations(found, 2)]
        self.assertGreater(max(flips), 0)
        # Few enough to go unnoticed without such a net: about one in 100,000.
        self.assertLess(max(flips), 1e-3 * found[0].size)
