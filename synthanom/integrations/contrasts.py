"""Images of one grid as the channels of one picture, so that an anomaly sits at the same place in all of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.sample import Sample

AFFINE_TOLERANCE = 1e-3  # mm; files of one examination rarely agree to the last digit


def sample_of(
    images: Mapping[str, npt.ArrayLike],
    foreground: npt.ArrayLike | None,
    spacing: Sequence[float] | None,
    *,
    id: str,  # noqa: A002  (as for Sample.from_array)
    subject: str | None,
    within: npt.ArrayLike | None = None,
) -> Sample:
    """The sample of some images, their axes in the order in which they are.

    Parameters
    ----------
    images : mapping of str to array (c, *S)
        By name; their channels are put together.
    foreground, within : array (1, *S) or (*S), optional
        What is above 0. Location prior: as for `Sample.from_array`.
    spacing : D lengths in mm, in the order of the axes, optional
    id, subject : as for `Sample.from_array`

    Raises
    ------
    SynthanomError
        Images of different grids, and as `Sample.from_array`.
    """
    arrays = {name: np.asarray(image) for name, image in images.items()}
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise SynthanomError(
            f"images that get one anomaly together must have one grid, got {shapes}; resample them, or name fewer"
        )
    joined = next(iter(arrays.values())) if len(arrays) == 1 else np.concatenate(list(arrays.values()))
    mask, prior = _marked(foreground, joined.ndim), _marked(within, joined.ndim)
    return Sample.from_array(joined, mask, spacing, id=id, subject=subject, channels=joined.shape[0], within=prior)


def _marked(values: npt.ArrayLike | None, axes: int) -> MaskArray | None:
    """Where an array (1, *S) or (*S) is above 0; `axes` counts the channels."""
    if values is None:
        return None
    mask = np.asarray(values) > 0
    return mask[0] if mask.ndim == axes and mask.shape[0] == 1 else mask


def parted(image: ImageArray, counts: Mapping[str, int]) -> dict[str, ImageArray]:
    """The channels of a picture (C, *S) as images again, by name and number of channels."""
    ends = np.cumsum(list(counts.values()))[:-1]
    return dict(zip(counts, np.split(image, ends), strict=True))


def check_affines(affines: Mapping[str, npt.ArrayLike]) -> None:
    """Raise if images lie at different places in the world.

    Raises
    ------
    SynthanomError
    """
    (first, reference), *others = affines.items()
    for name, affine in others:
        if not np.allclose(np.asarray(affine), np.asarray(reference), rtol=0, atol=AFFINE_TOLERANCE):
            raise SynthanomError(
                f"images that get one anomaly together must have one affine, got different ones of {first!r} and "
                f"{name!r}; resample one onto the other's grid, or name fewer"
            )
