"""The definition: a voxel and its face neighbours in the mask bear one number."""

import numpy as np
import numpy.typing as npt


def label(region: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Numbers 1, 2, ... in the order of first voxels, and boxes (n, 2, D), by flooding from each unnumbered voxel."""
    numbers = np.zeros(region.shape, dtype=np.int32)
    boxes: list[list[npt.NDArray[np.int64]]] = []
    for start in zip(*np.nonzero(region), strict=True):
        if numbers[start]:
            continue
        members = _flood(region, numbers, start, len(boxes) + 1)
        boxes.append([np.min(members, axis=0), np.max(members, axis=0) + 1])
    return numbers, np.array(boxes, dtype=np.int64).reshape(-1, 2, region.ndim)


def covered(
    region: npt.NDArray[np.bool_], by: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Voxels of each component, and how many of these another mask marks."""
    numbers, boxes = label(region)
    members = [numbers == k + 1 for k in range(len(boxes))]
    counts = [[np.count_nonzero(part), np.count_nonzero(part & by)] for part in members]
    sizes, common = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return sizes, common


def _flood(
    region: npt.NDArray[np.bool_], numbers: npt.NDArray[np.int32], start: tuple[int, ...], number: int
) -> list[tuple[int, ...]]:
    """Number everything that can be reached from a voxel through faces, in place; returns those voxels."""
    members = [start]
    numbers[start] = number
    for voxel in members:  # grows as it is walked
        for axis in range(region.ndim):
            for step in (-1, 1):
                near = tuple(int(v) + step * (a == axis) for a, v in enumerate(voxel))
                inside = all(0 <= v < n for v, n in zip(near, region.shape, strict=True))
                if inside and region[near] and not numbers[near]:
                    numbers[near] = number
                    members.append(near)
    return members
