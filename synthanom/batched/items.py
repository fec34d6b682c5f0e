"""The anomalies of a batch as rows of numbers, in groups of boxes of similar size."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.arrays import FloatArray
from synthanom.batched import drawing as d
from synthanom.batched.tables import Integers
from synthanom.kernels.windows.gpu import Padded, upload
from synthanom.kernels.windows.grouping import similar

# Voxels of padding that are worth one group more: its calls, some 800 of 6 microseconds, against about 1.3 kB per voxel
# at 3.6 TB/s, both counted by benchmarks/gpu.py. To be measured on a GPU.
GROUP_COST = 2**23
ROUNDS = 4  # anomalies in one sample at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Items:
    """Some anomalies of one group, on the device; a slice of them is again Items and shares their memory.

    Attributes
    ----------
    whole : int64 (N, WHOLE), real : float64 (N, R)
        The drawn numbers, columns as in `drawing`.
    slot : int64 (N,), where the donors lie on the pool's shelf
    settings : float64 (N, COLUMNS), of the items' tasks, columns as in `tables`
    padded : sides of their windows
    """

    whole: Tensor
    real: Tensor
    slot: Tensor
    settings: Tensor
    padded: Padded

    def __len__(self) -> int:
        return self.whole.shape[0]

    def __getitem__(self, part: slice) -> "Items":
        return Items(
            whole=self.whole[part],
            real=self.real[part],
            slot=self.slot[part],
            settings=self.settings[part],
            padded=self.padded,
        )

    @property
    def sample(self) -> Tensor:
        """The sample of each anomaly, int64 (N,)."""
        return self.whole[:, d.SAMPLE]

    @property
    def ellipsoid(self) -> Tensor:
        """Which shapes are ellipsoids, bool (N,)."""
        return self.whole[:, d.ELLIPSOID] > 0

    @property
    def half(self) -> Tensor:
        """Half widths, (N, 3)."""
        return self.real[:, d.HALF : d.HALF + 3]

    @property
    def inverse(self) -> Tensor:
        """Image axes to own axes, (N, 3, 3)."""
        return self.real[:, d.INVERSE : d.INVERSE + 9].reshape(-1, 3, 3)

    @property
    def places(self) -> Tensor:
        """Proposed places, uniform numbers (N, 32, 3)."""
        return self.real[:, d.PLACES : d.TURNED].reshape(-1, d.PROPOSALS, 3)

    @property
    def turned(self) -> Tensor:
        """Rotation times scale of patches, (N, 3, 3)."""
        return self.real[:, d.TURNED : d.MIDDLES].reshape(-1, 3, 3)

    @property
    def middles(self) -> Tensor:
        """Proposed middles of patches, uniform numbers (N, 32, 3)."""
        return self.real[:, d.MIDDLES : d.NUMBERS].reshape(-1, d.PROPOSALS, 3)

    @property
    def numbers(self) -> Tensor:
        """What else a task drew, (N, 2 or 1 + C)."""
        return self.real[:, d.NUMBERS :]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Anomalies of a group that are applied together: same kind, same order of interpolation."""

    kind: int
    order: int
    rows: slice  # of the group


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Anomalies of one round with boxes of similar size: their rows of the drawn numbers, in the order of their parts.

    An anomaly's round is its number within its sample, so that no two of a group change the same picture.
    """

    rows: Integers
    padded: Padded
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What the compiled call drew for some samples: host arrays.

    Attributes
    ----------
    samples : int64 (n,)
    certain : bool (n,); the others have no rows and are left to `synthesise`
    whole : int64 (N, WHOLE), real : float64 (N, R)
        One row per anomaly, sample after sample.
    """

    samples: Integers
    certain: npt.NDArray[np.bool_]
    whole: Integers
    real: FloatArray

    @cached_property
    def extents(self) -> Integers:
        """Sides of windows that hold any box of these shapes with its margin, int64 (N, 3)."""
        reach = self.whole[:, d.REACH : d.REACH + 3]
        sides = 2 * reach + 3
        if reach.shape[0] and self.flat:
            sides[:, 0] = 1
        return np.asarray(sides)

    flat: bool = False

    def groups(self, order: Integers, limit: int) -> Iterator[Group]:
        """Sort the anomalies into groups, round after round; `order` is each one's order of interpolation."""
        for number in range(ROUNDS):
            own = np.flatnonzero(self.whole[:, d.ROUND] == number)
            for members, padded in similar(self.extents[own], limit, GROUP_COST):
                rows = own[members]
                rows = rows[np.lexsort([order[rows], self.whole[rows, d.KIND]])]
                yield Group(rows=rows, padded=padded, parts=tuple(_parts(self.whole[rows, d.KIND], order[rows])))


def _parts(kinds: Integers, orders: Integers) -> Iterator[Part]:
    keys = np.stack([kinds, orders], axis=1)
    edges = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(keys)], strict=True):
        kind, order = keys[begin].tolist()
        yield Part(kind=kind, order=order, rows=slice(begin, end))


def on_device(drawn: Drawn, group: Group, slots: Integers, settings: FloatArray, device: torch.device) -> Items:
    """A group's anomalies on the device, given all anomalies' slots (N,) and all tasks' settings (T, COLUMNS)."""
    whole = drawn.whole[group.rows]
    return Items(
        whole=upload(whole, device),
        real=upload(drawn.real[group.rows], device),
        slot=upload(slots[group.rows], device),
        settings=upload(settings[whole[:, d.TASK]], device),
        padded=group.padded,
    )
