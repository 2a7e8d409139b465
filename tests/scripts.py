"""Runs scripts of the project, each in its own process that begins with TensorFlow.

Importing TensorFlow takes longer than most scripts do on tiny data. So one process
imports it, and is forked for each script, before anything was done with it.
"""

import atexit
import dataclasses
import multiprocessing
import os
import pathlib
import runpy
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 600
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.scripts_preload"])


@dataclasses.dataclass(frozen=True)
class Done:
    """What a script did: its exit status and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(script: str, flags: tuple[str, ...], folder: pathlib.Path) -> Done:
    """Runs a script as `python script flags` does.

    Args:
        script: its path in the project.
        flags: its arguments.
        folder: where it runs.
    """
    with tempfile.TemporaryDirectory() as name:
        outputs = [pathlib.Path(name, kind) for kind in ("stdout", "stderr")]
        arguments = (script, flags, str(folder), dict(os.environ), *map(str, outputs))
        process = _CONTEXT.Process(target=_work, args=arguments)
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        texts = [path.read_text() if path.exists() else "" for path in outputs]
        return Done(process.exitcode, *texts)


def _work(
    script: str,
    flags: tuple[str, ...],
    folder: str,
    environment: dict[str, str],
    stdout: str,
    stderr: str,
) -> None:
    """What the forked process does; it never returns."""
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    path = ROOT / script
    sys.argv = [str(path), *flags]
    sys.path.insert(0, str(path.parent))
    status = 0
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the end that multiprocessing gives its processes: a script has none.
    os._exit(status)
