"""Where the tools that make shards run, and what a run took.

`--workers=N` makes N shards at a time. With `--runner=NAME` Apache Beam makes them, on
DirectRunner (this machine), FlinkRunner, SparkRunner or DataflowRunner, and flags that
are not the tool's own are Beam's, "--name=value" each. The files are the same.
"""

import collections
import functools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import app, flags
from tqdm import tqdm

from tfsemcomp.data import beam_running, sharding
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import workers

_RUNNER = flags.DEFINE_string("runner", "", "Beam runner; empty: processes here.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Shards at a time, here.", lower_bound=1)
_SKIP_BROKEN = flags.DEFINE_boolean("skip_broken", False, "Go on past bad pictures.")

# Runs a tool: makes its shards with what it is given and returns its summary.
Tool = Callable[[sharding.Runner], dict[str, Any]]


def run_tool(tool: Tool, default_runner: str = "") -> None:
    """Parses the flags, runs a tool, and prints its summary as one line of JSON.

    Seconds and peak memory, in MB and of the largest process, join the summary.

    Args:
        tool: see `Tool`.
        default_runner: of `--runner`.
    """
    flags.set_default(_RUNNER, default_runner)
    app.run(functools.partial(_main, tool), flags_parser=_parse)


def skip_broken() -> bool:
    """Whether pictures that fail become dead letters."""
    return _SKIP_BROKEN.value


def counts(index: Mapping[str, Any]) -> dict[str, int]:
    """What was read, written and left out of a split, for summaries.

    That they are those of the source was checked when the index was written.
    """
    written, left_out = index["records"], index["dead_letters"]
    return {"read": written + left_out, "records": written, "dead_letters": left_out}


def run_in_processes(parts: Sequence[sharding.Part], count: int) -> None:
    """Makes shards in this process or in several.

    Raises:
        SemCompError: a picture that fails, without `skip_broken`; or a process died.
    """
    with tqdm(total=len(parts), unit="shard", disable=None) as bar:
        if count == 1:
            for part in parts:
                sharding.make_part(part)
                bar.update()
            return
        queue = collections.deque(parts)
        for part, result in workers.stream(queue, _handler, (), count):
            if isinstance(result, workers.Death):
                raise SemCompError(
                    f"the process at shard {part.number} of {part.split} "
                    f"{result.reason}; run again to go on."
                )
            bar.update()


def _handler() -> workers.Handler:
    def handle(part: sharding.Part) -> Iterator[int]:
        sharding.make_part(part)
        yield part.number

    return handle


def _parse(argv: Sequence[str]) -> list[str]:
    """Leaves flags to Beam where there is a runner; otherwise all must be known."""
    rest = flags.FLAGS(argv, known_only=True)
    if len(rest) > 1 and not _RUNNER.value:
        flags.FLAGS.unparse_flags()
        rest = flags.FLAGS(argv)
    return rest


def _runner(arguments: Sequence[str]) -> sharding.Runner:
    stray = [argument for argument in arguments if not argument.startswith("--")]
    if stray:
        raise app.UsageError(f"flags are --name=value; got '{stray[0]}'.")
    count = _WORKERS.value
    if not _RUNNER.value:
        return functools.partial(run_in_processes, count=count)
    if count > 1:
        if _RUNNER.value != beam_running.DIRECT:
            raise app.UsageError(
                f"--workers is for this machine; {_RUNNER.value} has flags of its own."
            )
        arguments = [*arguments, *beam_running.direct_workers(count)]
    return beam_running.runner(_RUNNER.value, arguments)


def _main(tool: Tool, argv: Sequence[str]) -> None:
    start = time.monotonic()
    summary = tool(_runner(argv[1:]))
    summary["seconds"] = round(time.monotonic() - start, 1)
    summary["peak_memory_mb"] = round(_peak_bytes() / 1e6)
    print(json.dumps(summary))


def _peak_bytes() -> int:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who)
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else 1024 * peak
