"""Rows as NIfTI files: one for each image, label and mask."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError
from synthanom.exporting.folder import write_table
from synthanom.exporting.pictures import Pictures
from synthanom.exporting.selection import HEALTHY, Group
from synthanom.exporting.threads import most_threads
from synthanom.sample import Sample
from synthanom.volumes.write import nifti_bytes, packed, write_bytes

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST = 80  # characters of an id in a file name
ENDINGS = {  # of file names, by column of the table
    "image": ".nii.gz",
    "label": "_label.nii.gz",
    "region": "_region.nii.gz",
    "foreground": "_foreground.nii.gz",
    "recipe": "_recipe.json",
}


class NiftiGroups:
    """Writes each row into files of its own, in a folder for each group.

    Files that are there already are kept if they hold the same; others are refused.

    Parameters
    ----------
    pictures : Pictures
    out : Path
    """

    threads = most_threads()

    def __init__(self, pictures: Pictures, out: Path) -> None:
        self._pictures, self._out = pictures, out
        self._table: list[dict[str, Any]] = []

    def there(self, group: Group) -> bool:
        """Always False: rows are looked at one by one."""
        return False

    @contextmanager
    def writing(self, group: Group) -> Iterator[Callable[[int], bool]]:
        """What writes the row of this place in the group, and says whether all its files were there."""
        (self._out / group.name).mkdir(parents=True, exist_ok=True)
        rows: dict[int, dict[str, Any]] = {}

        def write(place: int) -> bool:
            sample, contents = self._contents(group, place)
            rows[place], kept = self._written(group, place, sample, contents)
            return kept

        yield write
        self._table += [rows[place] for place in sorted(rows)]

    def finish(self) -> None:
        """Write the table."""
        write_table(self._out, self._table)

    def _contents(self, group: Group, place: int) -> tuple[Sample, dict[str, bytes]]:
        """A row's sample, and its files before compression by their columns in the table."""
        row = int(group.rows[place])
        if group.name == HEALTHY:
            sample = self._pictures.healthy(row)
            arrays = {"image": _with_axes(sample.image), "foreground": sample.foreground}
            return sample, _volumes(arrays, sample)
        made = self._pictures.anomaly(group.name, row)
        arrays = {"image": _with_axes(made.image), "label": made.label, "region": made.region}
        return made.sample, {**_volumes(arrays, made.sample), "recipe": made.recipe.encode("ascii")}

    def _written(
        self, group: Group, place: int, sample: Sample, contents: Mapping[str, bytes]
    ) -> tuple[dict[str, Any], bool]:
        """The row's line in the table, and whether all its files were there."""
        index = int(group.healthy_index[place])
        variant = "" if group.variants is None else int(group.variants[place])
        stem = f"{group.name}/{_name(index, sample.id)}" + (f"_v{variant}" if variant != "" else "")
        files = {column: f"{stem}{ENDINGS[column]}" for column in contents}
        kept = [_keep_or_write(self._out / files[column], content) for column, content in contents.items()]
        line = {
            "task": "" if group.name == HEALTHY else group.name,
            "row": int(group.rows[place]),
            "id": sample.id,
            "subject": sample.subject,
            "fold": self._pictures.data.folds[sample.subject],
            "healthy_index": index,
            "variant": variant,
            "orientation": "unknown" if sample.affine is None else "known",
            **files,
        }
        return line, all(kept)


def _volumes(arrays: Mapping[str, npt.NDArray[Any]], sample: Sample) -> dict[str, bytes]:
    return {name: nifti_bytes(array, sample.affine, sample.spacing) for name, array in arrays.items()}


def _with_axes(image: ImageArray) -> ImageArray:
    """The image as `nifti_bytes` takes it: one channel without an axis of its own, several of a 2D image with z."""
    if len(image) == 1:
        plain: ImageArray = image[0]
        return plain
    with_z: ImageArray = image if image.ndim == 4 else image[:, None]
    return with_z


def _name(index: int, identity: str) -> str:
    """A file name from the number of the healthy row, which makes it unique, and what is safe of its id."""
    safe = UNSAFE.sub("-", identity).strip("-.")[:LONGEST]
    return f"{index:05}-{safe}" if safe else f"{index:05}"


def _keep_or_write(path: Path, content: bytes) -> bool:
    """Write a file unless it is there and holds the same; whether it does.

    Raises
    ------
    SynthanomError
        If it holds something else, or cannot be written.
    """
    zipped = path.suffix == ".gz"
    if not path.exists():
        write_bytes(path, packed(content) if zipped else content)
        return False
    if not _holds(path, content, zipped):
        raise SynthanomError(f"{path}: holds something else; delete it, and run the same command again")
    return True


def _holds(path: Path, content: bytes, zipped: bool) -> bool:
    try:
        found = path.read_bytes() if path.is_file() else b""
        return (gzip.decompress(found) if zipped else found) == content
    except (OSError, EOFError, zlib.error):
        return False
