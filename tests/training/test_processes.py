import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase
from tests.training import networks
from tfsemcomp.data import pipeline
from tfsemcomp.training import loop

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH, STEPS, SEED = 4, 4, 1


def free_ports(count):
    """Ports of the loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class ProcessesTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = write_photos(self.folder / "records", 7)

    def start(self, name, *flags, cluster=None):
        """Starts tests/training/child.py; `cluster` is a worker's TF_CONFIG."""
        source = ":".join(self.source)
        command = [sys.executable, "-m", "tests.training.child", *flags]
        command += [f"--data={source}", f"--validation={source}"]
        command += [f"--batch={BATCH}", f"--steps={STEPS}", f"--seed={SEED}"]
        command += [f"--out={self.folder / name}"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment |= {"CUDA_VISIBLE_DEVICES": "", "TMPDIR": self.temporary(name)}
        if cluster:
            environment["TF_CONFIG"] = json.dumps(cluster)
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.addCleanup(process.kill)
        return process

    def temporary(self, name):
        """A folder for what a process should not leave behind."""
        folder = self.folder / "temporary" / name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def wait(self, *processes, code=0):
        for process in processes:
            _, errors = process.communicate(timeout=300)
            self.assertEqual(process.returncode, code, errors[-3000:])

    def train_here(self, name, noise, piece):
        """The same training in this process: one device, unbroken."""
        config = loop.FitConfig(
            str(self.folder / name), STEPS, piece, seed=SEED, tensorboard=False
        )
        model = loop.fit(
            lambda: networks.a_model(noise),
            lambda step: pipeline.training_batches(
                [self.source], BATCH, networks.PLAN, SEED, start_step=step
            ),
            config,
            lambda: pipeline.evaluation_batches(self.source, 4, networks.PLAN.crop),
        )
        return networks.state(model)

    def curve(self, name):
        return (self.folder / name / "history.csv").read_text()

    def state(self, name):
        with np.load(self.folder / name / "state.npz") as file:
            return [file[key] for key in file.files]

    def test_a_killed_run_goes_on_as_if_nothing_had_happened(self):
        piece = "--steps_per_epoch=2"
        self.wait(self.start("run", piece, "--kill_at=3"), code=-signal.SIGKILL)
        self.assertFalse((self.folder / "run" / "state.npz").exists())
        self.assertLen(self.curve("run").splitlines(), 1 + 1)
        resumed = self.start("run", piece)
        whole = self.train_here("whole", True, 2)
        self.wait(resumed)
        self.assertLen(self.curve("run").splitlines(), 1 + 2)
        self.assertEqual(self.curve("run"), self.curve("whole"))
        for one, two in zip(whole, self.state("run"), strict=True):
            np.testing.assert_array_equal(one, two)

    def test_two_workers_agree_with_one(self):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        flags = ("--nonoise", "--steps_per_epoch=4")
        workers = [
            self.start(
                "workers",
                *flags,
                "--strategy=multi_worker",
                cluster={
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                },
            )
            for index in range(2)
        ]
        self.assert_agrees_with_one_device("workers", workers)

    def test_two_devices_agree_with_one(self):
        flags = ("--nonoise", "--steps_per_epoch=4")
        process = self.start("devices", *flags, "--strategy=mirrored", "--devices=2")
        self.assert_agrees_with_one_device("devices", [process])

    def assert_agrees_with_one_device(self, name, processes):
        start = networks.state(networks.a_model(False))
        one = self.train_here("one", False, 4)
        self.wait(*processes)
        for before, expected, got in zip(
            start, one, self.state(name)[: len(start)], strict=False
        ):
            moved = np.abs(expected - before).max()
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-3 * moved)
        expected, got = self.curve("one").split(), self.curve(name).split()
        self.assertEqual(got[0], expected[0])
        np.testing.assert_allclose(
            [float(cell) for cell in got[1].split(",")],
            [float(cell) for cell in expected[1].split(",")],
            rtol=1e-5,
        )
        checkpoints = [p.name for p in (self.folder / name / "checkpoints").iterdir()]
        self.assertLen(checkpoints, 3)
        self.assertEqual(os.listdir(self.temporary(name)), [])
