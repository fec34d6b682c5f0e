"""Donors that stay on the device, as the spline coefficients that patches are sampled from."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.batched.limits import GIB, share_of_memory
from synthanom.donors import Donors, DonorSet, donors_for
from synthanom.errors import SynthanomError
from synthanom.kernels.affine_patch.gpu import EXTRA, extended
from synthanom.kernels.windows.gpu import as_volumes, upload
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractTask

KEPT_BYTES = 2 * GIB  # of coefficients; a batch that needs more donors at once gets the room it needs


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """What lies on the device of some donors, one slot each.

    Attributes
    ----------
    coefficients : float32 (slots, C, *Q), of `kernels.affine_patch.gpu.extended`
    foreground : bool (slots, Z, Y, X)
    sides : int64 (slots, 3), voxels
    limits : float32 (slots, 2, C), each donor's range
    """

    coefficients: Tensor
    foreground: Tensor
    sides: Tensor
    limits: Tensor


class DonorPool:
    """Donors of which those drawn lately stay on a device. Pass it as `donors` to `synthesise_batch`, call after call.

    Parameters
    ----------
    donors : sequence of Samples, DonorSet, or a mapping from task names to either
    device : where the batches are
    kept_bytes : int, optional
        Coefficients kept on the device at most; the least recently drawn make room. 2 GiB by default, less on devices
        with less than 24 GiB.
    """

    def __init__(self, donors: Donors | None, device: torch.device | str, *, kept_bytes: int | None = None) -> None:
        self.donors = donors
        self.device = torch.device(device)
        self.kept_bytes = share_of_memory(self.device, KEPT_BYTES, 12) if kept_bytes is None else kept_bytes
        self.sets: list[DonorSet] = []
        self._subjects: list[tuple[str, ...]] = []
        self._slots: OrderedDict[tuple[int, int], int] = OrderedDict()  # (set, donor) -> slot, by last use
        self._shelf: Shelf | None = None

    def set_for(self, task: AbstractTask, donors: Donors | None = None) -> int:
        """The number of the set that a task borrows from; -1 for tasks that need none.

        Raises
        ------
        SynthanomError
            If the task needs donors and has none.
        """
        if task.donor == "none":
            return -1
        found = donors_for(task, self.donors if donors is None else donors)
        if found is None or len(found) == 0:
            whose = "of other subjects of the same data set" if task.donor == "other_subject" else "of another data set"
            raise SynthanomError(f"{task.name} needs donors, got none; pass donors=, a sequence of Samples {whose}")
        for number, known in enumerate(self.sets):
            if known.samples is found.samples:
                return number
        self.sets.append(found)
        self._subjects.append(tuple(found.subject(i) for i in range(len(found))))
        return len(self.sets) - 1

    def subjects(self, number: int) -> tuple[str, ...]:
        """Whom each donor of a set shows."""
        return self._subjects[number]

    def place(self, wanted: npt.NDArray[np.int64], image_shape: Sequence[int]) -> npt.NDArray[np.int64]:
        """Bring donors onto the device.

        Parameters
        ----------
        wanted : int64 (n, 2), set and donor; a set of -1 stands for none
        image_shape : (C, *S) of the samples

        Returns
        -------
        int64 (n,)
            Their slots on the shelf; 0 for none.

        Raises
        ------
        SynthanomError
            For a donor with other channels or another number of axes than the samples.
        """
        keys = [(int(s), int(d)) for s, d in wanted]
        needed = list(dict.fromkeys(key for key in keys if key[0] >= 0))
        for key in needed:
            if key in self._slots:
                self._slots.move_to_end(key)
        missing = [key for key in needed if key not in self._slots]
        if missing:
            samples = [self.sets[s][d] for s, d in missing]
            for sample in samples:
                _check(sample, image_shape)
            shelf = self._make_room(samples, len(needed))
            taken = set(self._slots.values())
            free = (slot for slot in range(shelf.sides.shape[0]) if slot not in taken)
            for key, sample, slot in zip(missing, samples, free, strict=False):
                _fill(shelf, slot, sample)
                self._slots[key] = slot
        return np.array([self._slots[key] if key[0] >= 0 else 0 for key in keys], dtype=np.int64)

    @property
    def shelf(self) -> Shelf:
        """The donors that lie on the device.

        Raises
        ------
        SynthanomError
            Before any was placed.
        """
        if self._shelf is None:
            raise SynthanomError("a pool's donors must be placed before they are looked at, got an empty pool")
        return self._shelf

    def _make_room(self, samples: Sequence[Sample], needed: int) -> Shelf:
        """A shelf with free slots for these donors: the least recently drawn go, or it is made larger."""
        old = self._shelf
        sides = np.max([_sides(sample) for sample in samples], axis=0)
        capacity = 0
        if old is not None:
            sides = np.maximum(sides, np.array(old.foreground.shape[1:]))
            capacity = old.sides.shape[0]
        channels = samples[0].image.shape[0]
        each = 4 * channels * int(np.prod(_extended(sides)))
        available = sum(len(donors) for donors in self.sets)
        capacity = max(needed, min(self.kept_bytes // each, available), capacity)
        while len(self._slots) + len(samples) > capacity:
            self._slots.popitem(last=False)
        if old is None or capacity > old.sides.shape[0] or tuple(sides) != tuple(old.foreground.shape[1:]):
            self._shelf = _larger(old, capacity, channels, sides, self.device)
        return self.shelf


def _sides(sample: Sample) -> tuple[int, ...]:
    return (1,) * (3 - len(sample.shape)) + sample.shape


def _extended(sides: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Sides of the coefficients of donors of these sides; a picture's first axis is not extended."""
    return tuple(int(n) if n == 1 else int(n) + 2 * EXTRA for n in sides)


