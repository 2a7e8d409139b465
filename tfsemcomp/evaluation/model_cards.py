"""The cards of exported models: what is in each, and the results that come later.

_CARD = model_cards.define("rnn")
...
_CARD.write(path, record, parameters=..., codes=...)
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from tfsemcomp.evaluation import provenance
from tfsemcomp.serving import manifest

# The flags are those of the recipe that calls `define`.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class CardFlags:
    """The flags of a recipe that exports models, to be read when they are parsed.

    Attributes:
        system: of the models.
        holders: by name.
        run_flag: name of the flag that holds the folder of the training.
    """

    system: str
    holders: dict[str, flags.FlagHolder]
    run_flag: str = "run"

    @property
    def run(self) -> pathlib.Path:
        """Folder of the training."""
        return pathlib.Path(self.holders[self.run_flag].value)

    @property
    def root(self) -> pathlib.Path:
        """Folder of the model, which has its versions."""
        return pathlib.Path(self.holders["out"].value) / self.holders["name"].value

    @property
    def version(self) -> int:
        """The version to write."""
        return self.holders["version"].value

    def record(self) -> dict[str, Any]:
        """What the training wrote of itself."""
        return json.loads((self.run / "run.json").read_text(encoding="utf-8"))

    def write(self, path: pathlib.Path, **facts: Any) -> None:
        """Writes card.json, enters the model into the manifest, and prints a line.

        Args:
            path: version folder of the model.
            **facts: of this model; `parameters` at least.
        """
        values = {name: holder.value for name, holder in self.holders.items()}
        record = self.record()
        steps, batch = record["flags"]["steps"], record["flags"]["batch"]
        card = {
            "name": values["name"],
            "version": values["version"],
            "system": self.system,
            "summary": values["summary"],
            "network": record["network"],
            **facts,
            "recipe": values["recipe"],
            "steps": values["steps"] or steps,
            "images_seen": values["images_seen"] or steps * batch,
            "data": dict(pair.split("=", 1) for pair in values["terms"]),
            "git_commit": provenance.commit(),
            "sha256": manifest.sha256(path / "saved_model.pb"),
            "results": {},
        }
        manifest.add(pathlib.Path(values["out"]), card, values["default"])
        print(json.dumps({"model": str(path), "parameters": facts["parameters"]}))


def define(
    system: str,
    default: bool = False,
    flag_values: flags.FlagValues = flags.FLAGS,
    run: str = "run",
) -> CardFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        system: of the models, as a codec is called.
        default: of the flag so called.
        flag_values: where the flags go.
        run: name of the flag for the folder of the training, of several the first.
    """
    place = {"flag_values": flag_values}
    holders = [
        flags.DEFINE_string(run, None, "Folder of the run.", required=True, **place),
        flags.DEFINE_string("name", None, "Of the model.", required=True, **place),
        flags.DEFINE_string("out", "saved_models", "Folder of models.", **place),
        flags.DEFINE_integer("version", 1, "Version folder.", lower_bound=1, **place),
        flags.DEFINE_boolean("default", default, f"For {system}'s default.", **place),
        flags.DEFINE_string("summary", "", "What it is, for the card.", **place),
        flags.DEFINE_multi_string(
            "terms", [], "name=terms of the data, for the card; repeatable.", **place
        ),
        flags.DEFINE_multi_string(
            "recipe", [], "Command that trained it, for the card; repeatable.", **place
        ),
        flags.DEFINE_integer(
            "steps", 0, "Optimizer steps of all runs, for the card.", **place
        ),
        flags.DEFINE_integer(
            "images_seen", 0, "Crops of all runs, for the card.", **place
        ),
    ]
    return CardFlags(system, {holder.name: holder for holder in holders}, run)


def enter_results(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds measured results to the cards of installed models.

    Args:
        results: name of a model -> what its card then has under `results`, beside
            what is there under other keys.
    """
    for model in manifest.list_models():
        if model.name in results:
            own = {**model.card.get("results", {}), **results[model.name]}
            card = {**model.card, "results": own}
            manifest.add(model.path.parents[1], card, model.default)
