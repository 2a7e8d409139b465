"""Stores what lower layers give for each picture, for training the layers above them.

`--records=FOLDER:SPLIT` are records of build_records.py. Split SPLIT of OUT gets the
same records with a layer for each `--layer=NAME=PRODUCER`, a repeated flag:

  codec:CODEC_OR_MODEL;quality=3;layers=2   decoded picture and stream of the first
                                            layers of a codec; all without `layers`
  roi:class_features                        map of what matters
  edges:canny;sigma=1.5                     edges

(tfsemcomp/data/producers.py). Every record and the index keep the fingerprint of the
model that made a layer. tfsemcomp/data/materialized.py reads them, and checks that the
fingerprints are those of the models that one has.

A picture that fails, or a record that is damaged, ends the run, or with `--skip_broken`
becomes a line of OUT/SPLIT.dead_letters.jsonl; records and dead letters add up to what
was read. A run that was killed goes on where it was. It runs on Apache Beam
(`pip install tfsemcomp[beam]`): `--runner=DirectRunner` on this machine, with
`--workers` processes; FlinkRunner, SparkRunner and DataflowRunner take their own flags.
`--runner=` does without Beam.

Run:
    python tfrecords_tools/materialize_layers.py --records=records/coco:train \
        --layer="signal=codec:hyperprior;quality=3" --layer=edges=edges:canny \
        --out=records/coco_layers
Cost:   the time of the producers, once for each picture.
Expect: a line of JSON with counts, means over the pictures, the layers with their
        fingerprints, and the run's seconds and peak memory.
"""

from typing import Any

from absl import flags

from tfsemcomp.data import materialized, records, sharding, tool_running

_RECORDS = flags.DEFINE_string("records", None, "FOLDER:SPLIT.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for the shards.", required=True)
_LAYERS = flags.DEFINE_multi_string("layer", None, "NAME=PRODUCER.", required=True)
flags.adopt_module_key_flags(tool_running)


def parse_layers(texts: list[str]) -> dict[str, str]:
    """Producers by layer name.

    Raises:
        ValueError: no such pair, or a name given twice.
    """
    layers = {}
    for text in texts:
        name, equals, producer = text.partition("=")
        if not equals or name in layers:
            raise ValueError(
                f"`--layer` is NAME=PRODUCER, each name once; got '{text}'."
            )
        layers[name] = producer
    return layers


def materialize(run: sharding.Runner) -> dict[str, Any]:
    """Makes the records with layers; returns counts and what the layers are."""
    split = materialized.split(
        records.parse_source(_RECORDS.value),
        _OUT.value,
        parse_layers(_LAYERS.value),
        skip_broken=tool_running.skip_broken(),
    )
    (index,) = sharding.make([split], run).values()
    return {
        "out": _OUT.value,
        "split": split.name,
        **tool_running.counts(index),
        "means": index.get("means", {}),
        "layers": materialized.layers_of(_OUT.value, split.name),
    }


if __name__ == "__main__":
    tool_running.run_tool(materialize, default_runner="DirectRunner")
