"""A group of rows as one dense HDF5 file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, canonical_json
from synthanom.errors import SynthanomError
from synthanom.exporting.pictures import Pictures
from synthanom.exporting.selection import HEALTHY, Group
from synthanom.manifest import Manifest
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.shards.dense import DenseColumn, Values, dense_file, holds_dense
from synthanom.shards.layout import TEXT

AXES = {2: "y, x", 3: "z, y, x"}
AS_PREPARED = "as prepared: see the file's attribute preprocessing"


class Hdf5Groups:
    """Writes each group into a file of its own, ``healthy.h5`` or ``<task>.h5``.

    Parameters
    ----------
    pictures : Pictures
    out : Path
    about : mapping of str to JSON values
        Which data set and selection this is; becomes attributes.
    """

    threads = 1  # HDF5 does one thing at a time

    def __init__(self, pictures: Pictures, out: Path, about: Mapping[str, Any]) -> None:
        self._pictures, self._out, self._about = pictures, out, about

    def there(self, group: Group) -> bool:
        """Whether the group's file is there.

        Raises
        ------
        SynthanomError
            If something else has its name.
        """
        path = self._path(group)
        if not path.exists():
            return False
        if not holds_dense(path, len(group), self._attributes(group)):
            raise SynthanomError(f"{path}: holds something else; delete it, and run the same command again")
        return True

    @contextmanager
    def writing(self, group: Group) -> Iterator[Callable[[int], bool]]:
        """What writes the row of this place in the group; the file takes its name after the block."""
        data = self._pictures.data
        columns = (_healthy_columns if group.name == HEALTHY else _anomaly_columns)(data)
        values = self._healthy if group.name == HEALTHY else self._anomaly
        known, attributes, codec = _known(data, group), self._attributes(group), str(self._about["codec"])
        with dense_file(
            self._path(group), len(group), columns, known=known, attributes=attributes, codec=codec
        ) as file:

            def write(place: int) -> bool:
                file.write(place, values(group, place))
                return False  # none of it was there before

            yield write

    def finish(self) -> None:
        """Nothing is left to do."""

    def _path(self, group: Group) -> Path:
        return self._out / f"{group.name}.h5"

    def _attributes(self, group: Group) -> Mapping[str, str]:
        manifest = self._pictures.data.manifest
        about = {
            "group": group.name,
            "data_sha256": self._about["data_sha256"],
            "selection": _json(self._about["selection"]),
            "codec": self._about["codec"],
            **_settings(manifest),
        }
        if group.name == HEALTHY:
            return about
        task = next(task for task in manifest.tasks if task.name == group.name)
        return {**about, "task": group.name, "task_settings": _json(task.settings)}

    def _healthy(self, group: Group, place: int) -> dict[str, npt.NDArray[Any] | str]:
        row = int(group.rows[place])
        sample = self._pictures.healthy(row)
        offset = np.array(self._pictures.data.offset(row), dtype=np.int32)
        foreground = sample.foreground.view(np.uint8)
        return {"image": sample.image, "foreground": foreground, "offset": offset, **_geometry(sample)}

    def _anomaly(self, group: Group, place: int) -> dict[str, npt.NDArray[Any] | str]:
        made = self._pictures.anomaly(group.name, int(group.rows[place]))
        return {
            "image": made.image,
            "label": made.label,
            "region": made.region.view(np.uint8),
            "recipe": made.recipe,
            **_geometry(made.sample),
        }


def _healthy_columns(data: DataSet) -> dict[str, DenseColumn]:
    axes = f"row, {AXES[len(data.shape)]}"
    about = {"axes": "row, axis", "unit": "voxels", "meaning": "where the image begins in the stored grid"}
    return {
        "image": _image_column(data),
        "foreground": DenseColumn(
            dtype="|u1", shape=data.shape, about={"axes": axes, "meaning": "1 where anomalies may be placed"}
        ),
        "offset": DenseColumn(dtype="<i4", shape=(len(data.shape),), about=about),
        **_geometry_columns(data),
    }


def _anomaly_columns(data: DataSet) -> dict[str, DenseColumn]:
    axes = f"row, {AXES[len(data.shape)]}"
    return {
        "image": _image_column(data),
        "label": DenseColumn(
            dtype="<f4", shape=data.shape, about={"axes": axes, "meaning": "how anomalous, from 0 to 1"}
        ),
        "region": DenseColumn(
            dtype="|u1", shape=data.shape, about={"axes": axes, "meaning": "1 where an anomaly was placed"}
        ),
        "recipe": DenseColumn(dtype=TEXT, about={"meaning": "every drawn number, as JSON"}),
        **_geometry_columns(data),
    }


def _image_column(data: DataSet) -> DenseColumn:
    about = {"axes": f"row, channel, {AXES[len(data.shape)]}", "unit": AS_PREPARED}
    return DenseColumn(dtype="<f4", shape=(data.channels, *data.shape), about=about)


def _geometry_columns(data: DataSet) -> dict[str, DenseColumn]:
    axes = AXES[len(data.shape)]
    about = {"axes": "row, axis", "unit": "mm", "meaning": f"voxel size along {axes}; NaN where unknown"}
    matrix = {"axes": "row, 4, 4", "unit": "mm", "meaning": "maps (x, y, z, 1) to world mm (RAS+); NaN where unknown"}
    return {
        "spacing": DenseColumn(dtype="<f8", shape=(len(data.shape),), about=about),
        "affine": DenseColumn(dtype="<f8", shape=(4, 4), about=matrix),
    }


def _geometry(sample: Sample) -> dict[str, FloatArray]:
    unknown = (np.nan,) * len(sample.shape)
    affine = np.full((4, 4), np.nan) if sample.affine is None else sample.affine
    return {"spacing": np.array(sample.spacing or unknown, dtype=np.float64), "affine": affine}


def _known(data: DataSet, group: Group) -> dict[str, Values]:
    subjects = [data.healthy_subjects[index] for index in group.healthy_index]
    known: dict[str, Values] = {
        "row": group.rows,
        "healthy_index": group.healthy_index,
        "id": [data.healthy_ids[index] for index in group.healthy_index],
        "subject": subjects,
        "fold": np.array([data.folds[subject] for subject in subjects], dtype=np.int32),
    }
    return known if group.variants is None else {**known, "variant": group.variants}


def _settings(manifest: Manifest) -> dict[str, str]:
    """What was asked for when the data set was built."""
    configuration = manifest.configuration
    return {
        "built_by": f"synthanom {manifest.version}",
        "seed": str(manifest.seed),
        "preprocessing": _json(manifest.preprocessing),
        "labeller": _json(configuration.get("labeller", {})),
        "options": _json(configuration.get("options", {})),
    }


def _json(value: Any) -> str:
    return canonical_json(value).decode("ascii")
