"""Describe a data set, with the leaks in it and between it and others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthanom.description.anomalies import TaskContent, task_contents
from synthanom.description.images import ImageContent, read_images
from synthanom.description.tested import read_tested
from synthanom.errors import SynthanomError
from synthanom.leaks import Leak, find_leaks
from synthanom.manifest import ANOMALIES_NAME, HEALTHY_NAME, Manifest
from synthanom.progress import Track, untold
from synthanom.shards import DataSet

KIND = "synthanom-description"
FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """What a data set holds.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    images : ImageContent or None
        None where no pixels were to be read.
    tasks : tuple of TaskContent
    against : tuple of Path
        Data sets and lists of scans that it was compared with.
    leaks : tuple of Leak
    notes : tuple of str
        What could not be looked for.
    """

    folder: Path
    manifest: Manifest
    images: ImageContent | None
    tasks: tuple[TaskContent, ...]
    against: tuple[Path, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]

    @property
    def fold_sizes(self) -> dict[int, int]:
        """Subjects of every fold."""
        return dict(sorted(Counter(self.manifest.folds.values()).items()))

    @property
    def stored_bytes(self) -> tuple[int, int]:
        """Bytes of the healthy shards and of those of anomalies."""
        files = self.manifest.files
        return (
            sum(file.bytes for file in files if HEALTHY_NAME.fullmatch(file.path)),
            sum(file.bytes for file in files if ANOMALIES_NAME.fullmatch(file.path)),
        )

    def shares(self) -> tuple[float, ...]:
        """Share of every task in the anomaly rows; 0 where there are none."""
        total = sum(task.rows for task in self.tasks)
        return tuple(task.rows / total if total else 0.0 for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON; its keys are listed in docs/describe.md."""
        manifest, (healthy, anomalies) = self.manifest, self.stored_bytes
        return {
            "kind": KIND,
            "format": FORMAT,
            "data": str(self.folder),
            "version": manifest.version,
            "seed": manifest.seed,
            "counts": {**manifest.counts, "subjects": len(manifest.folds), "donor_subjects": len(manifest.donor_folds)},
            "shape": list(manifest.shape),
            "channels": manifest.channels,
            "variants": manifest.variants,
            "preprocessing": dict(manifest.preprocessing),
            "bytes": {"healthy": healthy, "anomalies": anomalies},
            "folds": {str(fold): count for fold, count in self.fold_sizes.items()},
            "images": None if self.images is None else self.images.to_dict(),
            "tasks": [task.to_dict(share) for task, share in zip(self.tasks, self.shares(), strict=True)],
            "against": [str(folder) for folder in self.against],
            "leaks": [leak.to_dict() for leak in self.leaks],
            "notes": list(self.notes),
        }


def describe(
    folder: Path | str, against: Sequence[Path | str] = (), *, quick: bool = False, track: Track = untold
) -> Description:
    """Describe the data set in `folder` and look for leaks in it, and between it and those `against` it.

    Every healthy image is read once, and the regions and labels of at most 1000 evenly spread rows per task.

    Parameters
    ----------
    folder : path
    against : sequence of paths
        Data sets and lists of scans (`truth.json`) that a detector trained on this one is tested on.
    quick : bool
        Read no image, region or label: images are not compared, only names and donors are.
    track : Track
        Shows how many rows were read.

    Returns
    -------
    Description

    Raises
    ------
    SynthanomError
        If a data set is unfinished, damaged or none, or is compared with itself.
    """
    others = [Path(other) for other in against]
    _refuse_same(Path(folder), others)
    with DataSet.open(folder) as data:
        tested = [read_tested(other, data, quick=quick, track=track) for other in others]
        images, keys = (None, None) if quick else read_images(data, track)
        leaks = find_leaks(data, keys, [each for each, _ in tested])
        tasks = task_contents(data, None if quick else track)
    quickly = ["images were not read: copies and look-alikes were not looked for"] if quick else []
    notes = (*quickly, *(note for _, notes in tested for note in notes))
    return Description(
        folder=Path(folder), manifest=data.manifest, images=images, tasks=tasks, against=tuple(others),
        leaks=leaks, notes=notes,
    )  # fmt: skip


def _refuse_same(folder: Path, others: Sequence[Path]) -> None:
    seen = {folder.resolve()}
    for other in others:
        if other.resolve() in seen:
            raise SynthanomError(
                f"{other}: every --against must be another data set, got one that was named already; name the data "
                "set to test on"
            )
        seen.add(other.resolve())
