"""Worker processes: results stream, deaths are told, errors and orphans end well."""

import collections
import multiprocessing
import os
import signal
import subprocess
import sys
import time

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import workers

VARIABLE = "OMP_NUM_THREADS"


class TwoPartError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def build(factor):
    """Counts to a task's number; dies, fails or tells its environment if asked to."""

    def handle(task):
        if task == "environment":
            yield os.environ.get(VARIABLE)
            return
        if task == "fail":
            raise TwoPartError("this", "that")
        for number in range(abs(task)):
            yield factor * number
        if task < -10:
            os._exit(3)
        if task < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return handle


def build_not(kind):
    """A handler that cannot be built."""
    if kind == "dies":
        os._exit(4)
    raise UnavailableError("no weights here")


def count_forever(folder):
    """Writes a file and goes on."""

    def handle(task):
        while True:
            (folder / f"{os.getpid()}").write_text("alive", encoding="utf-8")
            time.sleep(0.05)
            yield 0

    return handle


class StreamTest(SemCompTestCase):
    def run_all(self, *tasks, count=2):
        found = collections.defaultdict(list)
        for task, result in workers.stream(
            collections.deque(tasks), build, (10,), count
        ):
            found[task].append(result)
        self.assertEqual(multiprocessing.active_children(), [])
        return found

    def test_every_task_gives_its_results_in_order(self):
        found = self.run_all(3, 0, 5, 1)
        self.assertEqual(found, {3: [0, 10, 20], 5: [0, 10, 20, 30, 40], 1: [0]})

    def test_a_death_is_told_with_what_came_before(self):
        found = self.run_all(-2, 4, -11, 3)
        self.assertEqual(found[-2], [0, 10, workers.Death("was killed by SIGKILL")])
        self.assertEqual(found[-11][-1], workers.Death("ended with status 3"))
        self.assertEqual((len(found[4]), len(found[3])), (4, 3))

    def test_tasks_may_join_while_results_come(self):
        queue = collections.deque([-1])
        found = []
        for task, _ in workers.stream(queue, build, (1,), 1):
            found.append(task)
            if len(found) == 2:
                queue.append(2)
        self.assertEqual(found, [-1, -1, 2, 2])

    def test_one_thread_each_and_only_there(self):
        before = os.environ.get(VARIABLE)
        self.assertEqual(self.run_all("environment")["environment"], ["1"])
        self.assertEqual(os.environ.get(VARIABLE), before)

    def test_errors_come_back(self):
        with self.assertRaisesRegex(SemCompError, "TwoPartError: this and that"):
            self.run_all("fail")
        with self.assertRaisesRegex(UnavailableError, "no weights here"):
            next(workers.stream(collections.deque([1]), build_not, ("raises",), 1))
        with self.assertRaisesRegex(SemCompError, "ended with status 4 before it"):
            next(workers.stream(collections.deque([1]), build_not, ("dies",), 1))
        self.assertEqual(multiprocessing.active_children(), [])

    def test_leaving_early_ends_the_processes(self):
        results = workers.stream(
            collections.deque([1, 2]), count_forever, (self.folder,), 2
        )
        next(results)
        results.close()
        self.assertEqual(multiprocessing.active_children(), [])

    def test_processes_end_with_their_parent(self):
        code = (
            "import collections, os, pathlib, signal\n"
            "from tests.evaluation import test_workers\n"
            "from tfsemcomp.evaluation import workers\n"
            f"folder = pathlib.Path({str(self.folder)!r})\n"
            "arguments = (test_workers.count_forever, (folder,), 1)\n"
            "next(workers.stream(collections.deque([1]), *arguments))\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, timeout=60
        )
        self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        (file,) = self.folder.iterdir()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            before = file.stat().st_mtime_ns
            time.sleep(0.3)
            if file.stat().st_mtime_ns == before:
                return
        self.fail("the worker goes on without its parent")
