"""Batched twin: the same choices of gradients as the compiled one, the sine transforms as products of whole matrices.

f - target is the unknown, as there: it vanishes on the faces, so padding with zeros changes nothing, and one product
serves boxes of all sizes.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from synthanom.kernels.windows.gpu import as_volumes, inside, on_device, per_item, product, triple


def blend_boxes(
    target: Tensor,
    donor: Tensor,
    region: Tensor,
    size: Tensor,
    *,
    flat: bool,
    mixed: Tensor,
    limits: Tensor | None = None,
) -> Tensor:
    """Blend donors into boxes of different sizes at once.

    Parameters
    ----------
    target, donor : float32 (N, C, *P), windows; their padding may hold anything
    region : bool (N, *P)
        Where the donors' gradients may be taken; cleared on the boxes' faces and in the padding here.
    size : int64 (N, 3), sides of the boxes, voxels; one with a side under 3 has no inner voxel and stays
    flat : bool
        Pictures, whose first axis has no faces.
    mixed : bool (N,)
        Keep, per axis and channel, the target's gradient where it is at least as large as the donor's.
    limits : (N, 2, C), optional
        Range that inner voxels are clipped to.

    Returns
    -------
    float32 (N, C, *P), new; faces and padding as in `target`
    """
    inner = _inner(flat)
    before = target[inner]
    out = target.clone(memory_format=torch.contiguous_format)
    if before.numel() == 0:
        return out
    padded = (before.shape[2], before.shape[3], before.shape[4])
    count = size - 2
    if flat:
        count[:, 0] = size[:, 0]
    within = inside(count, padded)
    right = _right_side(target, donor, within & region[:, *inner[2:]], mixed, flat)
    after = _solve(right, count.clamp_(min=1), flat).add_(before)
    if limits is not None:
        low, high = per_item(limits.to(torch.float32)).unbind(dim=1)
        after.clamp_(low, high)
    torch.where(within.unsqueeze(1), after, before, out=out[inner])
    return out


def blend(target: Tensor, donor: Any, region: Any, box: tuple[slice, ...], *, mixed: bool) -> Tensor:
    """`poisson.blend` in one box of a picture (C, *S), on its device; the face has checked the arguments."""
    out = target.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    dims, values = region.ndim, out[:, *box]
    blended = blend_boxes(
        as_volumes(values[None], dims),
        as_volumes(on_device(donor, out.device).to(torch.float32)[None], dims),
        as_volumes(on_device(region, out.device)[None], dims),
        torch.tensor([triple(region.shape, 1)], device=out.device),
        flat=dims == 2,
        mixed=torch.full((1,), mixed, device=out.device),
    )
    values.copy_(blended.view(values.shape))
    return out


def changed(before: Tensor, after: Tensor, region: Tensor, inside: Tensor, threshold: Tensor) -> Tensor:
    """Regions and every voxel that two images differ in by more than a threshold, mean over channels.

    Parameters
    ----------
    before, after : float32 (N, C, *P)
    region, inside : bool (N, *P), the latter False in the padding, which may hold anything
    threshold : float64 (N,)

    Returns
    -------
    bool (N, *P)

    Notes
    -----
    In float64 and channel after channel, as the compiled twin adds up: the same voxels come out.
    """
    less = -torch.ones((1, 1, 1, 1, 1), dtype=torch.float64, device=after.device)
    change = torch.addcmul(after, before, less).abs_()  # converts on the way, with no copies in float64
    total = change[:, 0]
    for c in range(1, change.shape[1]):
        total.add_(change[:, c])
    if change.shape[1] > 1:
        total.div_(change.shape[1])
    return (total > per_item(threshold)).logical_or_(region).logical_and_(inside)


def _inner(flat: bool, ahead: int | None = None) -> tuple[slice, ...]:
    """What windows (N, C, *P) hold but for their faces, or the same one voxel on along the axis `ahead`."""
    sides = [slice(None) if flat and axis == 0 else slice(1, -1) for axis in range(3)]
    if ahead is not None:
        sides[ahead] = slice(2, None)
    return (slice(None), slice(None), *sides)


def _right_side(target: Tensor, donor: Tensor, region: Tensor, mixed: Tensor, flat: bool) -> Tensor:
    """div(v) - Laplacian(target) at the inner voxels of windows, `region` given there: float32 (N, C, *(P - 2)).

    With g and d the gradients of target and donor, |g| < |d| if d - g and d + g have the same sign. Where gradients
    are not mixed, d - g stands for d + g. In float64 sums of float32 values are exact, and so is the choice.
    """
    sign = per_item(mixed.to(torch.float64).mul_(2).sub_(1), 4)
    less = torch.addcmul(donor, target, -torch.ones_like(sign))
    more = torch.addcmul(donor, target, sign)
    here = _inner(flat)
    right = None
    for axis in range(1 if flat else 0, 3):
        ahead = _inner(flat, axis)
        excess = torch.empty(less[here].shape, dtype=torch.float32, device=less.device)
        torch.sub(less[ahead], less[here], out=excess)
        taken = torch.where(excess > 0, more[ahead] > more[here], more[ahead] < more[here])
        # selected, not multiplied: where nothing is taken there may be NaN
        excess = torch.where(taken.logical_and_(region.unsqueeze(1)), excess, 0.0)
        right = excess.clone() if right is None else right.add_(excess)
        edges = excess.shape[2 + axis] - 1  # the last one ends on a face
        right.narrow(2 + axis, 1, edges).sub_(excess.narrow(2 + axis, 0, edges))
    assert right is not None
    return right


def _solve(right: Tensor, count: Tensor, flat: bool) -> Tensor:
    """The values whose Laplacian is `right`, (N, C, *M), and that vanish beyond `count`, int64 (N, 3): float32.

    Each product turns its axis to the front or to the back, so that the next finds its own in place: no transposed
    copies.
    """
    n, channels, mz, my, mx = right.shape
    axes = slice(1 if flat else 0, 3)
    sines = _sines(count[:, axes], max(mz, my, mx))
    z, y, x = sines[:, 0, :mz, :mz], sines[:, -2, :my, :my], sines[:, -1, :mx, :mx]
    eigenvalues = _eigenvalues(count[:, axes], [mz, my, mx][axes])
    values = product(x, right.reshape(n, -1, mx).mT)
    values = product(y, values.view(n, -1, my).mT)
    if not flat:
        values = product(values.view(n, -1, mz), z)
    values.view(n, my, mx, channels, mz).div_(eigenvalues)
    if not flat:
        values = product(values.view(n, -1, mz), z)
    values = product(values.view(n, my, -1).mT, y)
    values = product(values.view(n, mx, -1).mT, x)
    return values.view(right.shape)


def _sines(count: Tensor, side: int) -> Tensor:
    """sin(pi (i + 1)(j + 1) / (n + 1)) for i, j < n, else 0; n = count, int64 (N, A): float32 (N, A, side, side)."""
    count = count.to(torch.int32)
    place = torch.arange(1, side + 1, dtype=torch.int32, device=count.device)
    place = torch.where(place <= count.unsqueeze(2), place, 0)
    # modulo one period, so that large arguments lose nothing
    product = (place.unsqueeze(3) * place.unsqueeze(2)).remainder_(per_item(2 * (count + 1), 2))
    return (product * per_item(math.pi / (count + 1).double(), 2)).sin_().to(torch.float32)


def _eigenvalues(count: Tensor, sides: Sequence[int]) -> Tensor:
    """Eigenvalues of the Laplacian with `count`, int64 (N, A), inner points, times the norm of the sines' squares.

    float32 (N, y, x, 1, z), which is how `_solve` keeps frequencies; beyond a box some number that is not 0.
    """
    steps = (count + 1).double()
    frequency = torch.arange(1, max(sides) + 1, device=count.device).minimum(count.unsqueeze(2))
    # 2 cos(2 a) - 2 = -4 sin(a)^2, which does not cancel
    own = (frequency * (math.pi / 2 / steps).unsqueeze(2)).sin_().square_()
    own = (own * (-4 * (steps / 2).prod(dim=1)).view(-1, 1, 1)).to(torch.float32)
    y, x = own[:, -2, : sides[-2], None, None, None], own[:, -1, None, : sides[-1], None, None]
    return y + x if len(sides) == 2 else y + x + own[:, 0, None, None, None, : sides[0]]
