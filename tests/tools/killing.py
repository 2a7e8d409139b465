"""Ends tools in the middle of their work."""

import os
import pathlib
import subprocess
import sys
import time


def kill_at_the_end(
    script: str, *flags: str, out: pathlib.Path, split: str, shards: int
) -> None:
    """Runs a tool and kills it (-9) when all shards but the last one are whole.

    The last one is written but not noted: a pipe that nobody reads takes the place of
    its note.

    Args:
        script: of the tool.
        *flags: of the tool.
        out: folder for its shards.
        split: that it makes.
        shards: of the split.
    """
    out.mkdir(exist_ok=True)
    shard = f"{split}-{shards - 1:05d}-of-{shards:05d}.tfrecord"
    pipe = out / f".{shard}.part.tmp"
    os.mkfifo(pipe)
    root = pathlib.Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with subprocess.Popen(
        [sys.executable, str(root / script), *flags],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 600
        while not (out / shard).exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.stderr.read()[-3000:])
            time.sleep(0.01)
        process.kill()
    pipe.unlink()
