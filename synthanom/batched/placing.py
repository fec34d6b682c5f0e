"""Where the drawn shapes go: their regions, boxes and places, found on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthanom.batched.items import Items
from synthanom.kernels.placement.gpu import first_good
from synthanom.kernels.region_mask.gpu import largest_coordinates, masks
from synthanom.kernels.windows.gpu import cut, upload
from synthanom.region import MARGIN


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """The regions of some anomalies; a slice of them is again Placed and shares their memory.

    Attributes
    ----------
    region : bool (N, *P)
        Over windows that begin where the boxes do; a margin of one voxel around each region belongs to its box.
    size : int64 (N, 3), sides of the boxes, voxels
    start : int64 (N, 3), their first voxels in the image
    centre : int64 (N, 3), the shapes' centres in the image
    found : bool (N,); without, no place that was proposed is good, and the start means nothing
    """

    region: Tensor
    size: Tensor
    start: Tensor
    centre: Tensor
    found: Tensor

    def __getitem__(self, part: slice) -> "Placed":
        return Placed(
            region=self.region[part],
            size=self.size[part],
            start=self.start[part],
            centre=self.centre[part],
            found=self.found[part],
        )


def placed(items: Items, counts: Tensor) -> Placed:
    """Place shapes: the first of the places proposed where at least half of the region lies on allowed voxels.

    Parameters
    ----------
    counts : int32 (B, Z, Y, X + 1)
        Allowed voxels before each place of a row, of `kernels.placement.gpu.running_counts`.
    """
    device, padded = items.whole.device, items.padded
    flat = counts.shape[1] == 1
    sides, middle, margin = upload(
        np.array(
            [
                [*counts.shape[1:3], counts.shape[3] - 1],
                [n // 2 for n in padded],
                [0 if flat else MARGIN, MARGIN, MARGIN],
            ]
        ),
        device,
    )
    whole = masks(items.ellipsoid, items.half, items.inverse, (-middle).expand(len(items), 3), padded)
    reach = largest_coordinates(whole) + margin
    number = torch.arange(len(items), device=device)
    region = cut(whole.unsqueeze(1), number, middle - reach, padded)[:, 0]
    size = 2 * reach + 1
    room = (sides - size + 1).unsqueeze(1)
    starts = torch.minimum((items.places * room).long(), room - 1)
    chosen, found = first_good(counts, items.sample, region, starts)
    start = starts[number, chosen]
    return Placed(region=region, size=size, start=start, centre=start + reach, found=found)
