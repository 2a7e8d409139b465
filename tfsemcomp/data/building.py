"""From a collection of image files to records; sharding.py makes the shards."""

import dataclasses

from tfsemcomp import version
from tfsemcomp.data import preparation as preparations
from tfsemcomp.data import records, sharding
from tfsemcomp.data.items import Collection, Item


@dataclasses.dataclass(frozen=True)
class Settings:
    """How records are made of a collection.

    Attributes:
        out: local or ``tf.io.gfile`` folder for the shards.
        preparation: what is done to each picture.
        shards: files of each split.
        seed: fixes the order.
        skip_broken: pictures that cannot be read become dead letters; otherwise the
            first one ends the run.
    """

    out: str
    preparation: preparations.Preparation
    shards: int = 8
    seed: int = 1
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"`shards` must be at least 1; got {self.shards}.")


def build(
    collection: Collection,
    settings: Settings,
    run: sharding.Runner = sharding.run_here,
) -> dict[str, dict]:
    """Makes the records of all splits of a collection that are not there yet.

    Args:
        collection: the pictures.
        settings: how.
        run: makes parts; its processes, if any, need no order.

    Returns: the index of each split.
    Raises:
        SemCompError: a picture that cannot be read, without `skip_broken`; a split of
            which nothing can; or records of other settings in the folder.
    """
    splits = [_split(collection, name, settings) for name in collection.splits]
    return sharding.make(splits, run)


@dataclasses.dataclass(frozen=True)
class _Preparing:
    """Makes the record of an item; see `preparation.prepare`."""

    preparation: preparations.Preparation
    dataset: str
    split: str
    map_table: bytes | None

    def __call__(self, item: Item) -> sharding.Made:
        record = preparations.prepare(
            item,
            self.preparation,
            dataset=self.dataset,
            split=self.split,
            map_table=self.map_table,
        )
        return sharding.Made(records.serialize(record))


def _split(collection: Collection, name: str, settings: Settings) -> sharding.Split:
    held, shards = collection.splits[name], settings.shards
    plan = {
        "dataset": collection.name,
        "items": held.digest(),
        "count": len(held),
        "map_table": (collection.map_table or b"").hex(),
        "preparation": dataclasses.asdict(settings.preparation),
        "shards": shards,
        "seed": settings.seed,
        "version": version.__version__,
    }
    return sharding.Split(
        folder=settings.out,
        name=name,
        shards=shards,
        count=len(held),
        elements=lambda number: held.part(number, shards, settings.seed),
        transform=_Preparing(
            settings.preparation, collection.name, name, collection.map_table
        ),
        plan=plan,
        further={"map_classes": list(collection.map_classes)},
        classes=collection.classes,
        skip_broken=settings.skip_broken,
    )
