"""AUPRO: how much of each region is found, against the false-positive rate, up to a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.kernels.components import label
from synthanom.metrics.intervals import Weights
from synthanom.metrics.pixels import Pixels, PixelStore

LIMIT = 0.3
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionTally:
    """What AUPRO is computed from, per subject.

    Attributes
    ----------
    overlap : ndarray of shape (S, B), float64
        From the highest bin down: the share of a region that lies in a bin, summed over the subject's regions.
    regions : ndarray of shape (S,), float64
        How many regions each subject has.
    negatives : ndarray of shape (S, B), float64
        Pixels outside regions, per bin.
    """

    overlap: Floats
    regions: Floats
    negatives: Floats

    def aupro(self, weights: Weights, limit: float = LIMIT) -> Floats:
        """Of every resample of subjects; weights (draws, S). nan without regions or pixels outside them."""
        share = np.cumsum(weights @ self.overlap, axis=1)
        rate = np.cumsum(weights @ self.negatives, axis=1)
        regions, negatives = weights @ self.regions, rate[:, -1].copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            share, rate = share / regions[:, None], rate / negatives[:, None]
        defined = (regions > 0) & (negatives > 0)
        found = np.full(len(weights), np.nan)
        found[defined] = [area_below(r, s, limit) for r, s in zip(rate[defined], share[defined], strict=True)]
        return found


def aupro(scores: Sequence[ImageArray], masks: Sequence[MaskArray], *, limit: float = LIMIT) -> float:
    """Area under the mean share of each region found against the false-positive rate, up to `limit`, divided by it.

    Parameters
    ----------
    scores, masks : sequences of arrays (*S), float32 and bool
        Regions are the face-connected components of the masks; each counts the same whatever its size.
    limit : float
        Largest false-positive rate, over the pixels of all images that lie in no region, in (0, 1].

    Returns
    -------
    float
        In [0, 1]; a random map reaches `limit` / 2. nan without regions or without pixels outside them.

    Raises
    ------
    SynthanomError
        No maps, differing shapes, or a limit outside (0, 1].

    References
    ----------
    Bergmann et al., The MVTec Anomaly Detection Dataset, https://doi.org/10.1007/s11263-020-01400-4.
    """
    if not 0 < limit <= 1:
        raise SynthanomError(f"the false-positive rate's limit must be in (0, 1], got {limit}; {LIMIT} is usual")
    store = PixelStore()
    for values, mask in zip(scores, masks, strict=True):
        store.add(values, mask, "")
    return aupro_of_pixels(store.finish(), limit)


def aupro_of_pixels(pixels: Pixels, limit: float = LIMIT) -> float:
    """As `aupro`, from every bin of pixels.

    Parameters
    ----------
    pixels : Pixels
    limit : float
        Largest false-positive rate, in (0, 1].

    Returns
    -------
    float
        In [0, 1]; nan without regions or without pixels outside them.

    Raises
    ------
    SynthanomError
        If the limit lies outside (0, 1].
    """
    negatives = pixels.counts[None, ::-1, 0].astype(np.float64)
    tally = region_tally(pixels, np.arange(pixels.lowest.size, dtype=np.int32), negatives)
    return float(tally.aupro(np.ones((1, 1)), limit)[0])


def region_tally(pixels: Pixels, group: npt.NDArray[np.int32], negatives: Floats) -> RegionTally:
    """Count regions by group of bins.

    Parameters
    ----------
    pixels : Pixels
    group : ndarray of shape (B,), int32
        The group of each bin.
    negatives : ndarray of shape (S, groups), float64
        From the highest group down, those of each subject, ascending, as a `Tally` has them; or of all in one row: then
        regions are counted as one subject's.

    Returns
    -------
    RegionTally
    """
    groups, names = int(group[-1]) + 1, sorted(set(pixels.subjects))
    number = {name: k if len(negatives) > 1 else 0 for k, name in enumerate(names)}
    overlap, regions = np.zeros(negatives.shape), np.zeros(len(negatives))
    for image, subject in enumerate(pixels.subjects):
        inside = pixels.mask(image)
        if not inside.any():
            continue
        components, boxes = label(inside)
        members = components[inside]
        sizes = np.bincount(members)
        row = number[subject]
        placed = group[pixels.bins[image].reshape(inside.shape)[inside]]
        overlap[row] += np.bincount(placed, weights=1 / sizes[members], minlength=groups)
        regions[row] += len(boxes)
    return RegionTally(
        overlap=np.ascontiguousarray(overlap[:, ::-1]),
        regions=regions,
        negatives=negatives,
    )


def area_below(rate: Floats, share: Floats, limit: float) -> float:
    """Area between 0 and `limit` under straight lines from (0, 0) through points of ascending rate, over `limit`."""
    x, y = np.concatenate([[0.0], rate]), np.concatenate([[0.0], share])
    last = int(np.searchsorted(x, limit, side="right"))
    inner_x, inner_y = x[:last], y[:last]
    if last < x.size and inner_x[-1] < limit:
        step = (limit - inner_x[-1]) / (x[last] - inner_x[-1])
        inner_x = np.append(inner_x, limit)
        inner_y = np.append(inner_y, inner_y[-1] + step * (y[last] - inner_y[-1]))
    return float(np.trapezoid(inner_y, inner_x) / limit)
