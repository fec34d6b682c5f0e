"""Which donors the rows of a fold may borrow from: their own fold's only, so that folds stay apart.

The builder, live training and replays all ask here, so that they agree.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from synthanom.donors import DonorSet
from synthanom.errors import SynthanomError
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.streams import stream
from synthanom.tasks import TASKS
from synthanom.textures import SET_NAME, TextureDonors

OWN_SET = "own"  # the donor set's name in recipes where donors are rows of the same data set
TEXTURES_PER_FOLD, FEWEST_TEXTURES = 32, 8  # of one channel, and of many: all of a data set fit in memory
LARGEST_TEXTURE = {2: 256, 3: 64}  # voxels a side: 64^3 takes 0.06 s to make, 160 x 224 x 160 took 1.7 s
KEPT_BYTES = 128 * 2**20  # of donors kept decompressed


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


@dataclass(eq=False)
class Kept:
    """Samples that were read or made lately, up to a bound; the longest unused are let go first.

    One may serve the donors of several folds and tasks: their samples are told apart by who they are.

    Attributes
    ----------
    most : int
        Bytes of images and foregrounds.
    """

    most: int = KEPT_BYTES
    _samples: OrderedDict[tuple[str, int], Sample] = field(default_factory=OrderedDict, repr=False)
    _held: int = 0

    def get(self, key: tuple[str, int], make: Callable[[], Sample]) -> Sample:
        """The sample of this key, made anew if it is not kept."""
        sample = self._samples.pop(key, None)
        if sample is None:
            sample = make()
            self._held += _bytes(sample)
        self._samples[key] = sample
        while self._held > self.most and len(self._samples) > 1:
            self._held -= _bytes(self._samples.popitem(last=False)[1])
        return sample


def _bytes(sample: Sample) -> int:
    return sample.image.nbytes + sample.foreground.nbytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """What stays in memory of donors, images and textures apart: images come and go, textures are few and slow to make.

    Attributes
    ----------
    images : Kept
    textures : Kept
    """

    images: Kept = field(default_factory=Kept)
    textures: Kept = field(default_factory=Kept)


@dataclass(frozen=True, eq=False)
class RecentlyUsed(Sequence[Sample]):
    """A sequence of Samples, the last few of which are kept instead of being read or made again.

    Attributes
    ----------
    samples : sequence of Samples
    kept : Kept
    keys : sequence of (str, int), optional
        By which `kept` knows them, where it serves others too; by default their places in the sequence.
    """

    samples: Sequence[Sample]
    kept: Kept = field(default_factory=Kept, repr=False)
    keys: Sequence[tuple[str, int]] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self.samples)))]
        key = ("", index) if self.keys is None else self.keys[index]
        return self.kept.get(key, lambda: self.samples[index])


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """Which few donors of a fold one part of a build borrows from: reading an image takes longer than borrowing.

    Each part of the build draws its own, so that together they borrow from everybody.

    Attributes
    ----------
    seed : int
        The build's.
    part : int
        Number of the part.
    subjects : int
        Of whom one image each is taken; at least 2, so that everybody finds another.
    """

    seed: int
    part: int
    subjects: int

    def of(self, fold: int, task: str, rows: Sequence[int], subjects: Sequence[str]) -> list[int]:
        """Some of the rows, in order: all where there are no more subjects than are wanted.

        Parameters
        ----------
        rows : sequence of ints
            Of the fold's donors.
        subjects : sequence of str
            Whom each of them shows.
        """
        names = list(dict.fromkeys(subjects))
        if len(names) <= self.subjects:
            return list(rows)
        rng = stream(self.seed, f"donors of fold {fold}", task, self.part)
        chosen = {names[i] for i in rng.permutation(len(names))[: self.subjects].tolist()}
        images: dict[str, list[int]] = {}
        for row, subject in zip(rows, subjects, strict=True):
            if subject in chosen:
                images.setdefault(subject, []).append(row)
        return sorted(owned[int(rng.integers(len(owned)))] for owned in images.values())


def row_key(data: DataSet, row: int) -> tuple[str, int]:
    """By which `Kept` knows a healthy row."""
    return str(data.folder), row


def texture_settings(shape: Sequence[int], channels: int, deviation: float) -> dict[str, Any]:
    """What a data set's configuration stores under "donors" when `inter_blend` borrows from procedural textures.

    Textures are no larger than they need to be: a patch that wants more is taken at a finer scale.
    """
    return {
        "kind": SET_NAME,
        "shape": [min(side, LARGEST_TEXTURE[len(shape)]) for side in shape],
        "channels": channels,
        "deviation": deviation,
        "per_fold": max(FEWEST_TEXTURES, TEXTURES_PER_FOLD // channels),
    }


def live_settings(data: DataSet) -> Mapping[str, Any]:
    """What live pictures of a data set borrow by: its own settings, or where it was made by hand and says nothing,
    textures on the scale of its first picture."""
    settings = data.manifest.configuration.get("donors")
    if settings is not None:
        return dict(settings)
    first = data.healthy(0)
    return texture_settings(data.shape, data.channels, float(first.image[:, first.foreground].std()))


def fold_donors(
    data: DataSet,
    fold: int,
    donors: Mapping[str, Any],
    external: DataSet | None,
    *,
    shortlist: Shortlist | None = None,
    memory: Memory | None = None,
) -> dict[str, DonorSet]:
    """The donors of every task for the rows of one fold.

    Parameters
    ----------
    data : DataSet
        Whose healthy rows of the same fold are lent to tasks that borrow from other subjects.
    fold : int
    donors : mapping
        The configuration's "donors": texture settings (`texture_settings`) or ``{"kind": "data set", "name", "sha256",
        "path", "folds"}`` with the fold of every external subject.
    external : DataSet, optional
        The external donors, opened, where the configuration names a data set.
    shortlist : Shortlist, optional
        Which of them; all by default.
    memory : Memory, optional
        Where donors stay in memory; one for each task by default.

    Returns
    -------
    dict from stored task names to DonorSet

    Raises
    ------
    SynthanomError
        If the configuration names an external data set and none is given.
    """
    subjects = data.healthy_subjects
    own = [i for i, subject in enumerate(subjects) if data.folds[subject] == fold]
    if shortlist is not None:
        own = shortlist.of(fold, "intra_blend", own, [subjects[i] for i in own])
    inside, outside = _rows(data, own, OWN_SET, memory), _external(fold, donors, external, (shortlist, memory))
    kinds = {name: task.donor for name, task in TASKS.items() if task.donor != "none"}
    return {name: inside if kind == "other_subject" else outside for name, kind in kinds.items()}


def _external(
    fold: int, donors: Mapping[str, Any], external: DataSet | None, how: tuple[Shortlist | None, Memory | None]
) -> DonorSet:
    shortlist, memory = how
    if donors["kind"] == SET_NAME:
        textures = textures_of(donors, fold)
        names = tuple(f"texture-{textures.start + i}" for i in range(len(textures)))
        keys = [(SET_NAME, textures.start + i) for i in range(len(textures))]
        recent = RecentlyUsed(textures, (memory or Memory()).textures, keys)
        return DonorSet(name=SET_NAME, samples=recent, ids=names, subjects=names)
    if external is None:
        raise SynthanomError(f"inter_blend borrows from data set {donors['name']!r}, which is not given; pass --donors")
    folds = donors["folds"]
    subjects = external.healthy_subjects
    rows = [i for i, subject in enumerate(subjects) if folds[subject] == fold]
    if shortlist is not None:
        rows = shortlist.of(fold, "inter_blend", rows, [subjects[i] for i in rows])
    return _rows(external, rows, str(donors["name"]), memory)


def textures_of(donors: Mapping[str, Any], fold: int) -> TextureDonors:
    """The textures that rows of a fold borrow from, by `texture_settings`."""
    per_fold = int(donors["per_fold"])
    return TextureDonors(
        shape=tuple(donors["shape"]),
        channels=int(donors["channels"]),
        deviation=float(donors["deviation"]),
        total=per_fold,
        start=fold * per_fold,
    )


def _rows(data: DataSet, rows: Sequence[int], name: str, memory: Memory | None) -> DonorSet:
    keys = [row_key(data, row) for row in rows]
    names, subjects = data.healthy_ids, data.healthy_subjects
    return DonorSet(
        name=name,
        samples=RecentlyUsed(HealthyRows(data, tuple(rows)), (memory or Memory()).images, keys),
        ids=tuple(names[i] for i in rows),
        subjects=tuple(subjects[i] for i in rows),
    )
