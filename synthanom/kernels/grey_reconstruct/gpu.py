"""Batched twin of `reference`: the same minima and maxima, along whole rows at a time, so that no value differs.

To lower a row to the least that each voxel can be reached from, over the ridges on the way, takes log2(n) rounds of
clamps: each doubles how far a voxel has looked.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from synthanom.kernels.windows.gpu import as_volumes, inside, strictly_inside

Choice = Callable[..., Tensor]  # torch.minimum or torch.maximum
Heights = list[tuple[int, list[Tensor]]]  # the ridges along each axis
# Labels of random fields take 1 to 15 rounds. Two thirds of volumes' boxes are finished after the first, three
# fifths of pictures' after the third: asking after each round, which waits for the device, spares more than it costs.
# Most ways out wind: to look farther than 15 voxels gains nothing in most rounds; doing so in one of four takes
# two thirds of the traffic.
NEAR_STEPS = 4  # doublings in most rounds
WORTH_PARTING = 0.6  # of the windows, which still change: with fewer, the finished ones are left behind
FAR_EVERY = 4  # rounds, one of which goes to the ends of the rows


def all_ridges(floor: Tensor) -> Heights:
    """The `ridges` along the last three axes of (N, *P)."""
    return [(axis, ridges(floor, axis)) for axis in (3, 2, 1)]


def ridges(floor: Tensor, axis: int) -> list[Tensor]:
    """The highest floor of 1, 2, 4, ... voxels in a row, for each first voxel, as long as that is less than the axis.

    Together they take log2(n) times the memory of `floor`, but serve every sweep in both directions.
    """
    out: list[Tensor] = []
    count, distance = floor.shape[axis], 1
    while distance < count:
        if not out:
            out.append(floor)
        else:
            shorter, left = out[-1], count - distance + 1
            out.append(torch.maximum(shorter.narrow(axis, 0, left), shorter.narrow(axis, distance // 2, left)))
        distance *= 2
    return out


def sweep_all(level: Tensor, spare: Tensor, heights: Heights, *, near: bool) -> None:
    """`sweep` along one axis after the other, over 15 voxels only if `near`."""
    for axis, along_axis in heights:
        sweep(level, spare, along_axis[:NEAR_STEPS] if near else along_axis, axis)


def sweep(level: Tensor, spare: Tensor, heights: Sequence[Tensor], axis: int) -> None:
    """Lower each voxel to the least that it can be reached from along an axis, both ways, in place.

    Parameters
    ----------
    level : Tensor of any shape and dtype with an order, nowhere below the floor
    spare : room of the same shape, overwritten
    heights : `ridges` of the floor along this axis

    Notes
    -----
    That is max(min(level[x], level[x - 1]), floor[x]) from the first voxel to the last, then back. Voxels a distance
    apart are one clamp apart: the lower bound is the ridge between them, the upper one the voxel's own level, which
    wins where it is the smaller.
    """
    count = level.shape[axis]
    for k, ridge in enumerate(heights):
        distance = 2**k
        left = count - distance
        after, before = ridge.narrow(axis, 1, left), ridge.narrow(axis, 0, left)
        torch.clamp(
            level.narrow(axis, 0, left),
            after,
            level.narrow(axis, distance, left),
            out=spare.narrow(axis, distance, left),
        )
        spare.narrow(axis, 0, distance).copy_(level.narrow(axis, 0, distance))
        torch.clamp(
            spare.narrow(axis, distance, left), before, spare.narrow(axis, 0, left), out=level.narrow(axis, 0, left)
        )
        level.narrow(axis, left, distance).copy_(spare.narrow(axis, left, distance))


def reconstruct(closed: Tensor, size: Tensor, *, flat: bool) -> Tensor:
    """Reconstruction by erosion of boxes, from a seed that equals `closed` on their faces and its maximum inside.

    Parameters
    ----------
    closed : float (N, *P), anything in the padding
    size : int64 (N, 3), the boxes

    Returns
    -------
    Tensor (N, *P), of the dtype of `closed`, infinite in the padding
    """
    padded = (closed.shape[1], closed.shape[2], closed.shape[3])
    within = inside(size, padded)
    floor = torch.where(within, closed, torch.inf)
    # no way from a face inwards is higher than the maximum, so that a seed of any greater height comes to the same
    level = floor.masked_fill(strictly_inside(size, padded, flat=flat), torch.inf)
    out, rows = level, None
    spare, heights = torch.empty_like(level), all_ridges(floor)
    # each round that changes a window brings at least one more of its voxels to its last value, as the sweeps come on
    # top of a step to all neighbours; when that step changes nothing, the fixed point is reached
    for done in range(padded[0] * padded[1] * padded[2] + 1):
        sweep_all(level, spare, heights, near=done % FAR_EVERY > 0)
        lower = torch.maximum(_extreme(level, torch.minimum), floor)
        # this waits for the device; where a label is NaN, no voxel gets lower, so that it ends there, too
        left = (lower < level).flatten(1).any(dim=1).nonzero().squeeze(1)
        if left.numel() < WORTH_PARTING * level.shape[0]:  # go on with the few that are not finished
            _keep(out, rows, lower)
            if left.numel() == 0:
                return out
            rows = left if rows is None else rows[left]
            lower, floor = lower[left], floor[left]
            spare, heights = torch.empty_like(lower), all_ridges(floor)
        level = lower
    raise AssertionError("each round settles at least one voxel: it cannot take more than all")


def _keep(out: Tensor, rows: Tensor | None, values: Tensor) -> None:
    """Put windows where they belong in `out`; all of them without `rows`."""
    if rows is None:
        out.copy_(values)
    else:
        out[rows] = values


def close_and_fill(values: Tensor, size: Tensor, *, flat: bool) -> Tensor:
    """Grey closing, then reconstruction by erosion, of boxes: nowhere below `values`.

    Parameters
    ----------
    values : float32 (N, *P), anything in the padding
    size : int64 (N, 3), the boxes, every side at least 3, of pictures (`flat`) that of the first axis 1

    Returns
    -------
    float32 (N, *P), 0 in the padding
    """
    within = inside(size, (values.shape[1], values.shape[2], values.shape[3]))
    widened = _extreme(torch.where(within, values, -torch.inf), torch.maximum)
    closed = _extreme(torch.where(within, widened, torch.inf), torch.minimum)
    filled = reconstruct(closed, size, flat=flat)
    # neither a closing nor what is built on it lies below the values, so that no maximum need be taken
    return torch.where(within, filled, 0.0)


def close_and_fill_box(values: Tensor) -> Tensor:
    """`close_and_fill` of one box (*box) of any size, on its device: float32 (*box)."""
    volume = as_volumes(values.detach().to(torch.float32), values.ndim)
    size = torch.tensor([volume.shape], device=values.device)
    return close_and_fill(volume.unsqueeze(0), size, flat=values.ndim == 2).view(values.shape)


def _extreme(values: Tensor, choose: Choice) -> Tensor:
    """Minimum or maximum over the offsets of squared length <= 2; beyond the window there is nothing.

    The element is the union of the 3 x 3 squares in the coordinate planes; a picture, of one layer, has one of them.
    """
    row = _of_three(values, 3, choose)
    square = _of_three(row, 2, choose)
    if values.shape[1] == 1:
        return square
    cross = choose(row, _of_three(values, 2, choose))
    return choose(square, _of_three(cross, 1, choose), out=square)


def _of_three(values: Tensor, axis: int, choose: Choice) -> Tensor:
    """Minimum or maximum of each voxel and its two neighbours along an axis."""
    out = values.clone()
    others = values.shape[axis] - 1
    for own, other in ((0, 1), (1, 0)):
        target = out.narrow(axis, own, others)
        choose(target, values.narrow(axis, other, others), out=target)
    return out
