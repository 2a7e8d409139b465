"""Processes that work through tasks, stream their results back, and may die.

Each process builds its handler once (imports, networks), then takes one task after the
other. They are spawned, never forked: a fork of a process with TensorFlow in it hangs.
So `build`, its arguments, tasks and results must be picklable, and a script that comes
to use this must guard its start by ``if __name__ == "__main__"``.
"""

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

from tfsemcomp import environment
from tfsemcomp.errors import SemCompError

Handler = Callable[[Any], Iterator[Any]]

# One thread for each library that would take all cores: processes do not get into each
# other's way then, and the times that they measure are those of one core.
ONE_THREAD: dict[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    # Several processes may share a GPU.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
_EXIT_SECONDS = 5

_READY, _RESULT, _DONE, _RAISED = "ready", "result", "done", "raised"


@dataclasses.dataclass(frozen=True)
class Death:
    """A process ended in the middle of a task.

    Attributes:
        reason: how, in words.
    """

    reason: str


class _Worker:
    """One process, its connection, and the task that it is at."""

    def __init__(self, build: Callable[..., Handler], arguments: tuple) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, build, arguments), daemon=True
        )
        self.task: Any = None
        with environment.changed(ONE_THREAD):
            self.process.start()
        # Ours must be the only copy, so that its death closes the connection.
        theirs.close()

    def wait_until_ready(self) -> None:
        """Raises what `build` raised; SemCompError if the process ended."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            raise SemCompError(
                f"a worker process {self.death().reason} before it could begin."
            ) from None
        if kind == _RAISED:
            raise value

    def death(self) -> Death:
        """How the process ended."""
        self.process.join(_EXIT_SECONDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            return Death(f"was killed by {signal.Signals(-code).name}")
        return Death(f"ended with status {code}")

    def stop(self) -> None:
        """Ends the process: at once where it is at a task."""
        self.connection.close()
        if self.task is not None:
            self.process.terminate()
        self.process.join(_EXIT_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def stream(
    queue: collections.deque,
    build: Callable[..., Handler],
    arguments: tuple,
    workers: int,
) -> Iterator[tuple[Any, Any]]:
    """Works through a queue of tasks with several processes.

    Args:
        queue: tasks, none of them None; taken from the left. More may be put in while
            results come.
        build: makes the handler in each process; the handler turns a task into an
            iterator of results.
        arguments: of `build`.
        workers: how many processes, at most one a task.

    Yields:
        A task and one result of it, in the order in which they come; or a task and its
        `Death`, after which another process takes the dead one's place and the task
        counts as done.

    Raises:
        SemCompError: a process that ended before it could begin.
        Exception: whatever `build` raises, or the handler.
    """
    pool: list[_Worker] = []
    try:
        while queue or any(worker.task is not None for worker in pool):
            busy = sum(worker.task is not None for worker in pool)
            # One after the other: what the first downloads is there for the others.
            while len(pool) < min(workers, busy + len(queue)):
                pool.append(_Worker(build, arguments))
                pool[-1].wait_until_ready()
            for worker in pool:
                if worker.task is None and queue:
                    worker.task = queue.popleft()
                    _send(worker.connection, worker.task)
            ready = connection.wait([worker.connection for worker in pool])
            for worker in [w for w in pool if w.connection in ready]:
                task = worker.task
                try:
                    kind, value = worker.connection.recv()
                except (EOFError, OSError):
                    death = worker.death()
                    worker.stop()
                    pool.remove(worker)
                    if task is not None:
                        yield task, death
                    continue
                if kind == _RAISED:
                    raise value
                if kind == _DONE:
                    worker.task = None
                else:
                    yield task, value
    finally:
        for worker in pool:
            worker.stop()


def _send(to: connection.Connection, task: Any) -> None:
    # A process that has died meanwhile is found out when its results are awaited.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        to.send(task)


def _serve(
    to: connection.Connection, build: Callable[..., Handler], arguments: tuple
) -> None:
    """The life of a worker process."""
    # Ctrl-C goes to all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print must not get into the parent's output: stdout to stderr.
    with contextlib.suppress(OSError):
        os.dup2(2, 1)
    # Without a parent there is nobody to work for.
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            handler = build(*arguments)
            to.send((_READY, None))
            while True:
                for result in handler(to.recv()):
                    to.send((_RESULT, result))
                to.send((_DONE, None))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            to.send((_RAISED, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return SemCompError(f"{type(error).__name__}: {error}")
    return error
