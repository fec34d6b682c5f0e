"""Smooth changes of intensity in a part of a batch."""

import math

from synthanom.batched.canvases import Canvases
from synthanom.batched.items import Items
from synthanom.batched.placing import Placed
from synthanom.kernels.smooth_change.gpu import add_ramp, largest_depth, squared_depth
from synthanom.kernels.windows.gpu import cut


def change(canvases: Canvases, items: Items, places: Placed, longest: float) -> None:
    """Change the intensities of each anomaly's region.

    Parameters
    ----------
    longest : float
        No ramp of these anomalies is longer, voxels: known to the host, which drew them.
    """
    sides = canvases.pictures.images.shape[2:]
    shortest = min(sides[1:] if canvases.flat else sides)
    limit = shortest * items.numbers[:, 0]
    half = (min(items.padded[1:] if canvases.flat else items.padded) + 1) // 2
    squared = squared_depth(places.region, min(math.ceil(longest), half), flat=canvases.flat)
    ramp = largest_depth(squared, limit)
    before = cut(canvases.pictures.images, items.sample, places.start, items.padded)
    after = add_ramp(before, squared, ramp, items.numbers[:, 1:], canvases.limits[items.sample])
    canvases.put(items.sample, places.start, after, places.region, places.region)
