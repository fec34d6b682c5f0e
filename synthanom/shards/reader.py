"""Reading a data set: pictures are pasted together from the healthy image and what changed."""

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray, box_slices
from synthanom.errors import SynthanomError
from synthanom.listed import listed_rows
from synthanom.manifest import DAMAGED, FileRecord, Manifest, read_manifest
from synthanom.nearest import meant
from synthanom.sample import Sample
from synthanom.shards.boxes import AnomalyRow, paste
from synthanom.shards.handle import ShardFile
from synthanom.shards.layout import ANOMALIES, HEALTHY, ShardKind
from synthanom.shards.opened import AnomalyShard, HealthyShard, ordered

MAX_OPEN = 64  # files per process; a data set can have more files than a process may open


@dataclass(frozen=True, kw_only=True, eq=False)
class AnomalyPicture:
    """One anomalous picture with its label.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32
    label : ndarray of shape (*S), float32
    region : ndarray of shape (*S), bool
    recipe : bytes
        Canonical JSON of every drawn number.
    healthy_index, variant : int
    """

    image: ImageArray
    label: ImageArray
    region: MaskArray
    recipe: bytes
    healthy_index: int
    variant: int


class DataSet:
    """A finished data set. Open it with `DataSet.open`; ``len(data)`` and ``data[i]`` give its healthy samples.

    Shards are opened when first read, in each process anew, so a data set may be handed to worker processes, forked or
    spawned: a pickle holds no open file.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
        What `dataset.json` says.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._tables = _Tables()
        self._opened = _OpenShards(folder, manifest)

    @classmethod
    def open(cls, folder: Path | str) -> "DataSet":
        """Open the data set in `folder` after verifying its manifest and the sizes of its files.

        Raises
        ------
        SynthanomError
            If it is unfinished, damaged, of a newer format, or no data set.
        """
        return cls(Path(folder), read_manifest(folder))

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest, "_tables": self._tables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _opened=_OpenShards(state["folder"], state["manifest"]))

    def __enter__(self) -> "DataSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that this process has open; reading opens them again."""
        self._shards().close()

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of every image."""
        return self.manifest.shape

    @property
    def channels(self) -> int:
        """Number of channels of every image."""
        return self.manifest.channels

    @property
    def tasks(self) -> tuple[str, ...]:
        """Stored names of the tasks, in the order in which they are paired with folds."""
        return tuple(task.name for task in self.manifest.tasks)

    @property
    def folds(self) -> Mapping[str, int]:
        """Fold of every subject."""
        return self.manifest.folds

    @property
    def healthy_count(self) -> int:
        """Number of healthy rows."""
        return self.manifest.counts["healthy"]

    @property
    def healthy_ids(self) -> tuple[str, ...]:
        """Ids of the healthy rows, in order; no image is read."""
        return self._names()[0]

    @property
    def healthy_subjects(self) -> tuple[str, ...]:
        """Subjects of the healthy rows, in order; no image is read."""
        return self._names()[1]

    def __len__(self) -> int:
        return self.healthy_count

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"healthy row {index} of {len(self)}")
        return self.healthy(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return map(self.healthy, range(len(self)))

    @property
    def placed(self) -> bool:
        """Whether the healthy rows have location priors; no image is read."""
        return next((shard.placed for shard in self._shards().all_healthy()), False)

    def healthy(self, index: int) -> Sample:
        """The healthy sample `index`, counted over all healthy shards in name order.

        Raises
        ------
        SynthanomError
            If there is no such row or it is damaged.
        """
        shard, row = self._shards().healthy_place(index)
        return shard.sample(row)

    def offset(self, index: int) -> tuple[int, ...]:
        """Where the image of healthy row `index` begins in the stored grid, D voxels.

        Raises
        ------
        SynthanomError
        """
        shard, row = self._shards().healthy_place(index)
        return shard.offset(row)

    def rows(self, task: str) -> int:
        """Number of anomaly rows of `task`.

        Raises
        ------
        SynthanomError
            If the data set has no such task.
        """
        return self._shards().anomaly_rows(task)

    def made_from(self, task: str) -> npt.NDArray[np.int64]:
        """Healthy row of every row of `task`, in order; no picture is read.

        Raises
        ------
        SynthanomError
        """
        return self._keys(task)[0]

    def variants(self, task: str) -> npt.NDArray[np.int32]:
        """Variant of every row of `task`, in order; no picture is read.

        Raises
        ------
        SynthanomError
        """
        return self._keys(task)[1]

    def rows_of(self, task: str, healthy_index: int) -> list[int]:
        """Rows of `task` made from healthy row `healthy_index`, ordered by variant; no picture is read.

        Raises
        ------
        SynthanomError
        """
        index, _ = self._keys(task)
        first, last = np.searchsorted(index, [healthy_index, healthy_index + 1])
        return list(range(int(first), int(last)))

    def row_of(self, task: str, healthy_index: int, variant: int) -> int | None:
        """The row of one variant; no picture is read.

        Parameters
        ----------
        task : str
            Stored name.
        healthy_index, variant : int

        Returns
        -------
        int or None
            None where the variant could not be made.

        Raises
        ------
        SynthanomError
            If the data set has no such task.
        """
        _, variants = self._keys(task)
        return next((row for row in self.rows_of(task, healthy_index) if variants[row] == variant), None)

    def recipe(self, task: str, row: int) -> bytes:
        """Canonical JSON of the recipe of an anomaly row; no picture is read.

        Raises
        ------
        SynthanomError
        """
        shard, inside = self._shards().anomaly_place(task, row)
        return shard.recipe(inside)

    def marks(self, task: str, row: int) -> tuple[ImageArray, MaskArray]:
        """Labels and region of an anomaly row, its boxes' voxels one after the other; no image is read.

        Returns
        -------
        labels : ndarray of shape (n,), float32
        region : ndarray of shape (n,), bool

        Raises
        ------
        SynthanomError
            If there is no such row or it is damaged.
        """
        shard, inside = self._shards().anomaly_place(task, row)
        return shard.marks(inside)

    def anomaly_row(self, task: str, row: int) -> AnomalyRow:
        """An anomaly row as it is stored; no image is read.

        Raises
        ------
        SynthanomError
            If there is no such row or it is damaged.
        """
        shard, inside = self._shards().anomaly_place(task, row)
        return shard.row(inside)

    def anomaly(self, task: str, row: int) -> AnomalyPicture:
        """The picture of an anomaly row: the healthy image with the stored boxes pasted in.

        Raises
        ------
        SynthanomError
            If there is no such row, or it or its healthy image is damaged.
        """
        stored = self.anomaly_row(task, row)
        healthy, place = self._shards().healthy_place(stored.healthy_index)
        image, label, region = paste(healthy.image(place), stored.boxes)
        return AnomalyPicture(
            image=image,
            label=label,
            region=region,
            recipe=stored.recipe,
            healthy_index=stored.healthy_index,
            variant=stored.variant,
        )

    def shown(self, task: str, row: int) -> tuple[ImageArray, ImageArray]:
        """Image (C, *S) and label (*S) of an anomaly row, as `anomaly`; its region and recipe are not read.

        Raises
        ------
        SynthanomError
            As `anomaly`.
        """
        shard, inside = self._shards().anomaly_place(task, row)
        healthy, place = self._shards().healthy_place(int(shard.healthy_index[inside]))
        image = healthy.image(place)
        label = np.zeros(self.shape, dtype=np.float32)
        for corner, values, labels in shard.changes(inside):
            box = box_slices(corner, labels.shape)
            image[(slice(None), *box)] = values
            label[box] = labels
        return image, label

    def table(self, name: str) -> list[dict[str, str]]:
        """The lines of a table beside the shards, ``"skipped.csv"`` or ``"cases.csv"``, by the names of its columns.

        Line k of `cases.csv` is about healthy row k.

        Raises
        ------
        SynthanomError
            If the data set has no such table, or it was changed since it was written.
        """
        return listed_rows(self.folder, self.manifest, name)

    def _shards(self) -> "_OpenShards":
        """The shards that this process has open; those inherited by a fork are closed here and opened anew."""
        if self._opened.process != os.getpid():
            self._opened = _OpenShards(self.folder, self.manifest)
        return self._opened

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids and subjects of all healthy rows."""
        if self._tables.names is None:
            shards = list(self._shards().all_healthy())
            ids = tuple(name for shard in shards for name in shard.ids)
            self._tables.names = ids, tuple(name for shard in shards for name in shard.subjects)
        return self._tables.names

    def _keys(self, task: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Healthy row and variant of every row of the task."""
        if task not in self._tables.keys:
            pairs = [(shard.healthy_index, shard.variant) for shard in self._shards().all_anomalies(task)]
            index = np.concatenate([np.empty(0, np.int64), *(pair[0] for pair in pairs)])
            variant = np.concatenate([np.empty(0, np.int32), *(pair[1] for pair in pairs)])
            if not ordered(index, variant):
                raise SynthanomError(
                    f"{self.folder}: anomalies/{task} must be ordered by healthy row and variant over its files, "
                    f"and it is not so; {DAMAGED}"
                )
            self._tables.keys[task] = index, variant
        return self._tables.keys[task]


class _Tables:
    """Small columns of all shards, read once and handed on to worker processes."""

    def __init__(self) -> None:
        self.names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self.keys: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = {}


class _OpenShards:
    """The shards that one process has read from, at most `MAX_OPEN` with an open file; the longest unused is let go.

    A file let go closes when the last thread that reads from it is done with it. What was verified, and the small
    columns, stay: with rows at random from more files than may be open, opening a shard anew took 3 ms of 14 a row.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.process = os.getpid()
        self._folder, self._manifest = folder, manifest
        self._lock = threading.Lock()
        self._known: dict[str, HealthyShard | AnomalyShard] = {}
        self._open: OrderedDict[str, ShardFile] = OrderedDict()
        self._files = {"": manifest.healthy_files, **{t.name: manifest.anomaly_files(t.name) for t in manifest.tasks}}
        self._starts = {
            task: list(accumulate((file.rows for file in files), initial=0)) for task, files in self._files.items()
        }

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            self._known.clear()
            while self._open:
                self._open.popitem()[1].close()

    def healthy_place(self, index: int) -> tuple[HealthyShard, int]:
        """The shard that holds healthy row `index`, and the row in it."""
        record, row = self._place("", index, "healthy")
        return self._healthy(record), row

    def anomaly_place(self, task: str, row: int) -> tuple[AnomalyShard, int]:
        """The shard that holds row `row` of `task`, and the row in it."""
        self.anomaly_rows(task)
        record, inside = self._place(task, row, task)
        return self._anomalies(task, record), inside

    def anomaly_rows(self, task: str) -> int:
        """Number of rows of `task`."""
        if task not in self._starts or not task:
            known = sorted(set(self._files) - {""})
            raise SynthanomError(f"{self._folder}: task must be one of {known}, got {task!r}{meant(task, known)}")
        return self._starts[task][-1]

    def all_healthy(self) -> Iterator[HealthyShard]:
        """Every healthy shard, in order."""
        return (self._healthy(record) for record in self._files[""])

    def all_anomalies(self, task: str) -> Iterator[AnomalyShard]:
        """Every shard of `task`, in order."""
        self.anomaly_rows(task)
        return (self._anomalies(task, record) for record in self._files[task])

    def _place(self, task: str, row: int, name: str) -> tuple[FileRecord, int]:
        starts = self._starts[task]
        if not 0 <= row < starts[-1]:
            raise SynthanomError(f"{self._folder}: row of {name} must be at least 0 and under {starts[-1]}, got {row}")
        file = bisect_right(starts, row) - 1
        return self._files[task][file], row - starts[file]

    def _healthy(self, record: FileRecord) -> HealthyShard:
        with self._lock:
            shard = self._known.get(record.path)
            if not isinstance(shard, HealthyShard):
                shard = HealthyShard(self._folder / record.path, self._kind(HEALTHY, "", record), record.rows)
            self._keep(record.path, shard)
        return shard

    def _anomalies(self, task: str, record: FileRecord) -> AnomalyShard:
        with self._lock:
            shard = self._known.get(record.path)
            if not isinstance(shard, AnomalyShard):
                kind, healthy = self._kind(ANOMALIES, task, record), self._manifest.counts["healthy"]
                shard = AnomalyShard(self._folder / record.path, kind, record.rows, healthy)
            self._keep(record.path, shard)
        return shard

    def _keep(self, path: str, shard: HealthyShard | AnomalyShard) -> None:
        self._known[path] = shard
        self._open[path] = shard.file
        self._open.move_to_end(path)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)[1].release()

    def _kind(self, kind: str, task: str, record: FileRecord) -> ShardKind:
        shape, channels = self._manifest.shape, self._manifest.channels
        return ShardKind(kind=kind, task=task, shape=shape, channels=channels, content=record.content)
