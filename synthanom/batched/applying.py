"""The anomalies of a chunk of samples, applied and labelled on their device."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.batched import drawing as d
from synthanom.batched.blends import blend
from synthanom.batched.canvases import Canvases
from synthanom.batched.deformations import deform
from synthanom.batched.host_copy import HostCopy
from synthanom.batched.intensities import change
from synthanom.batched.items import GROUP_COST, Drawn, Group, Items, on_device
from synthanom.batched.merging import merged_boxes
from synthanom.batched.placing import Placed, placed
from synthanom.batched.pool import DonorPool
from synthanom.batched.tables import ORDER, Integers, TaskTable
from synthanom.kernels.placement.gpu import running_counts
from synthanom.kernels.soft_label.gpu import label_boxes
from synthanom.kernels.windows.gpu import Canvas, cut, inside, places, upload
from synthanom.kernels.windows.grouping import similar
from synthanom.labels import FlippedGaussian


@dataclass(frozen=True, kw_only=True, eq=False)
class Applied:
    """A chunk with its anomalies.

    Attributes
    ----------
    images : float32 (n, C, Z, Y, X)
    labels : float32 (n, Z, Y, X)
    regions : bool (n, Z, Y, X)
    peaks : float32 (n,), host: the largest pointwise label of each sample
    placed : bool (n,), host: the others have a shape whose place or task only `synthesise` can find
    """

    images: Tensor
    labels: Tensor
    regions: Tensor
    peaks: npt.NDArray[np.float32]
    placed: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Applier:
    """What all chunks of a batch share.

    Attributes
    ----------
    table : TaskTable
    pool : DonorPool
    labeller : FlippedGaussian
    foreground_only : bool
    verify : callable
        Called once the first results are on the host, before anything is labelled; raises for unusable images.
    window_voxels : int
        Limit of the voxels of windows that are worked on at once.
    """

    table: TaskTable
    pool: DonorPool
    labeller: FlippedGaussian
    foreground_only: bool
    verify: Callable[[], None]
    window_voxels: int

    def __call__(self, images: Tensor, foreground: Tensor, drawn: Drawn) -> Applied:
        """Apply what was drawn for a chunk; its rows name samples by their places in the chunk.

        Parameters
        ----------
        images : float32 (n, C, Z, Y, X), finite
        foreground : bool (n, Z, Y, X)
        """
        canvases = _canvases(images)
        groups = list(drawn.groups(self._orders(drawn), self.window_voxels))
        slots = self._slots(drawn, images)
        work = [(g, on_device(drawn, g, slots, self.table.applied, images.device)) for g in groups]
        counts = running_counts(foreground)
        there = [placed(items, counts) for _, items in work]
        del counts
        boxes = HostCopy(_boxes(there, images.device))
        for (group, items), own in zip(work, there, strict=True):
            self._change(canvases, drawn, group, items, own)
        if self.foreground_only:
            _undo_outside(canvases, images, foreground)
        found = boxes.wait()
        self.verify()
        labels, peaks = self._label(canvases, images, drawn, groups, found)
        fine = HostCopy(torch.stack([peaks, canvases.suitable.to(peaks.dtype)])).wait()
        good = (fine[1] > 0) & drawn.certain
        good[drawn.whole[np.concatenate([g.rows for g in groups])[found[:, 6] == 0], d.SAMPLE]] = False
        return Applied(
            images=canvases.pictures.images,
            labels=labels,
            regions=canvases.regions.images[:, 0],
            peaks=fine[0],
            placed=good,
        )

    def _orders(self, drawn: Drawn) -> Integers:
        """The order of interpolation of each anomaly."""
        return np.asarray(self.table.applied[drawn.whole[:, d.TASK], ORDER], dtype=np.int64)

    def _slots(self, drawn: Drawn, images: Tensor) -> Integers:
        """Where each anomaly's donor lies on the pool's shelf, once all of them are there."""
        shape = images.shape[1:2] + (images.shape[3:] if drawn.flat else images.shape[2:])
        wanted = np.stack([self.table.sets[drawn.whole[:, d.TASK]], drawn.whole[:, d.DONOR]], axis=1)
        return self.pool.place(wanted, shape)

    def _change(self, canvases: Canvases, drawn: Drawn, group: Group, items: Items, there: Placed) -> None:
        """Put a group's anomalies into the pictures."""
        for part in group.parts:
            own, its = items[part.rows], there[part.rows]
            if part.kind == d.BLEND:
                blend(canvases, own, its, self.pool.shelf)
            elif part.kind == d.DEFORMATION:
                deform(canvases, own, its, part.order)
            else:
                sides = canvases.pictures.images.shape[3 if drawn.flat else 2 :]
                share = drawn.real[group.rows[part.rows], d.NUMBERS].max()
                change(canvases, own, its, min(sides) * float(share))

    def _label(
        self, canvases: Canvases, images: Tensor, drawn: Drawn, groups: list[Group], found: Integers
    ) -> tuple[Tensor, Tensor]:
        """Labels (n, Z, Y, X), and the largest pointwise one of each sample."""
        rows = np.concatenate([g.rows for g in groups])
        order = np.argsort(rows, kind="stable")
        sample = drawn.whole[rows[order], d.SAMPLE]
        merged = np.empty((rows.size, 7), dtype=np.int64)
        start, size = found[order, 0:3].copy(), found[order, 3:6].copy()
        merged = merged[: merged_boxes(sample, start, size, merged)]
        device = images.device
        out = Canvas(torch.zeros((images.shape[0], 1, *images.shape[2:]), device=device))
        peaks = torch.zeros(images.shape[0], device=device)
        for chosen, padded in similar(merged[:, 4:7], self.window_voxels, GROUP_COST):
            windows = upload(merged[chosen], device)
            item, corner, sides = windows[:, 0], windows[:, 1:4], windows[:, 4:7]
            window = partial(cut, item=item, start=corner, padded=padded)
            box = inside(sides, padded)
            region = window(canvases.regions.images)[:, 0] & box
            label, peak = label_boxes(
                window(images),
                window(canvases.pictures.images),
                region,
                self.labeller.sigma,
                fill=self.labeller.fill,
                flat=drawn.flat,
            )
            out.put(places(out.images.shape, item, corner, box), label.unsqueeze(1))
            peaks.scatter_reduce_(0, item, peak, "amax")
        return out.images[:, 0], peaks


def _canvases(images: Tensor) -> Canvases:
    count, device = images.shape[0], images.device
    nothing = torch.zeros((count, 1, *images.shape[2:]), dtype=torch.bool, device=device)
    return Canvases(
        pictures=Canvas(images),
        regions=Canvas(nothing),
        limits=torch.stack([images.amin(dim=(2, 3, 4)), images.amax(dim=(2, 3, 4))], dim=1),
        suitable=torch.ones(count, dtype=torch.bool, device=device),
    )


def _boxes(there: list[Placed], device: torch.device) -> Tensor:
    """Start, size and whether a place was found, of all anomalies in the order of their groups: int64 (N, 7)."""
    rows = [torch.cat([p.start, p.size, p.found.unsqueeze(1)], dim=1) for p in there]
    return torch.cat(rows) if rows else torch.zeros((0, 7), dtype=torch.int64, device=device)


def _undo_outside(canvases: Canvases, images: Tensor, foreground: Tensor) -> None:
    """Put the original values back outside the foreground, in place."""
    pictures, inside_it = canvases.pictures.images, foreground.unsqueeze(1)
    pictures.copy_(torch.where(inside_it, pictures, images))
    canvases.regions.images.logical_and_(inside_it)