def _larger(
    old: Shelf | None, capacity: int, channels: int, sides: npt.NDArray[np.int64], device: torch.device
) -> Shelf:
    """A shelf of so many slots for donors of up to these sides, with what the old one held."""
    new = Shelf(
        coefficients=torch.zeros((capacity, channels, *_extended(sides)), device=device),
        foreground=torch.zeros((capacity, *(int(n) for n in sides)), dtype=torch.bool, device=device),
        sides=torch.ones((capacity, 3), dtype=torch.int64, device=device),
        limits=torch.zeros((capacity, 2, channels), device=device),
    )
    if old is not None:
        for source, target in (
            (old.coefficients, new.coefficients),
            (old.foreground, new.foreground),
            (old.sides, new.sides),
            (old.limits, new.limits),
        ):
            target[tuple(slice(0, n) for n in source.shape)] = source
    return new


def _fill(shelf: Shelf, slot: int, sample: Sample) -> None:
    """Copy a donor's coefficients, foreground, sides and range into a slot."""
    device, dims = shelf.sides.device, sample.image.ndim - 1
    image = as_volumes(upload(sample.image, device), dims)
    coefficients = extended(image.unsqueeze(0), flat=dims == 2)[0]
    z, y, x = coefficients.shape[1:]
    shelf.coefficients[slot, :, :z, :y, :x] = coefficients
    z, y, x = image.shape[1:]
    shelf.foreground[slot, :z, :y, :x] = as_volumes(upload(sample.foreground, device), dims)
    shelf.sides[slot] = upload(np.array([z, y, x]), device)
    shelf.limits[slot] = upload(sample.limits, device)


def _check(donor: Sample, image_shape: Sequence[int]) -> None:
    if donor.image.ndim != len(image_shape) or donor.image.shape[0] != image_shape[0]:
        raise SynthanomError(
            f"donor {donor.id} must have {image_shape[0]} channels and {len(image_shape) - 1} spatial axes "
            f"as the samples have, got image shape {donor.image.shape}"
        )
