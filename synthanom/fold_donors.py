"""Which donors the rows of a fold may borrow from: their own fold's only, so that folds stay apart.

The builder, live training and replays all ask here, so that they agree.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from synthanom.donors import DonorSet
from synthanom.errors import SynthanomError
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.textures import SET_NAME, TextureDonors

OWN_SET = "own"  # the donor set's name in recipes where donors are rows of the same data set
TEXTURES_PER_FOLD = 32
LARGEST_TEXTURE = {2: 256, 3: 64}  # voxels a side: 64^3 takes 0.06 s to make, 160 x 224 x 160 took 1.7 s
KEPT_BYTES = 128 * 2**20  # of donors kept decompressed, per fold and task


@dataclass(frozen=True, eq=False)
class HealthyRows(Sequence[Sample]):
    """Some healthy rows of a data set as a sequence of Samples, read when asked for."""

    data: DataSet
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self.indices)))]
        return self.data.healthy(self.indices[index])


@dataclass(frozen=True, eq=False)
class RecentlyUsed(Sequence[Sample]):
    """A sequence of Samples, the last few of which are kept instead of being read or made again."""

    samples: Sequence[Sample]
    _kept: OrderedDict[int, Sample] = field(default_factory=OrderedDict, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self.samples)))]
        sample = self._kept.pop(index, None)
        if sample is None:
            sample = self.samples[index]
        self._kept[index] = sample
        held = sum(kept.image.nbytes for kept in self._kept.values())
        while held > KEPT_BYTES and len(self._kept) > 1:
            held -= self._kept.popitem(last=False)[1].image.nbytes
        return sample


def texture_settings(shape: Sequence[int], channels: int, deviation: float) -> dict[str, Any]:
    """What a data set's configuration stores under "donors" when `inter_blend` borrows from procedural textures.

    Textures are no larger than they need to be: a patch that wants more is taken at a finer scale.
    """
    return {
        "kind": SET_NAME,
        "shape": [min(side, LARGEST_TEXTURE[len(shape)]) for side in shape],
        "channels": channels,
        "deviation": deviation,
        "per_fold": TEXTURES_PER_FOLD,
    }


def fold_donors(data: DataSet, fold: int, donors: Mapping[str, Any], external: DataSet | None) -> dict[str, DonorSet]:
    """The donors of every task for the rows of one fold.

    Parameters
    ----------
    data : DataSet
        Whose healthy rows of the same fold `intra_blend` borrows from.
    fold : int
    donors : mapping
        The configuration's "donors": texture settings (`texture_settings`) or ``{"kind": "data set", "name", "sha256",
        "path", "folds"}`` with the fold of every external subject.
    external : DataSet, optional
        The external donors, opened, where the configuration names a data set.

    Returns
    -------
    dict from stored task names to DonorSet

    Raises
    ------
    SynthanomError
        If the configuration names an external data set and none is given.
    """
    own = [i for i, subject in enumerate(data.healthy_subjects) if data.folds[subject] == fold]
    return {"intra_blend": _rows(data, own, OWN_SET), "inter_blend": _external(fold, donors, external)}


def _external(fold: int, donors: Mapping[str, Any], external: DataSet | None) -> DonorSet:
    if donors["kind"] == SET_NAME:
        per_fold = int(donors["per_fold"])
        textures = TextureDonors(
            shape=tuple(donors["shape"]),
            channels=int(donors["channels"]),
            deviation=float(donors["deviation"]),
            total=per_fold,
            start=fold * per_fold,
        )
        names = tuple(f"texture-{textures.start + i}" for i in range(per_fold))
        return DonorSet(name=SET_NAME, samples=RecentlyUsed(textures), ids=names, subjects=names)
    if external is None:
        raise SynthanomError(f"inter_blend borrows from data set {donors['name']!r}, which is not given; pass --donors")
    folds = donors["folds"]
    rows = [i for i, subject in enumerate(external.healthy_subjects) if folds[subject] == fold]
    return _rows(external, rows, str(donors["name"]))


def _rows(data: DataSet, rows: Sequence[int], name: str) -> DonorSet:
    return DonorSet(
        name=name,
        samples=RecentlyUsed(HealthyRows(data, tuple(rows))),
        ids=tuple(data.healthy_ids[i] for i in rows),
        subjects=tuple(data.healthy_subjects[i] for i in rows),
    )
