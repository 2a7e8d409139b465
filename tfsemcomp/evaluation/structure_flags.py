"""The flags of recipes that export models of codecs with edge maps."""

import dataclasses
from typing import TYPE_CHECKING, Any

from absl import flags

from tfsemcomp.semantics import edges

if TYPE_CHECKING:
    from tfsemcomp.entropy.context_mixing import Primed

# The flags are those of the recipe that calls `define`.
flags.disclaim_key_flags()

_OPTIONS = {"method": str, "threshold": float, "sigma": float, "model": str}
_SCALE = "scale"


@dataclasses.dataclass(frozen=True)
class StructureFlags:
    """The flags, to be read when they are parsed.

    Attributes:
        edges: name=value pairs.
        primed_file: path of a primed coder, or None.
        options: types of the values, by name.
    """

    edges: flags.FlagHolder[list[str]]
    primed_file: flags.FlagHolder[str | None]
    options: dict[str, type]

    def facts(self) -> dict[str, Any]:
        """How edges were found that the model was trained on, for its card.

        Raises:
            ValueError: the pairs are none, or name an unknown method or option.
        """
        found = {}
        for text in self.edges.value:
            name, _, value = text.partition("=")
            if name not in self.options:
                raise ValueError(
                    f"`--{self.edges.name}` are name=value pairs of "
                    f"{', '.join(self.options)}; got '{text}'."
                )
            found[name] = self.options[name](value)
        checked = {name: value for name, value in found.items() if name != _SCALE}
        edges.check_options(**{"method": "", **checked})
        return found

    def primed(self) -> "Primed | None":
        """What the coder of edge maps starts with, if there is such a file.

        Raises: as `context_mixing.load`.
        """
        from tfsemcomp.entropy import context_mixing

        path = self.primed_file.value
        return None if path is None else context_mixing.load(path)


def define(
    name: str = "structure",
    *,
    scale: bool = False,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> StructureFlags:
    """Defines the flags; a recipe calls it once, as its module is loaded.

    Args:
        name: of the flag that tells how edges were found.
        scale: whether it may tell the pixels to a sample of the map, too.
        flag_values: where the flags go.
    """
    place = {"flag_values": flag_values}
    options = {**_OPTIONS, _SCALE: int} if scale else _OPTIONS
    return StructureFlags(
        flags.DEFINE_list(name, ["method=canny"], "How edges were found.", **place),
        flags.DEFINE_string("primed", None, "Primed coder of the edges.", **place),
        options,
    )
