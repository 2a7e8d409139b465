"""Makes shards on Apache Beam: on this machine, Flink, Spark or Dataflow.

    Create(parts) -> make shard -> count

An element of the pipeline is a part (sharding.py), so a worker streams one shard at a
time from its source to its file and holds one picture, whatever the collection has.
Grouping pictures into shards within the pipeline instead would hold all of them at
once on runners that keep their data in memory, as DirectRunner does. Workers may repeat
or race for a part: its file is the same each time and gets its name when it is whole.
The counters `written`, `dead_letters` and `failed_shards` show in the runner's console.

Workers need this package, the pictures' folder and the folder for the shards; the list
of the pictures of each part travels with the job.
"""

import importlib.util
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfsemcomp.data import sharding
from tfsemcomp.errors import SemCompError, UnavailableError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

DIRECT = "DirectRunner"
# What DirectRunner comes to in the end for a pipeline like this. By its own name it
# first tries to download another runner.
_DIRECT_CLASS = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
_NAMESPACE = "tfsemcomp"


def check_available() -> None:
    """Raises UnavailableError unless Apache Beam is installed."""
    if importlib.util.find_spec("apache_beam") is None:
        raise UnavailableError(
            "`--runner` needs Apache Beam, which is not installed: pip install "
            "tfsemcomp[beam]"
        )


def direct_workers(count: int) -> list[str]:
    """Options of DirectRunner for several processes."""
    return [f"--direct_num_workers={count}", "--direct_running_mode=multi_processing"]


def runner(name: str, arguments: Sequence[str] = ()) -> sharding.Runner:
    """What makes parts on a runner of Beam.

    Args:
        name: "DirectRunner" (this machine), "FlinkRunner", "SparkRunner",
            "DataflowRunner" or another that Beam knows.
        arguments: options of Beam, "--name=value" each.

    Raises:
        UnavailableError: Beam is not installed.
        ValueError: an option that Beam does not have.
    """
    check_available()
    options = _options(name, arguments)

    def run(parts: Sequence[sharding.Part]) -> None:
        if parts:
            _run(parts, options)

    return run


def _options(name: str, arguments: Sequence[str]) -> "PipelineOptions":
    from apache_beam.options import pipeline_options

    chosen = _DIRECT_CLASS if name.lower() == DIRECT.lower() else name
    options = pipeline_options.PipelineOptions([f"--runner={chosen}", *arguments])
    unknown = sorted(
        set(options.get_all_options(retain_unknown_options=True))
        - set(options.get_all_options())
    )
    if unknown:
        raise ValueError(
            f"`--{unknown[0]}` is a flag neither of this tool nor of Beam; check its "
            "name."
        )
    return options


def _run(parts: Sequence[sharding.Part], options: "PipelineOptions") -> None:
    import apache_beam as beam

    # Its runners tell of every step of theirs.
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    try:
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "parts" >> beam.Create(list(parts))
                | "make shards" >> beam.Map(_make)
            )
    except Exception as error:
        # Runners raise whatever they come upon: their own errors, those of gRPC, ours
        # as text.
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise SemCompError(
            f"the Beam pipeline failed: {first[-1]}; run again to go on."
        ) from error


def _make(part: sharding.Part) -> bool:
    """Makes a part on a worker; returns whether it was made."""
    from apache_beam import metrics

    def count(name: str, number: int) -> None:
        metrics.Metrics.counter(_NAMESPACE, name).inc(number)

    note = sharding.try_part(part)
    if note is None:
        count("failed_shards", 1)
        return False
    count("written", note["records"])
    count("dead_letters", len(note["dead_letters"]))
    return True
