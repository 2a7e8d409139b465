"""The flags of recipes that train on edge maps of records, and how those vary."""

import dataclasses

from absl import flags

from tfsemcomp.models import conceptual_structure as structures

# The flags are those of the recipe that calls `define`, in --help.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class EdgeMapFlags:
    """The flags, to be read when they are parsed.

    Attributes:
        holders: by name.
    """

    holders: dict[str, flags.FlagHolder]

    @property
    def planes(self) -> list[str]:
        """Names of the features that hold edge maps."""
        return self.holders["planes"].value

    def degradation(self) -> structures.Degradation:
        """How maps vary.

        Raises: ValueError for scales or thresholds that it cannot take.
        """
        low, high = (float(text) for text in self.holders["thresholds"].value)
        scales = tuple(int(text) for text in self.holders["scales"].value)
        return structures.Degradation(
            scales, (low, high), self.holders["edge_dropout"].value
        )


def define(
    scales: list[str], flag_values: flags.FlagValues = flags.FLAGS
) -> EdgeMapFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        scales: default of --scales.
        flag_values: where they go.
    """
    place = {"flag_values": flag_values}
    holders = [
        flags.DEFINE_list(
            "planes", ["edges/encoded"], "Features with edge maps.", **place
        ),
        flags.DEFINE_list("scales", scales, "Sizes of maps: 1/1, 1/2, 1/4.", **place),
        flags.DEFINE_list(
            "thresholds",
            ["0.25", "0.6"],
            "Least and largest share of strength of a line.",
            **place,
        ),
        flags.DEFINE_float(
            "edge_dropout", 0.2, "Most squares without lines.", 0, 1, **place
        ),
    ]
    return EdgeMapFlags({holder.name: holder for holder in holders})
