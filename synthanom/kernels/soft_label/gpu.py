"""Batched twin of `reference`: all components that can be filled, of all windows, become boxes of a few batches."""

import math

import numpy as np
import torch
from torch import Tensor

from synthanom.kernels.components import gpu as components
from synthanom.kernels.grey_reconstruct.gpu import close_and_fill
from synthanom.kernels.windows.gpu import Padded, along, as_volumes, per_item, upload
from synthanom.kernels.windows.grouping import similar

ERROR = 1e-6  # the label's, and the peak's: those of a judgement nearer to its threshold may go the other way
MIN_SIDE = 3  # voxels; a smaller box has no inside to fill
LARGEST_GROUP = 2**23  # voxels, padding included, unless one box is larger; filling takes about 100 bytes for each
GROUP_COST = 2**21  # voxels of padding that cost as much time as the calls of one group more


def pointwise(before: Tensor, after: Tensor, region: Tensor, sigma: float) -> Tensor:
    """1 minus a Gaussian of the change in regions, 0 outside: (N, C, *P), (N, C, *P), bool (N, *P) -> float32 (N, *P).

    What lies outside the region, padding too, may be anything. In float32: the difference of two of its numbers is
    rounded once, and `expm1` keeps the digits of small changes; off by under `ERROR`.
    """
    label = (after - before).abs_().sum(dim=1)
    label.mul_(1.0 / (math.sqrt(2.0) * sigma * before.shape[1]))
    label.square_().neg_().expm1_().neg_()
    return torch.where(region, label, 0.0)


def label_boxes(
    before: Tensor, after: Tensor, region: Tensor, sigma: float, *, fill: bool = True, flat: bool
) -> tuple[Tensor, Tensor]:
    """Label what changed inside the regions of windows.

    Parameters
    ----------
    before, after : float32 (N, C, *P), anything in the padding
    region : bool (N, *P), False in the padding
    sigma : float
        Change (mean over channels, image intensity units) at which the label is 0.39.
    fill : bool
        Close and fill each face-connected component in its own tight box; a side under 3 voxels leaves it as it is.
    flat : bool
        The windows are pictures, whose first axis has no sides.

    Returns
    -------
    label : float32 (N, *P)
    peak : float32 (N,)
        The largest label of each window before filling.
    """
    label = pointwise(before, after, region, sigma)
    peak = label.amax(dim=(1, 2, 3))
    return (fill_components(label, region, flat=flat) if fill else label), peak


def label_image(before: Tensor, after: Tensor, region: Tensor, sigma: float, *, fill: bool = True) -> Tensor:
    """The label of one image, on its device: (C, *S), (C, *S), bool (*S) -> float32 (*S).

    Waits for the device to learn of the region's bounding box, the one window that is looked at.
    """
    dims = region.ndim
    mask = as_volumes(region, dims)
    others = ((1, 2), (0, 2), (0, 1))
    marked = torch.cat([mask.any(dim=pair[1]).any(dim=pair[0]) for pair in others]).cpu()
    places = [part.nonzero() for part in torch.tensor_split(marked, (mask.shape[0], mask.shape[0] + mask.shape[1]))]
    out = torch.zeros(mask.shape, dtype=torch.float32, device=region.device)
    if places[0].numel() == 0:
        return out.view(region.shape)
    box = tuple(slice(int(p[0]), int(p[-1]) + 1) for p in places)
    first, last = (
        as_volumes(image.detach(), dims)[:, *box].to(torch.float32).unsqueeze(0) for image in (before, after)
    )
    label, _ = label_boxes(first, last, mask[box].unsqueeze(0), sigma, fill=fill, flat=dims == 2)
    out[box] = label[0]
    return out.view(region.shape)


def fill_components(label: Tensor, region: Tensor, *, flat: bool) -> Tensor:
    """Close and fill pointwise labels (N, *P), 0 outside the regions, as `label_boxes` does: float32 (N, *P).

    Waits for the device to learn of the components, and as they are filled.
    """
    numbers, window, box = components.label(region)
    sides = (box[:, 1] - box[:, 0]).numpy()
    large = np.flatnonzero((sides[:, 1 if flat else 0 :] >= MIN_SIDE).all(axis=1))
    out = label.clone()
    for members, padded in similar(sides[large], LARGEST_GROUP, GROUP_COST):
        chosen = large[members]
        rows = np.column_stack([window[chosen], chosen + 1, box[chosen, 0], sides[chosen]])
        _raise(out, label, numbers, upload(rows, label.device), padded, flat=flat)
    return out


def _raise(out: Tensor, label: Tensor, numbers: Tensor, rows: Tensor, padded: Padded, *, flat: bool) -> None:
    """Fill components and raise `out` (N, *P) to them, in place.

    `label` are the pointwise labels, `numbers` those of `components.label`; `rows` hold window, number, first voxel and
    size of each component, int64 (n, 8).
    """
    place = per_item(rows[:, 0])
    for axis, side in enumerate(out.shape[1:]):
        coordinate = per_item(rows[:, 2 + axis]) + along(axis, padded[axis], out.device)
        place = place * side + coordinate.clamp_(max=side - 1)
    own = numbers.take(place) == per_item(rows[:, 1])
    filled = close_and_fill(torch.where(own, label.take(place), 0.0), rows[:, 5:8], flat=flat)
    # padding falls on other voxels of the window, and being 0 raises none; boxes may overlap, in any order
    out.view(-1).scatter_reduce_(0, place.view(-1), filled.view(-1), "amax")
