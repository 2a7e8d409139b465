"""The flags of recipes whose losses compare what a frozen network sees."""

import dataclasses

from absl import flags

from tfsemcomp.losses import features
from tfsemcomp.models import structure_generator, teacher

# The flags are those of the recipe that calls `define`, in --help.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class TeacherFlags:
    """The flags, to be read when they are parsed.

    Attributes:
        holders: by name.
    """

    holders: dict[str, flags.FlagHolder]

    @property
    def kind(self) -> str:
        """How features are compared, one of `losses.features.KINDS`."""
        return self.holders["feature_kind"].value

    def features(self, smoke: bool) -> structure_generator.Features | None:
        """The frozen network as a function; None without one, and in a smoke test.

        Raises: as `teacher.feature_function`.
        """
        given = {name: holder.value for name, holder in self.holders.items()}
        if smoke or given["teacher"] == "none":
            return None
        return teacher.feature_function(
            given["feature_network"], given["teacher"], given["feature_layers"]
        )


def define(kind: str, flag_values: flags.FlagValues = flags.FLAGS) -> TeacherFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        kind: default of --feature_kind.
        flag_values: where they go.
    """
    place = {"flag_values": flag_values}
    holders = [
        flags.DEFINE_string(
            "teacher", "none", "`imagenet`, an npz or `none`.", **place
        ),
        flags.DEFINE_enum(
            "feature_network",
            "mobilenet",
            ("mobilenet", "vgg16"),
            "Whose features.",
            **place,
        ),
        flags.DEFINE_list(
            "feature_layers",
            ["conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu"],
            "Layers that are compared.",
            **place,
        ),
        flags.DEFINE_enum("feature_kind", kind, features.KINDS, "How.", **place),
    ]
    return TeacherFlags({holder.name: holder for holder in holders})
