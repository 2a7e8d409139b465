"""Codecs in many threads and processes at once give what they give alone."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import subprocess
import sys

from absl.testing import parameterized

from tests.codecs.learned_codecs import LearnedCodecTestCase
from tests.fuzz import samples
from tests.harness import SemCompTestCase, smooth_image
from tests.trust import workers
from tfsemcomp.codecs import base

THREADS, PROCESSES = 8, 4
SECONDS = 300
NAMES = [
    name
    for name in samples.SAMPLES
    if base.codec_class(name).unavailable_reason() is None
]


class ThreadsTest(LearnedCodecTestCase):
    def setUp(self):
        SemCompTestCase.setUp(self)

    @parameterized.parameters(*NAMES)
    def test_one_object_in_eight_threads(self, name):
        sample = samples.SAMPLES[name]
        if sample.models is not None:
            self.use_models(sample.models())
        codec, settings = base.get_codec(name), sample.settings[0]
        images = [smooth_image(30 + n, 40, seed=n) for n in range(4)]

        def work(number):
            data = codec.compress(images[number % len(images)], **settings)
            return data, codec.decompress(data).tobytes()

        # All at once, while nothing is loaded yet.
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            jobs = [pool.submit(work, n) for n in range(2 * THREADS)]
            found = [job.result(SECONDS) for job in jobs]
        alone = [work(number) for number in range(len(images))]
        self.assertEqual(found, alone * (2 * THREADS // len(images)))


class ProcessesTest(SemCompTestCase):
    def test_four_processes_that_were_spawned(self):
        folders = workers.models_of(NAMES)
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            jobs = [pool.apply_async(workers.code_all, (folders,)) for _ in range(4)]
            found = [job.get(SECONDS) for job in jobs]
        for name in NAMES:
            for other in found[1:]:
                self.assertEqual(other[name], found[0][name], name)

    def test_forks_work_before_the_first_network_and_say_so_afterwards(self):
        folder = workers.models_of(["hyperprior"])["hyperprior"]
        root = pathlib.Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-m", "tests.trust.forked", folder],
            capture_output=True,
            text=True,
            cwd=root,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            timeout=SECONDS,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        before, own, after, other = done.stdout.splitlines()
        self.assertEqual(before.split(), [own, own])
        self.assertIn("SemCompError: this process was forked", after)
        self.assertEqual(other, "none")
