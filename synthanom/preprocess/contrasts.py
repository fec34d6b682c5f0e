"""Several contrasts of one case as channels of one image, and masks on its grid."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthanom.arrays import FloatArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.volumes.read import read_mask
from synthanom.volumes.reading import AS_STORED, Reading
from synthanom.volumes.volume import Source, Volume

TOLERANCE = 0.02  # of the smallest voxel side: tools round headers, and a fiftieth of a voxel moves nothing


def align(volumes: Sequence[Volume]) -> Volume:
    """Stack the contrasts of one case along the channel axis; geometry and name are the first one's.

    Parameters
    ----------
    volumes : sequence of Volumes
        Each of one channel or more.

    Returns
    -------
    Volume
        (C, *S), the channels in the order of the volumes.

    Raises
    ------
    SynthanomError
        Naming both files, if shapes, kinds or affines differ by more than a fiftieth of a voxel anywhere in the image.
    """
    if not volumes:
        raise SynthanomError("a case needs at least one image, got none; check the pattern that names its contrasts")
    first = volumes[0]
    for other in volumes[1:]:
        if other.kind != first.kind:
            raise SynthanomError(f"{other.path} is a {other.kind} and {first.path} a {first.kind}; give one kind only")
        check_grid(first, other.image.shape[1:], other.affine, other.path)
    if len(volumes) == 1:
        return first
    image = np.concatenate([volume.image for volume in volumes])
    image.flags.writeable = False
    return replace(first, image=image, affine=next((v.affine for v in volumes if v.affine is not None), None))


def check_grid(volume: Volume, shape: Sequence[int], affine: FloatArray | None, path: str | Path) -> None:
    """Refuse a second image or mask that does not lie on a volume's grid.

    Affines are compared where both are known, by how far apart they put the corners of the grid.

    Parameters
    ----------
    volume : Volume
    shape : sequence of D ints
        Spatial shape of the other.
    affine : ndarray of shape (4, 4), or None
        Of the other.
    path : path
        Where the other came from, for messages.

    Raises
    ------
    SynthanomError
        Naming both files.
    """
    have = volume.image.shape[1:]
    if tuple(shape) != tuple(have):
        raise SynthanomError(
            f"{path} must lie on the grid of {volume.path}: shapes {tuple(shape)} and {tuple(have)} differ; "
            "resample one onto the other"
        )
    if affine is None or volume.affine is None:
        return
    apart = _corner_distance(volume.affine, affine, have)
    smallest = float(np.sqrt((volume.affine[:3, :3] ** 2).sum(axis=0)).min())
    if apart > TOLERANCE * smallest:
        raise SynthanomError(
            f"{path} must lie on the grid of {volume.path}: their affines put a corner {apart:.3g} mm apart, "
            f"at most {TOLERANCE * smallest:.3g} mm is taken for rounding; resample one onto the other"
        )


def mask_on_grid(volume: Volume, source: Source, reading: Reading = AS_STORED) -> MaskArray:
    """Read a foreground mask that lies on a volume's grid, in the way that the volume was read.

    Parameters
    ----------
    volume : Volume
    source : Source
        The mask's file or files.
    reading : Reading

    Returns
    -------
    ndarray of shape (*S), bool

    Raises
    ------
    SynthanomError
        Naming the mask's file: unreadable, on another grid, nothing marked.
    """
    mask, affine = read_mask(source, reading)
    check_grid(volume, mask.shape, affine, source.path)
    if not mask.any():
        raise SynthanomError(f"{source.path}: a foreground mask must mark at least one voxel, got none; redraw it")
    return mask


def _corner_distance(one: FloatArray, other: FloatArray, shape: Sequence[int]) -> float:
    """Largest distance in mm between the two places of a corner of the grid."""
    ends = [(0, side - 1) for side in reversed(tuple(shape))] + [(0,)] * (3 - len(shape))
    corners = np.array(np.meshgrid(*ends, [1], indexing="ij")).reshape(4, -1)
    return float(np.linalg.norm(((one - other) @ corners)[:3], axis=0).max())
