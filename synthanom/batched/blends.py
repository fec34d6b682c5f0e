"""Poisson blending of a part of a batch."""

import torch
from torch import Tensor

from synthanom.batched import tables
from synthanom.batched.canvases import Canvases
from synthanom.batched.items import Items
from synthanom.batched.placing import Placed
from synthanom.batched.pool import Shelf
from synthanom.kernels.affine_patch.gpu import sample_boxes
from synthanom.kernels.poisson.gpu import blend_boxes, changed
from synthanom.kernels.windows.gpu import cut, inside


def blend(canvases: Canvases, items: Items, places: Placed, shelf: Shelf) -> None:
    """Blend a patch of its donor into the box of each anomaly."""
    flat, pictures = canvases.flat, canvases.pictures
    sides = shelf.sides[items.slot]
    matrix = capped(items.turned, places.size, sides, items.settings[:, tables.LARGEST_PART], flat=flat)
    offset = offsets(items, matrix, places.size, sides, shelf.foreground)
    limits = shelf.limits[items.slot]
    patch = sample_boxes(shelf.coefficients, items.slot, sides, matrix, offset, limits, items.padded, flat=flat)
    before = cut(pictures.images, items.sample, places.start, items.padded)
    own = canvases.limits[items.sample]
    mixed = items.settings[:, tables.MIXED] > 0
    after = blend_boxes(before, patch, places.region, places.size, flat=flat, mixed=mixed, limits=own)
    box = inside(places.size, items.padded)
    touched = changed(before, after, places.region, box, items.settings[:, tables.THRESHOLD])
    canvases.put(items.sample, places.start, after, box, touched)


def capped(turned: Tensor, size: Tensor, donor: Tensor, largest_part: Tensor, *, flat: bool) -> Tensor:
    """Maps from box to donor that need no more than a part of the donor's sides: `drawing.patch_matrix`.

    Parameters
    ----------
    turned : float64 (N, 3, 3), rotation times scale
    size, donor : int64 (N, 3), sides of the boxes and of the donors
    largest_part : float64 (N,)

    Returns
    -------
    float64 (N, 3, 3)
    """
    first = 1 if flat else 0
    needed = needs(turned, size, first)
    room = (largest_part.unsqueeze(1) * donor - 1).clamp_(min=1.0)
    excess = (needed / room)[:, first:].amax(dim=1).clamp_(min=1.0).view(-1, 1, 1)
    out = turned.clone()
    out[:, first:, first:] /= excess
    return out


def needs(matrix: Tensor, size: Tensor, first: int) -> Tensor:
    """How many voxels of the donor boxes need along each axis, float64 (N, 3), added up as the compiled draw does."""
    total = torch.zeros_like(matrix[:, :, 0])
    for i in range(first, 3):
        total = total + (matrix[:, :, i] * (size[:, i] - 1).unsqueeze(1)).abs()
    return total


def offsets(items: Items, matrix: Tensor, size: Tensor, sides: Tensor, foreground: Tensor) -> Tensor:
    """Donor coordinates of the boxes' first voxels, float64 (N, 3): `drawing.patch_offset`.

    The middle is the first of the proposals that lies in the donor's `foreground`, bool (slots, Z, Y, X), or the first
    of all.
    """
    first = 1 if foreground.shape[1] == 1 else 0
    needed, last = needs(matrix, size, first), sides - 1.0
    lowest = torch.minimum(needed / 2, last / 2)
    room = (last - 2 * (needed / 2)).clamp_(min=0.0)
    if first:
        lowest[:, 0], room[:, 0] = 0.0, 0.0
    middles = lowest.unsqueeze(1) + items.middles * room.unsqueeze(1)
    z, y, x = middles.round().long().unbind(dim=2)
    good = foreground[items.slot.unsqueeze(1), z, y, x]
    number = torch.arange(good.shape[1], device=good.device)
    chosen = torch.where(good, number, good.shape[1]).amin(dim=1)
    chosen = torch.where(chosen < good.shape[1], chosen, 0)
    out = middles[torch.arange(len(items), device=good.device), chosen]
    for i in range(first, 3):
        out = out - matrix[:, :, i] * ((size[:, i] - 1) / 2).unsqueeze(1)
    return out
