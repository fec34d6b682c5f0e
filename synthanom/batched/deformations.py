"""Sink and source in a part of a batch."""

import math

import torch
from torch import Tensor

from synthanom.batched import tables
from synthanom.batched.canvases import Canvases
from synthanom.batched.items import Items
from synthanom.batched.placing import Placed
from synthanom.drawing import LEAST_SHARE, MOST_SHARE
from synthanom.kernels.inner_boundary.gpu import mean_distance
from synthanom.kernels.radial_warp.gpu import warp_boxes
from synthanom.kernels.region_mask.gpu import nth_marked
from synthanom.tasks.deformation import FREE_EXPONENT, SMALLEST_DISTANCE


def deform(canvases: Canvases, items: Items, places: Placed, order: int) -> None:
    """Deform the region of each anomaly, by splines of one order."""
    flat, pictures, region = canvases.flat, canvases.pictures, places.region
    local, factor, suitable = pulls(items, region, flat=flat)
    canvases.suitable.logical_and_(torch.ones_like(canvases.suitable).scatter_(0, items.sample, suitable))
    centre = (places.start + local).double()
    values = warp_boxes(
        pictures.images,
        items.sample,
        places.start,
        region,
        (items.ellipsoid, items.half, items.inverse, places.centre.double()),
        (centre, factor, items.settings[:, tables.SINK] > 0),
        order=order,
        flat=flat,
    )
    canvases.put(items.sample, places.start, values, region, region)


def pulls(items: Items, region: Tensor, *, flat: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Centre and strength of deformations, as `tasks.deformation.draw_deformation` draws them.

    Returns
    -------
    centre : int64 (N, 3), a voxel of the window
    factor : float64 (N,)
    suitable : bool (N,); without, the boundary is too near for a strength, which is then of no meaning
    """
    count = region.flatten(1).sum(dim=1)
    picked, u = items.numbers[:, 0], items.numbers[:, 1]
    local = nth_marked(region, torch.minimum((picked * count).long(), count - 1))
    distance = mean_distance(region, local, flat=flat)
    calibrated = items.settings[:, tables.CALIBRATED] > 0
    suitable = (distance >= SMALLEST_DISTANCE) | ~calibrated
    low, high = FREE_EXPONENT
    free = torch.exp2(low + u * (high - low))
    push = pushes(distance, items.settings[:, tables.LEAST_PUSH], items.settings[:, tables.MOST_PUSH], u)
    factor = torch.where(calibrated, strengths(distance, push), free)
    return local, torch.where(suitable, factor, 2.0), suitable


def pushes(distance: Tensor, low: Tensor, high: Tensor, u: Tensor) -> Tensor:
    """`drawing.push_distance` of a batch, all float64 (N,)."""
    largest = (distance * distance / 2).sqrt()
    least, most = LEAST_SHARE * largest, MOST_SHARE * largest
    start, stop = torch.maximum(least, low), torch.minimum(most, high)
    between = start + u * (stop - start)
    return torch.where(low >= most, most, torch.where(high <= least, least, between))


def strengths(distance: Tensor, push: Tensor) -> Tensor:
    """`drawing.strength` of a batch, all float64 (N,)."""
    part = push / math.sqrt(2.0)
    return ((distance / 2 - part) / distance).log() / ((distance / 2 + part) / distance).log()
