"""Compresses a collection of records with any codec, at several qualities.

`--records=FOLDER:SPLIT` are records of build_records.py. OUT gets their pictures as the
codec is given them, as split `original`, and a split for each quality, which holds for
each picture its whole file, rate, model and decoded picture, and reads like ordinary
records (tfsemcomp/data/compressed.py); recipes/evaluate_observers.py judges such a
folder. Run again with another codec or quality, the tool adds splits to it.

`--codec` is a codec or a model, `--qualities` are numbers of it (default: five over its
range), `--settings=NAME=VALUE,...` its further settings. `--metrics=psnr,ms_ssim`
measures each picture; `--nodecoded` leaves the decoded ones out, which is most of the
size. `--short_side` scales pictures and their maps first.

A picture that fails, or a record that is damaged, ends the run, or with `--skip_broken`
becomes a line of OUT/SPLIT.dead_letters.jsonl; records and dead letters add up to what
was read. A run that was killed goes on where it was. It runs on Apache Beam
(`pip install tfsemcomp[beam]`): `--runner=DirectRunner` on this machine, with
`--workers` processes; FlinkRunner, SparkRunner and DataflowRunner take their own flags.
`--runner=` does without Beam.

Run:
    python tfrecords_tools/compress_records.py --records=records/coco:val \
        --codec=hyperprior --qualities=2,4,6 --metrics=psnr --out=records/coco_coded
Cost:   the time of codec and metrics, once for each picture and quality.
Expect: a line of JSON with counts, bytes, bits a pixel and metrics, means over the
        pictures of each split, and the run's seconds and peak memory.
"""

from typing import Any

from absl import flags

from tfsemcomp import api
from tfsemcomp.data import compressed, producers, records, sharding, tool_running
from tfsemcomp.evaluation import sweep

_RECORDS = flags.DEFINE_string("records", None, "FOLDER:SPLIT.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for the shards.", required=True)
_CODEC = flags.DEFINE_string("codec", None, "Codec or model.", required=True)
_QUALITIES = flags.DEFINE_list("qualities", [], "Numbers; default: five.")
_SETTINGS = flags.DEFINE_list("settings", [], "NAME=VALUE, further ones of the codec.")
_METRICS = flags.DEFINE_list("metrics", [], "Of the decoded pictures, as psnr.")
_DECODED = flags.DEFINE_boolean("decoded", True, "Keep the decoded pictures.")
_SHORT_SIDE = flags.DEFINE_integer("short_side", 0, "Pixels; 0 keeps pictures.", 0)

flags.adopt_module_key_flags(tool_running)


def plan() -> list[sweep.Job]:
    """The codec at each quality.

    Raises:
        ValueError: an unknown codec, quality or setting.
    """
    codec = api.load(_CODEC.value)
    try:
        qualities = [float(text) for text in _QUALITIES.value]
    except ValueError:
        raise ValueError(
            f"`--qualities` must be numbers; got '{','.join(_QUALITIES.value)}'."
        ) from None
    settings = producers.parse_settings(codec, _SETTINGS.value)
    return sweep.plan([codec], qualities, {codec.name: settings})


def compress(run: sharding.Runner) -> dict[str, Any]:
    """Makes the originals, then all splits; returns counts and means."""
    jobs = plan()
    originals = compressed.originals_split(
        records.parse_source(_RECORDS.value),
        _OUT.value,
        _SHORT_SIDE.value,
        skip_broken=tool_running.skip_broken(),
    )
    indexes = sharding.make([originals], run)
    splits = [
        compressed.compressed_split(
            _OUT.value,
            job.codec,
            job.setting,
            job.arguments,
            decoded=_DECODED.value,
            metrics=_METRICS.value,
            skip_broken=tool_running.skip_broken(),
        )
        for job in jobs
    ]
    indexes |= sharding.make(splits, run)
    summary = {
        name: {**tool_running.counts(index), **index.get("means", {})}
        for name, index in indexes.items()
    }
    return {"out": _OUT.value, "splits": summary}


if __name__ == "__main__":
    tool_running.run_tool(compress, default_runner="DirectRunner")
