"""Where the files that come with the package lie: beside it in a clone, or put by pip.

pip puts what is no module below `share/tfsemcomp` of its data folder, which differs
between environments, installations for one user and those with --target.
"""

import pathlib
import site
import sysconfig

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def places(name: str, in_clone: str | None = None) -> list[pathlib.Path]:
    """Where a folder of the package may lie, the likeliest first.

    Args:
        name: of the folder below `share/tfsemcomp`.
        in_clone: its path in a clone, if that is another one.
    """
    bases = [sysconfig.get_path("data"), site.getuserbase(), _ROOT]
    installed = [pathlib.Path(base, "share", "tfsemcomp", name) for base in bases]
    return [_ROOT / (in_clone or name), *dict.fromkeys(installed)]
